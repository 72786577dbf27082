"""The names of Spark's job groups: whose the Spark jobs are, by the seat and the number of the statement or Livy job.

The numbers of two seats of a driver say nothing about one another, but their Spark jobs meet in one application.
"""

from __future__ import annotations

_OF_JOB = "-job-"


def of_seat(seat: int) -> str:
    """The job tag of all that the interpreter of a seat begins, where the application has several."""
    return f"seat-{seat}"


def of_statement(seat: int, statement: int) -> str:
    """The group of a statement; nothing else of the application shares it."""
    return f"seat-{seat}-statement-{statement}"


def of_job(seat: int, job: int) -> str:
    """The group of a Livy job; nothing else of the application shares it."""
    return f"seat-{seat}{_OF_JOB}{job}"


def is_of_job(name: str) -> bool:
    """Whether the group `name`, one of ours, is a job's and not a statement's."""
    return _OF_JOB in name
