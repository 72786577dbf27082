"""The record of this room, frozen: a run, one execution of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.core import records
from gateway.core.store.database import Row
from gateway.platform.runs.failures import RunError
from gateway.platform.runs.reading import Reading
from gateway.platform.runs.states import RunState


@dataclass(frozen=True)
class Run:
    """`progress` is in percent, never falls, and is 100 only after success. `error` is None unless it has failed.

    `reading` is how far what its batch writes was read, and what was made of it, in so many `looks`.
    """

    batch: int
    owner: str | None
    project: str
    state: RunState
    progress: int
    looks: int
    reading: Reading
    error: RunError | None
    created: datetime
    ended: datetime | None

    @classmethod
    def of(cls, row: Row) -> Run:
        return records.read(cls, row)
