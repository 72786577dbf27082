"""The way to the kernels of drivers: opened again and again, ever more slowly while it fails, and given up in the end.

Says once what is wrong. Knows no statement and no job.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.core.clock import Clock
from sessions.drivers.claims import Claim
from sessions.drivers.kernel_client import KernelClient, Unreachable
from sessions.drivers.models import Driver

log = logging.getLogger(__name__)

_FIRST_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(seconds=16)
_PATIENCE = timedelta(minutes=1)  # with a kernel that cannot be reached


@dataclass
class _Trouble:
    """`unreached`: since when there has been no way to the kernel at all; None when there was one the last time."""

    tried: datetime
    pause: timedelta = _FIRST_PAUSE
    unreached: datetime | None = None


class Kernels:
    """`give_up` is told a driver that is to go, and why."""

    def __init__(self, clock: Clock, give_up: Callable[[str, str], object]) -> None:
        self._clock, self._give_up = clock, give_up
        self._troubles: dict[str, _Trouble] = {}

    def may_open(self, driver: Driver) -> bool:
        """Whether it is time to try, after what went wrong with it the last time."""
        trouble = self._troubles.get(driver.id)
        return trouble is None or abs(self._clock() - trouble.tried) >= trouble.pause

    @asynccontextmanager
    async def open(self, claim: Claim) -> AsyncIterator[KernelClient]:
        """The kernel of a claim. Raises Unreachable; whatever is raised has been logged."""
        try:
            async with KernelClient(claim) as kernel:
                if (trouble := self._troubles.get(claim.driver.id)) is not None:
                    trouble.unreached = None
                yield kernel
        except Exception as error:
            self._count(claim.driver, error)
            raise
        self._troubles.pop(claim.driver.id, None)

    def _count(self, driver: Driver, error: Exception) -> None:
        now, trouble = self._clock(), self._troubles.get(driver.id)
        if trouble is None:
            trouble = self._troubles[driver.id] = _Trouble(now)
            traceback = None if isinstance(error, Unreachable) else error
            log.warning("trouble with the kernel: %s", error, exc_info=traceback, extra={"driver": driver.id})
        elif self.may_open(driver):
            trouble.tried, trouble.pause = now, min(2 * trouble.pause, _LONGEST_PAUSE)
        if isinstance(error, Unreachable):
            trouble.unreached = trouble.unreached or now
            if now - trouble.unreached >= _PATIENCE:
                self._give_up(
                    driver.id, f"the driver's kernel could not be reached for {_PATIENCE.total_seconds():g} s: {error}"
                )
