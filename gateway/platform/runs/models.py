"""The record of this room, frozen: a run, one execution of a batch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from gateway.core.clock import from_text, from_text_or_none
from gateway.core.store.database import Row
from gateway.platform.runs.failures import RunError
from gateway.platform.runs.reading import Reading
from gateway.platform.runs.states import RunState


@dataclass(frozen=True)
class Run:
    """`progress` is in percent, never falls, and is 100 only after success. `error` is None unless it has failed.

    `reading` is how far what its batch writes was read, and what was made of it, in so many `looks`; `told` is the
    progress of which an event told last, as the JSON of its data.
    """

    batch: int
    owner: str | None
    project: str
    state: RunState
    progress: int
    looks: int
    reading: Reading
    told: str
    told_at: datetime | None
    error: RunError | None
    created: datetime
    ended: datetime | None

    @classmethod
    def of(cls, row: Row) -> Run:
        return cls(
            batch=row["batch"],
            owner=row["owner"],
            project=row["project"],
            state=RunState(row["state"]),
            progress=row["progress"],
            looks=row["looks"],
            reading=Reading.of(row["reading"]),
            told=row["told"],
            told_at=from_text_or_none(row["told_at"]),
            error=RunError(**json.loads(row["error"])) if row["error"] else None,
            created=from_text(row["created"]),
            ended=from_text_or_none(row["ended"]),
        )
