"""The records of this room, frozen: a session, its statements, and the driver it has a claim on."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from gateway.core.clock import from_text, from_text_or_none
from gateway.core.database import Row
from gateway.core.spark import SparkOptions
from sessions.states import DriverState, SessionState, StatementState


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
class Session:
    """`uuid` is a UUID, or the id that its client chose. `short_lives`: how often in a row its driver died young."""

    id: int
    uuid: str
    name: str | None
    owner: str | None
    proxy_user: str | None
    kind: Kind
    state: SessionState
    options: SparkOptions
    heartbeat_timeout: timedelta | None
    ttl: str | None
    idle_timeout: str | None
    driver: str
    folder: Path
    app_id: str | None
    ui_url: str | None
    created: datetime
    heartbeat: datetime
    ended: datetime | None
    permanent: bool
    short_lives: int

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def connection_file(self) -> Path:
        return connection_file(self.folder)

    @classmethod
    def of(cls, row: Row) -> Session:
        """From a row of the store's `_SESSION` query."""
        seconds = row["heartbeat_seconds"]
        return cls(
            id=row["id"],
            uuid=row["uuid"],
            name=row["name"],
            owner=row["owner"],
            proxy_user=row["proxy_user"],
            kind=Kind(row["kind"]),
            state=SessionState.BUSY if row["busy"] else SessionState(row["state"]),
            options=SparkOptions(**json.loads(row["options"])),
            heartbeat_timeout=timedelta(seconds=seconds) if seconds else None,
            ttl=row["ttl"],
            idle_timeout=row["idle_timeout"],
            driver=row["driver"],
            folder=Path(row["folder"]),
            app_id=row["app_id"],
            ui_url=row["ui_url"],
            created=from_text(row["created"]),
            heartbeat=from_text(row["heartbeat"]),
            ended=from_text_or_none(row["ended"]),
            permanent=bool(row["permanent"]),
            short_lives=row["short_lives"],
        )


@dataclass(frozen=True)
class Statement:
    """`output` is JSON text in the envelope of contract §3.1: stored and served without being read again.

    `cancelled` is when its cancel was asked for; None: never.
    """

    session: int
    id: int
    code: str
    kind: Kind
    state: StatementState
    output: str | None
    progress: float
    created: datetime
    started: datetime | None
    completed: datetime | None
    cancelled: datetime | None = None

    @classmethod
    def of(cls, row: Row) -> Statement:
        return cls(
            session=row["session"],
            id=row["id"],
            code=row["code"],
            kind=Kind(row["kind"]),
            state=StatementState(row["state"]),
            output=row["output"],
            progress=float(row["progress"]),
            created=from_text(row["created"]),
            started=from_text_or_none(row["started"]),
            completed=from_text_or_none(row["completed"]),
            cancelled=from_text_or_none(row["cancelled"]),
        )


@dataclass(frozen=True)
class Driver:
    """A Spark driver with a kernel in it. `folder` holds its process, its log and its connection file.

    `target` is READY or GONE. `reason` says why it went, in a sentence; None while it lives or when it was asked to go.
    It is not launched before `not_before`; None: as soon as there is room.
    """

    id: str
    state: DriverState
    target: DriverState
    folder: Path
    options: SparkOptions
    reason: str | None
    created: datetime
    launched: datetime | None
    not_before: datetime | None = None

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def connection_file(self) -> Path:
        return connection_file(self.folder)

    @classmethod
    def wanted(cls, data_dir: Path, options: SparkOptions, now: datetime, not_before: datetime | None = None) -> Driver:
        """A new one, still to be stored and launched."""
        name = uuid.uuid4().hex
        return cls(
            id=name,
            state=DriverState.REQUESTED,
            target=DriverState.READY,
            folder=data_dir / "drivers" / name,
            options=options,
            reason=None,
            created=now,
            launched=None,
            not_before=not_before,
        )

    @classmethod
    def of(cls, row: Row) -> Driver:
        return cls(
            id=row["id"],
            state=DriverState(row["state"]),
            target=DriverState(row["target"]),
            folder=Path(row["folder"]),
            options=SparkOptions(**json.loads(row["options"])),
            reason=row["reason"],
            created=from_text(row["created"]),
            launched=from_text_or_none(row["launched"]),
            not_before=from_text_or_none(row["not_before"]),
        )


def connection_file(folder: Path) -> Path:
    """Where the kernel of the driver in `folder` is reached."""
    return folder / "connection.json"


def error_output(statement: int, ename: str, evalue: str) -> dict[str, Any]:
    """The envelope of a statement that ended without its interpreter's answer (contract §3.1)."""
    return {"status": "error", "execution_count": statement, "ename": ename, "evalue": evalue, "traceback": []}
