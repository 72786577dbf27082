"""The pass that brings drivers to where they are wanted. Safe to repeat at any moment.

A pass reads rows and a place, moves what has to move, and forgets: a restarted supervisor just goes on.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
from collections.abc import Callable
from datetime import datetime, timedelta

from gateway.core import logs, metrics
from gateway.core.clock import Clock
from gateway.core.errors import GatewayError, Unavailable
from gateway.core.places.place import AT_ONCE, Ladder, Place
from gateway.core.settings import Settings
from sessions.drivers import launch as driver_process
from sessions.drivers.application_store import ApplicationStore
from sessions.drivers.launch import Launcher, Ready
from sessions.drivers.models import Driver
from sessions.drivers.states import DriverState
from sessions.drivers.store import DriverStore

log = logging.getLogger(__name__)

# SIGTERM lets Spark tell its cluster manager; what ignores it is killed.
_LADDER: Ladder = ((signal.SIGTERM, timedelta(seconds=3)), (signal.SIGKILL, timedelta(seconds=1)))


class DriverPass:
    """Launches drivers in order, notices which are ready or gone, and stops those that are not wanted."""

    def __init__(
        self,
        store: DriverStore,
        applications: ApplicationStore,
        launcher: Launcher,
        settings: Settings,
        clock: Clock,
        place: Place,
        failed: Callable[[Driver], None] = lambda driver: None,
    ) -> None:
        """`failed` is told each driver that has ended before its Spark was up, and not because it was asked to."""
        self._store, self._launcher, self._settings, self._clock = (store, launcher, settings, clock)
        self._applications, self._failed = applications, failed
        self._place, self._drivers = place, settings.data_dir / "drivers"
        self._started: set[str] = set()
        self._troubled: set[str] = set()

    def adopt(self) -> None:
        """Take up the drivers that an earlier supervisor left running. Once, before the first pass."""
        for driver in self._store.running():
            self._guard(self._adopt, driver, self._clock())
        self._clear_strangers()

    def __call__(self) -> None:
        """A ready driver costs nothing here: the place names those that have ended."""
        now = self._clock()
        # Applications before their seats, which end with them, and for that reason.
        ended = self._store.find_all(self._place.ended_in(self._drivers))
        for driver in sorted(ended, key=lambda one: one.application is not None):
            # One that is told to go has lost its first process before the others; below they have their time.
            if driver.target is not DriverState.GONE:
                self._guard(self._notice_end, driver, now)
        moving = self._store.moving()
        self._launch_waiting(moving, self._attend(moving, now), now)
        self._applications.end_unused(now - self._settings.shared_application_linger)
        for driver in self._store.unclaimed():
            self._guard(self._forget, driver, now)

    def _attend(self, moving: list[Driver], now: datetime) -> int:
        """Those that have begun to start or stop, and seats; how many cores that takes for long."""
        starting = 0
        for driver in moving:
            if driver.target is DriverState.GONE:
                self._guard(self._stop, driver, now)
            elif driver.state is DriverState.LAUNCHING:
                # One that nobody waits for keeps no place from those that somebody does.
                takes_long = driver.target is DriverState.READY and driver.application is None
                starting += self._guard(self._attend_launch, driver, now) and takes_long
            elif driver.state is DriverState.REQUESTED and driver.application is not None:
                self._guard(self._launch_seat, driver, now)
        return starting

    def _launch_waiting(self, moving: list[Driver], starting: int, now: datetime) -> None:
        alone = [driver for driver in moving if driver.application is None]
        for driver in sorted(alone, key=lambda one: one.target is DriverState.WARM):  # waited for first
            due = driver.not_before is None or driver.not_before <= now
            if driver.state is DriverState.REQUESTED and driver.target is not DriverState.GONE and due:
                if starting >= (self._settings.max_starting_drivers or os.cpu_count() or 1):
                    break
                starting += self._guard(self._launch, driver, now)

    def _guard(self, step: Callable[[Driver, datetime], object], driver: Driver, now: datetime) -> bool:
        """What the step says; False when it fails: trouble with one driver, said once, holds up no other."""
        try:
            return bool(step(driver, now))
        except Unavailable:
            raise
        except Exception:
            if driver.id not in self._troubled:
                log.exception("trouble with a driver", extra={"driver": driver.id, "action": "pass"})
            self._troubled.add(driver.id)
            return False

    def _adopt(self, driver: Driver, now: datetime) -> None:
        if not self._place.find(driver.folder):
            self._give_up(driver, self._reason(driver), now)

    def _notice_end(self, driver: Driver, now: datetime) -> None:
        if driver.application is not None and self._goes_with_application(driver):
            return
        if self._place.stop(driver.folder, AT_ONCE, now):
            self._is_gone(driver, self._reason(driver), now)

    def _goes_with_application(self, seat: Driver) -> bool:
        """Whether it has ended because its application has, which is about to be noticed and says why."""
        if self._place.end_of(seat.folder).code != driver_process.WITHOUT_APPLICATION:
            return False
        return not self._store.is_gone(seat.application or "")

    def _stop(self, driver: Driver, now: datetime) -> None:
        if self._place.stop(driver.folder, _LADDER, now):
            self._is_gone(driver, driver.reason, now)

    def _launch(self, driver: Driver, now: datetime) -> bool:
        folder = driver.folder if driver.host else self._drivers / driver.id
        if not self._store.launch(driver.id, folder, now):
            return False
        log.info("launching", extra={"driver": driver.id, "action": "launch"})
        return self._start(dataclasses.replace(driver, folder=folder), now)

    def _launch_seat(self, driver: Driver, now: datetime) -> bool:
        """Once its application is up, and beside it."""
        application = self._store.find(driver.application or "")
        due = driver.not_before is None or driver.not_before <= now
        if application is None or application.host != self._store.host or not due:
            return False
        if application.state is not DriverState.READY or application.target is not DriverState.READY:
            return False
        folder = application.folder.with_name(driver.id)
        return self._store.launch(driver.id, folder, now) and self._start(
            dataclasses.replace(driver, folder=folder), now
        )

    def _start(self, driver: Driver, now: datetime) -> bool:
        try:
            self._launcher.launch(driver)
        except (OSError, GatewayError) as error:
            self._give_up(driver, f"the driver could not be started: {error}", now)
            return False
        self._started.add(driver.id)
        return True

    def _attend_launch(self, driver: Driver, now: datetime) -> bool:
        """Whether it is still starting."""
        ready = driver_process.readiness(driver)
        if ready is not None and ready.error is None and (ready.warm or driver.target is DriverState.READY):
            if driver.profile is None:
                self._store.ready(driver.id, ready.app_id, ready.ui_url, now)
            else:
                self._warm(driver, ready, now)
            if driver.launched is not None:
                metrics.STARTS.observe((now - driver.launched).total_seconds())
            log.info("ready", extra={"driver": driver.id, "action": "ready"})
            return False
        if driver.launched and now - driver.launched > self._settings.driver_start_timeout:
            allowed = self._settings.driver_start_timeout.total_seconds()
            reason = f"the driver was not ready after {allowed:g} s (setting driver_start_timeout)"
            self._give_up(driver, reason, now)
            return True
        # A row that we have not started: an earlier supervisor died before it did, or left the watching to us.
        return driver.id in self._started or self._start(driver, now)

    def _warm(self, driver: Driver, ready: Ready, now: datetime) -> None:
        if driver.target is DriverState.WARM:
            logs.begin_anew(driver.log, "this driver was started ahead of its session")
        self._store.warm(driver.id, ready.app_id, ready.ui_url, now)

    def _give_up(self, driver: Driver, reason: str, now: datetime) -> None:
        self._store.give_up(driver.id, reason)
        self._place.stop(driver.folder, _LADDER, now)

    def _reason(self, driver: Driver) -> str:
        return driver_process.reason_of_end(driver, self._place.end_of(driver.folder))

    def _is_gone(self, driver: Driver, reason: str | None, now: datetime) -> None:
        self._place.settle(driver.folder, reason)
        if driver.shared is not None and driver.application is None and reason is not None:
            for seat in self._applications.seats(driver.id):
                logs.quote(seat.log, driver.log, f"what the Spark application {driver.shared} said last:")
        try:
            self._store.gone(driver.id, reason, now)
        except Unavailable:
            self._place.find(driver.folder)  # so that its end is told again
            raise
        self._started.discard(driver.id)
        if driver.state is DriverState.LAUNCHING and reason is not None:
            self._failed(driver)
        self._place.clear(driver.folder)
        log.info("gone: %s", reason or "as asked", extra={"driver": driver.id, "action": "gone"})

    def _clear_strangers(self) -> None:
        """Remove folders whose driver is forgotten: an upload that was under way may have made one anew."""
        for folder in list(self._drivers.glob("*")):
            if self._store.is_forgotten(folder.name):  # asked after the folder was seen: a row is there before it
                self._place.remove(folder)

    def _forget(self, driver: Driver, now: datetime) -> None:
        self._place.remove(driver.folder)
        self._store.remove(driver.id)
        self._troubled.discard(driver.id)
