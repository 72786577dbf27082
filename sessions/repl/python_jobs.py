"""Runs Python jobs: pickled functions of one argument, as Livy's Python client sends them (contract livy §8.1).

Decides how a job is read, what its error text is, and what a blocking `time.sleep` in it does when it is to stop.
"""

from __future__ import annotations

import base64
import functools
import importlib
import pickle
import threading
import time
from collections.abc import Callable
from typing import Any

from .job_context import JobContext
from .jobs import JobFailed, JobStopped, JobType
from .python_errors import frame_lines, traceback_lines

_ERROR = "org.apache.livy.repl.PythonJobException: Client job error:"


class PythonJobs(JobType):
    """The session's Python jobs, which share one context."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._sleeps = _Sleeps()

    def run(self, job: int, payload: bytes, group: str) -> str:
        """The function's value, pickled, in base64 twice: what Livy's client undoes."""
        self._sleeps.enter(job)
        try:
            pickled = self._call(payload)
        finally:
            self._sleeps.leave()
        return base64.b64encode(base64.b64encode(pickled)).decode("ascii")

    def _call(self, payload: bytes) -> bytes:
        try:
            function = pickle.loads(payload)  # noqa: S301 - to run what it is sent is its purpose
            pickled: bytes = importlib.import_module("cloudpickle").dumps(function(self._context))
        except JobStopped:
            raise
        except BaseException as exc:  # noqa: BLE001 - also sys.exit() is an ordinary failure
            raise JobFailed(_ERROR + _told(exc)) from None
        return pickled

    def stop(self, job: int) -> None:
        """Wake the job's thread from its sleep."""
        self._sleeps.wake(job)


def _told(exc: BaseException) -> str:
    try:
        return "".join(traceback_lines(exc))
    except Exception as second:  # noqa: BLE001 - the text of an exception is the user's code too
        failed = f"{type(exc).__name__}: <exception str() failed: {type(second).__name__}>"
        return "".join([*frame_lines(exc.__traceback__), failed])


class _Sleeps:
    """Makes `time.sleep` end in the thread of a job that is to stop. Python itself wakes only its main thread."""

    def __init__(self) -> None:
        self._thread = threading.local()
        self._wanted: dict[int, threading.Event] = {}
        self._lock = threading.Lock()
        self._in_place = False

    def enter(self, job: int) -> None:
        with self._lock:
            if not self._in_place:  # not before the first job: most sessions have none
                time.sleep, self._in_place = self._stoppable(time.sleep), True
        self._thread.wanted = self._wanted[job] = threading.Event()
        self._thread.job = job

    def leave(self) -> None:
        self._wanted.pop(self._thread.job, None)
        self._thread.wanted = None

    def wake(self, job: int) -> None:
        if (wanted := self._wanted.get(job)) is not None:
            wanted.set()

    def _stoppable(self, original: Callable[[Any], None]) -> Callable[[Any], None]:
        """A function that pickles as the original does, by its name: users' functions take it to the executors."""

        @functools.wraps(original)
        def sleep(seconds: Any, /) -> None:
            wanted = getattr(self._thread, "wanted", None)
            if wanted is None or not 0 < seconds < threading.TIMEOUT_MAX:
                original(seconds)
            elif wanted.wait(seconds):
                raise JobStopped

        sleep.__module__ = "time"  # the name a built-in function has without saying so
        return sleep
