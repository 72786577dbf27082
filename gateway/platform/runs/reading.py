"""Reads what a run has written since the last look: its event log, its report, its log, each from an offset on.

One look reads a bounded number of bytes, and only whole lines; what follows of it is a value, so that it can be stored
in one transaction, or thrown away and read again. Takes a while: for a thread. Knows no store.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gateway.platform.runs.evidence import Evidence
from gateway.platform.runs.tally import Tally

_A_LOOK = 4 << 20  # bytes of the event log that one look reads at most, and the longest line of it that counts
_A_LOOK_AT_LOG = 1 << 20  # of the log; what a run has written beyond that since the last look is passed over
_EVENT_FILE = re.compile(r"events_(\d+)_.*")


@dataclass(frozen=True)
class Position:
    """Everything before `offset` of `file` is read. `within`: in a line that is too long, which is skipped to its end.

    `file` is a path below the folder of the event log, "" for a file that is the only one of its kind.
    """

    file: str = ""
    offset: int = 0
    within: bool = False


@dataclass(frozen=True)
class Reading:
    """All that was made of what a run wrote, and how far it was read.

    `reported` is the percent that its program tells of itself; None: it does not.
    """

    events: Position = Position()
    report: Position = Position()
    log: Position = Position()
    tally: Tally = field(default_factory=Tally)
    evidence: Evidence = Evidence()
    reported: int | None = None

    @classmethod
    def of(cls, text: str) -> Reading:
        kept = json.loads(text)
        places = {name: Position(**kept[name]) for name in ("events", "report", "log")}
        evidence = Evidence(**kept["evidence"])
        return cls(**places, tally=Tally.of(kept["tally"]), evidence=evidence, reported=kept["reported"])

    def as_text(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @property
    def percent(self) -> int:
        """Of a run that has not ended: what its program says, else as Spark's tasks tell."""
        return self.tally.percent if self.reported is None else self.reported


def look(before: Reading, events: Path, report: Path, log: Path) -> Reading:
    """What is known after one more look; equal to `before` when there was nothing new."""
    tally = copy.deepcopy(before.tally)
    lines, at = _events_after(events, before.events)
    for line in lines:
        tally.take(line)
    told, at_report = _lines(report, before.report, _A_LOOK)
    said, at_log = _lines(log, _near_end(log, before.log), _A_LOOK_AT_LOG)
    return Reading(
        events=at,
        report=at_report,
        log=at_log,
        tally=tally,
        evidence=before.evidence.after(line.decode("utf-8", "replace") for line in said),
        reported=_reported(told, before.reported),
    )


def _events_after(events: Path, at: Position) -> tuple[list[bytes], Position]:
    """Of one file: a look that finds nothing more in one which another follows, is done with it."""
    files = list(_event_files(events))
    if not at.file and files:
        at = Position(files[0])
    if at.file not in files:
        return [], at
    later = files[files.index(at.file) + 1 :]  # seen before the file is read: then what is read now is all of it
    lines, after = _lines(events / at.file, at, _A_LOOK)
    return (lines, Position(later[0])) if later and after == at else (lines, after)


def _event_files(events: Path) -> Iterator[str]:
    """In the order they were written. A folder is one application's, and not touched any more once the next begins."""
    folders = [(folder.stat().st_mtime_ns, folder) for folder in events.glob("eventlog_v2_*")]
    for _, folder in sorted(folders):
        numbered = [(int(found[1]), file) for file in folder.iterdir() if (found := _EVENT_FILE.fullmatch(file.name))]
        yield from (str(file.relative_to(events)) for _, file in sorted(numbered))


def _near_end(path: Path, at: Position) -> Position:
    """The place in a log from which a look reaches its end. A log may also be cut: then all of the rest is new."""
    size = _size(path)
    if at.offset > size:
        return Position(offset=max(0, size - _A_LOOK_AT_LOG), within=size > _A_LOOK_AT_LOG)
    if size - at.offset > _A_LOOK_AT_LOG:
        return Position(offset=size - _A_LOOK_AT_LOG, within=True)
    return at


def _lines(path: Path, at: Position, limit: int) -> tuple[list[bytes], Position]:
    """The whole lines from a place on, of `limit` bytes at most, and the place after them."""
    try:
        with open(path, "rb") as file:
            file.seek(at.offset)
            block = file.read(limit)
    except OSError:
        return [], at
    end = block.rfind(b"\n") + 1
    if not end:
        too_long = len(block) == limit
        skipped = len(block) if at.within or too_long else 0
        return [], dataclasses.replace(at, offset=at.offset + skipped, within=at.within or too_long)
    lines = block[:end].split(b"\n")[:-1]
    return lines[at.within :], Position(at.file, at.offset + end)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _reported(lines: list[bytes], before: int | None) -> int | None:
    """The last `progress` that a program of ours has reported, in percent."""
    for line in lines:
        try:
            percent = json.loads(line)["progress"]
            before = min(99, max(0, int(percent)))
        except (ValueError, LookupError, TypeError, RecursionError, OverflowError):
            continue
    return before
