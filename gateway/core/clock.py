"""Time in its three forms: aware UTC in Python, ISO text in the store, milliseconds on Livy's wire."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


def to_text(at: datetime) -> str:
    """ISO text of fixed width in UTC, so that order of text in the store is order of time."""
    return at.astimezone(timezone.utc).isoformat(timespec="microseconds")


def from_text(text: str) -> datetime:
    return datetime.fromisoformat(text)


def to_milliseconds(at: datetime | None) -> int:
    """Milliseconds since the epoch; 0 for a moment that has not come."""
    return 0 if at is None else round(at.timestamp() * 1000)


def from_milliseconds(value: int) -> datetime:
    return datetime.fromtimestamp(value / 1000, timezone.utc)
