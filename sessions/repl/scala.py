"""Runs Scala text the way Livy's spark interpreter answers it (contract livy §3.3).

Decides how an answer is put together and how a failure is told. The interpreter itself lives in the driver's JVM and is
asked from one thread of its own, so that a signal in the main thread never meets a call into the JVM.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from . import magics, scala_jvm, scala_text
from .interpreter import Interpreter
from .output import TEXT, Capture, Envelope, error, ok
from .spark import group

T = TypeVar("T")

# Seconds after the first attempt to stop a statement during which only Thread.interrupt is tried, which lets code close
# what it has opened. After that its thread is ended, where Java still can (up to Java 19).
PATIENCE = 0.8


class Failed(Exception):
    """A piece of the statement failed; `told` is what the interpreter printed about it."""

    def __init__(self, told: str) -> None:
        super().__init__(told)
        self.told = told


class ScalaInterpreter(Interpreter):
    """The Scala REPL of the driver's JVM; `session` gives the live pyspark session or raises."""

    def __init__(self, session: Callable[[], Any], output_limit: int) -> None:
        self._session = session
        self._limit = output_limit
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scala")
        self._bridge: Any = None
        self._bound: Any = None
        self._asked_to_stop: float | None = None

    def execute(self, code: str, statement: int) -> Envelope:
        self._asked_to_stop = None
        return self._on_thread(self._answer, code, statement)

    def interrupt(self) -> None:
        now = time.monotonic()
        if self._asked_to_stop is None:
            self._asked_to_stop = now
        if self._bridge is not None:
            self._bridge.interrupt(now - self._asked_to_stop >= PATIENCE)

    def define(self, source: str, name: str) -> Any:
        """The Scala object `name` that `source`, a file with a package of its own, defines, as a py4j object.

        Starts the interpreter; uses no result number and none of the user's names. Raises RuntimeError.
        """
        return self._on_thread(self._define, source, name)

    def _on_thread(self, function: Callable[..., T], *args: Any) -> T:
        return self._thread.submit(function, *args).result()

    def _define(self, source: str, name: str) -> Any:
        made = self._started().define(source, name)
        if made.status() != "ok":
            raise RuntimeError(f"{name} does not compile: {made.text()}")
        return made.value()

    def _started(self) -> Any:
        """The bridge to an interpreter that knows the live session."""
        session = self._session()
        if self._bridge is None:
            self._bridge = scala_jvm.start(session)
        if self._bound is not session:
            scala_jvm.predefine(self._bridge, session)
            self._bound = session
        return self._bridge

    def _answer(self, code: str, statement: int) -> Envelope:
        try:
            bridge = self._started()
        except Exception as exc:  # noqa: BLE001 - told to the user, and tried again by the next statement
            return error(statement, "InterpreterError", f"Fail to start interpreter: {exc}", [])
        run = _Run(bridge, self._limit)
        first = (code.strip().splitlines() or [""])[0]
        bridge.begin(group(statement), first[:200], self._limit + 1)
        try:
            if self._asked_to_stop is not None:
                raise Failed(CANCELLED)
            return ok(statement, run.all(code))
        except Failed as failure:
            evalue, traceback = scala_text.told(failure.told)
            return error(statement, "Error", evalue, traceback, run.text())
        finally:
            bridge.end()


CANCELLED = "the statement was cancelled"


class _Run:
    """One statement: its pieces and magics in order, and all that they print."""

    def __init__(self, bridge: Any, limit: int) -> None:
        self._bridge = bridge
        self._capture = Capture(limit)
        self._output = Path(bridge.outputFile())

    def text(self) -> str:
        return self._capture.text(strip=False)

    def all(self, code: str) -> dict[str, Any]:
        pieces = self._bridge.pieces(code)
        for piece in [code] if pieces is None else pieces:
            self._run(piece)
        return {TEXT: self.text()}

    def _run(self, piece: str) -> None:
        outcome = self._bridge.run(piece, False)
        self._take_printed()
        status, text = outcome.status(), outcome.text()
        if status == "ok":
            self._capture.write("stdout", scala_text.echo(text, list(outcome.names())))
        elif status == "incomplete":
            raise Failed("incomplete statement")
        elif status == "cancelled":
            raise Failed(f"{CANCELLED}\n{text}")
        else:
            raise Failed(text)

    def _take_printed(self) -> None:
        printed = self._output.read_bytes()
        if printed:
            self._capture.write("stdout", printed.decode("utf-8", "replace"))
            self._bridge.clearOutput()
