"""Runs R text in one R process beside the driver, with SparkR on the driver's own session (contract livy §3.5).

Decides when R is started and started anew, and what its answers mean to a user. How R evaluates is `r_session.R`'s
business, how to reach it `r_process`'.
"""

from __future__ import annotations

import base64
import locale
import os
import re
import tempfile
import threading
from collections.abc import Iterator

from . import magics
from .interpreter import Interpreter
from .large import LargeText, Text, last_lines
from .output import TEXT, Capture, Envelope, error, ok, shortened
from .r_process import Died, RProcess
from .spark import first_line
from .sparkr import SparkR
from .sql import java_frames

START_PATIENCE = 60.0  # seconds for R to start, and for SparkR to connect
_LAST_LINES = 10  # of a died R's output that its error shows
_STARTUP_OUTPUT = 1 << 16  # bytes of what a start may print that are kept for its error
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_BEGUN_COLOUR = re.compile(r"\x1b(\[[0-9;]{0,1000})?\Z")
LOST = "its variables are lost, and the next R statement starts a new one"


class NotStarted(Exception):
    """R cannot be had; the text says why, in a sentence."""


class RInterpreter(Interpreter):
    """One R process, in whose global environment every text runs. `sparkr` None: R alone, without Spark."""

    def __init__(self, sparkr: SparkR | None, output_limit: int) -> None:
        self._sparkr = sparkr
        self._limit = output_limit
        self._process: RProcess | None = None
        self._cancelled = threading.Event()

    def execute(self, code: str, statement: int, group: str) -> Envelope:
        """Run `code` and answer with its envelope; raises nothing, whatever the code does."""
        self._cancelled.clear()
        capture = Capture(self._limit)
        if "\0" in code:
            return error(statement, "Error", "the code has a NUL character, which no R code can have", [])
        try:
            process = self._process or self._start()
            self._reconnect(process)
        except NotStarted as exc:
            return error(statement, "InterpreterError", f"Fail to start interpreter: {exc}", [])
        if self._cancelled.is_set():
            return error(statement, "Error", "interrupted", [])
        process.output.begin(capture)
        try:
            answer = process.ask([_bytes(word) for word in ("run", code, group, first_line(code))])
            process.output.finish()
        except Died as exc:
            return self._obituary(process, exc, statement, capture)
        return self._envelope(answer, statement, _plain(capture))

    def interrupt(self) -> None:
        """Interrupt R and the programs it waits for; an R that stays deaf for long is killed."""
        self._cancelled.set()
        process = self._process
        if process is not None:
            process.interrupt()

    def _reconnect(self, process: RProcess) -> None:
        """Give R the live session when Spark was started anew. Raises NotStarted."""
        if self._sparkr is not None and self._sparkr.has_changed():
            try:
                tell(process, "connect", *self._sparkr.connection())
            except Died as exc:
                raise NotStarted(str(exc)) from exc

    def _envelope(self, answer: list[bytes], statement: int, text: Text) -> Envelope:
        status, *rest = answer
        if status == b"error":
            evalue, *calls = [shortened(part.decode("utf-8", "backslashreplace"), self._limit) for part in rest]
            # Spark's exceptions come with their Java stack.
            message, at, stack = evalue.partition("\n\tat ")
            return error(statement, "Error", message, calls + java_frames(at + stack), text)
        if not rest:
            return ok(statement, {TEXT: text})
        data = {"image/png": base64.b64encode(rest[0]).decode("ascii")}
        try:
            magics.check_size(data, self._limit)
        except ValueError as exc:
            return error(statement, "Error", str(exc), [], text)
        return ok(statement, {**data, TEXT: text} if text else data)

    def _obituary(self, process: RProcess, end: Died, statement: int, capture: Capture) -> Envelope:
        self._process = None
        process.close()
        process.output.finish()
        text = _plain(capture)
        last = last_lines(text, _LAST_LINES)
        return error(statement, "Error", "\n".join(["Interpreter died:", f"{end}; {LOST}", *last]), [], text)

    def _start(self) -> RProcess:
        """A ready R, kept in self._process. Raises NotStarted."""
        said = Capture(_STARTUP_OUTPUT)
        process = None
        try:
            process = self._new_process(said)
            process.wait_until_ready(START_PATIENCE)
            if self._sparkr is not None:
                connect(process, self._sparkr)
        except Exception as exc:
            if process is not None:
                process.close()
                process.output.finish()
            raise NotStarted(_reason(exc, said)) from exc
        process.output.finish()
        self._process = process
        return process

    def _new_process(self, said: Capture) -> RProcess:
        if self._sparkr is None:
            return RProcess("R", environ(), tempfile.gettempdir(), said)
        return RProcess(self._sparkr.program(), environ(), self._sparkr.temporary_folder(), said)


def environ() -> dict[str, str]:
    """The environment of R: this process's own, in UTF-8."""
    if locale.getpreferredencoding(False).upper() in ("UTF-8", "UTF8"):
        return dict(os.environ)
    return {**os.environ, "LC_ALL": "C.UTF-8"}


def connect(process: RProcess, sparkr: SparkR) -> None:
    """Attach SparkR in the process, with the driver's session. Raises NotStarted, Died, and what py4j raises."""
    tell(process, "load", *sparkr.libraries())
    tell(process, "connect", *sparkr.connection())


def tell(process: RProcess, *words: str) -> None:
    """One request of the start. Raises NotStarted with R's answer when that is an error, and Died."""
    status, *said = process.ask([_bytes(word) for word in words], START_PATIENCE)
    if status == b"error":
        raise NotStarted(said[0].decode("utf-8", "backslashreplace"))


def _reason(exc: Exception, said: Capture) -> str:
    if isinstance(exc, FileNotFoundError):
        return f"there is no program {exc.filename}; install R, or name it in spark.r.shell.command"
    if isinstance(exc, Died):
        last = last_lines(said.text(), _LAST_LINES)
        return ": ".join([str(exc), *([" ".join(last)] if last else [])])
    return str(exc)


def _bytes(word: str) -> bytes:
    return word.replace("\r\n", "\n").encode("utf-8", "backslashreplace")


def _plain(capture: Capture) -> Text:
    text = capture.text()
    return LargeText(lambda: without_colours(text.pieces())) if isinstance(text, LargeText) else _COLOURS.sub("", text)


def without_colours(pieces: Iterator[str]) -> Iterator[str]:
    """The text without the codes that colour it, which may stand across pieces."""
    rest = ""
    for piece in pieces:
        text = _COLOURS.sub("", rest + piece)
        begun = _BEGUN_COLOUR.search(text)
        rest = "" if begun is None else begun[0]
        yield text[: len(text) - len(rest)]
    yield rest
