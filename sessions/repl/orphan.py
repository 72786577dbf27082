"""Ends a driver that nobody can ask for anything any more: its gateway is gone and does not come back.

Decides when that is. Refuses to know what works in a driver, and how one leaves it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

LONGEST_PAUSE = 60.0  # seconds between two looks


class Orphan(threading.Thread):
    """Calls `leave` with the reason once nobody has listened on the FIFO `wakeup`, and nothing worked, for `timeout`.

    That is in seconds, of a clock that nobody sets. Looking does not disturb a gateway that starts in that moment.
    """

    def __init__(
        self,
        wakeup: str,
        timeout: float,
        works: Callable[[], bool],
        leave: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name="orphan", daemon=True)
        self._wakeup, self._timeout, self._works, self._leave, self._clock = wakeup, timeout, works, leave, clock
        self._wanted = clock()  # when somebody listened or something worked last

    def wait(self, timeout: float) -> None:
        """From now on so many seconds; 0: for ever. For any thread."""
        self._timeout = timeout

    def run(self) -> None:
        while not self.look():
            time.sleep(min(LONGEST_PAUSE, self._timeout / 4 or LONGEST_PAUSE))
        self._leave(f"no gateway has been there for {self._timeout:g} s (setting orphan_timeout)")

    def look(self) -> bool:
        """Whether it is time to leave."""
        if listens(self._wakeup) or self._works():
            self._wanted = self._clock()
        timeout = self._timeout
        return 0 < timeout <= self._clock() - self._wanted


def listens(fifo: str) -> bool:
    """Whether a supervisor reads from its FIFO: opening that to write fails when nobody does."""
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
