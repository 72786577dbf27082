"""A nudge to another process of this host: a byte through a FIFO.

It only shortens a wait. The rows are the message: losing every nudge loses nothing, and a full or unread
FIFO is no error. A FIFO rather than a socket: its path may be as long as any path.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path


def create(path: Path) -> int:
    """Make the FIFO if need be and open it for reading; the descriptor, non-blocking, never at end of file."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.is_fifo():
        path.unlink(missing_ok=True)
        os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def drain(descriptor: int) -> None:
    """Take all nudges that have come: one pass over the rows serves them all."""
    try:
        while os.read(descriptor, 4096):
            pass
    except BlockingIOError:
        pass


def nudge(path: Path) -> bool:
    """Wake who listens here; False: nobody does. Returns at once in any case."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return error.errno not in (errno.ENXIO, errno.ENOENT)
    try:
        os.write(descriptor, b"!")
    except OSError:
        pass
    finally:
        os.close(descriptor)
    return True
