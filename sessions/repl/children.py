"""Interrupts the child processes a thread or another process waits for, such as those of os.system.

Reads Linux's /proc; where that is missing it does nothing.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path


def interrupt(thread: threading.Thread) -> None:
    """Send SIGINT to every process started by `thread` that still runs, and to their own children."""
    _interrupt_all(f"/proc/self/task/{thread.native_id}/children")


def interrupt_of(pid: int) -> None:
    """As `interrupt`, for the processes started by the main thread of the process `pid`."""
    _interrupt_all(f"/proc/{pid}/task/{pid}/children")


def _interrupt_all(listing: str) -> None:
    for pid in list(_started_by(listing)):
        try:
            os.kill(pid, signal.SIGINT)
        except OSError:
            continue


def _started_by(listing: str) -> Iterator[int]:
    try:
        pids = [int(word) for word in Path(listing).read_text().split()]
    except OSError:
        return
    for pid in pids:
        yield pid
        yield from _started_by(f"/proc/{pid}/task/{pid}/children")
