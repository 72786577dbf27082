"""The pass that brings drivers to where they are wanted. Safe to repeat at any moment.

A pass reads rows and processes, moves what has to move, and forgets: a restarted supervisor just goes on.
"""

from __future__ import annotations

import logging
import os
import signal
from datetime import datetime, timedelta

from gateway.core import logs, processes
from gateway.core.clock import Clock
from gateway.core.errors import GatewayError
from gateway.core.settings import Settings
from sessions.drivers import launch as driver_process
from sessions.drivers.launch import Launcher
from sessions.drivers.models import Driver
from sessions.drivers.states import DriverState
from sessions.drivers.store import DriverStore

log = logging.getLogger(__name__)


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
        for folder in list((self._settings.data_dir / "drivers").glob("*")):
            if self._store.is_forgotten(folder.name):  # asked after the folder was seen: a row is there before it
                driver_process.clear(folder, keep_log=False)

    def _forget_unclaimed(self) -> None:
        for driver in self._store.unclaimed():
            driver_process.clear(driver.folder, keep_log=False)
            self._store.remove(driver.id)
