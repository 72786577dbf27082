"""Ends drivers in which something cancelled goes on: a long piece of C never looks whether it is still wanted.

Decides when it is given up. When the cancel was asked for is in the store, so a new supervisor goes on counting; it
asks a few times itself before it believes that nothing helps.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from gateway.core.clock import Clock
from sessions.drivers.models import Driver
from sessions.drivers.store import DriverStore

log = logging.getLogger(__name__)

PATIENCE = timedelta(seconds=30)
JOB_PATIENCE = timedelta(seconds=45)  # the driver itself lets go of a job after 30 s, unless it is stuck as a whole
LEAST_ATTEMPTS = 3


class StuckDrivers:
    """With `replace` the session goes on with a new driver; else it ends."""

    def __init__(self, store: DriverStore, clock: Clock, *, replace: bool) -> None:
        self._store, self._clock, self._replace = store, clock, replace

    def attend(self, driver: Driver, what: str, cancelled: datetime | None, attempts: int, patience: timedelta) -> None:
        """End the driver when `what`, cancelled then and asked to stop so often, should have stopped by now."""
        if cancelled is None or attempts < LEAST_ATTEMPTS or self._clock() - cancelled <= patience:
            return
        reason = f"{what} did not stop within {patience.total_seconds():g} s of its cancel, so its driver was ended"
        if self._store.give_up(driver.id, reason, replace=self._replace):
            log.warning("giving up: %s", reason, extra={"driver": driver.id, "action": "give up"})
