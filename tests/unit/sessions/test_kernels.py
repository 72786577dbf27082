"""Drivers whose kernel cannot be reached: tried ever less often, told of once, given up in the end."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.core.errors import Unavailable
from sessions.drivers import kernels as kernels_module
from sessions.drivers.claims import Claim
from sessions.drivers.kernel_client import KernelClient, Unreachable
from sessions.drivers.kernels import Kernels
from sessions.drivers.states import DriverState
from sessions.drivers.store import DriverStore
from sessions.drivers.stuck import StuckDrivers
from sessions.jobs.runner import JobRunner
from sessions.models import Kind, Session
from sessions.statements.runner import Runner
from sessions.statements.states import StatementState


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Something that lets be connected to it and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def connection(**changes: object) -> str:
    ports = {f"{name}_port": 1 for name in ("shell", "iopub", "stdin", "hb", "control")}
    fixed = {"transport": "tcp", "ip": "127.0.0.1", "key": "k", "signature_scheme": "hmac-sha256"}
    return json.dumps({**ports, **fixed, **changes})


BROKEN = {
    "no file": None,
    "half a file": "{",
    "a file of something else": "[]",
    "an empty file": "{}",
    "removed sockets": connection(transport="ipc", ip="/no/such/kernel"),
    "nobody listens": connection(),
    "an address that is none": connection(ip="a..b"),
    "a port that is none": connection(shell_port=70000),
}


@pytest.fixture
def claim(idle_session: Session, driver_store: DriverStore) -> Claim:
    (driver,) = driver_store.find_all([idle_session.driver])
    driver.folder.mkdir(parents=True)
    return Claim(driver, 0)


@pytest.fixture
def kernels(driver_store: DriverStore, clock) -> Kernels:
    return Kernels(clock, driver_store.give_up)


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An entry for each time that a kernel was tried to be reached."""
    made: list[int] = []
    enter = KernelClient.open

    async def counted(client: KernelClient) -> KernelClient:
        made.append(1)
        return await enter(client)

    monkeypatch.setattr(KernelClient, "open", counted)
    return made


@pytest.fixture
def pass_on(loop: asyncio.AbstractEventLoop) -> Callable[[Callable[[], None]], None]:
    """Run a pass, and all that it begins to its end."""

    def run(one_pass: Callable[[], None]) -> None:
        async def inside() -> None:
            one_pass()
            begun = asyncio.all_tasks() - {asyncio.current_task()}
            if begun:
                await asyncio.wait(begun, timeout=10)
            await asyncio.sleep(0)

        loop.run_until_complete(inside())

    return run


def break_it(claim: Claim, text: str | None) -> None:
    if text is None:
        claim.driver.connection_file.unlink(missing_ok=True)
    else:
        claim.driver.connection_file.write_text(text)


@pytest.fixture
def stuck(all_stores, clock) -> StuckDrivers:
    return StuckDrivers(all_stores.drivers, clock, replace=False)


def told(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("what", ["statement", "job", "addition"])
def test_a_kernel_that_stays_out_of_reach_is_told_once_and_given_up_after_a_minute(
    what: str, fault: str, claim, kernels, stuck, tries, pass_on, all_stores, idle_session, clock, caplog
) -> None:
    break_it(claim, BROKEN[fault])
    if what == "statement":
        all_stores.statements.submit(idle_session.id, "1", "sql", clock(), most_unfinished=9, retained=9)
        run_pass = Runner(all_stores.statements, all_stores.drivers, clock, kernels, stuck).run_pass
    else:
        run_pass = JobRunner(all_stores.jobs, clock, 4, kernels, stuck).run_pass
        if what == "job":
            all_stores.jobs.submit(idle_session.id, Kind.PYSPARK, "cGF5", clock(), most_unfinished=9, retained=9)
        else:
            all_stores.jobs.add(idle_session.id, "jar", "/a.jar", clock(), most_waiting=9, retained=9)
    for _ in range(50):
        pass_on(run_pass)
    assert len(tries) == 1
    for second in range(1, 60):
        clock.advance(seconds=1)
        pass_on(run_pass)
        assert all_stores.drivers.moving() == [], f"not yet after {second} s"
    assert len(tries) == 7, "at once, and after 1, 3, 7, 15, 31 and 47 seconds"
    clock.advance(seconds=4)
    pass_on(run_pass)
    (driver,) = all_stores.drivers.moving()
    assert driver.target is DriverState.GONE
    assert driver.reason is not None and driver.reason.startswith("the driver's kernel could not be reached for 60 s: ")
    (record,) = told(caplog)
    assert record.exc_info is None and "trouble with the kernel" in record.getMessage()


def test_a_cancel_of_what_cannot_be_begun_waits(
    claim, kernels, stuck, pass_on, all_stores, idle_session, clock, tries
) -> None:
    all_stores.statements.submit(idle_session.id, "1", "sql", clock(), most_unfinished=9, retained=9)
    runner = Runner(all_stores.statements, all_stores.drivers, clock, kernels, stuck)
    pass_on(runner.run_pass)
    all_stores.statements.cancel(idle_session.id, 0, clock())
    pass_on(runner.run_pass)
    assert all_stores.statements.find(idle_session.id, 0).state is StatementState.CANCELLING and len(tries) == 1


def opens(kernels: Kernels, claim: Claim) -> None:
    async def inside() -> None:
        async with kernels.open(claim):
            pass
        kernels.close()

    asyncio.run(inside())


def test_a_kernel_that_is_reached_again_has_a_minute_again(
    claim, kernels, driver_store, clock, listener, caplog
) -> None:
    for _ in range(2):
        with pytest.raises(Unreachable):
            opens(kernels, claim)
        clock.advance(seconds=40)
    port = listener.getsockname()[1]
    break_it(claim, connection(shell_port=port, control_port=port))
    opens(kernels, claim)
    assert kernels.may_open(claim.driver)
    break_it(claim, None)
    for _ in range(2):
        with pytest.raises(Unreachable):
            opens(kernels, claim)
        clock.advance(seconds=40)
    assert driver_store.moving() == []
    assert len(told(caplog)) == 2


def fails(kernels: Kernels, claim: Claim, error: Exception) -> None:
    async def inside() -> None:
        async with kernels.open(claim):
            raise error

    with pytest.raises(type(error)):
        asyncio.run(inside())


@pytest.fixture
def reachable(claim: Claim, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    break_it(claim, connection(shell_port=port, control_port=port))


def test_a_kernel_of_no_use_is_told_once_and_given_up_after_a_minute(
    claim, kernels, driver_store, clock, reachable, caplog
) -> None:
    """Its answers are no answers, say; else what runs there would run for good, cancelled or not."""
    for second in range(64):
        assert driver_store.moving() == [], f"not yet after {second} s"
        if kernels.may_open(claim.driver):
            fails(kernels, claim, KeyError("output"))
        clock.advance(seconds=1)
    (driver,) = driver_store.moving()
    assert driver.reason == "the driver's kernel could not be used for 60 s: KeyError('output')"
    (record,) = told(caplog)
    assert record.exc_info is not None


def test_a_store_that_is_away_slows_down_and_ends_nobody(
    claim, kernels, driver_store, clock, reachable, caplog
) -> None:
    for _ in range(100):
        if kernels.may_open(claim.driver):
            fails(kernels, claim, Unavailable("the store is full"))
        clock.advance(seconds=1)
    assert driver_store.moving() == []
    assert len(told(caplog)) == 1


def test_a_way_stays_open_for_the_next_one_and_is_for_one_at_a_time(claim, kernels, reachable, tries) -> None:
    async def inside() -> None:
        for _ in range(3):
            async with kernels.open(claim) as first:
                pass
        assert len(tries) == 1
        async with kernels.open(claim) as again, kernels.open(claim) as other:
            assert again is first and other is not first
        assert len(tries) == 2
        async with kernels.open(claim):
            assert len(tries) == 2
        kernels.close()

    asyncio.run(inside())


def test_a_way_that_nobody_uses_is_closed(claim, kernels, reachable, tries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels_module, "LINGER", 0.0)

    async def inside() -> None:
        async with kernels.open(claim):
            pass
        await asyncio.sleep(0.01)
        async with kernels.open(claim):
            assert len(tries) == 2
        kernels.close()

    asyncio.run(inside())


@pytest.mark.parametrize("error", [KeyError("output"), asyncio.CancelledError()])
def test_a_way_that_an_answer_may_still_come_by_is_not_used_again(
    error: BaseException, claim, kernels, reachable, tries
) -> None:
    async def inside() -> None:
        with contextlib.suppress(KeyError, asyncio.CancelledError):
            async with kernels.open(claim):
                raise error
        async with kernels.open(claim):
            assert len(tries) == 2
        kernels.close()

    asyncio.run(inside())


def test_failures_with_work_between_them_end_nobody(claim, kernels, driver_store, clock, reachable) -> None:
    for _ in range(9):
        fails(kernels, claim, KeyError("output"))
        clock.advance(seconds=40)
        opens(kernels, claim)
    for _ in range(9):
        fails(kernels, claim, KeyError("output"))
        clock.advance(seconds=61)  # long enough for something else that runs on
    assert driver_store.moving() == []


def test_trouble_of_long_ago_is_forgotten(claim, kernels, clock) -> None:
    other = Claim(dataclasses.replace(claim.driver, id="other"), 0)
    for one in (claim, other):
        with pytest.raises(Unreachable):
            opens(kernels, one)
        clock.advance(minutes=2)
    assert list(kernels._troubles) == ["other"]


def test_a_clock_that_is_set_back_stops_no_trying(claim, kernels, clock) -> None:
    with pytest.raises(Unreachable):
        opens(kernels, claim)
    assert not kernels.may_open(claim.driver)
    clock.advance(hours=-5)
    assert kernels.may_open(claim.driver)


def test_a_socket_file_without_a_listener_is_no_way(claim, kernels, tmp_path: Path, monkeypatch) -> None:
    """The kernel was killed: its sockets stay in the folder."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind("kernel-1")
    break_it(claim, connection(transport="ipc", ip="kernel"))
    with pytest.raises(Unreachable, match="nobody listens"):
        opens(kernels, claim)
