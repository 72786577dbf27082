"""The states of a session's jobs and of what is added to it, and the moves between them that are legal."""

from __future__ import annotations

from enum import Enum


class JobState(str, Enum):
    QUEUED = "queued"
    STARTED = "started"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class AdditionState(str, Enum):
    WAITING = "waiting"
    ADDED = "added"
    FAILED = "failed"


# failed from queued: the session ended before its turn came, and the error says so
JOB_MOVES = {
    JobState.QUEUED: {JobState.STARTED, JobState.CANCELLED, JobState.FAILED},
    JobState.STARTED: {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLING},
    JobState.CANCELLING: {JobState.CANCELLED},
    JobState.SUCCEEDED: set(),
    JobState.FAILED: set(),
    JobState.CANCELLED: set(),
}

# waiting from added: the session was given another driver, which has nothing yet
ADDITION_MOVES = {
    AdditionState.WAITING: {AdditionState.ADDED, AdditionState.FAILED},
    AdditionState.ADDED: {AdditionState.WAITING},
    AdditionState.FAILED: set(),
}
