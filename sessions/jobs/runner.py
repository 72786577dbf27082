"""Has jobs and additions carried out: hands each to the driver's kernel, stores what comes back.

One task per running job, and one per session that something is added to. A task lost with its process is simply
begun again: the kernel answers a repeated request for a job with the one end it has, and an addition may be repeated.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import count
from typing import Any

from gateway.core.clock import Clock
from sessions.drivers.claims import Claim
from sessions.drivers.kernels import Kernels
from sessions.drivers.stuck import JOB_PATIENCE, StuckDrivers
from sessions.jobs.models import Addition, SessionJob
from sessions.jobs.states import JobState
from sessions.jobs.store import JobStore

_CANCEL_EVERY = 0.3  # seconds

Key = tuple[str, int, int]  # what, session, number


class JobRunner:
    """`most_running` is the number of jobs of one session that run at the same time."""

    def __init__(self, store: JobStore, clock: Clock, most_running: int, kernels: Kernels, stuck: StuckDrivers) -> None:
        self._store, self._clock, self._most_running = store, clock, most_running
        self._kernels, self._stuck = kernels, stuck
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._attempts: dict[Key, int] = {}

    def run_pass(self) -> None:
        """Begin what is not begun, pass on cancels, drop what was ended otherwise."""
        if self._store.is_quiet() and not self._tasks:
            return
        self._store.claim(self._clock(), self._most_running)
        wanted: set[Key] = set()
        for addition, claim in self._store.next_additions():
            wanted.add(self._begin(("add", addition.session, addition.id), self._add, addition, claim))
        for job, claim in self._store.running():
            wanted.add(self._begin(("run", job.session, job.id), self._run, job, claim))
            if job.state is JobState.CANCELLING:
                key = self._begin(("cancel", job.session, job.id), self._cancel, job, claim)
                self._stuck.attend(
                    claim.driver, f"job {job.id}", job.cancelled, self._attempts.get(key, 0), JOB_PATIENCE
                )
                wanted.add(key)
        for key in self._tasks.keys() - wanted:
            self._tasks[key].cancel()

    def _begin(self, key: Key, work: Any, record: Any, claim: Claim) -> Key:
        if key not in self._tasks and self._kernels.may_open(claim.driver):
            task = self._tasks[key] = asyncio.create_task(work(record, claim))
            task.add_done_callback(lambda done: self._end(key, done))
        return key

    def _end(self, key: Key, task: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        self._attempts.pop(key, None)
        if not task.cancelled():
            task.exception()  # it has been logged, and the work is begun again

    async def _run(self, job: SessionJob, claim: Claim) -> None:
        async with self._kernels.open(claim) as kernel:
            reply = await kernel.run_job(job.id, job.type.value, self._store.payload(job.session, job.id))
            self._store.finish(job, reply.result, reply.error, reply.started, reply.ended)
            self._next(("run", job.session, job.id))
            with suppress(asyncio.TimeoutError):  # the driver is going; what it keeps goes with it
                await kernel.forget_job(job.id)

    async def _cancel(self, job: SessionJob, claim: Claim) -> None:
        async with self._kernels.open(claim) as kernel:
            for self._attempts["cancel", job.session, job.id] in count(1):
                with suppress(asyncio.TimeoutError):
                    await kernel.cancel_job(job.id)
                await asyncio.sleep(_CANCEL_EVERY)

    async def _add(self, addition: Addition, claim: Claim) -> None:
        async with self._kernels.open(claim) as kernel:
            error = await kernel.add(addition.kind, addition.path)
            self._store.settle(addition, error, self._clock())
            self._next(("add", addition.session, addition.id))

    def _next(self, done: Key) -> None:
        """What waited for this need not wait for this task's farewell."""
        self._tasks.pop(done, None)
        self.run_pass()
