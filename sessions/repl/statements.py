"""Runs statements one after another on the main thread, each exactly once, and keeps the last result.

Decides what a request for a statement means: run it, hand over its kept result, or refuse. Knows no sockets and no
language.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NoReturn, ParamSpec, TypeVar

from . import groups
from .interpreter import Interpreter
from .interrupts import Interrupts
from .large import Outputs, whole
from .output import Envelope, error, ok
from .restarts import Restarts
from .spark import Application

P = ParamSpec("P")
T = TypeVar("T")

_LONGEST_NAME = 1000  # characters of an exception's in a reply whose result is in a file


@dataclass(frozen=True)
class Request:
    """A text to run. `statement` None means: the next free number; `by_file`: a large result may be in a file."""

    code: str
    kind: str = "pyspark"
    statement: int | None = None
    by_file: bool = False


@dataclass(frozen=True)
class Result:
    """A finished statement; times in milliseconds since the epoch.

    `application` has the `app_id` and `ui_url` of a Spark that user code has started anew; None: it is the first one.
    `size` is how many bytes the file of a large result has, of which `output` then tells the status alone; None: it is
    all in `output`.
    """

    statement: int
    output: Envelope
    started: int
    completed: int
    application: dict[str, str | None] | None = None
    size: int | None = None


@dataclass(frozen=True)
class _Work:
    statement: int
    request: Request
    future: Future[Result] = field(default_factory=Future)


class Statements:
    """The statements of one seat. `submit` is for one thread, the kernel's; `serve` for the main thread."""

    def __init__(
        self,
        seat: int,
        interpreters: Mapping[str, Interpreter],
        interrupts: Interrupts,
        spark: Application,
        restarts: Restarts,
        outputs: Outputs,
    ) -> None:
        self._seat = seat
        self._outputs = outputs
        self._interpreters = interpreters
        self._interrupts = interrupts
        self._spark = spark
        self._restarts = restarts
        self._inbox: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._lock = threading.Lock()
        # No statement begins or ends while another thread cancels one: an interpreter stops whatever it runs.
        self._changing = threading.Lock()
        self._last: _Work | None = None
        self._last_id = -1

    def submit(self, request: Request) -> Future[Result]:
        """The result to be of the request. A statement that was submitted before is never run again."""
        with self._lock:
            statement = self._last_id + 1 if request.statement is None else request.statement
            if self._last is not None and self._last.statement == statement:
                return self._last.future
            if statement <= self._last_id:
                return _refused(statement)
            self._drop(self._last)
            self._last, self._last_id = _Work(statement, request), statement
            self._inbox.put(self._last)
            return self._last.future

    def works(self) -> bool:
        """Whether a statement runs or waits to."""
        last = self._last
        return last is not None and not last.future.done()

    def forget(self, statement: int) -> None:
        """Drop the kept result of `statement`; nothing when it still runs or another one is kept."""
        with self._lock:
            last = self._last
            if last is not None and last.statement == statement and last.future.done():
                self._last = None
                self._drop(last)

    def _drop(self, last: _Work | None) -> None:
        """Its file, if its result is in one."""
        if last is not None and last.request.by_file:
            self._outputs.drop(self._seat, last.statement)

    def cancel(self, statement: int | None) -> bool:
        """One attempt to stop `statement`, or with None whatever runs; False when it does not run right now."""
        with self._changing:
            running = self._interrupts.running
            wanted = running if statement is None else statement
            if wanted is None or not self._interrupts.request(wanted):
                return False
            self._spark.cancel(self._group(wanted))
            last = self._last
            if last is not None and last.statement == wanted and last.request.kind in self._interpreters:
                self._interpreters[last.request.kind].interrupt()
            return True

    def complete(self, kind: str, code: str, cursor: int) -> list[str]:
        """What could stand at `cursor` of `code`; nothing for a language that is not there."""
        interpreter = self._interpreters.get(kind)
        return interpreter.complete(code, cursor) if interpreter is not None else []

    def progress(self, statement: int) -> float:
        """How far the running `statement` is, 0.0 to 1.0; 1.0 once it is done."""
        running = self._interrupts.running
        if running == statement:
            return self._spark.progress(self._group(statement))
        last = self._last
        done = statement < self._last_id or last is None or last.future.done()
        return 1.0 if statement <= self._last_id and done else 0.0

    def streams(self) -> bool:
        """Whether streaming queries run, whoever started them."""
        return self._spark.has_streams()

    def serve(self) -> NoReturn:
        """Run what is submitted, on the main thread, for as long as the process lives."""
        while True:
            self._run_next()

    def _run_next(self) -> None:
        # A frame of its own: an idle driver must not hold on to a result that was forgotten.
        work = self._inbox.get()
        work.future.set_result(self._run(work))

    def _run(self, work: _Work) -> Result:
        self._spark.enter(self._group(work.statement), work.request.code)
        with self._changing:
            self._interrupts.begin(work.statement)
        started = _now()
        try:
            output = self._execute(work.request, work.statement)
        finally:
            with self._changing:
                interrupted = self._interrupts.end()
        completed = _now()
        application = _attempt(self._restarts.look, work.request.kind)
        if interrupted:
            _attempt(self._spark.renew)
            _attempt(self._spark.cancel_late_jobs, self._group(work.statement))
        output, size = self._kept(work, output)
        return Result(work.statement, output, started, completed, application, size)

    def _kept(self, work: _Work, output: Envelope) -> tuple[Envelope, int | None]:
        """What the reply says of the output, and the size of its file when it is in one."""
        if not work.request.by_file:
            return whole(output), None
        try:
            size = self._outputs.keep(self._seat, work.statement, output)
        except (OSError, ValueError) as exc:
            traceback.print_exc()
            return error(work.statement, type(exc).__name__, f"the output could not be kept: {exc}", []), None
        if size is None:
            return whole(output), None
        if output["status"] == "error":
            return error(work.statement, output["ename"][:_LONGEST_NAME], "", []), size
        return ok(work.statement, {}), size

    def _group(self, statement: int) -> str:
        return groups.of_statement(self._seat, statement)

    def _execute(self, request: Request, statement: int) -> Envelope:
        interpreter = self._interpreters.get(request.kind)
        if interpreter is None:
            known = ", ".join(self._interpreters)
            return error(statement, "InterpreterError", f"Fail to start interpreter: not one of {known}", [])
        try:
            return interpreter.execute(request.code, statement, self._group(statement))
        except BaseException as exc:  # noqa: BLE001
            # An interpreter promises to raise nothing; a broken promise must not end the driver.
            traceback.print_exc()
            return error(statement, type(exc).__name__, str(exc), [])


def _attempt(step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """Call what follows a statement; when it fails, the log says so, and the result is handed over all the same."""
    try:
        return step(*args, **kwargs)
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
        return None


def _refused(statement: int) -> Future[Result]:
    future: Future[Result] = Future()
    message = f"statement {statement} has run already and its result was given away"
    future.set_result(Result(statement, error(statement, "AlreadyRan", message, []), _now(), _now()))
    return future


def _now() -> int:
    return int(time.time() * 1000)
