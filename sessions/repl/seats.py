"""The seats of a driver: interpreters of their own in one Spark application, each with what is run and added there.

Whoever asks for something names the seat. The interpreter of each is a process of its own, which knows no other seat.
"""

from __future__ import annotations

from dataclasses import dataclass

from .additions import Additions
from .jobs import Jobs
from .statements import Statements

FIRST = 0  # also of who names none, such as a plain Jupyter client


@dataclass(frozen=True)
class Seat:
    statements: Statements
    jobs: Jobs
    additions: Additions

    def works(self) -> bool:
        """Whether something runs there, or waits to."""
        return self.statements.works() or self.jobs.works() or self.additions.works()
