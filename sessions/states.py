"""The states of a session, and the moves between them that are legal."""

from __future__ import annotations

from enum import Enum


class SessionState(str, Enum):
    """`BUSY` is never stored: an idle session with unfinished statements reads as busy, so the two cannot disagree."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    DEAD = "dead"


SESSION_MOVES = {
    SessionState.STARTING: {SessionState.IDLE, SessionState.DEAD},
    SessionState.IDLE: {SessionState.DEAD, SessionState.STARTING},  # starting: one that is to have another driver
    SessionState.DEAD: set(),
}
