"""What the runner stores of a driver's answer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sessions import runner
from sessions.driver_store import DriverStore
from sessions.kernel_client import Reply
from sessions.models import Session
from sessions.runner import Runner
from sessions.statement_store import StatementStore
from sessions.store import SessionStore
from sessions.stuck import StuckDrivers

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
        def __init__(self, connection_file: Path) -> None: ...

        async def __aenter__(self) -> Kernel:
            return self

        async def __aexit__(self, *error: object) -> None: ...

        async def execute(self, statement: object) -> Reply:
            return Reply(OUTPUT, clock(), clock(), application)

        async def forget(self, statement: int) -> None:
            forgotten.set()

    monkeypatch.setattr(runner, "KernelClient", Kernel)
    statement_store.submit(idle_session.id, "spark.stop()", "pyspark", clock(), most_unfinished=9, retained=9)
    forgotten = asyncio.Event()

    async def supervise() -> None:
        Runner(statement_store, driver_store, clock, StuckDrivers(driver_store, clock, replace=False)).run_pass()
        await asyncio.wait_for(forgotten.wait(), 10)

    asyncio.run(supervise())
    found = session_store.find(idle_session.id)
    assert found is not None
    assert (found.app_id, found.ui_url) == (application or ("local-1", "http://127.0.0.1:4040"))
