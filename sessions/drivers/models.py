"""The record of this room, frozen: a driver, a Spark application with a kernel in it; and what sessions get of them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path

from gateway.core import records
from gateway.core.options import SparkOptions
from gateway.core.store.database import Row
from sessions.drivers.states import DriverState


@dataclass(frozen=True)
class Driver:
    """A Spark driver with a kernel in it. `folder` holds its process, its log and its connection file.

    `target` is READY or GONE, or WARM for one that nobody has claimed yet. `reason` says why it went, in a sentence;
    None while it lives or when it was asked to go. It is not launched before `not_before`; None: as soon as there is
    room. `host` is where it runs; None: not decided. `profile` says for which sessions it was started ahead
    (`sessions/drivers/profiles.py`); None: for the one that asked for it.

    Several sessions share a Spark application when it is one record, of no session, and the interpreter of each is
    another one, its seat: that names its `application`, and has a number, its `seat`. `shared` is the name by which
    sessions ask for it, in the record of both.
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
    host: str | None = None
    profile: str | None = None
    shared: str | None = None
    application: str | None = None
    seat: int = 0

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def connection_file(self) -> Path:
        return self.folder / "connection.json"

    @classmethod
    def wanted(
        cls,
        data_dir: Path,
        options: SparkOptions,
        now: datetime,
        not_before: datetime | None = None,
        host: str | None = None,
        profile: str | None = None,
    ) -> Driver:
        """A new one, still to be stored and launched; with a `profile` it is started ahead, and nobody's."""
        name = uuid.uuid4().hex
        return cls(
            id=name,
            state=DriverState.REQUESTED,
            target=DriverState.READY if profile is None else DriverState.WARM,
            folder=data_dir / "drivers" / name,
            options=options,
            reason=None,
            created=now,
            launched=None,
            not_before=not_before,
            host=host,
            profile=profile,
        )

    def may_be_on(self, host: str) -> bool:
        return self.host in (None, host)

    @classmethod
    def of(cls, row: Row) -> Driver:
        return records.read(cls, row)


class Got(str, Enum):
    """What sessions were given: a WARM driver, one that was STARTING ahead, or one that was started for them alone.

    That is COLD when there was none of their profile, and UNLIKE when there can be none.
    """

    WARM = "warm"
    STARTING = "starting"
    COLD = "cold"
    UNLIKE = "unlike"
