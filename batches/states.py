"""The states of a batch, and the moves between them that are legal."""

from __future__ import annotations

from enum import Enum


class BatchState(str, Enum):
    """`STARTING` covers waiting in the queue: clients know no word for that."""

    STARTING = "starting"
    RUNNING = "running"
    SUCCESS = "success"
    DEAD = "dead"
    KILLED = "killed"


BATCH_MOVES = {
    BatchState.STARTING: {BatchState.RUNNING, BatchState.DEAD, BatchState.KILLED},
    BatchState.RUNNING: {BatchState.SUCCESS, BatchState.DEAD, BatchState.KILLED},
    BatchState.SUCCESS: set(),
    BatchState.DEAD: set(),
    BatchState.KILLED: set(),
}

ENDED = frozenset(state for state, moves in BATCH_MOVES.items() if not moves)


class Target(str, Enum):
    """What is wanted of a batch: that it ends by itself, or that it is killed and forgotten."""

    FINISHED = "finished"
    DELETED = "deleted"
