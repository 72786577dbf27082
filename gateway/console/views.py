"""Records turned into what the pages show: rows, facts, statements, a stretch of a log. Knows no HTML and no HTTP.

Everything is bounded here: how many records are listed, how many lines of a log are shown, how long a line may be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from batches.models import Batch
from batches.states import ENDED, BatchState
from gateway.console.outputs import Piece, Text, has_failed, pieces_of, shortened
from gateway.core import logs
from gateway.core.options import SparkOptions, redact, redact_args
from gateway.platform.runs.models import Run
from gateway.platform.runs.states import RUN_MOVES
from sessions.drivers.models import Got
from sessions.drivers.service import Pool
from sessions.models import Session
from sessions.statements.models import Statement
from sessions.statements.states import UNFINISHED, StatementState
from sessions.states import SessionState

PAGE = 50  # records on a page
LISTED = 1000  # newest records that pages reach
STATEMENTS = 20  # on a page
LOG_LINES = 1000  # on a page
_LONGEST_LINE = 4000  # bytes of a line of a log
_CHUNK = 100  # lines of a log that a refreshed page keeps or replaces together
_LONGEST_REASON = 4000  # characters
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")

Record = TypeVar("Record", Session, Batch)
State = TypeVar("State", SessionState, BatchState)
Facts = list[tuple[str, str]]


# ---------------------------------------------------------------- lists


@dataclass(frozen=True)
class Pager:
    """Page `number` of `pages`, both from 1."""

    number: int
    pages: int

    @property
    def newer(self) -> int | None:
        return self.number - 1 if self.number > 1 else None

    @property
    def older(self) -> int | None:
        return self.number + 1 if self.number < self.pages else None


def pager(asked: int, total: int, size: int) -> Pager:
    """The page asked for, or the nearest there is."""
    pages = max(1, -(-total // size))
    return Pager(min(max(1, asked), pages), pages)


@dataclass(frozen=True)
class Listing(Generic[Record]):
    """`counts`: records by state. `unlisted`: how many older ones no page reaches."""

    records: list[Record]
    counts: Mapping[str, int]
    pager: Pager
    total: int
    unlisted: int
    live: bool


def newest(
    fetch: Callable[[int, int], tuple[int, list[Record]]], counts: Mapping[State, int], asked: int
) -> Listing[Record]:
    """Page `asked` of the records. `fetch` gives them newest first; `counts` are all of them, by state."""
    total = sum(counts.values())
    reached = min(total, LISTED)
    place = pager(asked, reached, PAGE)
    first = (place.number - 1) * PAGE
    _, records = fetch(first, min(PAGE, reached - first))
    return Listing(
        records=records,
        counts={state.value: number for state, number in counts.items()},
        pager=place,
        total=total,
        unlisted=total - reached,
        live=any(map(may_change, counts)),
    )


# ---------------------------------------------------------------- sessions and batches


def is_live(record: Session | Batch) -> bool:
    """Whether something about it may still change."""
    return may_change(record.state)


def may_change(state: SessionState | BatchState) -> bool:
    return state is not SessionState.DEAD if isinstance(state, SessionState) else state not in ENDED


def spark_ui(record: Session | Batch) -> str | None:
    """The address of its Spark UI: only one that a page may link to, and only while there is a driver to serve it."""
    url = record.ui_url
    return url if url and is_live(record) and is_web_address(url) else None


def is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def reason_of_end(record: Session | Batch) -> str | None:
    """Why it ended otherwise than well or as asked. None while it lives, and when there is nothing to say."""
    return None if is_live(record) or record.reason is None else shortened(record.reason, _LONGEST_REASON).text


def session_facts(session: Session) -> Facts:
    """What was asked of the session, and by whom; facts that say nothing are left out."""
    heartbeat = session.heartbeat_timeout
    return _told(
        ("Name", session.name),
        ("Permanent id", session.uuid if session.permanent else None),
        ("Owner", session.owner),
        ("Proxy user", session.proxy_user),
        *_option_facts(session.options),
        ("Ends when idle for", session.idle_timeout),
        ("Ends at the age of", session.ttl),
        ("Ends without a sign of life for", duration_text(heartbeat) if heartbeat else None),
    )


def batch_facts(batch: Batch) -> Facts:
    request = batch.request
    return _told(
        ("Name", batch.name),
        ("Owner", batch.owner),
        ("Proxy user", batch.proxy_user),
        ("File", request.file),
        ("Class", request.class_name),
        ("Arguments", " ".join(redact_args(request.args))),
        *_option_facts(request.options),
        ("Exit code", None if batch.exit_code is None else str(batch.exit_code)),
    )


# ---------------------------------------------------------------- drivers that are started ahead


def pool_text(pool: Pool) -> str:
    """What there is of them, and how many sessions had one; "" when there are none and never were."""
    given = pool.given
    opened, had = sum(given.values()), given[Got.WARM] + given[Got.STARTING]
    ahead = _counted(("warm", pool.warm), ("starting", pool.starting))
    if not ahead and not opened:
        return ""
    none = _counted(
        ("had none ready", given[Got.COLD]), ("have options for which there can be none", given[Got.UNLIKE])
    )
    told = f"; {had} of {opened} sessions had one" if opened else ""
    return f"Drivers started ahead: {ahead or 'none'}{told}{f' ({none})' if none else ''}."


# ---------------------------------------------------------------- runs


def is_running(run: Run | None) -> bool:
    """Whether something about it may still change; a moment longer than about its batch."""
    return run is not None and bool(RUN_MOVES[run.state])


def jobs_text(run: Run) -> str:
    """Its Spark jobs by what has become of them; "" when there were none."""
    jobs = run.reading.tally.jobs
    return _counted(("running", jobs.active), ("succeeded", jobs.succeeded), ("failed", jobs.failed))


def run_facts(run: Run) -> Facts:
    """What Spark told of the run so far; facts that say nothing are left out."""
    tally, metrics = run.reading.tally, run.reading.tally.metrics
    tasks = tally.tasks
    return _told(
        ("Spark jobs", jobs_text(run)),
        (
            "Stages",
            _counted(
                ("running", tally.stages.active), ("succeeded", tally.stages.succeeded), ("failed", tally.stages.failed)
            ),
        ),
        ("Tasks", _counted(("running", tasks.active), ("succeeded", tasks.succeeded), ("failed", tasks.failed))),
        ("Time of tasks", _milliseconds(metrics.executor_run_time)),
        ("Garbage collection", _milliseconds(metrics.gc_time)),
        ("Read", _bytes(metrics.input)),
        ("Written", _bytes(metrics.output)),
        ("Shuffle read", _bytes(metrics.shuffle_read)),
        ("Shuffle written", _bytes(metrics.shuffle_write)),
        ("Spilled to disk", _bytes(metrics.spilled_to_disk)),
        ("Peak memory of a task", _bytes(metrics.peak_execution_memory)),
        ("Peak heap", _bytes(metrics.peak_heap)),
    )


def _counted(*counts: tuple[str, int]) -> str:
    return ", ".join(f"{number:,} {word}" for word, number in counts if number)


def _milliseconds(value: int) -> str | None:
    return duration_text(timedelta(milliseconds=value)) if value else None


def _bytes(value: int) -> str | None:
    """In the largest unit of which there is one: 512 bytes, 1.5 KiB, 20.0 MiB; None for nothing."""
    power = min(max(0, value.bit_length() - 1) // 10, len(_UNITS) - 1)
    number = f"{value / 1024**power:,.1f}" if power else str(value)
    return f"{number} {_UNITS[power]}" if value else None


def conf_of(options: SparkOptions) -> Facts:
    """The conf that was asked for, by key; values that look secret are hidden."""
    return sorted(redact(options.conf).items())


def _option_facts(options: SparkOptions) -> list[tuple[str, str | None]]:
    return [
        ("Driver memory", options.driver_memory),
        ("Driver cores", str(options.driver_cores or "")),
        ("Executor memory", options.executor_memory),
        ("Executor cores", str(options.executor_cores or "")),
        ("Executors", str(options.num_executors or "")),
        ("Queue", options.queue),
        ("Jars", ", ".join(options.jars)),
        ("Python files", ", ".join(options.py_files)),
        ("Files", ", ".join(options.files)),
        ("Archives", ", ".join(options.archives)),
    ]


def _told(*facts: tuple[str, str | None]) -> Facts:
    return [(name, value) for name, value in facts if value]


def idle_since(session: Session, newest_statements: list[Statement]) -> datetime | None:
    """When its last statement ended; None when it works, has never worked, or this is not known."""
    if session.state is not SessionState.IDLE:
        return None
    return max((statement.completed for statement in newest_statements if statement.completed), default=None)


# ---------------------------------------------------------------- statements


@dataclass(frozen=True)
class StatementView:
    """`percent` is None once it has ended; `duration` None before it starts."""

    id: int
    language: str
    state: str
    failed: bool
    code: Text
    pieces: list[Piece]
    percent: int | None
    started: datetime | None
    completed: datetime | None
    duration: str | None


def statement_view(statement: Statement, now: datetime) -> StatementView:
    unfinished = statement.state in UNFINISHED
    until = statement.completed or now
    pieces = [] if statement.output is None else pieces_of(statement.output)
    return StatementView(
        id=statement.id,
        language=statement.kind.value,
        state=statement.state.value,
        failed=statement.state is StatementState.AVAILABLE and has_failed(statement.output or ""),
        code=shortened(statement.code),
        pieces=pieces,
        percent=round(100 * statement.progress) if unfinished else None,
        started=statement.started,
        completed=statement.completed,
        duration=duration_text(until - statement.started) if statement.started else None,
    )


def duration_text(duration: timedelta) -> str:
    """As people say it: 340 ms, 3.4 s, 3 min 4 s, 2 h 5 min, 1 d 3 h."""
    seconds = max(0.0, duration.total_seconds())
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


# ---------------------------------------------------------------- logs


@dataclass(frozen=True)
class Chunk:
    """Lines that stay together when the page refreshes; `first` is the place of the first of them in the file."""

    first: int
    text: str


@dataclass(frozen=True)
class LogView:
    """Lines `start` up to but not including `stop` of `total`. `older` and `newer` are where such pages start."""

    chunks: list[Chunk]
    start: int
    stop: int
    total: int

    @property
    def older(self) -> int | None:
        return max(0, self.start - LOG_LINES) if self.start > 0 else None

    @property
    def newer(self) -> int | None:
        return self.stop if self.stop < self.total else None

    @property
    def at_end(self) -> bool:
        return self.stop >= self.total


def log_view(path: Path, asked: int | None, elsewhere: str | None = None) -> LogView:
    """A page of a log, which may be on another host, from line `asked` (from 0) on; None: the last lines."""
    if instead := logs.elsewhere(elsewhere):
        return LogView(_chunks(instead, 0), 0, 1, 1)
    total = logs.count(path)
    last = max(0, total - LOG_LINES)
    start = last if asked is None else min(max(0, asked), max(0, total - 1))
    lines = logs.read(path, start, start + LOG_LINES, _LONGEST_LINE)
    return LogView(_chunks(lines, start), start, start + len(lines), total)


def _chunks(lines: list[str], start: int) -> list[Chunk]:
    """Cut where line numbers are round, so that the same lines are the same chunk on every page."""
    edges = [start, *range((start // _CHUNK + 1) * _CHUNK, start + len(lines), _CHUNK), start + len(lines)]
    return [
        Chunk(first, "".join(f"{shortened(line).text}\n" for line in lines[first - start : stop - start]))
        for first, stop in pairwise(edges)
        if first < stop
    ]
