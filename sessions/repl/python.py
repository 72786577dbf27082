"""Runs Python text the way Livy's pyspark interpreter answers it (contract livy §3.2).

Decides how a text is split, compiled and run. Refuses to know who asked, and what Spark is: the namespace comes
filled.
"""

from __future__ import annotations
import __future__

import ast
import contextlib
import sys
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any

from . import magics
from .cells import Cells
from .interpreter import Interpreter
from .interrupts import interruptible
from .magic_lines import PYTHON, split
from .output import TEXT, Capture, Envelope, Stream, all_shortened, error, ok, shortened
from .python_errors import frame_lines, traceback_lines

FUTURE_FLAGS = sum({getattr(__future__, name).compiler_flag for name in __future__.all_feature_names})

Step = Callable[[dict[str, Any]], dict[str, Any] | None]


class PythonInterpreter(Interpreter):
    """One namespace, the module `__main__`, in which every text runs."""

    def __init__(self, module: ModuleType, streams: list[Stream], output_limit: int) -> None:
        self._namespace = module.__dict__
        self._streams = streams
        self._limit = output_limit
        self._cells = Cells()
        self._flags = 0

    def execute(self, code: str, statement: int, group: str) -> Envelope:
        """Run `code` and answer with its envelope; raises nothing, whatever the code does."""
        capture = Capture(self._limit)
        self._direct(capture)
        try:
            data = interruptible(self._run, code, self._cells.add(statement, code)) or {}
            self._collect()
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
            stream.direct(capture)

    def _collect(self) -> None:
        """Get what streams of the code's own, in the place of ours, still hold back."""
        for name in ("stdout", "stderr"):
            with contextlib.suppress(BaseException):
                interruptible(lambda: getattr(sys, name).flush())  # noqa: B023 - called at once
        for stream in self._streams:
            stream.settle()

    def _run(self, code: str, file: str) -> dict[str, Any] | None:
        data: dict[str, Any] | None = None
        for step in self._steps(code, file):
            data = step(self._namespace)
        if data is not None:
            magics.check_size(data, self._limit)
        return data

    def _steps(self, code: str, file: str) -> list[Step]:
        """The text as runnable steps; all of it is parsed before any of it runs."""
        return [
            magics.step(chunk, file) if chunk.is_magic else self._compiled(chunk.placed, file)
            for chunk in split(code, PYTHON)
        ]

    def _compiled(self, source: str, file: str) -> Step:
        tree = compile(source, file, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
        assert isinstance(tree, ast.Module)
        body = self._compile(ast.Module(tree.body[:-1], type_ignores=[]), file, "exec")
        # Interactive mode prints every expression it evaluates, also those in a loop.
        last = self._compile(ast.Interactive(tree.body[-1:]), file, "single")

        def run(namespace: dict[str, Any]) -> None:
            exec(body, namespace)  # noqa: S102 - that is the job
            exec(last, namespace)  # noqa: S102

        return run

    def _compile(self, tree: ast.Module | ast.Interactive, file: str, mode: str) -> CodeType:
        code: CodeType = compile(tree, file, mode, self._flags, dont_inherit=True)
        self._flags |= code.co_flags & FUTURE_FLAGS
        return code

    def _failure(self, exc: BaseException, statement: int, capture: Capture) -> Envelope:
        name = type(exc).__name__
        self._collect()
        try:
            # The text of an exception is the user's code too: it may fail, hang or be interrupted.
            evalue, lines = interruptible(lambda: (str(exc), traceback_lines(exc)))
        except BaseException as second:  # noqa: BLE001
            evalue = f"<exception str() failed: {type(second).__name__}>"
            lines = [*frame_lines(exc.__traceback__), f"{name}\n"]
        return error(statement, name, shortened(evalue, self._limit), all_shortened(lines, self._limit), capture.text())


def new_main() -> ModuleType:
    """A fresh `__main__`, so that what users define there is pickled as theirs and never meets our names."""
    module = ModuleType("__main__")
    module.__dict__["__builtins__"] = sys.modules["builtins"]
    sys.modules["__main__"] = module
    return module
