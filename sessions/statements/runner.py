"""Runs statements: claims the next of each session, hands it to the driver's kernel, stores what comes back.

One task per running statement, none per session. A task lost with its process is simply begun again: the
kernel answers a repeated request with the one result it has.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field

from gateway.core import metrics
from gateway.core.clock import Clock
from sessions.drivers.claims import Claim
from sessions.drivers.kernel_client import KernelClient, Reply
from sessions.drivers.kernels import Kernels
from sessions.drivers.store import DriverStore
from sessions.drivers.stuck import PATIENCE, StuckDrivers
from sessions.statements.large import take
from sessions.statements.models import Statement
from sessions.statements.states import StatementState
from sessions.statements.store import StatementStore

log = logging.getLogger(__name__)

_PROGRESS_EVERY = 0.5  # seconds
_CANCEL_EVERY = 0.3


@dataclass
class _Cancel:
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    attempts: int = 0


class Runner:
    def __init__(
        self, store: StatementStore, drivers: DriverStore, clock: Clock, kernels: Kernels, stuck: StuckDrivers
    ) -> None:
        self._store, self._drivers, self._clock = store, drivers, clock
        self._kernels, self._stuck = kernels, stuck
        self._tasks: dict[tuple[int, int], asyncio.Task[None]] = {}
        self._cancels: dict[tuple[int, int], _Cancel] = {}

    def run_pass(self) -> None:
        """Claim what can run, take up what runs without a task of ours, pass on cancels, drop what was ended."""
        if self._store.has_waiting():
            self._store.claim(self._clock())
        running = {(s.session, s.id): (s, claim) for s, claim in self._store.running()}
        for key, (statement, claim) in running.items():
            if key not in self._tasks and self._kernels.may_open(claim.driver):
                self._begin(key, statement, claim)
            if statement.state is StatementState.CANCELLING and (cancel := self._cancels.get(key)):
                cancel.wanted.set()
                what = f"statement {statement.id}"
                self._stuck.attend(claim.driver, what, statement.cancelled, cancel.attempts, PATIENCE)
        for key in self._tasks.keys() - running.keys():
            self._tasks[key].cancel()

    def _begin(self, key: tuple[int, int], statement: Statement, claim: Claim) -> None:
        self._cancels[key] = _Cancel()
        task = asyncio.create_task(self._run(statement, claim, self._cancels[key]))
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._end(key, done))

    def _end(self, key: tuple[int, int], task: asyncio.Task[None]) -> None:
        self._tasks.pop(key, None)
        self._cancels.pop(key, None)
        if not task.cancelled():
            task.exception()  # it has been logged, and the statement is begun again

    async def _run(self, statement: Statement, claim: Claim, cancel: _Cancel) -> None:
        async with self._kernels.open(claim) as kernel:
            answer = asyncio.create_task(kernel.execute(statement.id, statement.code, statement.kind.value))
            try:
                while not answer.done():
                    await self._attend(kernel, statement, answer, cancel)
                reply = await answer
            finally:
                answer.cancel()
            if reply.application is not None:
                self._drivers.is_application(claim.driver.id, *reply.application)
            await self._finish(statement, reply)
            taken = (reply.completed - statement.created).total_seconds()
            metrics.STATEMENTS.labels(statement.kind.value).observe(taken)
            # The next statement must not wait for this driver's farewell.
            self._tasks.pop((statement.session, statement.id), None)
            self.run_pass()
            with suppress(asyncio.TimeoutError):  # the driver is going; what it keeps goes with it
                await kernel.forget(statement.id)

    async def _finish(self, statement: Statement, reply: Reply) -> None:
        if isinstance(reply.output, str):
            self._store.finish(statement.session, statement.id, reply.output, reply.started, reply.completed)
            return
        # It takes as long as a disk does, and so does not hold up the others.
        pieces = await asyncio.to_thread(take, self._store, statement, reply.output)
        if pieces is not None:
            self._store.finish_kept(statement.session, statement.id, pieces, reply.started, reply.completed)

    async def _attend(
        self, kernel: KernelClient, statement: Statement, answer: asyncio.Task[object], cancel: _Cancel
    ) -> None:
        """Wait for the answer a moment; when it has not come, ask for progress or press the cancel."""
        asked = asyncio.create_task(cancel.wanted.wait())
        try:
            await asyncio.wait({answer, asked}, timeout=_PROGRESS_EVERY, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
        if answer.done():
            return
        try:
            if cancel.wanted.is_set():
                cancel.attempts += 1
                await kernel.cancel(statement.id)
                await asyncio.wait({answer}, timeout=_CANCEL_EVERY)
            else:
                progress = await kernel.progress(statement.id)
                self._store.set_progress(statement.session, statement.id, progress)
        except asyncio.TimeoutError:
            log.debug("no answer on the control channel", extra={"session": statement.session})
