"""Runs jobs beside the statements, each exactly once, and keeps each end until it is stored (contract livy §1.8, §8).

Decides what a request for a job means, which thread runs it, and how it is stopped. Refuses to know what a job is:
each job type has a `JobType`.
"""

from __future__ import annotations

import base64
import ctypes
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from . import children, groups
from .output import Stream, byte_length, readable, shortened
from .spark import Application

GIVEN_UP_AFTER = 30.0  # seconds; Livy's own patience (livy.rsc.job-cancel.timeout)
_FORGOTTEN = 1000  # ids of jobs whose end was given away, for a request that comes late


class JobFailed(Exception):
    """The job failed; the text is what its client is shown as `error`."""


class JobStopped(BaseException):
    """Raised in the thread of a job that is to stop. No Exception, so that no `except Exception` keeps it."""


class JobType(ABC):
    """Runs the jobs of one type. Each call of `run` is on a thread of its own, several of them at a time.

    A type's costly parts start at its first job, on that job's thread.
    """

    @abstractmethod
    def run(self, job: int, payload: bytes, group: str) -> str | None:
        """Run a serialised job to its end; its result as base64 text, as JobStatus shows it, or None.

        The Spark jobs that this thread starts are in the job group `group` already. Raises JobFailed.
        """

    def stop(self, job: int) -> None:  # noqa: B027 - most types need none
        """One more attempt to stop `job`, asked from the kernel's thread; must return soon and raise nothing.

        Its Spark jobs are cancelled already, and JobStopped is raised in its Python thread as soon as that runs
        Python code; so this is for code that runs elsewhere.
        """

    def add(self, kind: str, path: str) -> None:  # noqa: B027 - most types need none
        """What was added to the session, for jobs from now on: a "jar", a "pyfile" or a "file", by path or URI.

        Spark has it already. Also called before the first job. Raises what kept it from being added.
        """


@dataclass(frozen=True)
class Ended:
    """A job that has ended: with a result, which may be None, or with an error. Times in milliseconds since 1970."""

    result: str | None
    error: str | None
    started: int
    ended: int


@dataclass
class _Work:
    job: int
    kind: str
    payload: bytes
    future: Future[Ended] = field(default_factory=Future)
    thread: threading.Thread | None = None
    asked_to_stop: float | None = None


class Jobs:
    """The jobs of one seat. All calls are for one thread, the kernel's."""

    def __init__(self, seat: int, types: Mapping[str, JobType], spark: Application, result_limit: int) -> None:
        self._seat = seat
        self._types = types
        self._spark = spark
        self._limit = result_limit
        self._kept: dict[int, _Work] = {}
        self._forgotten: deque[int] = deque(maxlen=_FORGOTTEN)
        self._striking = threading.Lock()

    def submit(self, job: int, kind: str, payload: str) -> Future[Ended]:
        """The end to be of a job; `payload` is base64 text. A job that was submitted before is never run again."""
        if job in self._forgotten:
            return _ended(f"job {job} has run already and its result was given away")
        work = self._kept.get(job)
        if work is None:
            work = self._kept[job] = _Work(job, kind, base64.b64decode(payload))
            try:
                threading.Thread(target=self._keep, args=(work,), name=f"job-{job}-keeper", daemon=True).start()
            except RuntimeError as exc:
                work.future.set_result(Ended(None, _not_run(exc), _now(), _now()))
        return work.future

    def works(self) -> bool:
        """Whether a job runs. For any thread."""
        return any(not work.future.done() for work in list(self._kept.values()))

    def forget(self, job: int) -> None:
        """Drop the end of `job`, which is stored; nothing while it still runs."""
        work = self._kept.get(job)
        if work is not None and work.future.done():
            del self._kept[job]
            self._forgotten.append(job)

    def stop(self, job: int) -> bool:
        """One attempt to stop `job`; False when it does not run."""
        work = self._kept.get(job)
        if work is None or work.future.done():
            return False
        work.asked_to_stop = work.asked_to_stop or time.monotonic()
        self._spark.cancel(self._group(job))
        if (one := self._types.get(work.kind)) is not None:
            one.stop(job)
        with self._striking:
            if work.thread is not None:
                children.interrupt(work.thread)
                _raise_in(work.thread, JobStopped)
        return True

    def _keep(self, work: _Work) -> None:
        """Run the job on a thread of its own and say how it ended: a thread that may be struck anywhere cannot."""
        Stream.kept_out.add(threading.get_ident())
        started = _now()
        said: dict[str, str | None] = {}
        try:
            self._run_apart(work, said)
        except RuntimeError as exc:
            if not said:
                said["error"] = _not_run(exc)
        if not said:
            said["error"] = "the job was stopped"
        Stream.kept_out.discard(threading.get_ident())
        work.future.set_result(Ended(said.get("result"), said.get("error"), started, _now()))
        work.payload = b""

    def _run_apart(self, work: _Work, said: dict[str, str | None]) -> None:
        """Returns when the job has ended, or does not stop. Raises RuntimeError when no thread can be started."""
        thread = threading.Thread(target=self._run_strikable, args=(work, said), name=f"job-{work.job}", daemon=True)
        thread.start()
        while thread.is_alive() and not _is_given_up(work):
            thread.join(1.0)
        if thread.is_alive():
            print(f"job {work.job} does not stop; it ends when its code next returns to Python", file=sys.stderr)
        if work.asked_to_stop is not None:
            self._spark.cancel_late_jobs(self._group(work.job))

    def _run_strikable(self, work: _Work, said: dict[str, str | None]) -> None:
        """Run the job on this thread, which may be struck until it says that it leaves.

        A thread that has ended is never struck: the next one to start, whosever it is, has its number.
        """
        begun = False
        while True:
            try:
                if not begun:
                    begun = True
                    with self._striking:
                        work.thread = threading.current_thread()
                    self._run(work, said)
                with self._striking:
                    work.thread = None
                _raise_in(threading.current_thread(), None)
                Stream.kept_out.discard(threading.get_ident())
                return
            except JobStopped:
                continue

    def _run(self, work: _Work, said: dict[str, str | None]) -> None:
        Stream.kept_out.add(threading.get_ident())
        try:
            group = self._group(work.job)
            self._spark.enter_group(group, f"job {work.job}")
            self._spark.renew()
            result = self._type(work.kind).run(work.job, work.payload, group)
            if result is not None and byte_length(result) > self._limit:
                raise JobFailed(f"the job's result is larger than the limit of {self._limit} bytes: return less of it")
            said["result"] = result
        except JobFailed as exc:
            said["error"] = shortened(readable(str(exc)), self._limit)
        except JobStopped:
            said["error"] = "the job was stopped"
        except BaseException as exc:  # noqa: BLE001 - a type's own failure must not end without a word
            said["error"] = readable(f"{type(exc).__name__}: {exc}")

    def _group(self, job: int) -> str:
        return groups.of_job(self._seat, job)

    def _type(self, kind: str) -> JobType:
        if kind not in self._types:
            raise JobFailed(f"jobs of type {kind} cannot run here; the types that can: {', '.join(self._types)}")
        return self._types[kind]


def _raise_in(thread: threading.Thread, exc: type[BaseException] | None) -> None:
    """Have `exc` raised in the living `thread` at its next step of Python code; None takes back what is not yet."""
    strike = None if exc is None else ctypes.py_object(exc)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), strike)


def _is_given_up(work: _Work) -> bool:
    return work.asked_to_stop is not None and time.monotonic() - work.asked_to_stop > GIVEN_UP_AFTER


def _not_run(error: RuntimeError) -> str:
    return f"the job could not be run: {error}"


def _ended(error: str) -> Future[Ended]:
    future: Future[Any] = Future()
    future.set_result(Ended(None, error, _now(), _now()))
    return future


def _now() -> int:
    return int(time.time() * 1000)
