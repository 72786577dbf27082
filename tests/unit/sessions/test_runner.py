"""What the runner stores of a driver's answer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.core.identity import ANONYMOUS
from sessions.drivers import kernels
from sessions.drivers.kernel_client import OutputFile, Reply
from sessions.drivers.store import DriverStore
from sessions.drivers.stuck import StuckDrivers
from sessions.models import Session
from sessions.statements import large
from sessions.statements.runner import Runner
from sessions.statements.states import StatementState
from sessions.statements.store import StatementStore
from sessions.store import SessionStore

OUTPUT = '{"status": "ok", "execution_count": 0, "data": {}}'


@pytest.mark.parametrize("application", [None, ("local-2", "http://127.0.0.1:4041"), ("local-2", None)])
def test_a_session_shows_the_application_that_its_code_has_started(
    application: tuple[str, str | None] | None,
    idle_session: Session,
    statement_store: StatementStore,
    driver_store: DriverStore,
    session_store: SessionStore,
    clock: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Kernel:
        def __init__(self, claim: object) -> None: ...

        async def open(self) -> Kernel:
            return self

        def close(self) -> None: ...

        async def execute(self, statement: int, code: str, language: str) -> Reply:
            return Reply(OUTPUT, clock(), clock(), application)

        async def forget(self, statement: int) -> None:
            forgotten.set()

    monkeypatch.setattr(kernels, "KernelClient", Kernel)
    statement_store.submit(idle_session.id, "spark.stop()", "pyspark", clock(), most_unfinished=9, retained=9)
    forgotten = asyncio.Event()

    async def supervise() -> None:
        stuck = StuckDrivers(driver_store, clock, replace=False)
        Runner(statement_store, driver_store, clock, kernels.Kernels(clock, driver_store.give_up), stuck).run_pass()
        await asyncio.wait_for(forgotten.wait(), 10)

    asyncio.run(supervise())
    found = session_store.find(ANONYMOUS, idle_session.id)
    assert found is not None
    assert (found.app_id, found.ui_url) == (application or ("local-1", "http://127.0.0.1:4040"))


def test_a_large_output_is_stored_as_a_whole_before_its_statement_is_available(
    idle_session: Session, statement_store: StatementStore, driver_store: DriverStore, tmp_path: Path, clock: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    file = tmp_path / "0-0.json"
    asked: list[int] = []

    class Kernel:
        def __init__(self, claim: object) -> None: ...

        async def open(self) -> Kernel:
            return self

        def close(self) -> None: ...

        async def execute(self, statement: int, code: str, language: str) -> Reply:
            asked.append(statement)
            return Reply(OutputFile(file, len(OUTPUT)), clock(), clock())

        async def forget(self, statement: int) -> None:
            file.unlink()
            forgotten.set()

    monkeypatch.setattr(kernels, "KernelClient", Kernel)
    monkeypatch.setattr(large, "PIECE", 10)
    statement_store.submit(idle_session.id, "1", "pyspark", clock(), most_unfinished=9, retained=9)
    forgotten = asyncio.Event()

    async def supervise() -> None:
        """Once while there is no file, which is as if a supervisor were killed; then with it."""
        stuck = StuckDrivers(driver_store, clock, replace=False)
        runner = Runner(statement_store, driver_store, clock, kernels.Kernels(clock, driver_store.give_up), stuck)
        runner.run_pass()
        await asyncio.gather(*runner._tasks.values(), return_exceptions=True)
        found = statement_store.find(idle_session.id, 0)
        assert found is not None and found.state is StatementState.RUNNING
        file.write_text(OUTPUT)
        clock.advance(seconds=5)
        runner.run_pass()
        await asyncio.wait_for(forgotten.wait(), 10)

    asyncio.run(supervise())
    found = statement_store.find(idle_session.id, 0)
    assert found is not None and (found.state, found.output) == (StatementState.AVAILABLE, None)
    assert "".join(large.output_of(statement_store, found).pieces()) == OUTPUT
    assert asked == [0, 0] and not file.exists()
