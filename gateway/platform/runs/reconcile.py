"""The pass that gives each batch that begins a run, reads what it writes, and says how it ended.

Hears of batches from the outbox, so they know nothing of it. Files are read by a thread, bounded, and those of a run
that writes nothing ever less often; what was read is stored in one transaction, so a kill at any moment costs a look.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from batches.models import NOT_STARTED, Batch, BatchKind
from batches.service import BatchService
from batches.states import BatchState
from gateway.core.clock import Clock
from gateway.core.errors import NotFound, Unavailable
from gateway.core.identity import ANONYMOUS
from gateway.platform.runs import failures, reading
from gateway.platform.runs.models import Run
from gateway.platform.runs.reading import Reading
from gateway.platform.runs.states import RunState
from gateway.platform.runs.store import RunStore

log = logging.getLogger(__name__)

_SOON = timedelta(seconds=0.5)  # until the next look at a run that has just written
_LATER = timedelta(seconds=10)  # the longest pause

_ENDS = {BatchState.SUCCESS: RunState.SUCCEEDED, BatchState.DEAD: RunState.FAILED}


class RunPass:
    def __init__(self, store: RunStore, batches: BatchService, clock: Clock, event_log_limit: int) -> None:
        self._store, self._batches, self._clock = store, batches, clock
        self._event_log_limit = event_log_limit
        self._turns: dict[int, tuple[datetime, timedelta]] = {}  # run: its next look, and the pause until then
        self._failed: set[int] = set()  # runs of which was logged that a look at them has failed
        store.begin()

    async def __call__(self) -> None:
        for batch in self._store.follow():
            self._turns.pop(batch, None)
        running = self._store.running()
        self._turns = {run.batch: self._turns[run.batch] for run in running if run.batch in self._turns}
        self._failed &= {run.batch for run in running}
        for run in running:
            now = self._clock()
            due, pause = self._turns.get(run.batch, (now, timedelta(0)))
            if now >= due or due - now > _LATER:  # a clock that was set back must not stay it
                pause = _SOON if await self._look_or_log(run) else min(max(2 * pause, _SOON), _LATER)
                self._turns[run.batch] = (self._clock() + pause, pause)

    async def _look_or_log(self, run: Run) -> bool:
        """As `_look`, whatever is wrong with this run: the others go on."""
        try:
            return await self._look(run)
        except Unavailable:
            raise  # so are all
        except Exception:
            if run.batch not in self._failed:
                log.exception("a run cannot be looked at", extra={"batch": run.batch, "action": "run"})
            self._failed.add(run.batch)
            return False

    async def _look(self, run: Run) -> bool:
        """Whether there was anything new."""
        try:  # before its files are read: those of a batch that has ended are whole
            batch = self._batches.find(ANONYMOUS, str(run.batch))
        except NotFound:
            return False  # it is being deleted
        # a program of somebody else's may write a file of this name for itself
        report = batch.report if batch.request.kind is BatchKind.PYTHON else None
        found = await asyncio.to_thread(reading.look, run.reading, batch.spark_events, report, batch.log)
        if found == run.reading:
            return self._end(run, batch)
        if self._store.advance(run, found, max(run.progress, found.percent)):
            await asyncio.to_thread(reading.forget_read, batch.spark_events, found.events, self._event_log_limit)
        return True

    def _end(self, run: Run, batch: Batch) -> bool:
        """Of a run of which all is read, if its batch has ended; whether it has."""
        state = _ENDS.get(batch.state)
        if state is None:
            return False
        error = failures.explain(_ended(run.reading, batch)) if state is RunState.FAILED else None
        if self._store.end(batch.id, state, error, self._clock()):
            log.info("%s", error.code if error else state.value, extra={"batch": batch.id, "action": "run"})
        return True


def _ended(found: Reading, batch: Batch) -> failures.Ended:
    reason = batch.reason or "the batch ended otherwise than well"
    application = found.tally.application or batch.app_id
    started = not reason.startswith(NOT_STARTED)
    return failures.Ended(batch.exit_code, reason, started, batch.request.file, application, found)
