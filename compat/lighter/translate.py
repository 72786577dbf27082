"""Between Lighter's documents and this project's records, both ways.

For sparkmagic (§5 of the contract) ids are the numbers that Livy's protocol shows, and statements are Livy's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from batches.models import Batch, BatchRequest
from batches.states import BATCH_MOVES, BatchState
from gateway.core import clusters, json_numbers, logs
from gateway.core.clock import utc_now
from gateway.core.errors import NotFound
from gateway.core.options import SparkOptions, redact, redact_args
from gateway.core.settings import Settings
from gateway.web.documents import compact
from sessions.models import APPLICATION, Kind, Session, SessionRequest
from sessions.statements.models import LargeOutput, Statement
from sessions.statements.states import StatementState
from sessions.states import SessionState

Document = dict[str, Any]

LOG_LINES = 500  # the newest, in a log
FEW_LINES = 10  # in the document of a session or batch

_NAME = "spark.app.name"  # a name is no handle here and need not be unique, unlike the core's own
_LANGUAGES = {"spark": Kind.SPARK, "scala": Kind.SPARK, "sparkr": Kind.SPARKR, "r": Kind.SPARKR, "sql": Kind.SQL}

# field of SparkOptions, Lighter's member, the conf that it becomes, Lighter's default
_SIZES: tuple[tuple[str, str, str, Any], ...] = (
    ("num_executors", "numExecutors", "spark.executor.instances", 1),
    ("executor_cores", "executorCores", "spark.executor.cores", 1),
    ("executor_memory", "executorMemory", "spark.executor.memory", "1000M"),
    ("driver_cores", "driverCores", "spark.driver.cores", 1),
    ("driver_memory", "driverMemory", "spark.driver.memory", "1000M"),
)

# words that differ from the core's; a batch that waits its turn has not started
_BATCH_WORDS = {BatchState.STARTING: "not_started", BatchState.RUNNING: "busy"}
_STATES = ("not_started", "starting", "idle", "busy", "shutting_down", "error", "dead", "killed", "success")

# ---------------------------------------------------------------- requests


def to_session_request(asked: Document, chosen: str, settings: Settings) -> SessionRequest:
    """`chosen` is the session's id. Under the request's members lie the settings' conf and Lighter's defaults."""
    named = {**asked, "name": asked["name"] or f"session_{chosen}"}
    kind = _LANGUAGES.get(asked["kind"], Kind.PYSPARK) if isinstance(asked["kind"], str) else Kind.PYSPARK
    # Sizes that nobody names are those of the application which it shares.
    shares = bool(asked["conf"].get(APPLICATION, settings.shared_application))
    options = _to_options(named, settings, sized=not shares)
    return SessionRequest(kind=kind, options=options, permanent=asked["permanent"])


def to_batch_request(asked: Document, settings: Settings) -> BatchRequest:
    return BatchRequest(
        file=asked["file"],
        class_name=asked["mainClass"],
        args=asked["args"],
        options=_to_options(asked, settings),
    )


def _to_options(asked: Document, settings: Settings, *, sized: bool = True) -> SparkOptions:
    """Conf of the request wins over its sizes (contract §8); if `sized` one that nobody names is Lighter's default."""
    conf = {**({_NAME: asked["name"]} if asked["name"] else {}), **asked["conf"]}
    default_conf = _default_conf(conf.get(clusters.KEY, settings.default_cluster), settings)
    sizes = {}
    for field, member, key, default in _SIZES:
        unasked = default if sized and key not in default_conf else None
        sizes[field] = None if key in conf else (asked[member] or unasked)
    return SparkOptions(
        **sizes,
        jars=list(filter(None, asked["jars"])),
        py_files=list(filter(None, asked["pyFiles"])),
        files=list(filter(None, asked["files"])),
        archives=list(filter(None, asked["archives"])),
        conf=conf,
    )


def _default_conf(cluster: str, settings: Settings) -> Mapping[str, str]:
    """What the settings say on this cluster; nothing of one that there is not, which the service refuses."""
    return settings.on(cluster).spark_conf if cluster in settings.cluster_names else {}


def to_batch_states(word: str) -> list[BatchState] | None:
    """The core's states for a state in upper case, which may be none; None for what is no state: no filter."""
    if word not in [state.upper() for state in _STATES]:
        return None
    return [state for state in BatchState if batch_word(state) == word.lower()]


def is_number(ref: str) -> bool:
    """Whether it is what sparkmagic was told of a session or a statement."""
    return ref.isascii() and ref.isdigit() and len(ref) <= 10


def number_of(session: Session, statement: str) -> int:
    """The number in a statement's id. Raises NotFound for what is no id of a statement of this session."""
    try:
        number = UUID(statement).int & _NUMBER
    except ValueError:
        raise NotFound("statement", statement) from None
    if statement != statement_id(session, number):
        raise NotFound("statement", statement)
    return number


_NUMBER = (1 << 48) - 1  # the bits of a statement's id that are its number


def statement_id(session: Session, number: int) -> str:
    """A UUID that is the statement's alone: bits that stand for the session, then the number."""
    return str(UUID(int=uuid5(NAMESPACE_URL, session.uuid).int & ~_NUMBER | number))


# ---------------------------------------------------------------- answers


def batch_word(state: BatchState) -> str:
    return _BATCH_WORDS.get(state, state.value)


def session_document(session: Session, *, sparkmagic: bool) -> Document:
    return {
        "id": session.id if sparkmagic else session.uuid,
        "type": "PERMANENT_SESSION" if session.permanent else "SESSION",
        "state": session.state.value,
        "kind": Kind.PYSPARK.value if session.kind is Kind.SHARED else session.kind.value,
        "submitParams": params_document(session.options),
        **_application(session, contacted=True, live=session.state is not SessionState.DEAD),
    }


def batch_document(batch: Batch) -> Document:
    asked = batch.request
    own = {"file": asked.file, "mainClass": asked.class_name, "args": redact_args(asked.args)}
    return {
        "id": batch.uuid,
        "type": "BATCH",
        "state": batch_word(batch.state),
        "kind": Kind.PYSPARK.value,
        "submitParams": {**params_document(asked.options), **own},
        **_application(batch, contacted=batch.started is not None, live=bool(BATCH_MOVES[batch.state])),
    }


def _application(record: Session | Batch, *, contacted: bool, live: bool) -> Document:
    """What a live driver or batch does is known at any moment, so the last contact is now."""
    return {
        "appId": record.app_id,
        "appInfo": {"sparkUiUrl": record.ui_url, "driverLogUrl": None} if record.ui_url else None,
        "log": _last_lines(record, FEW_LINES),
        "createdAt": _time(record.created),
        "contactedAt": _time(utc_now() if live else record.ended) if contacted else None,
        "finishedAt": _time(record.ended),
    }


def params_document(options: SparkOptions) -> Document:
    shown = {key: value for key, value in options.conf.items() if key != _NAME}
    return {
        "name": options.conf.get(_NAME, options.name),
        "file": None,
        "master": None,
        "mainClass": None,
        **{member: _size(options, field, key, default) for field, member, key, default in _SIZES},
        "args": [],
        "pyFiles": options.py_files,
        "files": options.files,
        "jars": options.jars,
        "archives": options.archives,
        "conf": _redacted(shown),
    }


def _size(options: SparkOptions, field: str, key: str, default: Any) -> Any:
    """As asked or in the request's conf, else Lighter's default: its clients count on a value, its pages on numbers."""
    asked = getattr(options, field)
    named = options.conf.get(key, default) if asked is None else asked
    if isinstance(default, int):
        return int(named) if re.fullmatch(r"\d{1,10}", str(named)) else default
    return named


def log_document(record: Session | Batch, *, sparkmagic: bool) -> Document:
    """Raises NotFound when nothing was written yet, but for sparkmagic, which needs the list."""
    lines = _last_lines(record, LOG_LINES)
    if sparkmagic:
        return {"id": record.id, "log": lines}
    if not lines:
        raise NotFound("log of", record.uuid)
    return {"id": record.uuid, "log": "\n".join(lines)}


def _last_lines(record: Session | Batch, size: int) -> list[str]:
    return logs.elsewhere(record.elsewhere) or logs.tail(record.log, size)


def statement_text(session: Session, statement: Statement, *, sparkmagic: bool) -> str:
    """The statement, whose output is not large, as JSON text. For sparkmagic it is as in Livy's protocol."""
    output = None if statement.output is None or sparkmagic else json_numbers.read(statement.output)
    failed = bool(output and output["status"] == "error")
    text = (statement.told or "null") if sparkmagic else json_numbers.unmarked(compact(output and _output(output)))
    return f"{_head(session, statement, failed=failed, sparkmagic=sparkmagic)}{text}}}"


def statement_pieces(session: Session, statement: Statement, output: LargeOutput, *, sparkmagic: bool) -> Iterator[str]:
    """The same text of a statement whose output is in pieces."""
    yield _head(session, statement, failed=output.has_failed, sparkmagic=sparkmagic)
    yield from output.told() if sparkmagic else _output_pieces(output)
    yield "}"


def _head(session: Session, statement: Statement, *, failed: bool, sparkmagic: bool) -> str:
    document = {
        "id": statement.id if sparkmagic else statement_id(session, statement.id),
        "code": statement.code,
        "state": statement.state.value if sparkmagic else _statement_word(statement.state, failed=failed),
        "progress": statement.progress,
        "createdAt": _time(statement.created),
    }
    return f'{compact(document)[:-1]},"output":'


def statements_pieces(start: int, texts: Iterable[Iterable[str]]) -> Iterator[str]:
    """The list of statements, each of which is given in pieces."""
    yield f'{{"from":{start},"statements":['
    for number, text in enumerate(texts):
        yield "," if number else ""
        yield from text
    yield "]}"


def _statement_word(state: StatementState, *, failed: bool) -> str:
    """Lighter has no word for running: its clients ask again while a statement is waiting (contract §4.4)."""
    if state is StatementState.RUNNING:
        return "waiting"
    if state is StatementState.CANCELLING:
        return "cancelled"
    return "error" if state is StatementState.AVAILABLE and failed else state.value


def _output(output: Document) -> Document:
    """`evalue` is the exception's class and `traceback` one text, which has the message (contract §4.4)."""
    failed = output["status"] == "error"
    traceback = "".join(output.get("traceback", []))
    message = output.get("evalue", "")
    return {
        "status": output["status"],
        "executionCount": output["execution_count"],
        "data": output.get("data", {}),
        "evalue": output["ename"] if failed else None,
        "traceback": (traceback if message in traceback else f"{message}\n{traceback}") if failed else None,
    }


def _output_pieces(output: LargeOutput) -> Iterator[str]:
    """As `_output`. Of a large output its data are not read, but passed on; a failure's message and traceback are."""
    found = output.parts()
    if found is None:  # a failure that is large without having printed
        yield json_numbers.unmarked(compact(_output(json_numbers.read("".join(output.pieces())))))
        return
    envelope, data = found
    told = _output(json_numbers.read(envelope))
    yield f'{{"status":{compact(told["status"])},"executionCount":{told["executionCount"]!s},"data":'
    yield from data
    yield f',"evalue":{compact(told["evalue"])},"traceback":{compact(told["traceback"])}}}'


def configuration_document(settings: Settings, declared: Mapping[str, SessionRequest]) -> Document:
    """Intervals in seconds; those of Lighter's own ticks are 0, since nothing here waits for one."""
    timeout = settings.session_idle_timeout.total_seconds() or None
    conf = _redacted(_default_conf(settings.default_cluster, settings))
    return {
        "sparkHistoryServerUrl": settings.spark_history_url,
        "externalLogsUrlTemplate": None,
        "zombieInterval": 0.0,
        "stateRetainInterval": settings.retention.total_seconds(),
        "sessionConfiguration": {
            "timeoutMinutes": timeout and round(timeout / 60),
            "timeoutInterval": timeout,
            "permanentSessions": [
                {"id": chosen, "submitParams": params_document(asked.options)} for chosen, asked in declared.items()
            ],
            "scheduleInterval": 0.0,
            "trackRunningInterval": 0.0,
        },
        "batchDefaultConf": conf,
        "sessionDefaultConf": conf,
    }


def _redacted(conf: Mapping[str, str]) -> dict[str, str]:
    return {key: value if value == conf[key] else "[redacted]" for key, value in redact(conf).items()}


def _time(at: datetime | None) -> str | None:
    """Without a zone, as Lighter writes it; UTC, as its pages read it."""
    return None if at is None else at.astimezone(timezone.utc).replace(tzinfo=None).isoformat()
