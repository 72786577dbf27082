"""Questions to Spark: the service session behind them, their answers and limits. The test plays the supervisor."""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gateway.core.errors import InvalidRequest, QueryFailed, TookTooLong, Unavailable
from gateway.core.identity import ANONYMOUS, GATEWAY, Principal
from gateway.core.settings import Settings
from gateway.core.waiting import Waiting
from gateway.platform.queries.models import Answer, Limits
from gateway.platform.queries.service import QueryService
from gateway.stores import Stores
from sessions.jobs.service import JobService
from sessions.models import Session
from sessions.reconcile import reason_of_idle_expiry
from sessions.service import SessionService
from tests.unit.conftest import FixedClock

pytestmark = pytest.mark.both_stores

ALICE = Principal("alice", "mine", frozenset({"mine"}))
BRIEF = Limits(rows=3, bytes=500, seconds=0.05)
ROWS: dict[str, Any] = {"schema": {"type": "struct", "fields": [{"name": "n", "type": "long"}]}, "data": [[1], [2]]}


class House(Waiting):
    """The store, and what a supervisor and a driver do with it while somebody waits for them."""

    def __init__(self, stores: Stores, settings: Settings, clock: FixedClock) -> None:
        self.stores, self.settings, self.clock = stores, settings, clock
        self.asked: list[dict[str, Any]] = []  # of the driver
        self.act: Callable[[], object] = lambda: None

    def until(self, kind: str, look: Callable[[], Any], done: Callable[[Any], bool], patience: float) -> Any:
        self.act()
        return look()

    def service(self, **changes: Any) -> QueryService:
        """As one of the web processes has it."""
        settings = dataclasses.replace(self.settings, **changes)
        sessions = SessionService(self.stores.sessions, self.stores.drivers, settings, self.clock, self)
        jobs = JobService(self.stores.jobs, sessions, settings, self.clock, self)
        return QueryService(sessions, jobs, settings, self.clock)

    def sessions(self) -> list[Session]:
        """Those of the gateway's own."""
        return self.stores.sessions.page(GATEWAY, 0, 99)[1]

    def make_ready(self) -> Session:
        (session,) = self.sessions()
        assert self.stores.drivers.launch(session.driver, session.folder, self.clock())
        assert self.stores.drivers.ready(session.driver, "local-1", None, self.clock())
        assert self.stores.sessions.become_idle(self.clock()) == [session.id]
        return session

    def lose_driver(self, reason: str) -> None:
        for session in self.sessions():
            self.stores.drivers.gone(session.driver, reason, self.clock())
        for number, why in self.stores.sessions.without_driver():
            self.stores.sessions.end(number, why, self.clock())

    def answer(self, result: object = None, error: str | None = None) -> None:
        """Have queries answered from now on."""

        def act() -> None:
            self.stores.jobs.claim(self.clock(), 9)
            for job, _ in self.stores.jobs.running():
                self.asked.append(json.loads(base64.b64decode(self.stores.jobs.payload(job.session, job.id))))
                text = None if error else base64.b64encode(json.dumps(result).encode()).decode()
                self.stores.jobs.finish(job, text, error, self.clock(), self.clock())

        self.act = act


@pytest.fixture
def house(all_stores: Stores, settings: Settings, clock: FixedClock) -> House:
    return House(all_stores, settings, clock)


def ask(service: QueryService, limits: Limits = BRIEF) -> Answer | None:
    return service.ask(ALICE, "default", "SELECT n", limits)


@pytest.fixture
def ready(house: House) -> QueryService:
    """A service whose session is idle."""
    service = house.service()
    assert ask(service) is None
    house.make_ready()
    return service


def test_the_first_question_starts_a_session_and_those_to_come_wait_for_it(house: House) -> None:
    service = house.service()
    assert [ask(service) for _ in range(3)] == [None, None, None]
    assert [session.state.value for session in house.sessions()] == ["starting"]
    assert house.stores.sessions.page(ANONYMOUS, 0, 9) == (0, [])


def test_an_answer_has_the_rows_and_leaves_nothing_behind(house: House, ready: QueryService, db) -> None:
    house.answer(ROWS)
    found = ask(ready)
    assert found is not None and (found.schema, found.cut) == (ROWS["schema"], False)
    assert [list(map(str, row)) for row in found.rows] == [["1"], ["2"]]
    assert house.asked == [{"sql": "SELECT n", "rows": 3, "bytes": 500, "seconds": 0.05}]
    assert db.value("SELECT count(*) FROM session_jobs") == 0


def test_an_answer_that_is_cut_says_so(house: House, ready: QueryService) -> None:
    house.answer({**ROWS, "truncated": True})
    found = ask(ready)
    assert found is not None and found.cut


def test_any_process_finds_the_session_again(house: House, ready: QueryService) -> None:
    house.answer(ROWS)
    assert ask(house.service()) == ask(ready) and len(house.sessions()) == 1


def test_many_that_ask_at_the_same_moment_start_one_session(house: House) -> None:
    services, together = [house.service() for _ in range(6)], threading.Barrier(6)

    def first(service: QueryService) -> Answer | None:
        together.wait()
        return ask(service)

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(first, services)) == [None] * 6
    assert len(house.sessions()) == 1


def test_many_that_find_it_dead_start_one_session(house: House, ready: QueryService) -> None:
    house.lose_driver("why")
    test_many_that_ask_at_the_same_moment_start_one_session(house)


def test_each_cluster_has_a_session_of_its_own(house: House) -> None:
    service = house.service(clusters={"far": {"master": "local[1]"}}, conf_blacklist=["spark.gateway.cluster"])
    for cluster in ("default", "far", "far"):
        assert service.ask(ALICE, cluster, "SELECT 1") is None
    clusters = [session.options.conf["spark.gateway.cluster"] for session in house.sessions()]
    assert sorted(clusters) == ["default", "far"]


def test_an_unknown_cluster_is_refused(house: House) -> None:
    with pytest.raises(InvalidRequest, match="there is no such cluster"):
        house.service().ask(ALICE, "nowhere", "SELECT 1")
    assert house.sessions() == []


def test_a_session_that_died_is_replaced(house: House, ready: QueryService) -> None:
    (first,) = house.sessions()
    house.lose_driver("it ran out of memory")
    assert ask(ready) is None
    (second,) = house.sessions()
    assert second.id != first.id and second.state.value == "starting"


def test_a_session_that_expired_is_replaced(house: House, ready: QueryService) -> None:
    (first,) = house.sessions()
    house.stores.sessions.remove(first.id, "no work", house.clock())
    assert ask(ready) is None and [session.id for session in house.sessions()] != [first.id]


def test_spark_that_does_not_start_is_told_and_not_tried_again_unasked(house: House) -> None:
    service = house.service()
    assert ask(service) is None
    house.lose_driver("Spark did not start: no such master")
    with pytest.raises(Unavailable, match="does not start to answer this: Spark did not start: no such master"):
        ask(service)
    assert house.sessions() == []
    assert ask(service) is None and len(house.sessions()) == 1


def test_a_driver_lost_meanwhile_is_told(house: House, ready: QueryService) -> None:
    house.act = lambda: house.lose_driver("it was killed")
    with pytest.raises(QueryFailed, match="it was killed"):
        ask(ready)
    house.act = lambda: None
    assert ask(ready) is None and [session.state.value for session in house.sessions()] == ["starting"]


def test_a_session_that_ends_just_before_a_question_comes_is_replaced_by_the_next(
    house: House, ready: QueryService, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = SessionService.look

    def look_and_lose(*args: Any) -> Session:
        found = look(*args)
        monkeypatch.undo()
        house.lose_driver("it was killed")
        return found

    monkeypatch.setattr(SessionService, "look", look_and_lose)
    assert ask(ready) is None and ask(ready) is None
    assert [session.state.value for session in house.sessions()] == ["starting"]


def test_what_spark_refuses_is_told_in_its_words(house: House, ready: QueryService) -> None:
    house.answer(error="[TABLE_OR_VIEW_NOT_FOUND] no such table")
    with pytest.raises(QueryFailed, match=r"^\[TABLE_OR_VIEW_NOT_FOUND\] no such table$"):
        ask(ready)


@pytest.mark.parametrize(("begun", "becomes"), [(False, "cancelled"), (True, "cancelling")])
def test_a_query_that_takes_too_long_is_cancelled(
    begun: bool, becomes: str, house: House, ready: QueryService, db, caplog: pytest.LogCaptureFixture
) -> None:
    def act() -> None:
        house.clock.advance(seconds=0.05)
        if begun:
            house.stores.jobs.claim(house.clock(), 9)

    house.act = act
    with caplog.at_level(logging.WARNING), pytest.raises(TookTooLong, match="no answer within 0.05 s"):
        ask(ready)
    assert db.value("SELECT state FROM session_jobs") == becomes
    assert [getattr(record, "user", None) for record in caplog.records] == ["alice"]


def test_who_finds_no_place_to_wait_at_is_told_at_once_and_leaves_no_query(
    house: House, ready: QueryService, db
) -> None:
    with pytest.raises(Unavailable, match="too many ask at the same time"):
        ask(ready, Limits(seconds=60))
    assert db.value("SELECT state FROM session_jobs") == "cancelled"


@pytest.mark.parametrize("setting", ["max_sessions", "max_jobs_waiting"])
def test_a_limit_is_told_as_what_may_pass(setting: str, house: House, add_session: Callable[..., Session]) -> None:
    add_session()
    service = house.service(**{setting: 1})
    if setting == "max_jobs_waiting":
        assert ask(service) is None
        house.make_ready()
        house.act = lambda: house.stores.jobs.claim(house.clock(), 9)
        with pytest.raises(Unavailable, match="too many ask"):
            ask(service)
    with pytest.raises(Unavailable, match="as many sessions as there may be|1 unfinished jobs"):
        ask(service)


def test_the_service_session_ends_like_any_other_when_nobody_asks(house: House, ready: QueryService) -> None:
    (lifetime,) = house.stores.sessions.live()
    house.clock.advance(hours=2)
    assert reason_of_idle_expiry(lifetime, house.settings, house.clock()) is not None
