"""Runs Python text the way Livy's pyspark interpreter answers it (contract livy §3.2).

Decides how a text is split, compiled and run, and how its failure is told. Refuses to know who asked, and what Spark
is: the namespace comes filled.
"""

from __future__ import annotations
import __future__

import ast
import sys
import traceback
from collections.abc import Callable
from types import CodeType, ModuleType, TracebackType
from typing import Any

from . import magics
from .interpreter import Interpreter
from .interrupts import interruptible
from .output import TEXT, Capture, Envelope, Stream, error, ok, shortened

FILE = "<stdin>"
HEADER = "Traceback (most recent call last):\n"
FUTURE_FLAGS = sum({getattr(__future__, name).compiler_flag for name in __future__.all_feature_names})

Step = Callable[[dict[str, Any]], dict[str, Any] | None]


class PythonInterpreter(Interpreter):
    """One namespace, the module `__main__`, in which every text runs."""

    def __init__(self, module: ModuleType, streams: list[Stream], output_limit: int) -> None:
        self._namespace = module.__dict__
        self._streams = streams
        self._limit = output_limit
        self._flags = 0

    def execute(self, code: str, statement: int) -> Envelope:
        """Run `code` and answer with its envelope; raises nothing, whatever the code does."""
        capture = Capture(self._limit)
        self._direct(capture)
        try:
            data = interruptible(self._run, code) or {}
            text = capture.text()
            if text or not data:
                data[TEXT] = text
            return ok(statement, data)
        except BaseException as exc:  # noqa: BLE001 - also sys.exit() is an ordinary failure
            return self._failure(exc, statement, capture)
        finally:
            self._direct(None)

    def complete(self, code: str, cursor: int) -> list[str]:
        """Names in reach of the text before `cursor`; what stands after it plays no part."""
        # Imported here: it takes a third of a second, and most sessions never complete.
        from .python_names import names

        return names(code[:cursor], self._namespace)

    def _direct(self, capture: Capture | None) -> None:
        # Code may have put streams of its own in their place, and closed them; they are not for the next statement.
        sys.stdout, sys.stderr = self._streams
        for stream in self._streams:
            stream.capture = capture

    def _run(self, code: str) -> dict[str, Any] | None:
        data: dict[str, Any] | None = None
        for step in self._steps(code):
            data = step(self._namespace)
        if data is not None:
            magics.check_size(data, self._limit)
        return data

    def _steps(self, code: str) -> list[Step]:
        """The text as runnable steps; all of it is parsed before any of it runs."""
        try:
            return [self._compiled(code)]
        except SyntaxError:
            chunks = magics.split(code)
            if not any(magics.is_magic(chunk) for chunk in chunks):
                raise
        return [magics.step(chunk) if magics.is_magic(chunk) else self._compiled(chunk) for chunk in chunks]

    def _compiled(self, source: str) -> Step:
        tree = ast.parse(source, FILE)
        body = self._compile(ast.Module(tree.body[:-1], type_ignores=[]), "exec")
        # Interactive mode prints every expression it evaluates, also those in a loop.
        last = self._compile(ast.Interactive(tree.body[-1:]), "single")

        def run(namespace: dict[str, Any]) -> None:
            exec(body, namespace)  # noqa: S102 - that is the job
            exec(last, namespace)  # noqa: S102

        return run

    def _compile(self, tree: ast.Module | ast.Interactive, mode: str) -> CodeType:
        code: CodeType = compile(tree, FILE, mode, self._flags, dont_inherit=True)
        self._flags |= code.co_flags & FUTURE_FLAGS
        return code

    def _failure(self, exc: BaseException, statement: int, capture: Capture) -> Envelope:
        name = type(exc).__name__
        try:
            # The text of an exception is the user's code too: it may fail, hang or be interrupted.
            evalue, lines = interruptible(describe, exc)
        except BaseException as second:  # noqa: BLE001
            evalue, lines = f"<exception str() failed: {type(second).__name__}>", [HEADER, f"{name}\n"]
        evalue = shortened(evalue, self._limit)
        return error(statement, name, evalue, [shortened(line, self._limit) for line in lines], capture.text())


def describe(exc: BaseException) -> tuple[str, list[str]]:
    """The text of `exc` and its traceback lines: no frames of ours, no chained causes, no header without a frame."""
    frames = below_module_frame(exc.__traceback__)
    lines = traceback.format_exception_only(type(exc), exc)
    if frames is NOT_RUN:
        return str(exc), lines
    return str(exc), [HEADER, *traceback.format_tb(frames), *lines]


class _NotRun:
    """Says that the exception came before any of the user's code ran."""


NOT_RUN = _NotRun()


def below_module_frame(frames: TracebackType | None) -> Any:
    """The frames called by the user's top-level code, None if it failed itself, NOT_RUN if it never ran."""
    while frames is not None:
        code = frames.tb_frame.f_code
        if code.co_filename == FILE and code.co_name == "<module>":
            return frames.tb_next
        frames = frames.tb_next
    return NOT_RUN


def new_main() -> ModuleType:
    """A fresh `__main__`, so that what users define there is pickled as theirs and never meets our names."""
    module = ModuleType("__main__")
    module.__dict__["__builtins__"] = sys.modules["builtins"]
    sys.modules["__main__"] = module
    return module
