"""The pass that lets sessions follow their drivers, and ends those whose time is over. Safe to repeat at any moment.

A pass reads rows and processes, moves what has to move, and forgets: a restarted supervisor just goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from gateway.core import logs
from gateway.core.clock import Clock
from gateway.core.durations import parse_duration
from gateway.core.settings import Settings
from sessions import sharing
from sessions.drivers.models import Driver
from sessions.models import Session
from sessions.states import SessionState
from sessions.store import Lifetime, SessionStore

log = logging.getLogger(__name__)

_YOUNG = timedelta(minutes=1)  # a permanent session's driver that dies before this age died young
_MOST_SHORT_LIVES = 6  # counted; 2**6 seconds are more than the longest pause


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
        """Whether a new driver is wanted, so that the passes should run again."""
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
        is_again = young and session.short_lives
        pause = min(timedelta(seconds=2**session.short_lives), _YOUNG) if is_again else timedelta(0)
        # On the same host: its log begins with that of the lost one, and what was sent to the session is there.
        driver = Driver.wanted(self._settings.data_dir, lost.options, now, now + pause, lost.host)
        lives = min(session.short_lives + 1, _MOST_SHORT_LIVES) if young else 0
        again = sharing.of_lost(lost, self._settings, now)
        if self._store.restart(session, driver, reason, lives, now, again):
            logs.succeed(driver.log, lost.log, reason)
            log.warning("restarting: %s", reason, extra={"session": session.id, "action": "restart"})

    def expire(self) -> None:
        """Delete live sessions whose client or time is gone, and ended ones that were kept long enough."""
        now = self._clock()
        for lifetime in self._store.live():
            reason, idle_since = reason_of_expiry(lifetime, self._settings, now), None
            idle = reason_of_idle_expiry(lifetime, self._settings, now)
            if reason is None and idle is not None and self._may_expire(lifetime):
                reason, idle_since = idle, lifetime.activity
            if reason and self._store.remove(lifetime.session.id, reason, now, idle_since=idle_since):
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
