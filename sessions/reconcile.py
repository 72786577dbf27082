"""The passes that bring sessions and drivers to where they are wanted. Each is safe to repeat at any moment.

A pass reads rows and processes, moves what has to move, and forgets: a restarted supervisor just goes on.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from datetime import datetime, timedelta

from gateway.core import logs, processes
from gateway.core.clock import Clock
from gateway.core.durations import parse_duration
from gateway.core.errors import GatewayError
from gateway.core.settings import Settings
from sessions import driver as driver_process
from sessions.driver import Launcher
from sessions.driver_store import DriverStore
from sessions.models import Driver, Session
from sessions.states import DriverState, SessionState
from sessions.store import Lifetime, SessionStore

log = logging.getLogger(__name__)

_YOUNG = timedelta(minutes=1)  # a permanent session's driver that dies before this age died young
_MOST_SHORT_LIVES = 6  # counted; 2**6 seconds are more than the longest pause


class DriverPass:
    """Launches drivers in order, notices which are ready or gone, and stops those that are not wanted."""

    def __init__(
        self, store: DriverStore, launcher: Launcher, settings: Settings, clock: Clock, watcher: processes.Watcher
    ) -> None:
        self._store, self._launcher, self._settings, self._clock = (store, launcher, settings, clock)
        self._watcher = watcher
        # SIGTERM lets Spark tell its cluster manager; what ignores it is killed.
        self._ladder = processes.Ladder((signal.SIGTERM, timedelta(seconds=3)), (signal.SIGKILL, timedelta(seconds=1)))
        self._started: set[str] = set()

    def adopt(self) -> None:
        """Take up the drivers that an earlier supervisor left ready. Once, before the first pass."""
        for driver in self._store.ready_ones():
            process = processes.find(driver.folder)
            if process is None:
                self._is_gone(driver, driver_process.reason_of_end(driver), self._clock())
            else:
                self._watcher.add(process)
        self._clear_strangers()

    def __call__(self) -> bool:
        """Whether something is being stopped, so that the next pass should come soon.

        A ready driver costs nothing here: the watcher names those that have ended.
        """
        now = self._clock()
        for driver in self._store.find_all(self._watcher.ended_in(self._settings.data_dir / "drivers")):
            # One that is told to go has lost its shell first; the ladder below gives the rest its time.
            if driver.target is DriverState.READY and not self._watcher.renew(driver.folder):
                self._is_gone(driver, driver_process.reason_of_end(driver), now)
        moving = self._store.moving()
        starting = 0
        for driver in moving:
            if driver.target is DriverState.GONE:
                if self._ladder.has_ended(driver.folder, now):
                    self._is_gone(driver, driver.reason, now)
            elif driver.state is DriverState.LAUNCHING:
                starting += self._attend_launch(driver, now)
        for driver in moving:
            due = driver.not_before is None or driver.not_before <= now
            if driver.state is DriverState.REQUESTED and driver.target is DriverState.READY and due:
                if starting >= (self._settings.max_starting_drivers or os.cpu_count() or 1):
                    break
                starting += self._launch(driver, now)
        self._forget_unclaimed()
        return self._ladder.busy

    def _launch(self, driver: Driver, now: datetime) -> bool:
        if not self._store.launch(driver.id, now):
            return False
        log.info("launching", extra={"driver": driver.id, "action": "launch"})
        return self._start(driver, now)

    def _start(self, driver: Driver, now: datetime) -> bool:
        try:
            self._watcher.add(self._launcher.launch(driver))
        except (OSError, GatewayError) as error:
            self._is_gone(driver, f"the driver could not be started: {error}", now)
            return False
        self._started.add(driver.id)
        return True

    def _attend_launch(self, driver: Driver, now: datetime) -> bool:
        """Whether it is still starting."""
        ready = driver_process.readiness(driver)
        if ready is not None and ready.error is None:
            self._store.ready(driver.id, ready.app_id, ready.ui_url, now)
            log.info("ready", extra={"driver": driver.id, "action": "ready"})
            return False
        if driver.launched and now - driver.launched > self._settings.driver_start_timeout:
            allowed = self._settings.driver_start_timeout.total_seconds()
            self._store.give_up(
                driver.id, f"the driver was not ready after {allowed:g} s (setting driver_start_timeout)"
            )
        # A row without a process: an earlier supervisor died between the two, or left the watching to us.
        return driver.id in self._started or self._start(driver, now)

    def _is_gone(self, driver: Driver, reason: str | None, now: datetime) -> None:
        processes.signal_all(driver.folder, signal.SIGKILL)
        logs.finish(driver.log)
        if reason:
            logs.note(driver.log, reason)
        self._store.gone(driver.id, reason, now)
        self._watcher.forget(driver.folder)
        self._started.discard(driver.id)
        driver_process.clear(driver.folder, keep_log=True)
        log.info("gone: %s", reason or "as asked", extra={"driver": driver.id, "action": "gone"})

    def _clear_strangers(self) -> None:
        """Remove folders whose driver is forgotten: an upload that was under way may have made one anew."""
        folders = list((self._settings.data_dir / "drivers").glob("*"))
        known = self._store.ids()  # read after the folders: a driver is a row before it has one
        for folder in folders:
            if folder.name not in known:
                driver_process.clear(folder, keep_log=False)

    def _forget_unclaimed(self) -> None:
        for driver in self._store.unclaimed():
            driver_process.clear(driver.folder, keep_log=False)
            self._store.remove(driver.id)


class SessionPass:
    """Lets sessions follow their drivers, and ends those whose time is over."""

    def __init__(
        self,
        store: SessionStore,
        settings: Settings,
        clock: Clock,
        may_expire: Callable[[Lifetime], bool] = lambda idle: True,
    ) -> None:
        """`may_expire` is asked of a session that was idle for its whole time; when it says no, it is asked again."""
        self._store, self._settings, self._clock, self._may_expire = store, settings, clock, may_expire

    def __call__(self) -> bool:
        """Whether a new driver is wanted, so that the next pass should come soon."""
        now = self._clock()
        for session in self._store.become_idle(now):
            log.info("idle", extra={"session": session, "action": "idle"})
        for session, reason in self._store.without_driver():
            self._store.end(session, reason, now)
            log.info("dead: %s", reason, extra={"session": session, "action": "dead"})
        lost = self._store.to_restart()
        for permanent, driver in lost:
            self._restart(permanent, driver, now)
        return bool(lost)

    def _restart(self, session: Session, lost: Driver, now: datetime) -> None:
        """At once, unless its drivers keep dying young: then each restart waits twice as long, up to a minute."""
        reason = lost.reason or "the driver was stopped"
        young = now - (lost.launched or lost.created) < _YOUNG
        again = young and session.short_lives
        pause = min(timedelta(seconds=2**session.short_lives), _YOUNG) if again else timedelta(0)
        driver = Driver.wanted(self._settings.data_dir, lost.options, now, now + pause)
        lives = min(session.short_lives + 1, _MOST_SHORT_LIVES) if young else 0
        if self._store.restart(session, driver, reason, lives, now):
            logs.succeed(driver.log, lost.log, reason)
            log.warning("restarting: %s", reason, extra={"session": session.id, "action": "restart"})

    def expire(self) -> None:
        """Delete live sessions whose client or time is gone, and ended ones that were kept long enough."""
        now = self._clock()
        for lifetime in self._store.live():
            reason = reason_of_expiry(lifetime, self._settings, now)
            idle = reason_of_idle_expiry(lifetime, self._settings, now)
            if reason is None and idle is not None and self._may_expire(lifetime):
                reason = idle
            if reason:
                self._store.remove(lifetime.session.id, reason, now)
                log.info("expired: %s", reason, extra={"session": lifetime.session.id, "action": "expire"})
        for session in self._store.ended_before(now - self._settings.retention):
            self._store.remove(session, "kept for the whole retention time", now)


def reason_of_expiry(lifetime: Lifetime, settings: Settings, now: datetime) -> str | None:
    """Why a live session must go now, whatever it does; None while it may stay."""
    session = lifetime.session
    heartbeat = session.heartbeat_timeout
    if heartbeat is not None and now - session.heartbeat > heartbeat:
        return f"no request for more than {heartbeat.total_seconds():g} s (heartbeatTimeoutInSecond)"
    ttl = parse_duration(session.ttl) if session.ttl else settings.session_ttl
    if ttl and now - session.created > ttl:
        return f"older than {ttl.total_seconds():g} s (ttl)"
    return None


def reason_of_idle_expiry(lifetime: Lifetime, settings: Settings, now: datetime) -> str | None:
    """Why a live session that does nothing must go now; None while it may stay. Running code counts as activity."""
    session = lifetime.session
    idle = parse_duration(session.idle_timeout) if session.idle_timeout else settings.session_idle_timeout
    works = session.state is not SessionState.IDLE or lifetime.has_jobs
    if not works and timedelta(0) < idle < now - lifetime.activity:
        return f"no work for more than {idle.total_seconds():g} s (idleTimeout)"
    return None
