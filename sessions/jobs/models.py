"""The records of this room, frozen: a job of a session, and something added to the session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.core import records
from gateway.core.store.database import Row
from sessions.jobs.states import AdditionState, JobState
from sessions.models import Kind

# the languages a job can be in today, as its jobType names them
JOB_TYPES = (Kind.PYSPARK, Kind.SPARK)


@dataclass(frozen=True)
class SessionJob:
    """A job without its payload. `result` is base64 text as JobStatus shows it; None also when the value was null.

    `cancelled` is when its cancel was asked for; None: never.
    """

    session: int
    id: int
    type: Kind
    state: JobState
    result: str | None
    error: str | None
    created: datetime
    started: datetime | None
    ended: datetime | None
    cancelled: datetime | None

    @classmethod
    def of(cls, row: Row) -> SessionJob:
        return records.read(cls, row)


@dataclass(frozen=True)
class Addition:
    """A "jar", "pyfile" or "file" for the session's driver, by path or URI; `error` says why it could not be added."""

    session: int
    id: int
    kind: str
    path: str
    state: AdditionState
    error: str | None

    @classmethod
    def of(cls, row: Row) -> Addition:
        return records.read(cls, row)
