"""The record of this room, frozen: a statement of a session."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.core import records
from gateway.core.store.database import Row
from sessions.models import Heartbeat, Kind
from sessions.statements import pieces
from sessions.statements.pieces import Pieces
from sessions.statements.states import StatementState

_FAILED = '{"status":"error"'  # how the output of a failure begins


@dataclass(frozen=True)
class Statement:
    """`output` is JSON text in the envelope of contract §3.1: stored and served without being read again.

    A large one is None here, and so many `pieces` of text in the store (`sessions/statements/large.py`).
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
    pieces: int = 0

    @property
    def about(self) -> tuple[str, str]:
        """What the outbox calls it."""
        return "statement", f"{self.session}/{self.id}"

    @property
    def told(self) -> str | None:
        """The output, for clients that show of a failure its message and traceback alone (sparkmagic): what had been
        printed before, which is in `data`, is at the head of the traceback too."""
        if self.output is None or not self.output.startswith(_FAILED):
            return self.output
        envelope = json.loads(self.output)
        printed = envelope.get("data", {}).get("text/plain", "")
        if not printed:
            return self.output
        lines = [f"{line}\n" for line in printed.removesuffix("\n").split("\n")]
        return json.dumps({**envelope, "traceback": lines + envelope.get("traceback", [])}, separators=(",", ":"))

    def __hash__(self) -> int:
        """Of what is quick to take: records of one row are one record (below), so this is asked for often."""
        return hash((self.session, self.id, self.state, self.progress))

    @classmethod
    def of(cls, row: Row) -> Statement:
        return records.read_again(cls, row)


@dataclass(frozen=True)
class LargeOutput:
    """An output as `Statement` has it, but in pieces, which are read anew each time."""

    pieces: Pieces

    @property
    def has_failed(self) -> bool:
        return pieces.has_failed(self.pieces)

    def told(self) -> Iterator[str]:
        """As `Statement.told`."""
        return pieces.told(self.pieces)

    def parts(self) -> tuple[str, Iterator[str]] | None:
        """The envelope without its data, and these as JSON text; None when there are none in it."""
        return pieces.parts(self.pieces)


@dataclass(frozen=True)
class Seen:
    """A statement as a poll asks for it; None: its session has none of this number. `is_idle`: the session's Spark is
    up, and runs no more than this session's statements.
    """

    statement: Statement | None
    is_idle: bool
    heartbeat: Heartbeat


def error_output(statement: int, ename: str, evalue: str) -> dict[str, Any]:
    """The envelope of a statement that ended without its interpreter's answer (contract §3.1)."""
    return {"status": "error", "execution_count": statement, "ename": ename, "evalue": evalue, "traceback": []}
