"""The states of a statement, and the moves between them that are legal."""

from __future__ import annotations

from enum import Enum


class StatementState(str, Enum):
    WAITING = "waiting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    AVAILABLE = "available"
    CANCELLED = "cancelled"


# available from waiting: the session ended before its turn came, and the output says so
STATEMENT_MOVES = {
    StatementState.WAITING: {StatementState.RUNNING, StatementState.CANCELLED, StatementState.AVAILABLE},
    StatementState.RUNNING: {StatementState.AVAILABLE, StatementState.CANCELLING},
    StatementState.CANCELLING: {StatementState.CANCELLED},
    StatementState.AVAILABLE: set(),
    StatementState.CANCELLED: set(),
}

UNFINISHED = (StatementState.WAITING, StatementState.RUNNING, StatementState.CANCELLING)
