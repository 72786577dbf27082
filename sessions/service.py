"""What one may do with sessions and statements. Decides the rules; knows no protocol and no SQL.

Every verb is one or two store writes and a nudge to the supervisor, which acts on the rows.
"""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Callable
from datetime import timedelta

from gateway.core import clusters, names, packages, pythons, spark, sparkr
from gateway.core.clock import Clock
from gateway.core.durations import parse_duration
from gateway.core.errors import InvalidRequest, NotFound, SessionEnded
from gateway.core.identity import Principal
from gateway.core.settings import Settings
from sessions.drivers import kernel_client
from sessions.drivers.models import Driver
from sessions.drivers.states import DriverState
from sessions.drivers.store import DriverStore
from sessions.models import Kind, Session, SessionRequest
from sessions.statements.models import Statement
from sessions.statements.states import UNFINISHED
from sessions.statements.store import StatementStore
from sessions.states import SessionState
from sessions.store import SessionStore

_HEARTBEAT_GRAIN = timedelta(seconds=1)  # heartbeats closer than this are not written again
_DELETE_PATIENCE = 8.0  # seconds that a delete waits for the driver's processes to end
_HOLD = 0.030  # seconds that a first poll waits for a statement that is about to finish
_HOLD_AGE = timedelta(seconds=0.25)  # a statement older than this is not about to finish


class SessionService:
    def __init__(
        self,
        store: SessionStore,
        statements: StatementStore,
        drivers: DriverStore,
        settings: Settings,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        self._store, self._statements, self._drivers = store, statements, drivers
        self._settings, self._clock, self._wake = settings, clock, wake

    # ------------------------------------------------------------ sessions

    def open(self, request: SessionRequest, principal: Principal, chosen: str | None = None) -> Session:
        """Store a session that is to start. Raises InvalidRequest and its kinds; then nothing is left behind.

        `chosen`: the client's own choice for what is else a new UUID. Raises AlreadyExists when it is taken.
        """
        if chosen is not None:
            names.check_chosen(chosen)
        self._check(request)
        options = clusters.record(request.options, self._settings)
        if not self._settings.impersonation:
            options = dataclasses.replace(options, proxy_user=None)
        now = self._clock()
        session = self._store.add(
            dataclasses.replace(request, options=options),
            Driver.wanted(self._settings.data_dir, options, now),
            chosen or str(uuid.uuid4()),
            principal.user,
            now,
            self._settings.max_sessions,
        )
        self._wake()
        return session

    def look(self, ref: str) -> Session:
        """As `find`, for somebody who only looks on: counts as nothing."""
        return self._find(ref)

    def find(self, ref: str) -> Session:
        """By id (digits) or name; counts as the client's heartbeat. Raises NotFound."""
        session = self._find(ref)
        now = self._clock()
        if session.heartbeat_timeout is not None and now - session.heartbeat > _HEARTBEAT_GRAIN:
            self._store.touch(session.id, now, activity=False)
        return session

    def connect(self, ref: str) -> Session:
        """As `find`, and counts as activity."""
        session = self._find(ref)
        self._store.touch(session.id, self._clock(), activity=True)
        return session

    def reference(self, uuid: str) -> str:
        """What the other verbs take for the session with this UUID or chosen id. Raises NotFound."""
        number = self._store.number_of(uuid)
        if number is None:
            raise NotFound("session", uuid)
        return str(number)

    def page(self, start: int, size: int, *, newest_first: bool = False) -> tuple[int, list[Session]]:
        return self._store.page(start, size, newest_first=newest_first)

    def stop(self, ref: str) -> None:
        """End the session; it stays listed, and its results readable. Returns when its processes have ended."""
        session = self._find(ref)
        self._store.end(session.id, "stopped by its user", self._clock())
        self._wait_until_gone(session.driver)

    def delete(self, ref: str) -> None:
        """End the session and forget it. Returns when its processes have ended."""
        session = self._find(ref)
        driver = self._store.remove(session.id, "deleted by its user", self._clock())
        self._wait_until_gone(driver or session.driver)

    # ------------------------------------------------------------ statements

    def submit(self, ref: str, code: str, kind: Kind | None) -> Statement:
        """Queue code. Raises SessionEnded, InvalidRequest (the language), LimitReached."""
        session = self._live(ref)
        statement = self._statements.submit(
            session.id,
            code,
            _language(kind, session.kind).value,
            self._clock(),
            most_unfinished=self._settings.max_statements_waiting,
            retained=self._settings.statements_retained,
        )
        if statement is None:
            raise SessionEnded(SessionState.DEAD.value)
        self._wake()
        return statement

    def statement(self, ref: str, number: int) -> Statement:
        """One statement. A poll that comes just before its end is held a moment, and so has the answer."""
        session = self.find(ref)
        statement = self.statement_of(session.id, number)
        if session.state is SessionState.BUSY and self._clock() - statement.created < _HOLD_AGE:
            statement = self._hold(statement)
        return statement

    def statements(self, ref: str, start: int, size: int, *, newest_first: bool) -> tuple[int, list[Statement]]:
        """How many are kept, and those from position `start` on; `size` below 0 means all."""
        return self.statements_of(self.find(ref).id, start, size, newest_first=newest_first)

    def statements_of(
        self, session: int, start: int, size: int, *, newest_first: bool, output_limit: int | None = None
    ) -> tuple[int, list[Statement]]:
        """As `statements`, for a session that was found already; counts as nothing.

        Of each output no more than `output_limit` characters are given.
        """
        return self._statements.page(session, start, size, newest_first=newest_first, output_limit=output_limit)

    def statement_of(self, session: int, number: int) -> Statement:
        """One statement of a session that was found already; counts as nothing. Raises NotFound."""
        statement = self._statements.find(session, number) if number <= names.LARGEST_ID else None
        if statement is None:
            raise NotFound("statement", number)
        return statement

    def cancel(self, ref: str, number: int) -> None:
        """Cancel a statement; nothing happens when there is none or it has ended. Raises SessionEnded."""
        session = self._live(ref)
        self._store.touch(session.id, self._clock(), activity=True)
        if self._statements.cancel(session.id, number, self._clock()) is not None:
            self._wake()

    def complete(self, ref: str, code: str, kind: Kind, cursor: int) -> list[str]:
        """What could stand at `cursor` of `code`; empty while the driver starts. Raises SessionEnded."""
        self._live(ref)
        session = self.connect(ref)
        ready = [driver for driver in self._drivers.find_all([session.driver]) if driver.state is DriverState.READY]
        return kernel_client.candidates(ready[0], code, _language(kind, session.kind), cursor) if ready else []

    # ------------------------------------------------------------ rules

    def _check(self, request: SessionRequest) -> None:
        for name in ("ttl", "idle_timeout"):
            text = getattr(request, name)
            if text is not None:
                try:
                    parse_duration(text)
                except ValueError as error:
                    raise InvalidRequest(str(error)) from None
        names.check("session", request.options.name)
        here = clusters.chosen(request.options.conf, self._settings)
        packages.check(request.options.conf)
        spark.check(request.options, here)
        pythons.check(request.options, here)
        if request.kind is Kind.SPARKR and (lack := sparkr.missing(request.options, here)):
            raise InvalidRequest(lack)

    def _find(self, ref: str) -> Session:
        session = self._store.find(names.as_reference(ref))
        if session is None:
            raise NotFound("session", ref)
        return session

    def _live(self, ref: str) -> Session:
        session = self._find(ref)
        if session.state is SessionState.DEAD:
            raise SessionEnded(session.state.value)
        return session

    def _hold(self, statement: Statement) -> Statement:
        end = time.monotonic() + _HOLD
        found: Statement | None = statement
        while found is not None and found.state in UNFINISHED and time.monotonic() < end:
            statement = found
            time.sleep(0.002)
            found = self._statements.find(statement.session, statement.id)
        return found or statement

    def _wait_until_gone(self, driver: str) -> None:
        self._wake()
        end = time.monotonic() + _DELETE_PATIENCE
        while not self._drivers.is_gone(driver) and time.monotonic() < end:
            time.sleep(0.010)


def _language(asked: Kind | None, session_kind: Kind) -> Kind:
    kind = asked or session_kind
    if kind is Kind.SHARED:
        raise InvalidRequest("Code type should be specified if session kind is shared: give kind, such as pyspark")
    return kind
