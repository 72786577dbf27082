"""Between Livy's documents and this project's records, both ways."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from batches.models import Batch, BatchRequest
from compat.livy import logs
from gateway.core.clock import to_milliseconds
from gateway.core.options import SparkOptions, redact
from gateway.web.documents import compact
from sessions.jobs.models import SessionJob
from sessions.jobs.states import JobState
from sessions.models import Session, SessionRequest
from sessions.statements.models import LargeOutput, Statement

LOG_LINES = 10  # in the document of a session or batch

# ---------------------------------------------------------------- requests


def to_session_request(asked: dict[str, Any]) -> SessionRequest:
    seconds = asked["heartbeatTimeoutInSecond"]
    return SessionRequest(
        kind=asked["kind"],
        options=_to_options(asked),
        heartbeat_timeout=timedelta(seconds=seconds) if seconds > 0 else None,
        ttl=asked["ttl"],
        idle_timeout=asked["idleTimeout"],
    )


def to_batch_request(asked: dict[str, Any]) -> BatchRequest:
    return BatchRequest(
        file=asked["file"], class_name=asked["className"], args=asked["args"], options=_to_options(asked)
    )


def _to_options(asked: dict[str, Any]) -> SparkOptions:
    """Empty texts in lists are dropped, as Livy does."""
    return SparkOptions(
        name=asked["name"],
        proxy_user=asked["proxyUser"],
        driver_memory=asked["driverMemory"],
        driver_cores=asked["driverCores"],
        executor_memory=asked["executorMemory"],
        executor_cores=asked["executorCores"],
        num_executors=asked["numExecutors"],
        queue=asked["queue"],
        jars=list(filter(None, asked["jars"])),
        py_files=list(filter(None, asked["pyFiles"])),
        files=list(filter(None, asked["files"])),
        archives=list(filter(None, asked["archives"])),
        conf=asked["conf"],
    )


def slice_of(start: int, size: int) -> tuple[int, int]:
    """Livy's [max(0, from), from+size) as (position, length); none when from+size leaves 32 bits (contract §1.2)."""
    stop = start + size
    first = max(0, start)
    return first, 0 if stop > 2**31 - 1 else max(0, stop - first)


# ---------------------------------------------------------------- answers


def session_document(session: Session) -> dict[str, Any]:
    options, heartbeat = session.options, session.heartbeat_timeout
    return {
        "id": session.id,
        "name": session.name,
        "appId": session.app_id,
        "owner": session.owner,
        "proxyUser": session.proxy_user,
        "state": session.state.value,
        "kind": session.kind.value,
        "appInfo": _app_info(session.ui_url),
        "log": logs.newest(session.log, LOG_LINES, session.elsewhere),
        "ttl": session.ttl,
        "idleTimeout": session.idle_timeout,
        "driverMemory": options.driver_memory,
        "driverCores": options.driver_cores or 0,
        "executorMemory": options.executor_memory,
        "executorCores": options.executor_cores or 0,
        "conf": redact(options.conf),
        "archives": options.archives,
        "files": options.files,
        "heartbeatTimeoutInSecond": int(heartbeat.total_seconds()) if heartbeat else 0,
        "jars": options.jars,
        "numExecutors": options.num_executors or 0,
        "pyFiles": options.py_files,
        "queue": options.queue,
    }


def batch_document(batch: Batch) -> dict[str, Any]:
    return {
        "id": batch.id,
        "name": batch.name,
        "owner": batch.owner,
        "proxyUser": batch.proxy_user,
        "state": batch.state.value,
        "appId": batch.app_id,
        "appInfo": _app_info(batch.ui_url),
        "log": logs.newest(batch.log, LOG_LINES, batch.elsewhere),
    }


def log_document(record: Session | Batch, start: int, size: int) -> dict[str, Any]:
    """A page of its log; `start` below 0: the last `size` lines; `size` below 0: all of them."""
    page = logs.page(record.log, start, size, record.elsewhere)
    return {"id": record.id, "start": page.start, "total": page.total, "log": page.lines}


def job_document(job: SessionJob) -> dict[str, Any]:
    """Livy has no word for a job that is being cancelled: until it has stopped, it runs."""
    state = JobState.STARTED if job.state is JobState.CANCELLING else job.state
    return {"id": job.id, "state": state.value.upper(), "result": job.result, "error": job.error}


def _app_info(ui_url: str | None) -> dict[str, str | None]:
    return {"driverLogUrl": None, "sparkUiUrl": ui_url, "executorLogUrls": None}


def statement_text(statement: Statement) -> str:
    """The statement, whose output is not large, as JSON text. A good output is put in as it is stored."""
    return f"{_head(statement)}{statement.told or 'null'}}}"


def statement_pieces(statement: Statement, output: LargeOutput) -> Iterator[str]:
    """The same text of a statement whose output is in pieces."""
    yield _head(statement)
    yield from output.told()
    yield "}"


def _head(statement: Statement) -> str:
    document = {
        "id": statement.id,
        "code": statement.code,
        "state": statement.state.value,
        "progress": statement.progress,
        "started": to_milliseconds(statement.started),
        "completed": to_milliseconds(statement.completed),
    }
    return f'{compact(document)[:-1]},"output":'


def statements_pieces(total: int, texts: Iterable[Iterable[str]]) -> Iterator[str]:
    """The list of statements, each of which is given in pieces."""
    yield f'{{"total_statements":{total},"statements":['
    for number, text in enumerate(texts):
        yield "," if number else ""
        yield from text
    yield "]}"
