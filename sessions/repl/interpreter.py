"""What every language of a driver can do. One file per language implements it."""

from __future__ import annotations

from abc import ABC, abstractmethod

from .output import Envelope


class Interpreter(ABC):
    """One language of the driver, used by one statement at a time. Its costly parts start at the first statement."""

    @abstractmethod
    def execute(self, code: str, statement: int, group: str) -> Envelope:
        """Run `code` on the main thread and answer with its envelope (contract livy §3); raises nothing.

        Its Spark jobs are to be in the job group `group`, as those that this thread starts are already.
        """

    def interrupt(self) -> None:  # noqa: B027 - most languages need none
        """One more attempt to stop what `execute` runs now, asked from the kernel's thread.

        The statement's Spark jobs are cancelled already, and the main thread gets the signal that `Interrupts` turns
        into a KeyboardInterrupt; so this is for languages whose code runs elsewhere. Must return soon; raises nothing.
        """

    def complete(self, code: str, cursor: int) -> list[str]:
        """What could stand at `cursor`, 0 to the length of `code`: bare names, best first.

        Asked from a thread of its own, beside a statement, and must not wait for it. What it raises means nothing.
        """
        return []
