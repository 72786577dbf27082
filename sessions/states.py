"""The states of sessions, statements and drivers, and the moves between them that are legal."""

from __future__ import annotations

from enum import Enum


class SessionState(str, Enum):
    """`BUSY` is never stored: an idle session with unfinished statements reads as busy, so the two cannot disagree."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    DEAD = "dead"


class StatementState(str, Enum):
    WAITING = "waiting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    AVAILABLE = "available"
    CANCELLED = "cancelled"


class DriverState(str, Enum):
    REQUESTED = "requested"
    LAUNCHING = "launching"
    READY = "ready"
    GONE = "gone"


SESSION_MOVES = {
    SessionState.STARTING: {SessionState.IDLE, SessionState.DEAD},
    SessionState.IDLE: {SessionState.DEAD, SessionState.STARTING},  # starting: one that is to have another driver
    SessionState.DEAD: set(),
}

# available from waiting: the session ended before its turn came, and the output says so
STATEMENT_MOVES = {
    StatementState.WAITING: {StatementState.RUNNING, StatementState.CANCELLED, StatementState.AVAILABLE},
    StatementState.RUNNING: {StatementState.AVAILABLE, StatementState.CANCELLING},
    StatementState.CANCELLING: {StatementState.CANCELLED},
    StatementState.AVAILABLE: set(),
    StatementState.CANCELLED: set(),
}

DRIVER_MOVES = {
    DriverState.REQUESTED: {DriverState.LAUNCHING, DriverState.GONE},
    DriverState.LAUNCHING: {DriverState.READY, DriverState.GONE},
    DriverState.READY: {DriverState.GONE},
    DriverState.GONE: set(),
}

UNFINISHED = (StatementState.WAITING, StatementState.RUNNING, StatementState.CANCELLING)
