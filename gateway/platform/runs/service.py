"""What one may ask of runs. Knows no protocol and no SQL."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.identity import Principal
from gateway.platform.runs.models import Run
from gateway.platform.runs.store import RunStore


class RunService:
    def __init__(self, store: RunStore) -> None:
        self._store = store

    def of(self, principal: Principal, batches: Sequence[int]) -> dict[int, Run]:
        """The runs of these batches by the batch's id, without those whose run has not begun.

        Nor does a batch have one that was started by a version which kept no runs.
        """
        return {run.batch: run for run in self._store.find(principal, batches)}
