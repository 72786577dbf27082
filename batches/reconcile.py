"""The pass that starts batches in order, notices their end, and kills those that are not wanted any more."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import signal
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from uuid import UUID

from batches.models import NOT_STARTED, Batch, BatchKind
from batches.states import ENDED, BatchState, Target
from batches.store import BatchStore
from batches.submit import Submitter, application_in_log, find_application
from gateway.core import ends
from gateway.core.clock import Clock
from gateway.core.errors import GatewayError
from gateway.core.places.place import AT_ONCE, Ladder, Place
from gateway.core.settings import Settings

log = logging.getLogger(__name__)

# SIGTERM lets Spark tell its cluster manager; what ignores it is killed.
_LADDER: Ladder = ((signal.SIGTERM, timedelta(seconds=5)), (signal.SIGKILL, timedelta(seconds=1)))
_ASK_AGAIN = timedelta(seconds=0.3)
_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)
_LOST = "its host or its folder is lost"


class BatchPass:
    def __init__(self, store: BatchStore, submitter: Submitter, settings: Settings, clock: Clock, place: Place) -> None:
        self._store, self._submitter, self._settings, self._clock = (store, submitter, settings, clock)
        self._place, self._batches = place, settings.data_dir / "batches"
        self._asked: dict[int, datetime] = {}  # batch: when its application was last looked for
        self._sure = True  # that each batch which runs by its row was started, and its end will be told

    def adopt(self) -> None:
        """Take up what an earlier supervisor left running, and start what it had no time to. Once, at first."""
        self._take_up(self._clock())
        self._clear_folders()

    def __call__(self) -> bool:
        """Whether there is more to do than was done, so that the passes should run again."""
        now = self._clock()
        sure, self._sure = self._sure, False  # a pass that fails may have started or ended one by its row alone
        self._see_to_ends(now)
        more = self._remove_unwanted(now)
        if not sure:
            self._take_up(now)
        for batch in self._store.next(self._settings.max_batches_running):
            self._start_next(batch, now)
        self._sure = True
        return more

    def _take_up(self, now: datetime) -> None:
        for batch in self._store.running():
            if batch.target is not Target.FINISHED or self._place.find(batch.folder):
                continue
            if os.path.isdir(batch.folder):  # it is there before the row says that it runs
                self._start(batch, now)
            else:
                self._is_lost(batch, now)

    def _clear_folders(self) -> None:
        """Remove folders that were made for batches which then did not start here."""
        for folder in self._batches.glob("*"):
            with suppress(OSError):  # not empty
                folder.rmdir()

    def _see_to_ends(self, now: datetime) -> None:
        for batch in self._store.with_folders(self._place.ended_in(self._batches)):
            # One that is told to go has lost its first process before the others; below they have their time.
            if batch.target is Target.FINISHED and self._place.stop(batch.folder, AT_ONCE, now):
                self._end(batch, now)

    def _remove_unwanted(self, now: datetime) -> bool:
        """Whether some are removed; then there may be others."""
        removed = False
        for batch in self._store.unwanted():
            # Of one that never ran no place knows anything, nor is to remember that it was asked.
            if batch.state is BatchState.STARTING or self._place.stop(batch.folder, _LADDER, now):
                self._remove(batch, now)
                removed = True
        return removed

    def _start_next(self, batch: Batch, now: datetime) -> None:
        folder = self._batches / UUID(batch.uuid).hex
        with suppress(OSError):  # told by the start
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._store.start(batch.id, folder, now):
            self._start(dataclasses.replace(batch, folder=folder), now)
        else:
            with suppress(OSError):
                folder.rmdir()

    async def find_applications(self) -> None:
        """Look for the Spark application of each running batch that has shown none yet; less often as time goes."""
        now = self._clock()
        waiting = [batch for batch in self._store.without_app() if batch.request.kind is BatchKind.SPARK]
        self._asked = {batch.id: self._asked.get(batch.id, _LONG_AGO) for batch in waiting}
        for batch in waiting:
            pause = max(_ASK_AGAIN, (now - (batch.started or now)) / 10)
            if abs(now - self._asked[batch.id]) < pause:
                continue
            self._asked[batch.id] = now
            application = await asyncio.to_thread(find_application, batch, self._place)
            if application is not None:
                self._store.set_app(batch.id, application.id, application.ui_url)

    def expire(self) -> None:
        """Have batches forgotten that ended long enough ago, some at a time."""
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

    def _is_lost(self, batch: Batch, now: datetime) -> None:
        """End one whose folder is gone: the end is written first, since the words in its log make the folder anew."""
        if self._store.end(batch.id, BatchState.DEAD, None, _LOST, now):
            self._place.settle(batch.folder, _LOST)
            log.warning("dead: %s", _LOST, extra={"batch": batch.id, "action": "end"})

    def _remove(self, batch: Batch, now: datetime) -> None:
        if batch.state in ENDED:
            self._place.settle(batch.folder, None)
        else:
            code = self._place.end_of(batch.folder).code
            self._finish(batch, BatchState.KILLED, code, "killed by its user", now)
        self._place.remove(batch.folder)
        self._store.remove(batch.id, now)

    def _finish(self, batch: Batch, state: BatchState, code: int | None, reason: str | None, now: datetime) -> None:
        """Write the end of a batch of which nothing runs any more, once, and clear what only it needed."""
        seeks = batch.app_id is None and batch.request.kind is BatchKind.SPARK
        if seeks and (application := application_in_log(batch)):
            self._store.set_app(batch.id, application.id, application.ui_url)
        # Its log is complete before anybody reads that it has ended.
        self._place.settle(batch.folder, None if state is BatchState.KILLED else reason)
        self._place.remove(batch.folder / "tmp")
        if self._store.end(batch.id, state, code, reason, now):
            log.info("%s: %s", state.value, reason or "done", extra={"batch": batch.id, "action": "end"})
