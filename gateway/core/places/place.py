"""What a place is: where drivers and batches run, and every verb that the supervisor has for what runs there.

Knows no pid: a place may be this host, another one, or a cluster manager. Whatever is started is named for ever by its
work folder, in which the place keeps what it needs to find it again. So a restarted supervisor asks by folder.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

# Ending something, a step at a time: a signal, and how long it may take; the last step again and again.
Ladder = Sequence[tuple[signal.Signals, timedelta]]
AT_ONCE: Ladder = ((signal.SIGKILL, timedelta(seconds=1)),)


@dataclass(frozen=True)
class End:
    """How something ended: with an exit code (128 + n for signal n), or without one when it was killed from outside."""

    code: int | None
    out_of_memory: bool = False


@dataclass(frozen=True)
class Socket:
    """Where a kernel is to listen so that the gateway reaches it: `ip` is the sockets' path for transport "ipc"."""

    transport: str
    ip: str


class Place(Protocol):
    """One of them. None of its verbs waits; all are harmless to repeat.

    It wakes the supervisor whenever the answer of `ended_in` or of a pending `stop` may have changed.
    """

    @property
    def name(self) -> str:
        """By which rows name it: the same over restarts, and another one for every place of a store."""

    def begin(self) -> None:
        """Go on with the removals that an earlier supervisor had under way. Once, before anything else."""

    def start(self, folder: Path, command: Sequence[str], environ: Mapping[str, str]) -> None:
        """Run `command` in `folder` (which must exist), its output appended to `log` there; its end will be told.

        In a folder in which something was started already, nothing happens. Raises OSError if it cannot be started.
        """

    def find(self, folder: Path) -> bool:
        """Whether something was started in `folder`, by whichever supervisor; if so, its end will be told.

        Raises OSError when that cannot be told now.
        """

    def ended_in(self, parent: Path) -> list[str]:
        """The names of the folders below `parent` in which what was started has ended, until they are settled.

        Of `parent` only its name counts: what was begun before `data_dir` became another stays where it is.
        """

    def end_of(self, folder: Path) -> End:
        """How what has ended there did end."""

    def stop(self, folder: Path, ladder: Ladder, now: datetime) -> bool:
        """Whether nothing runs there any more, children and strays included; else take the ladder's next step if due.

        Where a folder stands on its ladder is not kept beyond this process: a successor begins at the first step.
        """

    def settle(self, folder: Path, note: str | None) -> None:
        """Be done with what has ended: end the last line of its log, add the gateway's `note`, tell no more of it."""

    def clear(self, folder: Path) -> None:
        """Remove all in the folder but its log, some time soon."""

    def remove(self, path: Path) -> None:
        """Remove a folder with all in it: at once nothing is there any more."""

    def cut_logs(self, limit: int) -> None:
        """Take the middle out of logs that have grown longer than `limit` bytes: of what runs, or was just settled."""

    def socket(self, folder: Path) -> Socket:
        """Where a kernel that is started in `folder` is to listen."""

    def ports(self, folder: Path) -> list[int]:
        """TCP ports that are listened on by what runs there, lowest first. Takes a while: for a thread."""
