"""What one may do with the statements of a session. Decides the rules; knows no protocol and no SQL.

As everywhere, a request becomes a row; the supervisor, which the store's bell wakes, acts on it.
"""

from __future__ import annotations

from datetime import timedelta

from gateway.core import names
from gateway.core.clock import Clock
from gateway.core.errors import InvalidRequest, NotFound, SessionEnded
from gateway.core.faults import Code, Fault
from gateway.core.identity import Principal
from gateway.core.settings import Settings
from gateway.core.waiting import Waiting
from sessions.drivers import kernel_client
from sessions.drivers.claims import Claim
from sessions.drivers.states import DriverState
from sessions.drivers.store import DriverStore
from sessions.models import Kind, Session
from sessions.service import SessionService
from sessions.statements.large import beginning, output_of
from sessions.statements.models import LargeOutput, Seen, Statement
from sessions.statements.states import UNFINISHED
from sessions.statements.store import StatementStore
from sessions.states import SessionState

HOLD = 0.030  # seconds that a first poll waits for a statement that is about to finish
_HOLD_AGE = timedelta(seconds=0.25)  # a statement older than this is not about to finish


class StatementService:
    def __init__(
        self,
        store: StatementStore,
        sessions: SessionService,
        drivers: DriverStore,
        settings: Settings,
        clock: Clock,
        waiting: Waiting,
    ) -> None:
        self._store, self._sessions, self._drivers = store, sessions, drivers
        self._settings, self._clock, self._waiting = settings, clock, waiting

    def submit(self, principal: Principal, ref: str, code: str, kind: Kind | None) -> Statement:
        """Queue code. Raises SessionEnded, InvalidRequest (the language), LimitReached, NotFound."""
        session = self._sessions.live(principal, ref)
        statement = self._store.submit(
            session.id,
            code,
            _language(kind, session.kind).value,
            self._clock(),
            most_unfinished=self._settings.max_statements_waiting,
            retained=self._settings.statements_retained,
        )
        if statement is None:
            raise SessionEnded(SessionState.DEAD.value)
        return statement

    def find(self, principal: Principal, ref: str, number: int) -> Statement:
        """One statement. A poll that comes just before its end is held a moment, and so has the answer."""
        seen = self._see(principal, ref, number)
        self._sessions.heartbeats.hear(seen.heartbeat)
        statement, may_end_soon = self._found(seen, number)
        if not may_end_soon:
            return statement
        found, _ = self._waiting.until("statement", lambda: self.again(principal, statement), lambda now: now[1], HOLD)
        return found

    def glance(self, principal: Principal, ref: str, number: int) -> tuple[Statement, bool] | None:
        """As `find`, but writes nothing and waits for nothing: whether it should be waited for is told.

        None: the client's heartbeat is to be written, so use `find`.
        """
        seen = self._see(principal, ref, number)
        return None if self._sessions.heartbeats.is_due(seen.heartbeat) else self._found(seen, number)

    def again(self, principal: Principal, statement: Statement) -> tuple[Statement, bool]:
        """One that was found, as it is now, or as it was when it is there no more; and whether it has ended."""
        found = self._store.find(statement.session, statement.id)
        return found or statement, found is None or found.state not in UNFINISHED

    def look(self, principal: Principal, ref: str, number: int) -> Statement:
        """As `find`, for somebody who only looks on: counts as nothing, and is not held."""
        return self._find(self._sessions.look(principal, ref), number)

    def output(self, principal: Principal, statement: Statement) -> LargeOutput:
        """The large output of a statement that was found for them; its pieces raise Torn when it goes meanwhile."""
        return output_of(self._store, statement)

    def begun(self, principal: Principal, statement: Statement, output_limit: int) -> Statement:
        """The statement, with no more than the first `output_limit` characters of a large output as its output."""
        return beginning(self._store, statement, output_limit)

    def page(
        self,
        principal: Principal,
        ref: str,
        start: int,
        size: int,
        *,
        newest_first: bool,
    ) -> tuple[int, list[Statement]]:
        """How many are kept, and those from position `start` on; `size` below 0 means all."""
        session = self._sessions.find(principal, ref)
        return self._store.page(session.id, start, size, newest_first=newest_first)

    def look_at_page(
        self, principal: Principal, ref: str, start: int, size: int, output_limit: int
    ) -> tuple[int, list[Statement]]:
        """As `page`, newest first, for somebody who only looks on: of each output no more than `output_limit`
        characters are given."""
        session = self._sessions.look(principal, ref)
        total, found = self._store.page(session.id, start, size, newest_first=True, output_limit=output_limit)
        return total, [self.begun(principal, statement, output_limit) for statement in found]

    def counts(self, principal: Principal) -> dict[str, int]:
        """How many have not ended, by state."""
        return self._store.counts(principal)

    def cancel(self, principal: Principal, ref: str, number: int) -> None:
        """Cancel a statement; nothing happens when there is none or it has ended. Raises SessionEnded."""
        self._sessions.live(principal, ref)
        session = self._sessions.connect(principal, ref)
        self._store.cancel(session.id, number, self._clock())

    def complete(self, principal: Principal, ref: str, code: str, kind: Kind, cursor: int) -> list[str]:
        """What could stand at `cursor` of `code`. Raises SessionEnded.

        Empty while the driver starts, and while too many others ask.
        """
        self._sessions.live(principal, ref)
        session = self._sessions.connect(principal, ref)
        ready = [driver for driver in self._drivers.find_all([session.driver]) if driver.state is DriverState.READY]
        language = _language(kind, session.kind).value
        with self._waiting.place("completion") as is_given:
            if not ready or not is_given:
                return []
            return kernel_client.candidates(Claim(ready[0], session.seat), code, language, cursor)

    def _find(self, session: Session, number: int) -> Statement:
        statement = self._store.find(session.id, number) if number <= names.LARGEST_ID else None
        if statement is None:
            raise NotFound("statement", number)
        return statement

    def _see(self, principal: Principal, ref: str, number: int) -> Seen:
        seen = self._store.see(principal, names.as_reference(ref), min(number, names.LARGEST_ID))
        if seen is None:
            raise NotFound("session", ref)
        return seen

    def _found(self, seen: Seen, number: int) -> tuple[Statement, bool]:
        """The statement, and whether it may end soon: it has begun just now."""
        statement = seen.statement
        if statement is None:
            raise NotFound("statement", number)
        may_end = seen.is_idle and statement.state in UNFINISHED
        return statement, may_end and self._clock() - statement.created < _HOLD_AGE


def _language(asked: Kind | None, session_kind: Kind) -> Kind:
    kind = asked or session_kind
    if kind is Kind.SHARED:
        reason = "the session has no language of its own"
        raise InvalidRequest(Fault("kind", Code.LANGUAGE, reason, "give kind, such as pyspark"))
    return kind
