"""What one may do with sessions. Decides the rules; knows no protocol and no SQL.

Every verb is one or two store writes; the supervisor, which the store's bell wakes, acts on the rows.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator
from datetime import timedelta

from gateway.core import checks, clusters, durations, names, packages, pythons, sparkr
from gateway.core.clock import Clock
from gateway.core.errors import InvalidRequest, NotFound, SessionEnded, refuse
from gateway.core.events import Belonging
from gateway.core.faults import Code, Fault
from gateway.core.identity import GATEWAY, Principal
from gateway.core.settings import ClusterSettings, Settings
from gateway.core.waiting import Waiting
from sessions import sharing
from sessions.drivers.models import Driver
from sessions.drivers.profiles import profile_of
from sessions.drivers.store import DriverStore
from sessions.models import Heartbeat, Kind, Session, SessionRequest
from sessions.states import SessionState
from sessions.store import SessionStore

_HEARTBEAT_GRAIN = timedelta(seconds=1)  # heartbeats closer than this are not written again
_DELETE_PATIENCE = 8.0  # seconds that a delete waits for the driver's processes to end


class Heartbeats:
    """Of the clients whose sessions end without them."""

    def __init__(self, store: SessionStore, clock: Clock) -> None:
        self._store, self._clock = store, clock

    def hear(self, last: Heartbeat) -> None:
        """The client is there."""
        if self.is_due(last):
            self._store.touch(last.session, self._clock(), activity=False)

    def is_due(self, last: Heartbeat) -> bool:
        """Whether it is to be written that the client is there."""
        return last.timeout is not None and self._clock() - last.at > _HEARTBEAT_GRAIN


class SessionService:
    def __init__(
        self, store: SessionStore, drivers: DriverStore, settings: Settings, clock: Clock, waiting: Waiting
    ) -> None:
        self._store, self._drivers = store, drivers
        self._settings, self._clock, self._waiting = settings, clock, waiting
        self.heartbeats = Heartbeats(store, clock)

    def open(self, principal: Principal, request: SessionRequest, chosen: str | None = None) -> Session:
        """Store a session that is to start. Raises InvalidRequest and its kinds; then nothing is left behind.

        `chosen`: the client's own choice for what is else a new UUID. Raises AlreadyExists when it is taken.
        """
        if principal != GATEWAY:  # whose ids no client can choose, and whom no rule for requests is meant for
            if chosen is not None:
                names.check_chosen(chosen)
            refuse(self._faults(request))
        options = clusters.record(request.options, self._settings)
        if not self._settings.impersonation:
            options = dataclasses.replace(options, proxy_user=None)
        now, profile = self._clock(), None
        if principal != GATEWAY and self._settings.max_warm_drivers:
            profile = profile_of(options, Belonging(principal.user, principal.project), self._settings)
        return self._store.add(
            principal,
            dataclasses.replace(request, options=options),
            Driver.wanted(self._settings.data_dir, options, now),
            chosen or str(uuid.uuid4()),
            now,
            self._settings.max_sessions,
            profile,
            None if principal == GATEWAY else sharing.of_request(request, options, self._settings, now),
        )

    def look(self, principal: Principal, ref: str) -> Session:
        """As `find`, for somebody who only looks on: counts as nothing."""
        session = self._store.find(principal, names.as_reference(ref))
        if session is None:
            raise NotFound("session", ref)
        return session

    def find(self, principal: Principal, ref: str) -> Session:
        """By id (digits) or name; counts as the client's heartbeat. Raises NotFound."""
        session = self.look(principal, ref)
        self.heartbeats.hear(session.heard)
        return session

    def glance(self, principal: Principal, ref: str) -> Session | None:
        """As `find`, but writes nothing. None: the client's heartbeat is to be written, so use `find`."""
        session = self.look(principal, ref)
        return None if self.heartbeats.is_due(session.heard) else session

    def connect(self, principal: Principal, ref: str) -> Session:
        """As `find`, and counts as activity."""
        session = self.look(principal, ref)
        self._store.touch(session.id, self._clock(), activity=True)
        return session

    def live(self, principal: Principal, ref: str) -> Session:
        """As `look`, of a session that takes work. Raises SessionEnded."""
        session = self.look(principal, ref)
        if session.state is SessionState.DEAD:
            raise SessionEnded(session.state.value)
        return session

    def reference(self, principal: Principal, uuid: str) -> str:
        """What the other verbs take for the session with this UUID or chosen id. Raises NotFound."""
        number = self._store.number_of(principal, uuid)
        if number is None:
            raise NotFound("session", uuid)
        return str(number)

    def page(
        self, principal: Principal, start: int, size: int, *, newest_first: bool = False
    ) -> tuple[int, list[Session]]:
        """How many there are, and those from position `start` on, by rising id unless `newest_first`."""
        return self._store.page(principal, start, size, newest_first=newest_first)

    def counts(self, principal: Principal) -> dict[SessionState, int]:
        """How many there are in each state that one is in."""
        return self._store.counts(principal)

    def stop(self, principal: Principal, ref: str) -> None:
        """End the session; it stays listed, and its results readable. Returns as `delete` does."""
        session = self.look(principal, ref)
        self._store.end(session.id, "stopped by its user", self._clock())
        self._wait_until_gone(session.driver)

    def delete(self, principal: Principal, ref: str) -> None:
        """End the session and forget it. Returns when its processes have ended, or nobody can wait for it."""
        session = self.look(principal, ref)
        driver = self._store.remove(session.id, "deleted by its user", self._clock())
        self._wait_until_gone(driver or session.driver)

    def keep_here(self, principal: Principal, ref: str) -> None:
        """Have its driver run on this host, where what is sent to it is kept. Raises InvalidRequest if it cannot."""
        session = self.look(principal, ref)
        self._drivers.place(session.driver, self._settings.data_dir / "drivers" / session.driver)
        driver = self._drivers.find(session.driver)
        if driver is not None and not driver.may_be_on(self._drivers.host):
            reason = f"the session runs on the host {driver.host}, and this is {self._drivers.host}"
            fix = "send the file to the gateway there, or add it by an address from which it can be read there"
            raise InvalidRequest(Fault("file", Code.ABSENT, reason, fix))

    # ------------------------------------------------------------ rules

    def _faults(self, request: SessionRequest) -> Iterator[Fault]:
        yield from durations.faults("ttl", request.ttl)
        yield from durations.faults("idleTimeout", request.idle_timeout)
        yield from names.faults("session", request.options.name)
        unknown = list(clusters.faults(request.options.conf, self._settings))
        yield from unknown
        yield from packages.faults(request.options.conf)
        yield from sharing.faults(request)
        if not unknown:
            yield from self._faults_on(clusters.chosen(request.options.conf, self._settings), request)

    def _faults_on(self, here: ClusterSettings, request: SessionRequest) -> Iterator[Fault]:
        yield from checks.faults(request.options, self._settings, here)
        yield from pythons.faults(request.options, here)
        if request.kind is Kind.SPARKR and (lack := sparkr.missing(request.options, here)):
            yield Fault("kind", Code.ABSENT, lack)

    def _wait_until_gone(self, driver: str) -> None:
        self._waiting.hold("driver", ("driver", driver), lambda: self._drivers.is_gone(driver), _DELETE_PATIENCE)
