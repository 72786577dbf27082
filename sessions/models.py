"""The record of this room, frozen: a session, with the claim it has on a driver."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from functools import cached_property
from pathlib import Path

from gateway.core import records
from gateway.core.options import SparkOptions
from gateway.core.store.database import Row
from sessions.states import SessionState

# the conf key with which a session names the Spark application that it shares
APPLICATION = "spark.gateway.application"


class Kind(str, Enum):
    """A language; or SHARED: a session that has no default language."""

    SPARK = "spark"
    PYSPARK = "pyspark"
    SPARKR = "sparkr"
    SQL = "sql"
    SHARED = "shared"


@dataclass(frozen=True)
class SessionRequest:
    """What a client asks for when it opens a session. Durations are text in the grammar of `gateway.core.durations`.

    A `permanent` session gets a new driver whenever it loses one, and never expires.
    """

    kind: Kind = Kind.SHARED
    options: SparkOptions = field(default_factory=SparkOptions)
    heartbeat_timeout: timedelta | None = None
    ttl: str | None = None
    idle_timeout: str | None = None
    permanent: bool = False


@dataclass(frozen=True)
class Heartbeat:
    """When a session last heard of its client, and for how long it may hear nothing; None: it does not matter."""

    session: int
    timeout: timedelta | None
    at: datetime


@dataclass(frozen=True)
class Session:
    """`uuid` is a UUID, or the id that its client chose. `short_lives`: how often in a row its driver died young.

    `driver` and `seat` are its claim: which interpreter of which Spark application is its own. `reason` says why
    that driver went, in a sentence; None while it lives or when it was asked to go. `elsewhere` is the other host on
    which it runs; None: here, or nowhere yet.
    """

    id: int
    uuid: str
    name: str | None
    owner: str | None
    project: str
    proxy_user: str | None
    kind: Kind
    state: SessionState
    options: SparkOptions
    heartbeat_timeout: timedelta | None
    ttl: str | None
    idle_timeout: str | None
    driver: str
    seat: int
    elsewhere: str | None
    folder: Path
    app_id: str | None
    ui_url: str | None
    reason: str | None
    created: datetime
    heartbeat: datetime
    ended: datetime | None
    permanent: bool
    short_lives: int

    @cached_property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def heard(self) -> Heartbeat:
        return Heartbeat(self.id, self.heartbeat_timeout, self.heartbeat)

    def __hash__(self) -> int:
        """Of what is quick to take: records of one row are one record (below), so this is asked for often."""
        return hash((self.id, self.state, self.heartbeat, self.app_id))

    @classmethod
    def of(cls, row: Row, here: str) -> Session:
        """From a row of the store's `_SESSION` query, as the host `here` sees it."""
        return records.read_again(
            cls,
            {
                **row,
                "state": SessionState.BUSY if row["busy"] else row["state"],
                "heartbeat_timeout": row["heartbeat_seconds"] or None,
                "elsewhere": row["host"] if row["host"] != here else None,
            },
        )
