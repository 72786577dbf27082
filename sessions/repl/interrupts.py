"""Stops the running statement, and only that one, by a KeyboardInterrupt in the main thread.

Decides when a SIGINT may become a KeyboardInterrupt: only while code called through `interruptible` is on the stack
and its statement is the one asked for. Knows nothing of Spark jobs, except that a call into the JVM is given a moment
to come back by itself.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import ParamSpec, TypeVar

from . import children

P = ParamSpec("P")
T = TypeVar("T")

# Attempts that leave a call into the JVM alone: its job is being cancelled, and it then answers in protocol order.
JVM_PATIENCE = 2


def interruptible(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function`; while it runs, and at no other time, a wanted interrupt is raised inside it.

    The signal handler recognises this frame on the stack. So there is no flag to reset, and no moment after the
    call in which an interrupt could still arrive.
    """
    return function(*args, **kwargs)


class Interrupts:
    """The SIGINT handler of the driver; owned by the main thread, asked by any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: int | None = None
        self._wanted: int | None = None
        self._attempts = 0
        self._seen = 0

    def begin(self, statement: int) -> None:
        """The main thread starts `statement`. Takes SIGINT back in case earlier code installed a handler."""
        signal.signal(signal.SIGINT, self._on_signal)
        with self._lock:
            self._running, self._wanted = statement, None
            self._attempts = self._seen = 0

    def end(self) -> bool:
        """The main thread is done with its statement; True when it had been asked to stop."""
        with self._lock:
            self._running = None
            return self._wanted is not None

    @property
    def running(self) -> int | None:
        """The statement being run now, None between statements."""
        return self._running

    @property
    def wanted(self) -> bool:
        """True when the statement being run has been asked to stop."""
        with self._lock:
            return self._running is not None and self._wanted == self._running

    def request(self, statement: int) -> bool:
        """One attempt to stop `statement`; False, and nothing done, when it is not the running one."""
        with self._lock:
            if self._running is None or self._running != statement:
                return False
            self._wanted = statement
            self._attempts += 1
            # os.system and friends ignore SIGINT in this process while they wait: then their child is asked instead.
            deaf = self._attempts - 1 > self._seen
        if deaf:
            children.interrupt(threading.main_thread())
        # Sent to the main thread itself, so that its system call returns; the handler checks the statement again.
        ident = threading.main_thread().ident
        assert ident is not None
        signal.pthread_kill(ident, signal.SIGINT)
        return True

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        self._seen = self._attempts
        if self._running is None or self._wanted != self._running:
            return
        callers = list(_until_guard(frame))
        if not callers or not _under_guard(callers[-1]):
            return
        if self._attempts <= JVM_PATIENCE and any(_waits_for_jvm(caller) for caller in callers):
            return
        raise KeyboardInterrupt


def _until_guard(frame: FrameType | None) -> Iterator[FrameType]:
    """The frames from `frame` outwards that were called by `interruptible`, or all when there is no such call."""
    while frame is not None and frame.f_code is not interruptible.__code__:
        yield frame
        frame = frame.f_back


def _under_guard(frame: FrameType) -> bool:
    return frame.f_back is not None and frame.f_back.f_code is interruptible.__code__


def _waits_for_jvm(frame: FrameType) -> bool:
    return frame.f_code.co_name == "send_command" and frame.f_globals.get("__name__") == "py4j.clientserver"
