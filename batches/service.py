"""What one may do with batches. Decides the rules; knows no protocol and no SQL."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator

from batches.models import Batch, BatchKind, BatchRequest
from batches.states import BatchState
from batches.store import BatchStore
from gateway.core import checks, clusters, names, packages, pythons
from gateway.core.clock import Clock
from gateway.core.errors import NotFound, refuse
from gateway.core.faults import Code, Fault
from gateway.core.identity import Principal
from gateway.core.settings import ClusterSettings, Settings
from gateway.core.waiting import Waiting

_DELETE_PATIENCE = 8.0  # seconds that a delete waits for the batch's processes to end


class BatchService:
    def __init__(self, store: BatchStore, settings: Settings, clock: Clock, waiting: Waiting) -> None:
        self._store, self._settings, self._clock, self._waiting = store, settings, clock, waiting

    def submit(self, principal: Principal, request: BatchRequest) -> Batch:
        """Queue a batch. Raises InvalidRequest and its kinds; then nothing is left behind."""
        refuse(self._faults(request))
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

    def delete(self, principal: Principal, ref: str) -> None:
        """Kill the batch if it runs and forget it. Returns when its processes have ended, or nobody can wait for it."""
        batch = self.find(principal, ref)
        self._store.delete(batch.id)
        gone = ("batch", str(batch.id))
        self._waiting.hold("batch", gone, lambda: not self._store.exists(batch.id), _DELETE_PATIENCE)

    # ------------------------------------------------------------ rules

    def _faults(self, request: BatchRequest) -> Iterator[Fault]:
        if not request.file:
            yield Fault("file", Code.MISSING, "file is missing", "give the application, a jar or a Python file")
        yield from names.faults("batch", request.options.name)
        yield from _word_faults(request) if request.kind is BatchKind.PYTHON else self._spark_faults(request)

    def _spark_faults(self, request: BatchRequest) -> Iterator[Fault]:
        unknown = list(clusters.faults(request.options.conf, self._settings))
        yield from unknown
        yield from packages.faults(request.options.conf)
        if not unknown:
            yield from self._faults_on(clusters.chosen(request.options.conf, self._settings), request)

    def _faults_on(self, here: ClusterSettings, request: BatchRequest) -> Iterator[Fault]:
        yield from checks.faults(request.options, self._settings, here, request.file or None)
        yield from _word_faults(request)
        if here.deploy_mode == "client":
            yield from pythons.faults(request.options, here)


def _word_faults(request: BatchRequest) -> Iterator[Fault]:
    yield from checks.words_faults("args", request.args)
    yield from checks.word_faults("className", request.class_name or "")
