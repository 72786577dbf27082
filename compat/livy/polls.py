"""Livy's reads that clients repeat, for the event loop. Each words the document of the view of its route."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from batches.models import Batch
from batches.service import BatchService
from compat.livy import translate as livy
from gateway.core import logs
from gateway.core.identity import Principal
from gateway.web.documents import compact
from gateway.web.fields import whole_in_url
from gateway.web.front.polls import Answer, Asked, Held, Poll, Remembered, whole_numbers
from gateway.web.scopes import JOBS_READ
from sessions.models import Session
from sessions.service import SessionService
from sessions.statements.models import Statement
from sessions.statements.service import HOLD, StatementService

_FEW = 100  # records of a list, or lines of a log, at most: Livy's own defaults


Document = dict[str, Any]


def record_polls(sessions: SessionService, statements: StatementService, batches: BatchService) -> list[Poll]:
    """The polls of sessions, statements and batches over these services."""
    return [
        *_polls_of("/sessions", sessions.glance, sessions.page, livy.session_document),
        *_polls_of("/batches", batches.find, batches.page, livy.batch_document),
        _statement_poll(statements),
    ]


def _polls_of(
    root: str,
    find: Callable[[Principal, str], Session | Batch | None],
    page: Callable[[Principal, int, int], tuple[int, list[Any]]],
    document: Callable[[Any], Document],
) -> list[Poll]:
    text_of, log_text_of = _texts(document), Remembered(_log_text)

    def one(asked: Asked) -> Answer:
        found = find(asked.principal, asked.values[0])
        return text_of(found) if found else None

    def state(asked: Asked) -> Answer:
        found = find(asked.principal, asked.values[0])
        return compact({"id": found.id, "state": found.state.value}) if found else None

    def log(asked: Asked) -> Answer:
        query = whole_numbers(asked.query, {"from": -1, "size": _FEW})
        if query is None or not 0 <= query["size"] <= _FEW:
            return None
        found = find(asked.principal, asked.values[0])
        if found is None or not logs.is_short(found.log):
            return None
        return log_text_of(found, logs.stand(found.log), query["from"], query["size"])

    def listing(asked: Asked) -> Answer:
        query = whole_numbers(asked.query, {"from": 0, "size": _FEW})
        if query is None or query["size"] > _FEW:
            return None
        total, found = page(asked.principal, *livy.slice_of(query["from"], query["size"]))
        texts = [text for text in map(text_of, found) if text is not None]
        if len(texts) < len(found):
            return None
        return f'{{"from":{query["from"]},"total":{total},"sessions":[{",".join(texts)}]}}'

    return [
        Poll(root, JOBS_READ, _plain(listing)),
        Poll(f"{root}/<ref>", JOBS_READ, _plain(one)),
        Poll(f"{root}/<ref>/state", JOBS_READ, _plain(state)),
        Poll(f"{root}/<ref>/log", JOBS_READ, _plain(log)),
    ]


def _texts(document: Callable[[Any], Document]) -> Callable[[Session | Batch], str | None]:
    """Of a record that stays as it is, with a log that stands where it stood, so does the text of its document."""
    remembered = Remembered(lambda record, stand: compact(document(record)) if _is_quick(record) else None)
    return lambda record: remembered(record, logs.stand(record.log))


def _log_text(record: Session | Batch, stand: object, start: int, size: int) -> str:
    page = livy.log_document(record, start, size)
    return compact({"id": page["id"], "from": page["start"], "total": page["total"], "log": page["log"]})


def _is_quick(record: Session | Batch) -> bool:
    return logs.is_quick(record.log, livy.LOG_LINES)


def _statement_poll(statements: StatementService) -> Poll:
    remembered = Remembered(livy.statement_text)

    def text(statement: Statement) -> str | None:
        return None if statement.pieces else remembered(statement)

    def statement(asked: Asked) -> Answer:
        ref, number = asked.values
        found = statements.glance(asked.principal, ref, whole_in_url(number))
        if found is None:
            return None
        seen, may_end_soon = found
        if not may_end_soon:
            return text(seen)

        def again() -> tuple[str | None, bool]:
            now, has_ended = statements.again(asked.principal, seen)
            return text(now), has_ended

        return Held(seen.about, HOLD, again)

    return Poll("/sessions/<ref>/statements/<number>", JOBS_READ, _plain(statement))


def _plain(answer: Callable[[Asked], Answer]) -> Callable[[Asked], Answer]:
    """Livy's media type has versions, which Flask's views look at."""
    return lambda asked: None if b"vnd.livy" in asked.headers.get(b"accept", b"") else answer(asked)
