"""The supervisor: one process per host of a store that launches, runs, watches and ends. A composition root.

It sleeps until a nudge, the end of a process or a timer, then runs every pass. All it knows is in rows and
folders: killed at any moment, its successor goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress

from batches.reconcile import BatchPass
from batches.service import BatchService
from batches.submit import Submitter
from gateway import stores
from gateway.core import events, processes, wakeup
from gateway.core.clock import utc_now
from gateway.core.clusters import Clusters
from gateway.core.errors import Unavailable
from gateway.core.places.local import LocalPlace, host_name
from gateway.core.settings import Settings
from gateway.core.store.database import Database, Listener
from gateway.core.waiting import Waiting
from gateway.platform.runs.reconcile import RunPass
from sessions.drivers.kernels import Kernels
from sessions.drivers.launch import Launcher
from sessions.drivers.pool import PoolPass
from sessions.drivers.reconcile import DriverPass
from sessions.drivers.settling import Settling
from sessions.drivers.stuck import StuckDrivers
from sessions.jobs.reconcile import UploadPass
from sessions.jobs.runner import JobRunner
from sessions.permanent import DeclaredPass
from sessions.reconcile import SessionPass
from sessions.service import SessionService
from sessions.statements.runner import Runner
from sessions.streams import StreamWatch

log = logging.getLogger(__name__)

_TURNS = 2  # of the loop until what was claimed is on its way: a task for it, and one that sends it
_TICK = 1.0  # seconds between passes when nothing happens: what a lost nudge costs at most
_EXPIRE_EVERY = 5.0
_LOOK_AT_POOL_EVERY = 1.0
_FIND_APPLICATIONS_EVERY = 0.3
_READ_RUNS_EVERY = 0.5

# An application that has run out of memory must end, not linger half-alive (exit code 3).
_DRIVER_JVM = ["-XX:+ExitOnOutOfMemoryError"]


class Supervisor:
    def __init__(self, settings: Settings, db: Database) -> None:
        self._settings, self._db = settings, db
        self._awake = asyncio.Event()
        self._stopped = False
        self._unavailable = False  # the store, in this round
        clusters = Clusters(settings, _DRIVER_JVM)
        self._place = place = LocalPlace(host_name(settings), settings.data_dir / "removed", self._awake.set)
        store = stores.Stores(db, place.name)
        self._kernels = kernels = Kernels(utc_now, store.drivers.give_up)
        stuck = StuckDrivers(store.drivers, utc_now, replace=settings.restart_stuck_sessions)
        streams = StreamWatch(store.sessions, store.drivers, utc_now)
        self._runner = Runner(store.statements, store.drivers, utc_now, kernels, stuck)
        self._jobs = JobRunner(store.jobs, utc_now, settings.max_jobs_running, kernels, stuck)
        self._sessions = SessionPass(store.sessions, settings, utc_now, streams.may_expire)
        waiting = Waiting(settings.web_threads)
        service = SessionService(store.sessions, store.drivers, settings, utc_now, waiting)
        self._declared = DeclaredPass(store.sessions, service, settings)
        self._settling = Settling(store.pool, store.drivers, utc_now, kernels, self._awake.set)
        self._pool = pool = PoolPass(store.pool, store.drivers, settings, utc_now)
        launcher = Launcher(clusters, place, settings)
        self._drivers = DriverPass(store.drivers, store.applications, launcher, settings, utc_now, place, pool.failed)
        self._uploads = UploadPass(store.sessions, settings, place)
        self._batches = BatchPass(store.batches, Submitter(clusters, place, settings), settings, utc_now, place)
        batches = BatchService(store.batches, settings, utc_now, waiting)
        self._runs = RunPass(store.runs, batches, utc_now, settings.event_log_limit)

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. Sessions and batches go on without us."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGCHLD, processes.reap)
        fifo, bell = wakeup.create(self._settings.wakeup_path), self._db.listen(own=False)
        loop.add_reader(fifo, self._on_nudge, fifo)
        loop.add_reader(bell.fileno(), self._on_ring, bell)
        self._place.begin()
        self._drivers.adopt()
        self._batches.adopt()
        timers = [
            asyncio.create_task(self._every(_EXPIRE_EVERY, self._expire)),
            asyncio.create_task(self._every(_EXPIRE_EVERY, self._cut_logs)),
            asyncio.create_task(self._every(_LOOK_AT_POOL_EVERY, self._keep_warm)),
            asyncio.create_task(self._again(_FIND_APPLICATIONS_EVERY, self._batches.find_applications)),
            asyncio.create_task(self._again(_READ_RUNS_EVERY, self._runs)),
        ]
        log.info("supervising %s", self._db.where, extra={"action": "supervise"})
        while not self._stopped:
            self._awake.clear()
            self._unavailable = False
            await self._run_passes()
            await (asyncio.sleep(_TICK) if self._unavailable else self._sleep(_TICK))
        for timer in timers:
            timer.cancel()
        self._kernels.close()
        bell.close()

    async def _run_passes(self) -> None:
        """Statements and jobs first, and on their way before the rest: somebody waits for them."""
        self._guard(self._settling.run_pass)
        self._guard(self._runner.run_pass)
        self._guard(self._jobs.run_pass)
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        self._guard(self._drivers)
        if self._guard(self._sessions):
            self._awake.set()
        self._guard(self._runner.run_pass)
        self._guard(self._jobs.run_pass)
        if self._guard(self._batches):
            self._awake.set()

    def _guard(self, one_pass: Callable[[], bool | None]) -> bool:
        """The one place where a pass may fail: whatever it was, the other passes and the next round go on."""
        if self._unavailable:
            return False  # each would wait for it in vain
        try:
            return bool(one_pass())
        except Unavailable as error:
            self._unavailable = True
            log.warning("%s", error, extra={"action": "pass"})
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

    async def _again(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        """As `_every`, of work that waits for threads."""
        while True:
            try:
                await work()
            except Unavailable:
                self._unavailable = True  # the next round says so
            except Exception:
                log.exception("a pass failed", extra={"action": "pass"})
            await asyncio.sleep(seconds)

    def _expire(self) -> None:
        forgetting = (self._pool.forget, self._forget_events)
        for step in (self._sessions.expire, self._declared, self._uploads, self._batches.expire, *forgetting):
            self._guard(step)
        self._awake.set()

    def _forget_events(self) -> None:
        events.forget_before(self._db, utc_now() - self._settings.event_retention)

    def _keep_warm(self) -> None:
        if self._guard(self._pool):
            self._awake.set()

    def _cut_logs(self) -> None:
        self._place.cut_logs(self._settings.log_limit)

    def _on_nudge(self, fifo: int) -> None:
        wakeup.drain(fifo)
        self._awake.set()

    def _on_ring(self, bell: Listener) -> None:
        bell.drain()
        self._awake.set()

    def _stop(self) -> None:
        self._stopped = True
        self._awake.set()


def run(settings: Settings) -> None:
    """Be the supervisor of this host, once it has no other. Returns after SIGTERM or SIGINT."""
    processes.allow_descriptors()
    db = stores.open_and_migrate(settings)
    with db.lease(stores.supervisor_lease(settings)):
        asyncio.run(_supervise(settings, db))


async def _supervise(settings: Settings, db: Database) -> None:
    await Supervisor(settings, db).run()
