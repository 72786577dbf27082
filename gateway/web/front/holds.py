"""Answers that are held until something has happened, on the event loop: a held one costs no thread.

The store's bell says that something has moved, the outbox says what, and only who waits for that looks again. All
methods are the loop's; what asks a store that is not near runs on threads.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any, TypeVar

from gateway.core import events
from gateway.core.errors import GatewayError
from gateway.core.store.database import Database
from gateway.core.waiting import About

log = logging.getLogger(__name__)

_LOOK_EVERY = 1.0  # seconds without a bell, or in which one could be lost
_MANY = 1000  # events that are read at once
_AGAIN = 3.0  # seconds between attempts to listen

T = TypeVar("T")


class Holds:
    """Of one web worker, from `begin` on."""

    def __init__(self, db: Database, threads: Executor) -> None:
        self._db, self._threads = db, threads
        self._waiting: defaultdict[About, set[asyncio.Event]] = defaultdict(set)
        self._cursor, self._is_over = 0, False
        self._has_rung, self._telling = False, False
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self) -> None:
        """Listen to the store's bell. While it cannot be heard, which is told, held answers are only later."""
        try:
            bell = await self.soon(self._db.listen)
            self._cursor = await self.soon(lambda: events.newest(self._db))
        except (GatewayError, OSError) as error:
            log.warning("cannot listen to the store's bell: %s", error)
            asyncio.get_running_loop().call_later(_AGAIN, lambda: self._keep(self.begin()))
            return
        asyncio.get_running_loop().add_reader(bell.fileno(), lambda: self._heard(bell.drain))

    async def soon(self, ask: Callable[[], T]) -> T:
        """What a question to the store gives: at once, or from a thread when the store is not near."""
        if self._db.is_near:
            return ask()
        return await asyncio.get_running_loop().run_in_executor(self._threads, ask)

    async def until(self, about: About, look: Callable[[], tuple[T, bool]], patience: float) -> T:
        """What `look` gives once it says that this is it; after `patience` seconds as it is."""
        moved = asyncio.Event()
        self._waiting[about].add(moved)  # before the look: or a move just after it would not be heard
        end = asyncio.get_running_loop().time() + patience
        try:
            seen, is_it = await self.soon(look)
            while not (is_it or self._is_over) and (left := end - asyncio.get_running_loop().time()) > 0:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(moved.wait(), min(left, _LOOK_EVERY))
                moved.clear()
                seen, is_it = await self.soon(look)
            return seen
        finally:
            self._waiting[about].discard(moved)
            if not self._waiting[about]:
                del self._waiting[about]

    def let_go(self) -> None:
        """The worker ends: whatever is held is answered as it is."""
        self._is_over = True
        for waiting in self._waiting.values():
            for moved in waiting:
                moved.set()

    def _heard(self, drain: Callable[[], None]) -> None:
        drain()
        self._has_rung = True
        if not self._telling:
            self._telling = True
            self._keep(self._tell())

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # the loop itself holds a task only weakly
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        try:
            while self._has_rung:
                self._has_rung = False
                await self._tell_what_has_moved()
        except GatewayError as error:
            log.warning("cannot read what has moved: %s", error)
        finally:
            self._telling = False

    async def _tell_what_has_moved(self) -> None:
        if not self._waiting:
            self._cursor = await self.soon(lambda: events.newest(self._db))
            return
        moved = await self.soon(lambda: events.moved_after(self._db, self._cursor, _MANY))
        for number, about in moved:
            self._cursor = number
            for waiting in self._waiting.get(about, ()):
                waiting.set()
        self._has_rung = self._has_rung or len(moved) == _MANY
