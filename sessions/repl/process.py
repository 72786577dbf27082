"""The driver as a Unix process: its standard streams, whom it outlives, and how it leaves.

Decides nothing about Spark or the kernel; leaving runs what it is given and never takes longer than its patience.
"""

from __future__ import annotations

import io
import os
import stat
import sys
import threading
from collections.abc import Callable
from typing import TextIO

from .output import Stream


def take_streams() -> list[Stream]:
    """Put our streams in place of Python's; what no statement prints goes on to the log."""
    for log in (sys.__stdout__, sys.__stderr__):
        if isinstance(log, io.TextIOWrapper):
            # Whoever reads the log wants a line when it is written, and no character may stop it.
            log.reconfigure(line_buffering=True, errors="backslashreplace")
    sys.stdout = out = Stream("stdout", _log(sys.__stdout__))
    sys.stderr = err = Stream("stderr", _log(sys.__stderr__))
    sys.__stdout__, sys.__stderr__ = out, err  # type: ignore[misc] # as in a script, where they are the same
    return [out, err]


def _log(stream: TextIO | None) -> TextIO:
    return stream if stream is not None else open(os.devnull, "w")


def close_stdin() -> None:
    """Give the user's code an empty stdin; the real one, a pipe of spark-submit's JVM, only tells when that dies."""
    held = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for the whole life
    if "PYSPARK_GATEWAY_PORT" in os.environ and stat.S_ISFIFO(os.fstat(held).st_mode):
        threading.Thread(target=_leave_with, args=(held,), name="jvm-watch", daemon=True).start()


def _leave_with(pipe: int) -> None:
    """Block until the JVM is gone, and go too: without it the driver can only hold memory."""
    while os.read(pipe, 64):
        pass
    os._exit(1)


def leave(code: int, stop: Callable[[], None], patience: float) -> None:
    """End the process with `code` after `stop`, or after `patience` seconds if that takes longer; never returns."""
    alarm = threading.Timer(patience, os._exit, [code])
    alarm.daemon = True
    alarm.start()
    try:
        stop()
    finally:
        # Not sys.exit: threads that user code left behind must not keep the process.
        os._exit(code)
