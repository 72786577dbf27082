"""What one may ask of runs. Knows no protocol and no SQL."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.identity import Principal
from gateway.platform.runs.models import Run
from gateway.platform.runs.store import RunStore


class RunService:
    def __init__(self, store: RunStore) -> None:
        self._store = store

    def find(self, principal: Principal, batch: int) -> Run | None:
        """The run of a batch; None: it has not begun, or was submitted to a version that kept no runs."""
        return self._store.find(principal, batch)

    def of(self, principal: Principal, batches: Sequence[int]) -> dict[int, Run]:
        """Those that there are of these batches, by the batch's id."""
        if not batches:
            return {}
        return {run.batch: run for run in self._store.between(principal, min(batches), max(batches))}
