"""Runs Scala text the way Livy's spark interpreter answers it (contract livy §3.3).

Decides how an answer is put together and how a failure is told. The interpreter itself lives in the driver's JVM and is
asked from one thread of its own, so that a signal in the main thread never meets a call into the JVM.
"""

from __future__ import annotations

import codecs
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from . import magics, scala_jvm, scala_text
from .exact import json_float
from .interpreter import Interpreter
from .large import PIECE, Text
from .magic_lines import SCALA, split
from .output import TEXT, Capture, Envelope, error, ok, shortened
from .spark import first_line
from .table import typed

T = TypeVar("T")

# Seconds after the first attempt to stop a statement during which only Thread.interrupt is tried, which lets code close
# what it has opened. After that its thread is ended, where Java still can (up to Java 19).
PATIENCE = 0.8

CANCELLED = "the statement was cancelled"
TABLE = "application/vnd.livy.table.v1+json"


class Failed(Exception):
    """A piece of the statement failed; `told` is what the interpreter printed about it."""

    def __init__(self, told: str, ename: str = "Error") -> None:
        super().__init__(told)
        self.told, self.ename = told, ename


class ScalaInterpreter(Interpreter):
    """The Scala REPL of the driver's JVM; `session` gives the live pyspark session or raises.

    `cancelled` says whether the running statement is to stop, which its Spark jobs may hear before this does.
    `cache` is a folder for compiled classes of its own, shared by all drivers; None: none.
    """

    def __init__(
        self, session: Callable[[], Any], cancelled: Callable[[], bool], output_limit: int, cache: Path | None = None
    ) -> None:
        self._session, self._cancelled = session, cancelled
        self._cache = cache
        self._limit = output_limit
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scala")
        self._bridge: Any = None
        self._bound: Any = None
        self._asked_to_stop: float | None = None

    def execute(self, code: str, statement: int, group: str) -> Envelope:
        self._asked_to_stop = None
        return self._on_thread(self._answer, code, statement, group)

    def interrupt(self) -> None:
        now = time.monotonic()
        if self._asked_to_stop is None:
            self._asked_to_stop = now
        if self._bridge is not None:
            self._bridge.interrupt(now - self._asked_to_stop >= PATIENCE)

    def complete(self, code: str, cursor: int) -> list[str]:
        if self._bridge is None:
            return []
        try:
            return scala_text.names(self._bridge.complete(code[:cursor]))
        except Exception:  # noqa: BLE001 - what the compiler cannot complete has no candidates
            return []

    def _on_thread(self, function: Callable[..., T], *args: Any) -> T:
        return self._thread.submit(function, *args).result()

    def _started(self) -> Any:
        """The bridge to an interpreter that knows the live session."""
        session = self._session()
        if self._bridge is None:
            self._bridge = scala_jvm.start(session, self._cache)
        if self._bound is not session:
            scala_jvm.predefine(self._bridge, session)
            self._bound = session
        self._bridge.addJars(session._jsparkSession.sharedState().jarClassLoader().getURLs())
        return self._bridge

    def _answer(self, code: str, statement: int, group: str) -> Envelope:
        try:
            bridge = self._started()
        except Exception as exc:  # noqa: BLE001 - told to the user, and tried again by the next statement
            return error(statement, "InterpreterError", f"Fail to start interpreter: {exc}", [])
        run = _Run(bridge, self._cancelled, self._limit)
        bridge.begin(group, first_line(code), self._limit + 1)
        try:
            if self._asked_to_stop is not None:
                raise Failed(CANCELLED)
            return ok(statement, run.all(code))
        except Failed as failure:
            evalue, traceback = scala_text.told(shortened(failure.told, self._limit))
            return error(statement, failure.ename, evalue, traceback, run.end())
        except Exception as exc:  # noqa: BLE001 - a result over the limit, or a compiler that broke down
            return error(statement, *_breakdown(exc), [], run.end())


def _breakdown(exc: Exception) -> tuple[str, str]:
    """The ename and evalue of a failure that is no answer of the interpreter's; without frames, which are all ours."""
    java = getattr(exc, "java_exception", None)
    return (type(exc).__name__, str(exc)) if java is None else ("Error", f"the compiler failed: {java.toString()}")


class _Run:
    """One statement: its pieces and magics in order, and all that they print."""

    def __init__(self, bridge: Any, cancelled: Callable[[], bool], limit: int) -> None:
        self._bridge, self._cancelled = bridge, cancelled
        self._limit = limit
        self._capture = Capture(limit)
        self._output = Path(bridge.outputFile())
        self._taken = 0

    def end(self) -> Text:
        """The statement is over: all that was printed and echoed, in order."""
        self._bridge.end()
        self._take_printed()
        return self._capture.text(strip=False)

    def _take_printed(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with open(self._output, "rb") as file:
            file.seek(self._taken)
            while printed := file.read(PIECE):
                self._taken += len(printed)
                self._capture.write("stdout", decoder.decode(printed))
        self._capture.write("stdout", decoder.decode(b"", final=True))

    def all(self, code: str) -> dict[str, Any]:
        """Run `code`; the data of its envelope. A magic's result takes the place of echoes. Raises Failed."""
        data: dict[str, Any] = {}
        for chunk in split(code, SCALA):
            data = self._magic(chunk.text) if chunk.is_magic else self._code(chunk.placed)
        magics.check_size(data, self._limit)
        text = self.end()
        if not data or self._taken:
            data[TEXT] = text
        return data

    def _code(self, code: str) -> dict[str, Any]:
        pieces = self._bridge.pieces(code)
        for piece in [code] if pieces is None else pieces:
            # With an empty line before it, so that the compiler of Scala 2.13 tells the line of an error.
            outcome = self._finished(self._bridge.run(f"\n{piece}", False))
            self._capture.write("stdout", self._echo(outcome))
        return {}

    def _echo(self, outcome: Any) -> str:
        text = outcome.text()
        name = scala_text.mutated(text)
        if name is not None:
            shown = self._finished(self._bridge.run(name, True))
            text = scala_text.renamed(shown.text(), name)
        return scala_text.complaint(outcome.warnings()) + scala_text.echo(text, list(outcome.names()))

    def _finished(self, outcome: Any) -> Any:
        """The outcome, if it is good, with all that was printed taken. Raises Failed."""
        self._take_printed()
        status, text = outcome.status(), outcome.text()
        if status == "incomplete":
            raise Failed("incomplete statement")
        if status == "cancelled" or (status == "failed" and self._cancelled()):
            raise Failed(f"{CANCELLED}\n{text}")
        if status == "refused":
            raise Failed(scala_text.complaint(text))
        if status == "failed":
            raise Failed(text)
        return outcome

    def _magic(self, line: str) -> dict[str, Any]:
        name, _, argument = line[1:].partition(" ")
        argument = argument.strip()
        if name not in ("json", "table"):
            raise Failed(f"Unknown magic command {name}", "UnknownMagic")
        outcome = self._finished(getattr(self._bridge, name)(argument))
        if outcome.status() == "none":
            raise Failed(f"Value {argument} does not exist", "NameError")
        value = json.loads(outcome.text(), parse_float=json_float)
        return {"application/json": value} if name == "json" else {TABLE: typed(value["names"], value["rows"])}
