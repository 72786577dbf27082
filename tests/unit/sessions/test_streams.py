"""A session in which a stream runs is in use: who is asked, how often, and what an answer is worth."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from gateway.core.errors import Unavailable
from gateway.core.identity import ANONYMOUS
from gateway.core.settings import Settings
from gateway.core.store.database import Database
from gateway.stores import Stores
from sessions import streams
from sessions.drivers.claims import Claim
from sessions.drivers.store import DriverStore
from sessions.models import Session
from sessions.reconcile import SessionPass
from sessions.store import SessionStore
from sessions.streams import MOST_UNANSWERED, StreamWatch


class Kernel:
    """Says what it is told to, or raises it; None: nothing in time."""

    says: bool | Exception | None = False
    asked = 0

    def __init__(self, claim: Claim) -> None:
        assert claim.seat == 0

    async def __aenter__(self) -> Kernel:
        return self

    async def __aexit__(self, *error: object) -> None: ...

    async def streams(self) -> bool:
        Kernel.asked += 1
        if Kernel.says is None:
            raise asyncio.TimeoutError
        if isinstance(Kernel.says, Exception):
            raise Kernel.says
        return Kernel.says


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "KernelClient", Kernel)
    monkeypatch.setattr(Kernel, "says", False)
    monkeypatch.setattr(Kernel, "asked", 0)


class Rounds:
    """The supervisor's rounds of expiry; the driver's answers come between two of them."""

    def __init__(self, store: SessionStore, drivers: DriverStore, settings: Settings, clock: Any) -> None:
        self.store, self.watch = store, StreamWatch(store, drivers, clock)
        self._pass = SessionPass(store, settings, clock, self.watch.may_expire)

    async def run(self, times: int = 1) -> None:
        for _ in range(times):
            self._pass.expire()
            for _ in range(9):
                await asyncio.sleep(0)


Scenario = Callable[[Callable[[Rounds], Awaitable[None]]], None]


@pytest.fixture
def rounds(session_store: SessionStore, driver_store: DriverStore, settings: Settings, clock: Any) -> Scenario:
    def play(scenario: Callable[[Rounds], Awaitable[None]]) -> None:
        async def run() -> None:
            await scenario(Rounds(session_store, driver_store, settings, clock))

        asyncio.run(run())

    return play


def test_a_stream_keeps_an_idle_session(rounds: Scenario, idle_session: Session, clock: Any) -> None:
    async def scenario(supervisor: Rounds) -> None:
        Kernel.says = True
        clock.advance(minutes=61)
        await supervisor.run(5)
        assert Kernel.asked == 1, "an idle session costs one question each time its time is up"
        Kernel.says = False
        clock.advance(minutes=61)
        await supervisor.run(2)
        assert supervisor.store.find(ANONYMOUS, idle_session.id) is None

    rounds(scenario)


def test_a_session_whose_time_is_not_up_is_not_asked(rounds: Scenario, idle_session: Session, clock: Any) -> None:
    async def scenario(supervisor: Rounds) -> None:
        clock.advance(minutes=59)
        await supervisor.run(3)
        assert Kernel.asked == 0

    rounds(scenario)


def test_an_answer_of_an_earlier_idle_time_is_not_used(rounds: Scenario, idle_session: Session, clock: Any) -> None:
    async def scenario(supervisor: Rounds) -> None:
        clock.advance(minutes=61)
        await supervisor.run()
        supervisor.store.touch(idle_session.id, clock(), activity=True)
        Kernel.says = True
        clock.advance(minutes=61)
        await supervisor.run(3)
        assert supervisor.store.find(ANONYMOUS, idle_session.id) is not None

    rounds(scenario)


def test_a_driver_that_never_answers_is_given_up(rounds: Scenario, idle_session: Session, clock: Any) -> None:
    async def scenario(supervisor: Rounds) -> None:
        Kernel.says = None
        clock.advance(minutes=61)
        await supervisor.run(MOST_UNANSWERED)
        assert supervisor.store.find(ANONYMOUS, idle_session.id) is not None
        await supervisor.run()
        assert supervisor.store.find(ANONYMOUS, idle_session.id) is None
        assert Kernel.asked == MOST_UNANSWERED

    rounds(scenario)


def test_a_question_that_fails_whatever_it_was_is_unanswered(
    rounds: Scenario, idle_session: Session, add_session: Any, make_ready: Any, clock: Any
) -> None:
    later = add_session()
    make_ready(later)

    async def scenario(supervisor: Rounds) -> None:
        Kernel.says = KeyError("streams")
        clock.advance(minutes=61)
        await supervisor.run(MOST_UNANSWERED + 1)
        assert supervisor.store.find(ANONYMOUS, idle_session.id) is None
        assert supervisor.store.find(ANONYMOUS, later.id) is None

    rounds(scenario)


def test_a_store_that_is_away_when_a_question_is_asked_ends_no_round(
    rounds: Scenario, idle_session: Session, driver_store: DriverStore, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(supervisor: Rounds) -> None:
        clock.advance(minutes=61)
        with monkeypatch.context() as away:
            away.setattr(driver_store, "find", failing)
            await supervisor.run()
        await supervisor.run(3)
        assert Kernel.asked == 1 and supervisor.store.find(ANONYMOUS, idle_session.id) is None

    def failing(driver: str) -> None:
        raise Unavailable("the store is away")

    rounds(scenario)


def test_what_runs_on_another_host_is_asked_and_expires_there(
    rounds: Scenario, idle_session: Session, db: Database, settings: Settings, clock: Any
) -> None:
    there = Stores(db, "there")

    async def scenario(supervisor: Rounds) -> None:
        clock.advance(minutes=61)
        far = Rounds(there.sessions, there.drivers, settings, clock)
        await far.run(MOST_UNANSWERED + 1)
        assert Kernel.asked == 0 and supervisor.store.find(ANONYMOUS, idle_session.id) is not None
        await supervisor.run(2)
        assert supervisor.store.find(ANONYMOUS, idle_session.id) is None

    rounds(scenario)


def test_a_question_about_a_session_that_has_gone_is_forgotten(
    rounds: Scenario, idle_session: Session, add_session: Any, make_ready: Any, clock: Any
) -> None:
    async def scenario(supervisor: Rounds) -> None:
        clock.advance(minutes=61)
        await supervisor.run()
        supervisor.store.remove(idle_session.id, "deleted by its user", clock())
        make_ready(add_session())
        clock.advance(minutes=61)
        await supervisor.run()
        assert len(supervisor.watch._questions) == 1

    rounds(scenario)


def test_a_stream_is_no_sign_of_the_client(rounds: Scenario, add_session: Any, make_ready: Any, clock: Any) -> None:
    session = add_session(heartbeat_timeout=timedelta(minutes=90))
    make_ready(session)

    async def scenario(supervisor: Rounds) -> None:
        Kernel.says = True
        clock.advance(minutes=61)
        await supervisor.run(3)
        clock.advance(minutes=30)
        await supervisor.run()
        assert supervisor.store.find(ANONYMOUS, session.id) is None

    rounds(scenario)
