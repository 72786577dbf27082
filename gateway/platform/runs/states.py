"""The states of a run, and the moves between them that are legal (contract platform §3.1, as far as batches have them).

A batch has one before its run begins: it waits.
"""

from __future__ import annotations

from enum import Enum


class RunState(str, Enum):
    """A run has ended when all that its batch wrote was read; that is a moment after the batch has."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TERMINATED = "terminated"


RUN_MOVES = {
    RunState.RUNNING: {RunState.SUCCEEDED, RunState.FAILED, RunState.TERMINATED},
    RunState.SUCCEEDED: set(),
    RunState.FAILED: set(),
    RunState.TERMINATED: set(),
}
