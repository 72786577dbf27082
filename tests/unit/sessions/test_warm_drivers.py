"""Drivers that are started ahead, in the passes: warm once they have run something, and told whose they are."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from gateway.core import logs
from gateway.core.events import Belonging
from gateway.core.identity import ANONYMOUS
from gateway.core.options import SparkOptions
from sessions.drivers import kernels as kernels_module
from sessions.drivers.kernels import Kernels
from sessions.drivers.models import Driver
from sessions.drivers.profiles import Profile
from sessions.drivers.settling import Settling
from sessions.drivers.states import DriverState
from sessions.models import Kind, Session, SessionRequest
from sessions.states import SessionState
from tests.unit.sessions.test_session_passes import HEALTHY, SAY_READY, Supervisor, kill

pytestmark = pytest.mark.usefixtures("no_process_left")

PROFILE = Profile("any", SparkOptions())
WHOSE = Belonging(ANONYMOUS.user, ANONYMOUS.project)

RUNS_SOMETHING_FIRST = (
    "echo starting; " + SAY_READY + 'until [ -e go ]; do sleep 0.01; done; sed \'s/}/, "warm": "yes"}/\' ready.json >'
    " ready.part; mv ready.part ready.json; exec sleep 1000"
)


@pytest.fixture
def supervisor(loop: asyncio.AbstractEventLoop, db, settings, clock) -> Supervisor:
    made = Supervisor(loop, db, settings, clock)
    made.launcher.script = RUNS_SOMETHING_FIRST
    return made


@pytest.fixture
def ahead(supervisor: Supervisor, settings) -> Driver:
    driver = Driver.wanted(settings.data_dir, SparkOptions(), supervisor.clock(), profile=PROFILE.key)
    supervisor.drivers.add(driver, WHOSE)
    return driver


def state(supervisor: Supervisor, driver: Driver) -> DriverState | None:
    found = supervisor.drivers.find(driver.id)
    return None if found is None else found.state


def starts(supervisor: Supervisor, driver: Driver) -> Callable[[], bool]:
    return lambda: state(supervisor, driver) is DriverState.LAUNCHING and (driver.folder / "ready.json").exists()


def warm(supervisor: Supervisor, driver: Driver) -> None:
    supervisor.until(starts(supervisor, driver))
    (driver.folder / "go").touch()
    supervisor.until(lambda: state(supervisor, driver) is DriverState.WARM)


def claim(supervisor: Supervisor, options: SparkOptions = SparkOptions()) -> Session:  # noqa: B008 - it is frozen
    other = Driver.wanted(supervisor.settings.data_dir, options, supervisor.clock())
    request = SessionRequest(Kind.PYSPARK, options)
    return supervisor.sessions.add(ANONYMOUS, request, other, str(uuid4()), supervisor.clock(), 99, PROFILE)


# ---------------------------------------------------------------- the pass over drivers


def test_a_driver_is_warm_once_it_has_run_something_and_its_log_begins_there(
    supervisor: Supervisor, ahead: Driver
) -> None:
    supervisor.until(starts(supervisor, ahead))
    for _ in range(3):
        supervisor.step()
    assert state(supervisor, ahead) is DriverState.LAUNCHING
    warm(supervisor, ahead)
    assert "starting" not in logs.read(ahead.log, 0, 9)
    assert logs.read(ahead.log, 0, 9)[-1] == "spark-gateway: this driver was started ahead of its session"


def test_one_that_is_claimed_while_it_starts_need_not_run_anything_first(supervisor: Supervisor, ahead: Driver) -> None:
    supervisor.until(lambda: state(supervisor, ahead) is DriverState.LAUNCHING)
    session = claim(supervisor)
    assert session.driver == ahead.id
    supervisor.until(lambda: state(supervisor, ahead) is DriverState.WARM)
    assert logs.read(ahead.log, 0, 9) == ["starting"]


def test_those_that_sessions_wait_for_start_first(supervisor: Supervisor, ahead: Driver, add_session) -> None:
    supervisor.launcher.script = HEALTHY
    supervisor.clock.advance(seconds=1)
    sessions = [add_session() for _ in range(2)]
    supervisor.step()
    assert sorted(supervisor.launcher.launched) == sorted(session.driver for session in sessions)


def test_one_that_never_gets_warm_is_given_up_and_keeps_nobody_from_starting(
    supervisor: Supervisor, ahead: Driver, add_session
) -> None:
    supervisor.until(starts(supervisor, ahead))
    supervisor.launcher.script = HEALTHY
    sessions = [add_session() for _ in range(2)]
    supervisor.step()
    assert len(supervisor.launcher.launched) == 3
    supervisor.until(lambda: [supervisor.state(session) for session in sessions] == ["idle", "idle"])
    supervisor.clock.now += supervisor.settings.driver_start_timeout
    supervisor.until(lambda: state(supervisor, ahead) is None, advance=0.1)


def test_the_next_supervisor_takes_it_up(supervisor: Supervisor, ahead: Driver) -> None:
    warm(supervisor, ahead)
    supervisor.again()
    supervisor.step()
    assert claim(supervisor).driver == ahead.id


def test_one_that_dies_is_forgotten(supervisor: Supervisor, ahead: Driver) -> None:
    warm(supervisor, ahead)
    kill(ahead.folder)
    supervisor.until(lambda: state(supervisor, ahead) is None and not ahead.folder.exists())
    assert claim(supervisor).driver != ahead.id


def test_one_that_is_given_up_leaves_nothing(supervisor: Supervisor, ahead: Driver, all_stores) -> None:
    warm(supervisor, ahead)
    assert all_stores.pool.release(ahead.id)
    supervisor.until(lambda: state(supervisor, ahead) is None and not ahead.folder.exists())


# ---------------------------------------------------------------- the claim is told


class Kernel:
    """A driver's end: answers with `refusal`, or fails."""

    def __init__(self, claim: Any) -> None:
        self._driver = claim.driver.id

    told: list[tuple[str, str | None, dict[str, str]]]
    refusal: str | None
    fails: bool

    async def open(self) -> Kernel:
        return self

    def close(self) -> None: ...

    async def claim(self, name: str | None, conf: dict[str, str]) -> str | None:
        self.told.append((self._driver, name, conf))
        if self.fails:
            raise ConnectionError("no answer")
        return self.refusal


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> type[Kernel]:
    Kernel.told, Kernel.refusal, Kernel.fails = [], None, False
    monkeypatch.setattr(kernels_module, "KernelClient", Kernel)
    return Kernel


class Settled:
    """Settling as the supervisor has it; `wakes` counts."""

    def __init__(self, supervisor: Supervisor, all_stores: Any) -> None:
        self.wakes = 0
        kernels = Kernels(supervisor.clock, all_stores.drivers.give_up)
        self.work = Settling(all_stores.pool, all_stores.drivers, supervisor.clock, kernels, self._wake)
        self.run = supervisor.run

    def _wake(self) -> None:
        self.wakes += 1

    def __call__(self) -> None:
        self.run(self.work.run_pass)
        for _ in range(3):
            self.run(lambda: None)


@pytest.fixture
def settle(supervisor: Supervisor, all_stores) -> Settled:
    return Settled(supervisor, all_stores)


OPTIONS = SparkOptions(name="mine", conf={"spark.sql.shuffle.partitions": "3"})


def test_a_claimed_driver_is_told_whose_it_is(
    supervisor: Supervisor, ahead: Driver, kernel: type[Kernel], settle: Settled
) -> None:
    warm(supervisor, ahead)
    settle()
    assert kernel.told == [] and settle.wakes == 0
    claim(supervisor, OPTIONS)
    settle()
    assert kernel.told == [(ahead.id, "mine", {"spark.sql.shuffle.partitions": "3"})]
    assert state(supervisor, ahead) is DriverState.READY and settle.wakes == 1
    settle()
    assert len(kernel.told) == 1


def test_one_that_does_not_answer_is_told_again(
    supervisor: Supervisor, ahead: Driver, kernel: type[Kernel], settle: Settled, all_stores
) -> None:
    warm(supervisor, ahead)
    claim(supervisor, OPTIONS)
    kernel.fails = True
    settle()
    assert state(supervisor, ahead) is DriverState.WARM
    kernel.fails = False
    settle()
    assert len(kernel.told) == 1, "not at once"
    Settled(supervisor, all_stores)()
    assert kernel.told[1:] == kernel.told[:1] and state(supervisor, ahead) is DriverState.READY


def test_one_that_cannot_be_what_was_asked_for_is_replaced(
    supervisor: Supervisor, ahead: Driver, kernel: type[Kernel], settle: Settled
) -> None:
    warm(supervisor, ahead)
    session = claim(supervisor, OPTIONS)
    kernel.refusal = "spark.sql.shuffle.partitions should be a number"
    settle()
    supervisor.launcher.script = HEALTHY

    def current() -> Session:
        found = supervisor.sessions.find(ANONYMOUS, session.id)
        assert found is not None
        return found

    supervisor.until(lambda: current().driver != ahead.id and current().state is SessionState.IDLE)
    found = current()
    driver = supervisor.drivers.find(found.driver)
    assert driver is not None and dataclasses.asdict(driver.options) == dataclasses.asdict(OPTIONS)
    assert any("should be a number" in line for line in logs.read(found.log, 0, 99))


def test_a_session_that_is_deleted_before_its_driver_knows_leaves_nothing(
    supervisor: Supervisor, ahead: Driver, kernel: type[Kernel], settle: Settled
) -> None:
    warm(supervisor, ahead)
    session = claim(supervisor, OPTIONS)
    supervisor.sessions.remove(session.id, "", supervisor.clock())
    settle()
    assert kernel.told == []
    supervisor.until(lambda: state(supervisor, ahead) is None and not ahead.folder.exists())
