"""Adds files, Python modules and jars to the running application, in Spark and for what runs in the driver.

Decides what each kind means (contract livy §1.8, §4.2). Adding the same thing again does nothing, so that a repeated
request does no harm.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from urllib.parse import urlsplit

from .spark import Application, start_failure

PYTHON_FILES = (".py", ".zip", ".egg")

Listener = Callable[[str, str], None]


class Additions:
    """One addition at a time. `listeners` are told the kind ("jar", "pyfile", "file") and path of each."""

    def __init__(self, spark: Application, listeners: Sequence[Listener]) -> None:
        self._spark = spark
        self._listeners = listeners
        self._one_at_a_time = threading.Lock()

    def add(self, kind: str, path: str) -> Future[str | None]:
        """Add it on a thread of its own; what kept it from being added as a sentence, None when it was added."""
        future: Future[str | None] = Future()
        threading.Thread(target=self._run, args=(kind, path, future), name=f"add-{kind}", daemon=True).start()
        return future

    def _run(self, kind: str, path: str, future: Future[str | None]) -> None:
        error = None
        try:
            with self._one_at_a_time:
                self._add(kind, path)
        except BaseException as exc:  # noqa: BLE001 - whatever it was, the one who waits is told
            error = start_failure(exc)
            print(f"{kind} {path} could not be added: {error}", file=sys.stderr)
        future.set_result(error)

    def _add(self, kind: str, path: str) -> None:
        """Livy takes add-jar and add-pyfile for the same: what it is, its name says as well."""
        name = urlsplit(path).path.lower()
        if kind == "file":
            self._spark.add_file(path)
        if name.endswith(".jar") or (kind == "jar" and not name.endswith(PYTHON_FILES)):
            self._spark.add_jar(path)
        if kind == "pyfile" or (kind == "jar" and name.endswith(PYTHON_FILES)):
            self._spark.add_py_file(path)
        for listener in self._listeners:
            listener(kind, path)
