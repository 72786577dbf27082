"""Warm drivers: who gets one, how many are kept, and what becomes of them. No processes."""

from __future__ import annotations

import dataclasses
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from gateway.core import clusters, memory
from gateway.core.events import Belonging
from gateway.core.identity import ANONYMOUS, GATEWAY
from gateway.core.options import SparkOptions
from gateway.core.settings import Settings
from gateway.core.waiting import Waiting
from gateway.stores import Stores
from sessions.drivers.models import Driver, Got
from sessions.drivers.pool import PoolPass
from sessions.drivers.profiles import profile_of
from sessions.drivers.states import DriverState
from sessions.models import Kind, Session, SessionRequest
from sessions.service import SessionService
from sessions.states import SessionState

pytestmark = pytest.mark.both_stores

OTHER = SparkOptions(driver_memory="3g")  # of another profile
GIB = 1 << 30


@pytest.fixture
def pooled(settings: Settings) -> Settings:
    return dataclasses.replace(settings, master="local[2]", warm_drivers=1, max_warm_drivers=3)


class Pool:
    """The pass over one store; `warm_up` is what a driver does."""

    def __init__(self, stores: Stores, settings: Settings, clock: Any) -> None:
        self.stores, self.settings, self.clock = stores, settings, clock
        self.db = stores.pool._db
        self.again()

    def again(self, **changed: Any) -> None:
        self.settings = dataclasses.replace(self.settings, **changed)
        stores = self.stores
        self.service = SessionService(stores.sessions, stores.drivers, self.settings, self.clock, Waiting(8))
        self.run = PoolPass(self.stores.pool, self.stores.drivers, self.settings, self.clock)

    def open(self, options: SparkOptions = SparkOptions()) -> Session:  # noqa: B008 - it is frozen
        return self.service.open(ANONYMOUS, SessionRequest(Kind.PYSPARK, options))

    def use(self, *asked: SparkOptions) -> None:
        """Open sessions, and have their drivers started."""
        for session in map(self.open, asked):
            self.launch()
            self.stores.drivers.ready(session.driver, "local-1", None, self.clock())

    def launch(self) -> None:
        for driver in self.stores.drivers.moving():
            self.stores.drivers.launch(driver.id, driver.folder, self.clock())

    def warm_up(self) -> list[Driver]:
        """Have all that were asked for started and warm; those that are."""
        for _ in range(9):
            if not self.run():
                break
            self.launch()
            for driver in self.stores.drivers.moving():
                self.stores.drivers.warm(driver.id, "local-1", "http://127.0.0.1:4040", self.clock())
        return [driver for driver in self.stores.pool.unclaimed() if driver.state is DriverState.WARM]

    def later(self, **time: float) -> None:
        self.clock.advance(**time)


@pytest.fixture
def pool(all_stores: Stores, pooled: Settings, clock, monkeypatch: pytest.MonkeyPatch) -> Pool:
    monkeypatch.setattr(memory, "available", lambda: 64 * GIB)
    monkeypatch.setattr(memory, "reserve", lambda: 2 * GIB)
    return Pool(all_stores, pooled, clock)


# ---------------------------------------------------------------- the claim


def test_a_session_has_a_warm_driver_and_is_idle_at_once(pool: Pool) -> None:
    (driver,) = pool.warm_up()
    options = SparkOptions(name="mine", conf={"spark.sql.shuffle.partitions": "3"})
    session = pool.open(options)
    assert (session.driver, session.state) == (driver.id, SessionState.IDLE)
    assert (session.app_id, session.ui_url) == ("local-1", "http://127.0.0.1:4040")
    (claimed,) = pool.stores.pool.claimed()
    assert (claimed.options, claimed.target) == (options, DriverState.READY)
    assert pool.stores.pool.unclaimed() == []


def test_each_driver_is_somebodys_alone(pool: Pool) -> None:
    pool.again(warm_drivers=2)
    assert len(pool.warm_up()) == 2
    sessions = [pool.open() for _ in range(3)]
    assert len({session.driver for session in sessions}) == 3
    assert [session.state for session in sessions] == [SessionState.IDLE, SessionState.IDLE, SessionState.STARTING]


def test_a_driver_that_starts_ahead_is_better_than_another_that_starts_later(pool: Pool) -> None:
    assert pool.run()
    pool.launch()
    (driver,) = pool.stores.pool.unclaimed()
    session = pool.open()
    assert (session.driver, session.state) == (driver.id, SessionState.STARTING)
    assert pool.stores.drivers.warm(driver.id, "local-1", None, pool.clock())
    assert [one.id for one in pool.stores.pool.claimed()] == [driver.id]
    assert pool.stores.sessions.become_idle(pool.clock()) == []
    assert pool.stores.drivers.settled(driver.id, pool.clock())
    assert pool.stores.sessions.become_idle(pool.clock()) == [session.id]


def test_one_that_was_only_asked_for_is_left(pool: Pool) -> None:
    assert pool.run()
    (driver,) = pool.stores.pool.unclaimed()
    assert pool.open().driver != driver.id


def test_nothing_runs_in_a_driver_that_does_not_know_whose_it_is(pool: Pool) -> None:
    pool.warm_up()
    session, statements = pool.open(), pool.stores.statements
    assert statements.submit(session.id, "1", "sql", pool.clock(), most_unfinished=9, retained=9)
    assert statements.claim(pool.clock()) == []
    assert pool.stores.drivers.settled(session.driver, pool.clock())
    assert [one.session for one in statements.claim(pool.clock())] == [session.id]


def test_a_session_whose_warm_driver_died_unseen_is_given_another(pool: Pool) -> None:
    pool.warm_up()
    session = pool.open()
    pool.stores.drivers.gone(session.driver, "it was killed", pool.clock())
    assert pool.stores.sessions.without_driver() == []
    ((lost, driver),) = pool.stores.sessions.to_restart()
    assert lost.id == session.id and driver.reason == "it was killed"


def test_one_that_knows_whose_it_is_takes_its_session_with_it(pool: Pool) -> None:
    pool.warm_up()
    session = pool.open()
    pool.stores.drivers.settled(session.driver, pool.clock())
    pool.stores.drivers.gone(session.driver, "it was killed", pool.clock())
    assert pool.stores.sessions.without_driver() == [(session.id, "it was killed")]


def test_other_options_another_user_and_the_gateway_itself_have_none_of_it(pool: Pool) -> None:
    (driver,) = pool.warm_up()
    assert pool.open(OTHER).driver != driver.id
    whose = Belonging("alice", "default")
    alices = profile_of(SparkOptions(), whose, pool.settings)
    assert pool.stores.pool.claim(alices, SparkOptions(), whose, pool.clock()) is None
    own = pool.service.open(GATEWAY, SessionRequest(Kind.SQL, SparkOptions()), str(uuid4()))
    assert own.driver != driver.id


def test_a_driver_of_another_host_is_not_taken(pool: Pool, db) -> None:
    (driver,) = pool.warm_up()
    db.run("UPDATE drivers SET host = 'there'")
    assert pool.open().driver != driver.id


def test_what_sessions_were_given_is_counted(pool: Pool) -> None:
    pool.warm_up()
    pool.open(), pool.open(), pool.open(SparkOptions(jars=["hdfs://h/a.jar"]))
    assert pool.stores.pool.claims() == {Got.WARM: 1, Got.STARTING: 0, Got.COLD: 1, Got.UNLIKE: 1}
    assert pool.stores.pool.newest_claim() == pool.clock()
    assert Stores(pool.db, "there").pool.newest_claim() is None


def test_a_claim_that_is_taken_back_leaves_the_driver_to_others(pool: Pool) -> None:
    (driver,) = pool.warm_up()
    pool.open(SparkOptions(name="mine", driver_memory="5g"))
    with pytest.raises(Exception, match="mine"):
        pool.open(SparkOptions(name="mine"))
    assert pool.open().driver == driver.id


# ---------------------------------------------------------------- how many


def profiles(pool: Pool) -> list[str]:
    return sorted(driver.options.driver_memory or "" for driver in pool.stores.pool.unclaimed())


def test_one_is_kept_warm_for_default_options_and_started_again_a_moment_after_it_was_taken(pool: Pool) -> None:
    assert len(pool.warm_up()) == 1
    pool.open()
    assert pool.warm_up() == []
    pool.later(seconds=3)
    assert len(pool.warm_up()) == 1
    pool.later(days=3)
    assert len(pool.warm_up()) == 1


def test_what_is_asked_for_twice_is_kept_warm_for_some_minutes(pool: Pool) -> None:
    pool.use(OTHER)
    pool.later(minutes=1)
    assert pool.warm_up() and profiles(pool) == ["1024m"]
    pool.use(OTHER)
    pool.later(seconds=3)
    pool.warm_up()
    assert profiles(pool) == ["1024m", "3072m"]
    pool.later(minutes=5)
    pool.warm_up()
    assert profiles(pool) == ["1024m", "3072m"]
    pool.later(minutes=15)
    pool.warm_up()
    assert profiles(pool) == ["1024m"]


def test_there_are_never_more_than_allowed_and_the_default_one_goes_first(pool: Pool) -> None:
    pool.again(max_warm_drivers=2)
    pool.use(*([OTHER, OTHER, SparkOptions(driver_memory="4g")] * 3))
    pool.later(seconds=3)
    pool.warm_up()
    assert profiles(pool) == ["1024m", "3072m"]
    pool.use(*([SparkOptions()] * 9))
    pool.later(seconds=3)
    pool.warm_up()
    assert len(pool.stores.pool.unclaimed()) == 2


def test_none_is_started_when_there_are_to_be_none(pool: Pool) -> None:
    pool.warm_up()
    pool.again(max_warm_drivers=0)
    assert not pool.run() and pool.stores.pool.unclaimed() == []
    assert pool.stores.drivers.moving()[0].target is DriverState.GONE


def test_one_that_fits_no_setting_any_more_goes(pool: Pool) -> None:
    (before,) = pool.warm_up()
    pool.again(spark_conf={"spark.task.maxFailures": "2"})
    (after,) = pool.warm_up()
    assert after.id != before.id and not pool.stores.pool.release(before.id)


def test_none_is_started_beside_one_that_a_session_waits_for(pool: Pool) -> None:
    session = pool.open(OTHER)
    pool.later(seconds=30)
    assert not pool.run()
    pool.launch()
    assert not pool.run()
    pool.stores.drivers.ready(session.driver, "local-1", None, pool.clock())
    assert pool.run()


def test_memory_that_is_short_is_left_to_users(pool: Pool, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(memory, "available", lambda: 3 * GIB)
    assert not pool.run() and not pool.run()
    (told,) = [message for message in caplog.messages if "no driver more is kept warm" in message]
    assert "takes 1624 MiB" in told and "1024 MiB are free" in told
    monkeypatch.setattr(memory, "available", lambda: 5 * GIB)
    assert len(pool.warm_up()) == 1
    monkeypatch.setattr(memory, "available", lambda: GIB // 2)
    assert not pool.run() and pool.stores.pool.unclaimed() == []


def test_drivers_that_do_not_start_are_tried_ever_less_often_and_hold_up_no_others(pool: Pool) -> None:
    pool.use(OTHER, OTHER)
    tries: Counter[str | None] = Counter()
    for _ in range(3600):
        pool.later(seconds=1)
        if pool.run():
            pool.launch()
            for driver in pool.stores.pool.unclaimed():
                if driver.state is not DriverState.LAUNCHING:
                    continue
                tries[driver.options.driver_memory] += 1
                if driver.options.driver_memory == "3072m":
                    pool.stores.drivers.warm(driver.id, "local-1", None, pool.clock())
                else:
                    pool.stores.drivers.gone(driver.id, "Spark did not start: no master", pool.clock())
                    pool.run.failed(driver)
    assert tries == {"1024m": 11, "3072m": 1}


def test_one_that_starts_again_has_no_pause(pool: Pool) -> None:
    (driver,) = pool.warm_up()
    for _ in range(5):
        pool.run.failed(driver)
    assert pool.warm_up() == [driver]
    pool.stores.drivers.gone(driver.id, "killed", pool.clock())
    assert len(pool.warm_up()) == 1


def test_a_demand_of_other_settings_starts_nothing_and_keeps_nothing(pool: Pool) -> None:
    pool.use(OTHER, OTHER)
    pool.later(seconds=3)
    pool.warm_up()
    assert profiles(pool) == ["1024m", "3072m"]
    pool.again(sql_rows=7)
    pool.warm_up()
    pool.warm_up()
    assert profiles(pool) == ["1024m"]
    pool.again(sql_rows=7, clusters={"old": {"master": "local[1]"}})
    pool.use(*[SparkOptions(conf={clusters.KEY: "old"})] * 2)
    pool.later(seconds=3)
    assert len(pool.warm_up()) == 2
    pool.again(clusters={})
    pool.warm_up()
    assert profiles(pool) == ["1024m"]


def test_each_host_keeps_its_own(pool: Pool, db, pooled: Settings, clock) -> None:
    there = Pool(Stores(db, "there"), dataclasses.replace(pooled, sql_rows=7), clock)
    assert pool.run() and there.run()
    assert len(pool.stores.pool.unclaimed()) == len(there.stores.pool.unclaimed()) == 1
    pool.run(), there.run()
    assert [driver.target for driver in pool.stores.drivers.moving()] == [DriverState.WARM]


def test_a_session_whose_driver_was_given_up_before_it_knew_has_another(pool: Pool) -> None:
    pool.warm_up()
    session = pool.open()
    pool.stores.drivers.give_up(session.driver, "it cannot be reached")
    pool.stores.drivers.gone(session.driver, None, pool.clock())
    assert [lost.id for lost, _ in pool.stores.sessions.to_restart()] == [session.id]


def test_a_session_that_is_stopped_before_its_driver_knew_ends(pool: Pool) -> None:
    pool.warm_up()
    session = pool.open()
    pool.stores.drivers.give_up(session.driver, "stopped", replace=False)
    pool.stores.drivers.gone(session.driver, None, pool.clock())
    assert pool.stores.sessions.without_driver() == [(session.id, "stopped")]


def test_a_demand_of_long_ago_is_forgotten(pool: Pool) -> None:
    pool.open()
    assert len(pool.stores.pool.demands(pool.clock())) == 1
    pool.later(hours=3)
    pool.run.forget()
    assert pool.stores.pool.demands(pool.clock() - timedelta(hours=3)) == []
