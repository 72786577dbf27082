"""The supervisor: one process per store that launches, runs, watches and ends. A composition root.

It sleeps until a nudge, the end of a process or a timer, then runs every pass. All it knows is in rows and
folders: killed at any moment, its successor goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import suppress

from batches.reconcile import BatchPass
from batches.store import BatchStore
from batches.submit import Submitter
from gateway import stores
from gateway.core import events, lease, logs, processes, wakeup
from gateway.core.clock import utc_now
from gateway.core.clusters import Clusters
from gateway.core.database import Database
from gateway.core.settings import Settings
from sessions.driver import Launcher
from sessions.driver_store import DriverStore
from sessions.jobs.runner import JobRunner
from sessions.jobs.store import JobStore
from sessions.permanent import DeclaredPass
from sessions.reconcile import DriverPass, SessionPass
from sessions.runner import Runner
from sessions.service import SessionService
from sessions.statement_store import StatementStore
from sessions.store import SessionStore
from sessions.streams import StreamWatch
from sessions.stuck import StuckDrivers

log = logging.getLogger(__name__)

_TICK = 1.0  # seconds between passes when nothing happens: what a lost nudge costs at most
_SOON = 0.050  # seconds between passes while something is being stopped
_EXPIRE_EVERY = 5.0
_FIND_APPLICATIONS_EVERY = 0.3

# An application that has run out of memory must end, not linger half-alive (exit code 3).
_DRIVER_JVM = ["-XX:+ExitOnOutOfMemoryError"]


class Supervisor:
    def __init__(self, settings: Settings, db: Database) -> None:
        self._settings, self._db = settings, db
        self._awake = asyncio.Event()
        self._stopped = False
        clusters = Clusters(settings, _DRIVER_JVM)
        sessions, statements = SessionStore(db), StatementStore(db)
        watcher = processes.Watcher(self._awake.set)
        drivers = DriverStore(db)
        stuck = StuckDrivers(drivers, utc_now, replace=settings.restart_stuck_sessions)
        self._runner = Runner(statements, drivers, utc_now, stuck)
        self._jobs = JobRunner(JobStore(db), utc_now, settings.max_jobs_running, stuck)
        self._sessions = SessionPass(sessions, settings, utc_now, StreamWatch(sessions, utc_now).may_expire)
        service = SessionService(sessions, statements, drivers, settings, utc_now, self._awake.set)
        self._declared = DeclaredPass(sessions, service, settings)
        self._drivers = DriverPass(drivers, Launcher(clusters), settings, utc_now, watcher)
        self._batches = BatchPass(BatchStore(db), Submitter(clusters), settings, utc_now, watcher)

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. Sessions and batches go on without us."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGCHLD, processes.reap)
        fifo = wakeup.create(self._settings.wakeup_path)
        loop.add_reader(fifo, self._on_nudge, fifo)
        self._drivers.adopt()
        self._batches.adopt()
        timers = [
            asyncio.create_task(self._every(_EXPIRE_EVERY, self._expire)),
            asyncio.create_task(self._every(_EXPIRE_EVERY, self._cut_logs)),
            asyncio.create_task(self._find_applications()),
        ]
        log.info("supervising %s", self._db.path, extra={"action": "supervise"})
        while not self._stopped:
            self._awake.clear()
            await self._sleep(_SOON if self._run_passes() else _TICK)
        for timer in timers:
            timer.cancel()

    def _run_passes(self) -> bool:
        """Statements and jobs first: somebody waits for them. Whether the next round should come soon."""
        soon = [
            self._guard(self._runner.run_pass),
            self._guard(self._jobs.run_pass),
            self._guard(self._drivers),
            self._guard(self._sessions),
            self._guard(self._runner.run_pass),
            self._guard(self._jobs.run_pass),
            self._guard(self._batches),
        ]
        return any(soon)

    def _guard(self, one_pass: Callable[[], bool | None]) -> bool:
        """The one place where a pass may fail: whatever it was, the other passes and the next round go on."""
        try:
            return bool(one_pass())
        except Exception:
            log.exception("a pass failed", extra={"action": "pass"})
            return False

    async def _sleep(self, seconds: float) -> None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._awake.wait(), seconds)

    async def _every(self, seconds: float, work: Callable[[], None]) -> None:
        while True:
            self._guard(work)
            await asyncio.sleep(seconds)

    async def _find_applications(self) -> None:
        while True:
            try:
                await self._batches.find_applications()
            except Exception:
                log.exception("looking for applications failed", extra={"action": "pass"})
            await asyncio.sleep(_FIND_APPLICATIONS_EVERY)

    def _expire(self) -> None:
        self._sessions.expire()
        self._declared()
        self._batches.expire()
        events.forget_before(self._db, utc_now() - self._settings.event_retention)
        self._awake.set()

    def _cut_logs(self) -> None:
        for kind in ("drivers", "batches"):
            for log_file in (self._settings.data_dir / kind).glob("*/log"):
                logs.cut(log_file, self._settings.log_limit)

    def _on_nudge(self, fifo: int) -> None:
        wakeup.drain(fifo)
        self._awake.set()

    def _stop(self) -> None:
        self._stopped = True
        self._awake.set()


def run(settings: Settings) -> None:
    """Be the supervisor of this store, once it has no other. Returns after SIGTERM or SIGINT."""
    with lease.held(settings.lease_path):
        asyncio.run(_supervise(settings, stores.open_and_migrate(settings)))


async def _supervise(settings: Settings, db: Database) -> None:
    await Supervisor(settings, db).run()
