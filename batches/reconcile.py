"""The pass that starts batches in order, notices their end, and kills those that are not wanted any more."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
from datetime import datetime, timedelta, timezone

from batches.models import Batch
from batches.states import BatchState, Target
from batches.store import BatchStore
from batches.submit import Submitter, application_in_log, find_application
from gateway.core import logs, packages, processes, pythons
from gateway.core.clock import Clock
from gateway.core.errors import GatewayError
from gateway.core.settings import Settings

log = logging.getLogger(__name__)

_ASK_AGAIN = timedelta(seconds=0.3)
_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)


class BatchPass:
    def __init__(
        self, store: BatchStore, submitter: Submitter, settings: Settings, clock: Clock, watcher: processes.Watcher
    ) -> None:
        self._store, self._submitter, self._settings, self._clock = (store, submitter, settings, clock)
        self._watcher = watcher
        self._ladder = processes.Ladder((signal.SIGTERM, timedelta(seconds=5)), (signal.SIGKILL, timedelta(seconds=1)))
        self._asked: dict[int, datetime] = {}  # batch: when its application was last looked for

    def adopt(self) -> None:
        """Take up what an earlier supervisor left running, and start what it had no time to. Once, at first."""
        for batch in self._store.running():
            if batch.target is Target.FINISHED:
                self._start(batch, self._clock())

    def __call__(self) -> bool:
        """Whether something is being stopped, so that the next pass should come soon."""
        now = self._clock()
        for batch in self._store.with_folders(self._watcher.ended_in(self._settings.data_dir / "batches")):
            # One that is told to go has lost its shell first; the ladder below gives the rest its time.
            if batch.target is Target.FINISHED and not self._watcher.renew(batch.folder):
                self._end(batch, now)
        for batch in self._store.unwanted():
            if self._ladder.has_ended(batch.folder, now):
                self._remove(batch, now)
        for batch in self._store.next(self._settings.max_batches_running):
            if self._store.start(batch.id, now):
                self._start(batch, now)
        return self._ladder.busy

    async def find_applications(self) -> None:
        """Look for the Spark application of each running batch that has shown none yet; less often as time goes."""
        now = self._clock()
        for batch in self._store.without_app():
            pause = max(_ASK_AGAIN, (now - (batch.started or now)) / 10)
            if abs(now - self._asked.get(batch.id, _LONG_AGO)) < pause:
                continue
            self._asked[batch.id] = now
            application = await asyncio.to_thread(find_application, batch)
            if application is not None:
                self._store.set_app(batch.id, application.id, application.ui_url)

    def expire(self) -> None:
        """Have batches forgotten that ended long enough ago."""
        self._store.expire(self._clock() - self._settings.retention)

    def _start(self, batch: Batch, now: datetime) -> None:
        try:
            self._watcher.add(self._submitter.start(batch))
            log.info("running", extra={"batch": batch.id, "action": "start"})
        except (OSError, GatewayError) as error:
            self._finish(batch, BatchState.DEAD, None, f"the batch could not be started: {error}", now)

    def _end(self, batch: Batch, now: datetime) -> None:
        code = processes.exit_code(batch.folder)
        if code == 0:
            self._finish(batch, BatchState.SUCCESS, code, None, now)
        else:
            self._finish(batch, BatchState.DEAD, code, _reason(batch, code), now)

    def _remove(self, batch: Batch, now: datetime) -> None:
        self._finish(batch, BatchState.KILLED, processes.exit_code(batch.folder), "killed by its user", now)
        shutil.rmtree(batch.folder, ignore_errors=True)
        self._store.remove(batch.id, now)

    def _finish(self, batch: Batch, state: BatchState, code: int | None, reason: str | None, now: datetime) -> None:
        """Write the end of a batch, once; make sure that nothing of it runs on, and keep its log alone."""
        processes.signal_all(batch.folder, signal.SIGKILL)
        if batch.app_id is None and (application := application_in_log(batch)):
            self._store.set_app(batch.id, application.id, application.ui_url)
        logs.finish(batch.log)
        if self._store.end(batch.id, state, code, reason, now):
            if reason:
                logs.note(batch.log, reason)
            log.info("%s: %s", state.value, reason or "done", extra={"batch": batch.id, "action": "end"})
        shutil.rmtree(batch.folder / "tmp", ignore_errors=True)
        self._watcher.forget(batch.folder)
        self._asked.pop(batch.id, None)


def _reason(batch: Batch, code: int | None) -> str:
    if failure := pythons.failure(batch.folder) or packages.failure(batch.log):
        return failure
    if code is None:
        return "the batch's processes were killed from outside"
    if code == 128 + signal.SIGKILL:
        return "the batch was killed (signal 9); if nobody did that, the machine ran out of memory"
    if code > 128:
        return f"the batch was ended by signal {code - 128}"
    return f"the batch ended with exit code {code}"
