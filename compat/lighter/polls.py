"""Lighter's reads that clients repeat, for the event loop. Each words the document of the view of its route."""

from __future__ import annotations

from collections.abc import Callable

from batches.models import Batch
from batches.service import BatchService
from compat.lighter import translate as lighter
from gateway.core import logs
from gateway.web.documents import compact
from gateway.web.front.polls import Answer, Asked, Held, Poll
from gateway.web.scopes import JOBS_READ
from sessions.models import Session
from sessions.service import SessionService
from sessions.statements.models import Statement
from sessions.statements.service import HOLD, StatementService

FindSession = Callable[[Asked], Session | None]


def lighter_polls(
    root: str, sessions: SessionService, statements: StatementService, batches: BatchService
) -> list[Poll]:
    """The polls below `root` over these services."""

    def find(asked: Asked) -> Session | None:
        ref = asked.values[0]
        is_number = _is_for_sparkmagic(asked) and lighter.is_number(ref)
        return sessions.glance(asked.principal, ref if is_number else sessions.reference(asked.principal, ref))

    return [
        *_session_polls(f"{root}/sessions/<ref>", find),
        _statement_poll(f"{root}/sessions/<ref>/statements/<number>", find, statements),
        *_batch_polls(f"{root}/batches/<ref>", batches),
    ]


def _session_polls(one: str, find: FindSession) -> list[Poll]:
    def session(asked: Asked) -> Answer:
        found = find(asked)
        if found is None or not logs.is_quick(found.log, lighter.FEW_LINES):
            return None
        return compact(lighter.session_document(found, sparkmagic=_is_for_sparkmagic(asked)))

    def log(asked: Asked) -> Answer:
        found = find(asked)
        if found is None or not logs.is_short(found.log):
            return None
        return compact(lighter.log_document(found, sparkmagic=_is_for_sparkmagic(asked)))

    return [Poll(one, JOBS_READ, session), Poll(f"{one}/state", JOBS_READ, session), Poll(f"{one}/log", JOBS_READ, log)]


def _statement_poll(one: str, find: FindSession, statements: StatementService) -> Poll:
    def statement(asked: Asked) -> Answer:
        session, ref, sparkmagic = find(asked), asked.values[1], _is_for_sparkmagic(asked)
        if session is None:
            return None
        number = int(ref) if sparkmagic and lighter.is_number(ref) else lighter.number_of(session, ref)
        found = statements.glance(asked.principal, str(session.id), number)
        if found is None:
            return None
        seen, may_end_soon = found

        def text(statement: Statement) -> str | None:
            return None if statement.pieces else lighter.statement_text(session, statement, sparkmagic=sparkmagic)

        if not may_end_soon:
            return text(seen)

        def again() -> tuple[str | None, bool]:
            now, has_ended = statements.again(asked.principal, seen)
            return text(now), has_ended

        return Held(seen.about, HOLD, again)

    return Poll(one, JOBS_READ, statement)


def _batch_polls(one: str, batches: BatchService) -> list[Poll]:
    def find(asked: Asked) -> Batch:
        return batches.find(asked.principal, batches.reference(asked.principal, asked.values[0]))

    def batch(asked: Asked) -> Answer:
        found = find(asked)
        return compact(lighter.batch_document(found)) if logs.is_quick(found.log, lighter.FEW_LINES) else None

    def log(asked: Asked) -> Answer:
        found = find(asked)
        return compact(lighter.log_document(found, sparkmagic=False)) if logs.is_short(found.log) else None

    return [Poll(one, JOBS_READ, batch), Poll(f"{one}/state", JOBS_READ, batch), Poll(f"{one}/log", JOBS_READ, log)]


def _is_for_sparkmagic(asked: Asked) -> bool:
    return asked.headers.get(b"x-compatibility-mode") == b"sparkmagic"
