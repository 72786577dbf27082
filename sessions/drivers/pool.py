"""The pass that keeps drivers warm: how many of which profile, as settings, demand and memory allow.

It asks for drivers as a session does, and gives up those that are one too many. A session that waits for a driver goes
first, and so do the first statements of one that has just got one.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.core import clusters, memory
from gateway.core.clock import Clock
from gateway.core.events import Belonging
from gateway.core.identity import ANONYMOUS
from gateway.core.options import SparkOptions
from gateway.core.settings import Settings
from sessions.drivers.models import Driver
from sessions.drivers.pool_store import PoolStore
from sessions.drivers.profiles import memory_of, profile_of
from sessions.drivers.states import DriverState
from sessions.drivers.store import DriverStore

log = logging.getLogger(__name__)

_STARTING = (DriverState.REQUESTED, DriverState.LAUNCHING)
_AFTER_CLAIM = timedelta(seconds=3)  # until the next one starts, which takes the cores from whoever got the last
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=10), timedelta(minutes=10)  # after one that did not start


@dataclass(frozen=True)
class _Wanted:
    """`number` is how many drivers of the profile there are to be; of what is there already, `kept` may stay."""

    profile: str
    options: SparkOptions
    whose: Belonging
    number: int
    kept: int


class PoolPass:
    def __init__(self, store: PoolStore, drivers: DriverStore, settings: Settings, clock: Clock) -> None:
        self._store, self._drivers, self._settings, self._clock = store, drivers, settings, clock
        whose = Belonging(ANONYMOUS.user, ANONYMOUS.project)
        self._default = profile_of(clusters.record(SparkOptions(), settings), whose, settings)
        self._whose = whose
        self._newest: str | None = None  # the driver that was asked for last, until it is warm
        self._pause, self._not_before = _FIRST_PAUSE, clock()
        self._lacks_memory = False

    def __call__(self) -> bool:
        """Whether one was asked for, so that the passes should run again."""
        now, have = self._clock(), self._store.unclaimed()
        if not self._settings.max_warm_drivers and not have:
            return False
        wanted = self._wanted(now)
        have = self._give_up_surplus(have, wanted)
        self._learn(now)
        numbers = Counter(driver.profile for driver in have)
        missing = next((one for one in wanted if numbers[one.profile] < one.number), None)
        if missing is None or len(have) >= self._settings.max_warm_drivers or not self._may_start(missing, now):
            return False
        driver = Driver.wanted(self._settings.data_dir, missing.options, now, profile=missing.profile)
        self._drivers.add(driver, missing.whose)
        self._newest = driver.id
        log.info("one more driver is to be warm", extra={"driver": driver.id, "action": "warm"})
        return True

    def _wanted(self, now: datetime) -> list[_Wanted]:
        """The default profile first, then those that are asked for most."""
        demands = {one.profile: one for one in self._store.demands(now)}
        of_default = demands.pop(self._default.key, None)
        always, asked = self._settings.warm_drivers, of_default.at(now) if of_default else 0
        wanted = [_wanted(self._default.key, self._default.options, self._whose, asked, always)]
        most_asked = sorted(demands.values(), key=lambda one: one.at(now), reverse=True)
        return wanted + [_wanted(one.profile, one.options, one.whose, one.at(now), 0) for one in most_asked]

    def _give_up_surplus(self, have: list[Driver], wanted: list[_Wanted]) -> list[Driver]:
        """Those that stay; while memory is short, one less at a time."""
        room, left = self._settings.max_warm_drivers, {one.profile: one.kept for one in wanted}
        staying: list[Driver] = []
        for driver in have:
            if room > len(staying) and left.get(driver.profile or "", 0) > 0:
                left[driver.profile or ""] -= 1
                staying.append(driver)
        if staying and memory.is_short():
            staying.pop()
        for driver in have:
            if driver not in staying and self._store.release(driver.id):
                self._newest = None if self._newest == driver.id else self._newest
                log.info("warm, and not wanted any more", extra={"driver": driver.id, "action": "release"})
        return staying

    def _learn(self, now: datetime) -> None:
        """Whether the one that was asked for last has started; after one that has not, the next waits ever longer."""
        if self._newest is None:
            return
        driver = self._drivers.find(self._newest)
        state = DriverState.GONE if driver is None else driver.state
        if state in _STARTING:
            return
        self._newest = None
        if state is DriverState.GONE:
            self._not_before, self._pause = now + self._pause, min(2 * self._pause, _LONGEST_PAUSE)
        else:
            self._pause = _FIRST_PAUSE

    def _may_start(self, one: _Wanted, now: datetime) -> bool:
        newest = self._store.newest_claim()
        if now < self._not_before or (newest is not None and now - newest < _AFTER_CLAIM):
            return False
        if any(
            driver.target is not DriverState.GONE and driver.state in _STARTING for driver in self._drivers.moving()
        ):
            return False
        takes, free = memory_of(one.options), memory.available() - memory.reserve()
        if takes > free and not self._lacks_memory:
            told = "no driver more is kept warm: one takes %d MiB, and %d MiB are free beside the reserve"
            log.info(told, takes >> 20, max(0, free) >> 20, extra={"action": "warm"})
        self._lacks_memory = takes > free
        return not self._lacks_memory


def _wanted(profile: str, options: SparkOptions, whose: Belonging, demand: float, always: int) -> _Wanted:
    # What was asked for twice within minutes is started, and stays until that is long ago.
    return _Wanted(profile, options, whose, max(always, int(demand)), max(always, int(2 * demand)))
