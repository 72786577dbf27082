"""The pass that gives each batch that begins a run, reads what it writes, and says how it ended.

Hears of batches from the outbox, so they know nothing of it. Files are read by a thread, bounded, and those of a run
that writes nothing ever less often; what was read is stored in one transaction, so a kill at any moment costs a look.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from datetime import datetime, timedelta

from batches.models import NOT_STARTED, Batch
from batches.service import BatchService
from batches.states import BatchState
from gateway.core.clock import Clock
from gateway.core.errors import NotFound
from gateway.core.identity import ANONYMOUS
from gateway.platform.runs import failures, reading
from gateway.platform.runs.models import Run
from gateway.platform.runs.reading import Reading
from gateway.platform.runs.states import RunState
from gateway.platform.runs.store import RunStore

log = logging.getLogger(__name__)

_SOON = timedelta(seconds=0.5)  # until the next look at a run that has just written
_LATER = timedelta(seconds=10)  # the longest pause
_TELL_EVERY = timedelta(seconds=1)
_UNSTORED_EVENTS = 500  # of other records, after which the cursor is stored although they are none of ours

_ENDS = {
    BatchState.SUCCESS: RunState.SUCCEEDED,
    BatchState.DEAD: RunState.FAILED,
    BatchState.KILLED: RunState.TERMINATED,
}


class RunPass:
    def __init__(self, store: RunStore, batches: BatchService, clock: Clock) -> None:
        self._store, self._batches, self._clock = store, batches, clock
        self._cursor = store.cursor()
        self._unstored = 0
        self._next: dict[
            int, tuple[datetime, timedelta]
        ] = {}  # run: when it is looked at again, and the pause till then

    async def __call__(self) -> None:
        self._follow()
        running = self._store.running()
        self._next = {run.batch: self._next[run.batch] for run in running if run.batch in self._next}
        for run in running:
            due, pause = self._next.get(run.batch, (self._clock(), timedelta(0)))
            now = self._clock()
            if now >= due or due - now > _LATER:  # a clock that was set back must not stay it
                pause = _SOON if await self._look(run) else min(max(2 * pause, _SOON), _LATER)
                self._next[run.batch] = (self._clock() + pause, pause)

    def _follow(self) -> None:
        happened = self._store.happened(self._cursor)
        if not happened:
            return
        self._cursor, self._unstored = happened[-1].id, self._unstored + len(happened)
        ours = [event for event in happened if event.subject == "batch"]
        if ours or self._unstored >= _UNSTORED_EVENTS:
            self._store.follow(happened)
            self._unstored = 0
        for event in ours:
            self._next.pop(int(event.subject_id), None)

    async def _look(self, run: Run) -> bool:
        """Whether there was anything new."""
        try:
            batch = self._batches.find(
                ANONYMOUS, str(run.batch)
            )  # before its files: of one that has ended, they are whole
        except NotFound:
            return False
        found = await asyncio.to_thread(reading.look, run.reading, batch.events, batch.report, batch.log)
        if found == run.reading and batch.state in _ENDS:
            self._end(run, batch)
            return True
        return self._advance(run, found)

    def _advance(self, run: Run, found: Reading) -> bool:
        now, progress = self._clock(), max(run.progress, found.percent)
        said = json.dumps({"percent": progress, "jobs": dataclasses.asdict(found.tally.jobs)})
        rested = run.told_at is None or abs(now - run.told_at) >= _TELL_EVERY
        told = said if said != run.told and rested else None
        if found == run.reading and told is None:
            return False
        return self._store.advance(run, found, progress, now, told)

    def _end(self, run: Run, batch: Batch) -> None:
        state, error = _ENDS[batch.state], None
        if state is RunState.FAILED:
            reason = batch.reason or "the batch ended otherwise than well"
            started = not reason.startswith(NOT_STARTED)
            error = failures.explain(failures.Ended(batch.exit_code, reason, started, run.reading))
        if self._store.end(batch.id, state, error, self._clock()):
            log.info("%s", error.code if error else state.value, extra={"batch": batch.id, "action": "run"})
