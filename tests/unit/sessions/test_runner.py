"""What the runner stores of a driver's answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.core.identity import ANONYMOUS
from sessions.drivers import kernels
from sessions.drivers.kernel_client import Reply
from sessions.drivers.store import DriverStore
from sessions.drivers.stuck import StuckDrivers
from sessions.models import Session
from sessions.statements.runner import Runner
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
