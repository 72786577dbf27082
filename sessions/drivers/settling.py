"""Tells warm drivers that were claimed whose they are: their session's name, and the conf that it asked for.

One task a driver. Telling a driver twice does no harm, so a task that is lost with its process is simply begun again.
A driver that cannot be as it was asked for is given up, and its session gets one that is started for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from gateway.core.clock import Clock
from sessions.drivers.claims import Claim
from sessions.drivers.kernels import Kernels
from sessions.drivers.models import Driver
from sessions.drivers.pool_store import PoolStore
from sessions.drivers.profiles import name_of, set_when_claimed
from sessions.drivers.store import DriverStore

log = logging.getLogger(__name__)

_SEAT = 0  # of a driver that was started ahead


class Settling:
    """`wake` has the passes run again: there may be work for a driver that has been told."""

    def __init__(
        self, store: PoolStore, drivers: DriverStore, clock: Clock, kernels: Kernels, wake: Callable[[], None]
    ) -> None:
        self._store, self._drivers, self._clock = store, drivers, clock
        self._kernels, self._wake = kernels, wake
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def run_pass(self) -> None:
        for driver in self._store.claimed():
            if driver.id not in self._tasks and self._kernels.may_open(driver):
                task = self._tasks[driver.id] = asyncio.create_task(self._settle(driver))
                task.add_done_callback(lambda done, driver=driver.id: self._end(driver, done))  # type: ignore[misc]

    def _end(self, driver: str, task: asyncio.Task[None]) -> None:
        del self._tasks[driver]
        if not task.cancelled():
            task.exception()  # it has been logged, and the driver is told again

    async def _settle(self, driver: Driver) -> None:
        async with self._kernels.open(Claim(driver, _SEAT)) as kernel:
            refusal = await kernel.claim(name_of(driver.options), set_when_claimed(driver.options))
            if refusal is None:
                self._drivers.settled(driver.id, self._clock())
            else:
                log.warning("not as asked for: %s", refusal, extra={"driver": driver.id, "action": "settle"})
                self._drivers.give_up(driver.id, refusal, replace=True)
        self._wake()
