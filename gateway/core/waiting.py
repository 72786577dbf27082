"""How a request waits for what another process brings about, such as the end of a driver or of a statement.

Who waits holds a thread of the web process. So only a share of them may wait at a time, and only a part of that share
for the same purpose; whoever finds no place is answered without waiting, and asks again or need not know.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.020  # seconds between two looks; each pause is longer than the one before
_GROWTH = 1.2

Seen = TypeVar("Seen")


class Waiting:
    """The places of one process to wait at, for all its threads."""

    def __init__(self, threads: int) -> None:
        """Half of `threads` may wait, for one purpose half of these."""
        self._places = max(1, threads // 2)
        self._for_one = max(1, self._places // 2)
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def until(self, purpose: str, look: Callable[[], Seen], done: Callable[[Seen], bool], patience: float) -> Seen:
        """What `look` gives once that is `done`; after `patience` seconds, or when there is no place, as it is."""
        seen = look()
        if done(seen):
            return seen
        with self.place(purpose) as is_given:
            pause, end = _FIRST_PAUSE, time.monotonic() + patience
            while is_given and not done(seen) and time.monotonic() < end:
                time.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * _GROWTH)
                seen = look()
        return seen

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
