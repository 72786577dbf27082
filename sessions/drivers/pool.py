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
from gateway.core.errors import GatewayError
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
_LEAST = 0.5  # the demand below which a profile is nobody's habit any more


@dataclass(frozen=True)
class _Wanted:
    """`number` is how many drivers of the profile there are to be; of what is there already, `kept` may stay."""

    profile: str
    options: SparkOptions
    whose: Belonging
    number: int
    kept: int


@dataclass(frozen=True)
class _Pause:
    length: timedelta
    over: datetime


class PoolPass:
    """For about once a second."""

    def __init__(self, store: PoolStore, drivers: DriverStore, settings: Settings, clock: Clock) -> None:
        self._store, self._drivers, self._settings, self._clock = store, drivers, settings, clock
        self._pauses: dict[str, _Pause] = {}
        self._lacks_memory = False

    def __call__(self) -> bool:
        """Whether one was asked for, so that the passes should run again."""
        now, have = self._clock(), self._store.unclaimed()
        if not self._settings.max_warm_drivers and not have:
            return False
        wanted = self._wanted(now)
        have = self._give_up_surplus(have, wanted)
        for driver in have:
            if driver.state is DriverState.WARM:
                self._pauses.pop(driver.profile or "", None)
        missing = self._missing(have, wanted, now)
        if missing is None or not self._may_start(missing, now):
            return False
        driver = Driver.wanted(
            self._settings.data_dir, missing.options, now, host=self._drivers.host, profile=missing.profile
        )
        self._drivers.add(driver, missing.whose)
        log.info("one more driver is to be warm", extra={"driver": driver.id, "action": "warm"})
        return True

    def forget(self) -> None:
        """Forget what was asked for long ago."""
        self._store.forget_demands(self._clock())

    def failed(self, driver: Driver) -> None:
        """It did not start: the next one of its profile waits ever longer."""
        if driver.profile is not None:
            before = self._pauses.get(driver.profile)
            length = min(2 * before.length, _LONGEST_PAUSE) if before else _FIRST_PAUSE
            self._pauses[driver.profile] = _Pause(length, self._clock() + length)

    def _wanted(self, now: datetime) -> list[_Wanted]:
        """The default profile first, then those that are asked for most."""
        demands = {one.profile: one for one in self._store.demands(now) if one.at(now) >= _LEAST}
        whose = Belonging(ANONYMOUS.user, ANONYMOUS.project)
        default = profile_of(clusters.record(SparkOptions(), self._settings), whose, self._settings)
        of_default = demands.pop(default.key, None)
        asked, always = of_default.at(now) if of_default else 0, self._settings.warm_drivers if default.key else 0
        wanted = [_wanted(default.key, default.options, whose, asked, always)]
        most_asked = sorted(demands.values(), key=lambda one: one.at(now), reverse=True)
        return wanted + [
            _wanted(one.profile, one.options, one.whose, one.at(now), 0)
            for one in most_asked
            if self._is_current(one.profile, one.options, one.whose)
        ]

    def _is_current(self, profile: str, options: SparkOptions, whose: Belonging) -> bool:
        """Whether it still stands for what would be started: settings and files may have changed since."""
        try:
            return profile_of(options, whose, self._settings).key == profile
        except GatewayError:  # its cluster is not there any more
            return False

    def _give_up_surplus(self, have: list[Driver], wanted: list[_Wanted]) -> list[Driver]:
        """Those that stay; while memory is short, one less each time that the one before has gone."""
        room, left = self._settings.max_warm_drivers, {one.profile: one.kept for one in wanted}
        staying: list[Driver] = []
        for driver in have:
            if room > len(staying) and left.get(driver.profile or "", 0) > 0:
                left[driver.profile or ""] -= 1
                staying.append(driver)
        if staying and memory.is_short() and not self._goes_any():
            staying.pop()
        for driver in have:
            if driver not in staying and self._store.release(driver.id):
                log.info("warm, and not wanted any more", extra={"driver": driver.id, "action": "release"})
        return staying

    def _goes_any(self) -> bool:
        return any(driver.target is DriverState.GONE for driver in self._drivers.moving())

    def _missing(self, have: list[Driver], wanted: list[_Wanted], now: datetime) -> _Wanted | None:
        if len(have) >= self._settings.max_warm_drivers:
            return None
        numbers = Counter(driver.profile for driver in have)
        for one in wanted:
            pause = self._pauses.get(one.profile)
            if numbers[one.profile] < one.number and (pause is None or pause.over <= now):
                return one
        return None

    def _may_start(self, one: _Wanted, now: datetime) -> bool:
        newest = self._store.newest_claim()
        if newest is not None and abs(now - newest) < _AFTER_CLAIM:
            return False
        moving = self._drivers.moving()
        if any(driver.target is not DriverState.GONE and driver.state in _STARTING for driver in moving):
            return False
        takes, free = memory_of(one.options), memory.available() - memory.reserve()
        if takes > free and not self._lacks_memory:
            told = "no driver more is kept warm: one takes %d MiB, and %d MiB are free beside the reserve"
            log.info(told, takes >> 20, max(0, free) >> 20, extra={"action": "warm"})
        self._lacks_memory = takes > free
        return not self._lacks_memory


def _wanted(profile: str, options: SparkOptions, whose: Belonging, demand: float, always: int) -> _Wanted:
    # What was asked for twice within minutes is started, and stays until that is long ago.
    return _Wanted(profile, options, whose, max(always, int(demand)), max(always, int(demand / _LEAST)))
