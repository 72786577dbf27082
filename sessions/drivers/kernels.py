"""The way to the kernels of drivers: kept open between two statements, opened ever more slowly while it fails, and
given up in the end.

Says once what is wrong. Knows no statement and no job.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.core.clock import Clock
from gateway.core.errors import Unavailable
from sessions.drivers.claims import Claim
from sessions.drivers.kernel_client import KernelClient, Unreachable
from sessions.drivers.models import Driver

log = logging.getLogger(__name__)

_FIRST_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(seconds=16)
_PATIENCE = timedelta(minutes=1)  # with a kernel that is of no use
LINGER = 5.0  # seconds that a way stays open when nobody uses it


@dataclass
class _Trouble:
    """`since`: when what has failed ever since failed first, `failed`: when it did last.

    `unreached`: then there was no way to the kernel at all.
    """

    tried: datetime
    pause: timedelta = _FIRST_PAUSE
    since: datetime | None = None
    failed: datetime | None = None
    unreached: bool = False


class Kernels:
    """`give_up` is told a driver that is to go, and why."""

    def __init__(self, clock: Clock, give_up: Callable[[str, str], object]) -> None:
        self._clock, self._give_up = clock, give_up
        self._troubles: dict[str, _Trouble] = {}
        self._unused: dict[tuple[str, int], tuple[KernelClient, asyncio.TimerHandle]] = {}

    def may_open(self, driver: Driver) -> bool:
        """Whether it is time to try, after what went wrong with it the last time."""
        trouble = self._troubles.get(driver.id)
        return trouble is None or abs(self._clock() - trouble.tried) >= trouble.pause

    @asynccontextmanager
    async def open(self, claim: Claim) -> AsyncIterator[KernelClient]:
        """The kernel of a claim, for its caller alone. Raises Unreachable; whatever is raised has been logged."""
        kernel = self._take(claim)
        try:
            if kernel is None:
                kernel = await KernelClient(claim).open()
            trouble = self._troubles.get(claim.driver.id)
            if trouble is not None and trouble.unreached:
                trouble.since = None
            yield kernel
        except BaseException as error:
            if kernel is not None:
                kernel.close()  # an answer may be on its way to somebody who is not there any more
            if isinstance(error, Exception):
                self._count(claim.driver, error)
            raise
        self._troubles.pop(claim.driver.id, None)
        self._keep(claim, kernel)

    def close(self) -> None:
        """Leave no way open that nobody uses."""
        for kernel, closing in self._unused.values():
            closing.cancel()
            kernel.close()
        self._unused.clear()

    def _take(self, claim: Claim) -> KernelClient | None:
        kernel, closing = self._unused.pop((claim.driver.id, claim.seat), (None, None))
        if closing is not None:
            closing.cancel()
        return kernel

    def _keep(self, claim: Claim, kernel: KernelClient) -> None:
        """One for each claim, for a while."""
        if (other := self._take(claim)) is not None:
            other.close()
        closing = asyncio.get_running_loop().call_later(LINGER, self._close, claim)
        self._unused[claim.driver.id, claim.seat] = (kernel, closing)

    def _close(self, claim: Claim) -> None:
        if (kernel := self._take(claim)) is not None:
            kernel.close()

    def _count(self, driver: Driver, error: Exception) -> None:
        now, trouble = self._clock(), self._troubles.get(driver.id)
        if trouble is None:
            recent = {name: one for name, one in self._troubles.items() if abs(now - one.tried) <= _PATIENCE}
            self._troubles = recent  # the others' drivers are gone, or had nothing to do since
            trouble = self._troubles[driver.id] = _Trouble(now)
            traceback = None if isinstance(error, Unreachable) else error
            log.warning("trouble with the kernel: %s", error, exc_info=traceback, extra={"driver": driver.id})
        elif self.may_open(driver):
            trouble.tried, trouble.pause = now, min(2 * trouble.pause, _LONGEST_PAUSE)
        if not isinstance(error, Unavailable):  # the store, which is no fault of the driver's
            self._give_up_in_time(driver, trouble, error, now)

    def _give_up_in_time(self, driver: Driver, trouble: _Trouble, error: Exception, now: datetime) -> None:
        """When nothing has succeeded for too long. With a long time between two failures something else runs on."""
        if trouble.since is None or trouble.failed is None or now - trouble.failed > _PATIENCE:
            trouble.since = now
        trouble.failed, trouble.unreached = now, isinstance(error, Unreachable)
        if now - trouble.since >= _PATIENCE:
            allowed = f"{_PATIENCE.total_seconds():g} s"
            lack = f"reached for {allowed}: {error}" if trouble.unreached else f"used for {allowed}: {error!r}"
            self._give_up(driver.id, f"the driver's kernel could not be {lack}")
