"""The pass that starts batches in order, notices their end, and kills those that are not wanted any more."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import signal
from datetime import datetime, timedelta, timezone
from uuid import UUID

from batches.models import NOT_STARTED, Batch
from batches.states import BatchState, Target
from batches.store import BatchStore
from batches.submit import Submitter, application_in_log, find_application
from gateway.core import ends
from gateway.core.clock import Clock
from gateway.core.errors import GatewayError, Unavailable
from gateway.core.places.place import AT_ONCE, Ladder, Place
from gateway.core.settings import Settings

log = logging.getLogger(__name__)

# SIGTERM lets Spark tell its cluster manager; what ignores it is killed.
_LADDER: Ladder = ((signal.SIGTERM, timedelta(seconds=5)), (signal.SIGKILL, timedelta(seconds=1)))
_ASK_AGAIN = timedelta(seconds=0.3)
_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)


class BatchPass:
    def __init__(self, store: BatchStore, submitter: Submitter, settings: Settings, clock: Clock, place: Place) -> None:
        self._store, self._submitter, self._settings, self._clock = (store, submitter, settings, clock)
        self._place, self._batches = place, settings.data_dir / "batches"
        self._asked: dict[int, datetime] = {}  # batch: when its application was last looked for

    def adopt(self) -> None:
        """Take up what an earlier supervisor left running, and start what it had no time to. Once, at first."""
        for batch in self._store.running():
            if batch.target is Target.FINISHED:
                self._start(batch, self._clock())

    def __call__(self) -> None:
        now = self._clock()
        for batch in self._store.with_folders(self._place.ended_in(self._batches)):
            # One that is told to go has lost its first process before the others; below they have their time.
            if batch.target is Target.FINISHED and self._place.stop(batch.folder, AT_ONCE, now):
                self._end(batch, now)
        for batch in self._store.unwanted():
            if self._place.stop(batch.folder, _LADDER, now):
                self._remove(batch, now)
        for batch in self._store.next(self._settings.max_batches_running):
            folder = self._batches / UUID(batch.uuid).hex
            if self._store.start(batch.id, folder, now):
                self._start(dataclasses.replace(batch, folder=folder), now)

    async def find_applications(self) -> None:
        """Look for the Spark application of each running batch that has shown none yet; less often as time goes."""
        now = self._clock()
        for batch in self._store.without_app():
            pause = max(_ASK_AGAIN, (now - (batch.started or now)) / 10)
            if abs(now - self._asked.get(batch.id, _LONG_AGO)) < pause:
                continue
            self._asked[batch.id] = now
            application = await asyncio.to_thread(find_application, batch, self._place)
            if application is not None:
                self._store.set_app(batch.id, application.id, application.ui_url)

    def expire(self) -> None:
        """Have batches forgotten that ended long enough ago."""
        self._store.expire(self._clock() - self._settings.retention)

    def _start(self, batch: Batch, now: datetime) -> None:
        try:
            self._submitter.start(batch)
            log.info("running", extra={"batch": batch.id, "action": "start"})
        except (OSError, GatewayError) as error:
            self._finish(batch, BatchState.DEAD, None, f"{NOT_STARTED}: {error}", now)

    def _end(self, batch: Batch, now: datetime) -> None:
        end = self._place.end_of(batch.folder)
        if end.code == 0:
            self._finish(batch, BatchState.SUCCESS, end.code, None, now)
        else:
            reason = ends.reason("batch", batch.folder, end, "ended with exit code {code}")
            self._finish(batch, BatchState.DEAD, end.code, reason, now)

    def _remove(self, batch: Batch, now: datetime) -> None:
        code = self._place.end_of(batch.folder).code
        self._finish(batch, BatchState.KILLED, code, "killed by its user", now)
        self._place.remove(batch.folder)
        self._store.remove(batch.id, now)

    def _finish(self, batch: Batch, state: BatchState, code: int | None, reason: str | None, now: datetime) -> None:
        """Write the end of a batch of which nothing runs any more, once, and clear what only it needed."""
        if batch.app_id is None and (application := application_in_log(batch)):
            self._store.set_app(batch.id, application.id, application.ui_url)
        # Its log is complete before anybody reads that it has ended.
        self._place.settle(batch.folder, None if state is BatchState.KILLED else reason)
        self._place.remove(batch.folder / "tmp")
        try:
            ended = self._store.end(batch.id, state, code, reason, now)
        except Unavailable:
            self._place.find(batch.folder)  # so that its end is told again
            raise
        if ended:
            log.info("%s: %s", state.value, reason or "done", extra={"batch": batch.id, "action": "end"})
        self._asked.pop(batch.id, None)
