"""What one may do with batches. Decides the rules; knows no protocol and no SQL."""

from __future__ import annotations

import dataclasses
import time
import uuid

from batches.models import Batch, BatchRequest
from batches.states import BatchState
from batches.store import BatchStore
from gateway.core import checks, clusters, logs, names, packages, pythons
from gateway.core.clock import Clock
from gateway.core.errors import InvalidRequest, NotFound
from gateway.core.identity import Principal
from gateway.core.settings import Settings

_DELETE_PATIENCE = 8.0  # seconds that a delete waits for the batch's processes to end


class BatchService:
    def __init__(self, store: BatchStore, settings: Settings, clock: Clock) -> None:
        self._store, self._settings, self._clock = store, settings, clock

    def submit(self, principal: Principal, request: BatchRequest) -> Batch:
        """Queue a batch. Raises InvalidRequest and its kinds; then nothing is left behind."""
        if not request.file:
            raise InvalidRequest("requirement failed: File is required.")
        names.check("session", request.options.name)
        here = clusters.chosen(request.options.conf, self._settings)
        packages.check(request.options.conf)
        checks.check(request.options, self._settings, here, request.file)
        if here.deploy_mode == "client":
            pythons.check(request.options, here)
        options = clusters.record(request.options, self._settings)
        if not self._settings.impersonation:
            options = dataclasses.replace(options, proxy_user=None)
        name = uuid.uuid4()
        return self._store.add(
            principal,
            dataclasses.replace(request, options=options),
            self._settings.data_dir / "batches" / name.hex,
            str(name),
            self._clock(),
            self._settings.max_batches_waiting,
        )

    def find(self, principal: Principal, ref: str) -> Batch:
        """By id (digits) or name. Raises NotFound."""
        batch = self._store.find(principal, names.as_reference(ref))
        if batch is None:
            raise NotFound("batch", ref)
        return batch

    def reference(self, principal: Principal, uuid: str) -> str:
        """What the other verbs take for the batch with this UUID. Raises NotFound."""
        number = self._store.number_of(principal, uuid)
        if number is None:
            raise NotFound("batch", uuid)
        return str(number)

    def page(self, principal: Principal, start: int, size: int) -> tuple[int, list[Batch]]:
        return self._store.page(principal, start, size)

    def counts(self, principal: Principal) -> dict[BatchState, int]:
        """How many there are in each state that one is in."""
        return self._store.counts(principal)

    def search(
        self, principal: Principal, states: list[BatchState] | None, text: str, start: int, size: int
    ) -> tuple[int, list[Batch]]:
        """Newest first, and of those in these states whose UUID or request holds `text`, whatever its case."""
        return self._store.search(principal, list(BatchState) if states is None else states, text, start, size)

    def log(self, principal: Principal, ref: str, start: int, size: int) -> tuple[Batch, logs.Page]:
        """A page of the log; `start` below 0: the last `size` lines; `size` below 0: all of them."""
        batch = self.find(principal, ref)
        return batch, logs.page(batch.log, start, size)

    def delete(self, principal: Principal, ref: str) -> None:
        """Kill the batch if it runs and forget it. Returns when its processes have ended."""
        batch = self.find(principal, ref)
        self._store.delete(batch.id)
        end = time.monotonic() + _DELETE_PATIENCE
        while self._store.exists(batch.id) and time.monotonic() < end:
            time.sleep(0.010)
