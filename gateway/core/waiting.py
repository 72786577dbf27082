"""How a request waits for what another process brings about, such as the end of a driver or of a statement.

Who waits for what its answer says holds a thread of the web process. So only a share of them may wait at a time, and
only a part of that share for the same purpose; whoever finds no place is answered without waiting, and asks again or
need not know. An answer that is made already, and only sent later, holds none where an event loop sends it.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from gateway.core.store.database import Listener

log = logging.getLogger(__name__)

_LOOK_EVERY = 0.02  # seconds without a bell, or in which one could be lost

Seen = TypeVar("Seen")

About = tuple[str, str]  # a record as the outbox names it: its kind, its number


@dataclass(frozen=True)
class Hold:
    """An answer is to be sent once this is `done`, after `patience` seconds at the latest; events `about` it tell."""

    about: About
    done: Callable[[], bool]
    patience: float


held: ContextVar[list[Hold] | None] = ContextVar("held", default=None)
"""Where an event loop sends the answer that is being made: why it is to be held. None: a thread sends it."""


class Waiting:
    """The places of one process to wait at, for all its threads. `listen` gives a listener of the store's bell, which
    whoever waits is woken by.
    """

    def __init__(self, threads: int, listen: Callable[[], Listener] | None = None) -> None:
        """Half of `threads` may wait, for one purpose half of these."""
        self._places = max(1, threads // 2)
        self._for_one = max(1, self._places // 2)
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._listen, self._listening = listen, 0  # the process in which a thread listens
        self._rung, self._rings = threading.Condition(), 0

    def until(self, purpose: str, look: Callable[[], Seen], done: Callable[[Seen], bool], patience: float) -> Seen:
        """What `look` gives once that is `done`; after `patience` seconds, or when there is no place, as it is."""
        seen = look()
        if done(seen):
            return seen
        with self.place(purpose) as is_given:
            end, heard = time.monotonic() + patience, -1
            if is_given:
                self._begin_listening()
            while is_given and not done(seen) and time.monotonic() < end:
                heard = self._wait_for_ring(heard, min(_LOOK_EVERY, end - time.monotonic()))
                seen = look()
        return seen

    def hold(self, purpose: str, about: About, done: Callable[[], bool], patience: float) -> None:
        """Have the answer to this request sent once this is done, after `patience` seconds at the latest.

        Waits here where no event loop does. Its purpose is that of `until`.
        """
        holds = held.get()
        if holds is None:
            self.until(purpose, done, bool, patience)
        else:
            holds.append(Hold(about, done, patience))

    def _begin_listening(self) -> None:
        with self._lock:
            if self._listen is not None and self._listening != os.getpid():  # not of the process before a fork
                self._listening = os.getpid()
                threading.Thread(target=self._hear, args=(self._listen,), name="bell", daemon=True).start()

    def _hear(self, listen: Callable[[], Listener]) -> None:
        try:
            bell, ringing = listen(), select.poll()  # select takes no descriptor from 1024 on
            ringing.register(bell.fileno(), select.POLLIN)
            while True:
                ringing.poll()
                bell.drain()
                with self._rung:
                    self._rings += 1
                    self._rung.notify_all()
        except Exception as error:  # noqa: BLE001 - whoever waits looks by itself
            log.warning("cannot listen to the store's bell: %s", error)
            self._listening = 0

    def _wait_for_ring(self, heard: int, seconds: float) -> int:
        """Until it rings again, or so many seconds; how often it has rung by then."""
        with self._rung:
            if self._rings == heard:
                self._rung.wait(max(0.0, seconds))
            return self._rings

    @contextmanager
    def place(self, purpose: str) -> Iterator[bool]:
        """For who waits otherwise: whether there is a place. It is given back at the end."""
        with self._lock:
            is_given = sum(self._taken.values()) < self._places and self._taken[purpose] < self._for_one
            self._taken[purpose] += is_given
        try:
            yield is_given
        finally:
            with self._lock:
                self._taken[purpose] -= is_given
