"""What is cancelled and does not stop costs the session its driver: when, what is said, and how it goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from gateway.core.identity import ANONYMOUS
from gateway.core.settings import Settings
from sessions.drivers import kernels as kernels_module
from sessions.drivers.claims import claim_of
from sessions.drivers.kernels import Kernels
from sessions.drivers.store import DriverStore
from sessions.drivers.stuck import JOB_PATIENCE, LEAST_ATTEMPTS, PATIENCE, StuckDrivers
from sessions.jobs import runner as job_runner
from sessions.jobs.store import JobStore
from sessions.models import Kind, Session
from sessions.reconcile import SessionPass
from sessions.statements import runner
from sessions.statements.runner import Runner
from sessions.statements.states import StatementState
from sessions.statements.store import StatementStore
from sessions.states import SessionState
from sessions.store import SessionStore


class DeafKernel:
    """A kernel in which whatever runs goes on for ever."""

    cancels = 0

    def __init__(self, claim: object) -> None: ...

    async def open(self) -> DeafKernel:
        return self

    def close(self) -> None: ...

    async def execute(self, statement: int, code: str, language: str) -> None:
        await asyncio.Event().wait()

    async def run_job(self, job: int, language: str, payload: str) -> None:
        await asyncio.Event().wait()

    async def cancel(self, number: int) -> None:
        DeafKernel.cancels += 1

    async def cancel_job(self, number: int) -> None:
        DeafKernel.cancels += 1


@pytest.fixture(autouse=True)
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels_module, "KernelClient", DeafKernel)
    for module in (runner, job_runner):
        monkeypatch.setattr(module, "_CANCEL_EVERY", 0.001)
    monkeypatch.setattr(DeafKernel, "cancels", 0)


@pytest.fixture
def stuck(driver_store: DriverStore, clock: Any) -> StuckDrivers:
    return StuckDrivers(driver_store, clock, replace=False)


@pytest.fixture
def kernels(driver_store: DriverStore, clock: Any) -> Kernels:
    return Kernels(clock, driver_store.give_up)


@pytest.fixture
def cancelled(idle_session: Session, statement_store: StatementStore, clock: Any) -> Session:
    """A session whose statement 0 runs and is to stop, and whose statement 1 waits."""
    for code in ("sum(range(2 * 10**10))", "1"):
        statement_store.submit(idle_session.id, code, "pyspark", clock(), most_unfinished=9, retained=9)
    statement_store.claim(clock())
    statement_store.cancel(idle_session.id, 0, clock())
    return idle_session


def is_given_up(db: Any) -> bool:
    return bool(db.value("SELECT target = 'gone' FROM drivers"))


async def pressed(times: int) -> None:
    """Until the cancel was pressed so often."""

    async def look() -> None:
        while DeafKernel.cancels < times:  # noqa: ASYNC110 - the kernel knows no loop
            await asyncio.sleep(0.001)

    await asyncio.wait_for(look(), 10)


def test_a_statement_that_does_not_stop_for_30_seconds_ends_its_driver(
    cancelled: Session, statement_store: StatementStore, stuck: StuckDrivers, kernels: Kernels, db: Any, clock: Any
) -> None:
    async def supervise() -> None:
        passes = Runner(statement_store, DriverStore(db, "here"), clock, kernels, stuck)
        passes.run_pass()
        await pressed(LEAST_ATTEMPTS)
        clock.advance(seconds=30)
        passes.run_pass()
        assert not is_given_up(db)
        clock.advance(seconds=1)
        passes.run_pass()

    asyncio.run(supervise())
    assert is_given_up(db)
    assert db.value("SELECT reason FROM drivers") == (
        "statement 0 did not stop within 30 s of its cancel, so its driver was ended"
    )


def test_a_new_supervisor_goes_on_counting_and_asks_first(
    cancelled: Session, statement_store: StatementStore, stuck: StuckDrivers, kernels: Kernels, db: Any, clock: Any
) -> None:
    clock.advance(minutes=2)

    async def supervise() -> None:
        passes = Runner(statement_store, DriverStore(db, "here"), clock, kernels, stuck)
        for _ in range(3):
            passes.run_pass()
        assert not is_given_up(db)
        await pressed(LEAST_ATTEMPTS)
        passes.run_pass()

    asyncio.run(supervise())
    assert is_given_up(db)


def test_a_statement_that_is_not_cancelled_may_run_for_ever(
    idle_session: Session, statement_store: StatementStore, stuck: StuckDrivers, kernels: Kernels, db: Any, clock: Any
) -> None:
    statement_store.submit(idle_session.id, "1", "pyspark", clock(), most_unfinished=9, retained=9)

    async def supervise() -> None:
        passes = Runner(statement_store, DriverStore(db, "here"), clock, kernels, stuck)
        passes.run_pass()
        clock.advance(days=9)
        passes.run_pass()

    asyncio.run(supervise())
    assert not is_given_up(db)


def test_a_job_that_does_not_stop_ends_its_driver_later_than_the_driver_lets_go_of_it(
    idle_session: Session, db: Any, stuck: StuckDrivers, kernels: Kernels, clock: Any
) -> None:
    store = JobStore(db, "here")
    job = store.submit(idle_session.id, Kind.PYSPARK, "", clock(), most_unfinished=9, retained=9)
    assert job is not None and PATIENCE < JOB_PATIENCE

    async def supervise() -> None:
        passes = job_runner.JobRunner(store, clock, 9, kernels, stuck)
        passes.run_pass()
        store.cancel(idle_session.id, job.id, clock())
        passes.run_pass()
        await pressed(LEAST_ATTEMPTS)
        clock.advance(seconds=JOB_PATIENCE.total_seconds())
        passes.run_pass()
        assert not is_given_up(db)
        clock.advance(seconds=1)
        passes.run_pass()

    asyncio.run(supervise())
    assert is_given_up(db)


@pytest.mark.parametrize(
    ("replace", "state", "waiting"),
    [(False, SessionState.DEAD, StatementState.AVAILABLE), (True, SessionState.STARTING, StatementState.WAITING)],
)
def test_the_session_ends_or_goes_on_with_a_new_driver_as_the_setting_says(
    replace: bool,
    state: SessionState,
    waiting: StatementState,
    cancelled: Session,
    statement_store: StatementStore,
    driver_store: DriverStore,
    session_store: SessionStore,
    settings: Settings,
    clock: Any,
    make_ready: Callable[[Session], None],
    db: Any,
) -> None:
    claim = claim_of(db, cancelled.id)
    assert claim is not None
    driver = claim.driver
    clock.advance(minutes=1)
    StuckDrivers(driver_store, clock, replace=replace).attend(
        driver, "statement 0", clock() - timedelta(minutes=1), LEAST_ATTEMPTS, PATIENCE
    )
    driver_store.gone(driver.id, None, clock())
    SessionPass(session_store, settings, clock)()
    found = session_store.find(ANONYMOUS, cancelled.id)
    assert found is not None and found.state is state
    assert (found.driver != cancelled.driver) is replace
    ended, behind = statement_store.find(cancelled.id, 0), statement_store.find(cancelled.id, 1)
    assert ended is not None and behind is not None
    assert (ended.state, behind.state) == (StatementState.CANCELLED, waiting)
    assert "did not stop within 30 s" in json.loads(ended.output or "")["evalue"]
    if replace:
        make_ready(found)
        driver_store.gone(found.driver, "killed", clock())
        SessionPass(session_store, settings, clock)()
        again = session_store.find(ANONYMOUS, cancelled.id)
        assert again is not None and again.state is SessionState.DEAD, "only what was stuck is replaced"
