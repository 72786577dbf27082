"""What hangs on a session (its statements, its jobs) as the session's own moves see it. Knows none of them."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Part(Protocol):
    """Called inside the transaction in which the session moves."""

    def lose_driver(self, session: int, reason: str, now: datetime) -> None:
        """The session's driver is lost and another one comes: what ran has failed, what can still be done waits."""

    def end(self, session: int, reason: str, now: datetime) -> None:
        """The session has ended: whatever is unfinished has failed."""

    def remove(self, session: int) -> None:
        """The session is being forgotten: forget all of its own."""
