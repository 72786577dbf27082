"""The supervisor's rounds: what goes wrong in one step keeps no other from being made."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from batches.states import BatchState
from batches.store import BatchStore
from gateway.core.identity import ANONYMOUS
from gateway.core.settings import Settings
from gateway.core.store.database import Database
from gateway.supervisor import Supervisor


@pytest.mark.parametrize("step", ["_sessions.expire", "_declared", "_uploads"])
def test_a_step_of_the_expiry_that_fails_keeps_no_other_from_being_made(
    step: str,
    settings: Settings,
    db: Database,
    add_batch,
    batch_store: BatchStore,
    clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = add_batch()
    batch_store.start(batch.id, batch.folder, clock() - timedelta(days=900))
    batch_store.end(batch.id, BatchState.SUCCESS, 0, None, clock() - timedelta(days=900))

    async def expire() -> None:
        supervisor = Supervisor(settings, db)
        *owner, verb = step.split(".")
        monkeypatch.setattr(getattr(supervisor, owner[0]) if owner else supervisor, verb, fail)
        supervisor._expire()

    def fail() -> None:
        raise KeyError("a defect")

    asyncio.run(expire())
    assert batch_store.find(ANONYMOUS, batch.id) is None
