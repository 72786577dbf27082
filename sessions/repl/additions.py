"""Adds files, Python modules and jars to the running application, in Spark and for what runs in the driver.

Decides what each kind means (contract livy §1.8, §4.2), and refuses what Spark would take and then stumble over in
every later task. Adding the same thing again does nothing, so that a repeated request does no harm.
"""

from __future__ import annotations

import filecmp
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any
from urllib.parse import unquote, urlsplit

from .output import Stream
from .spark import Application, start_failure

PYTHON_FILES = (".py", ".zip", ".egg")
_PATIENCE = 60_000  # milliseconds, as long as Spark's own (spark.files.fetchTimeout)

Listener = Callable[[str, str], None]


class NotAdded(Exception):
    """Why something cannot be added, in a sentence."""


class Additions:
    """One addition at a time. `listeners` are told the kind ("jar", "pyfile", "file") and path of each."""

    def __init__(self, spark: Application, listeners: Sequence[Listener]) -> None:
        self._spark = spark
        self._listeners = listeners
        self._one_at_a_time = threading.Lock()
        self._added: dict[tuple[str, str], None] = {}  # how and what, in order

    def add(self, kind: str, path: str) -> Future[str | None]:
        """Add it on a thread of its own; what kept it from being added as a sentence, None when it was added."""
        future: Future[str | None] = Future()
        try:
            threading.Thread(target=self._run, args=(kind, path, future), name=f"add-{kind}", daemon=True).start()
        except RuntimeError as exc:  # it would be waited for without an end
            future.set_result(start_failure(exc))
        return future

    def works(self) -> bool:
        """Whether something is being added."""
        return self._one_at_a_time.locked()

    def renew(self, context: Any) -> None:
        """Add to a SparkContext that user code has started all that was added to the one before it."""
        for way, path in list(self._added):
            try:
                (context._jsc.addJar if way == "jar" else getattr(context, way))(path)
            except Exception as exc:  # noqa: BLE001 - the others are still wanted
                print(f"{path} could not be added again: {start_failure(exc)}", file=sys.stderr)

    def _run(self, kind: str, path: str, future: Future[str | None]) -> None:
        Stream.kept_out.add(threading.get_ident())
        error = None
        try:
            with self._one_at_a_time:
                self._add(kind, path)
        except BaseException as exc:  # noqa: BLE001 - whatever it was, the one who waits is told
            error = str(exc) if isinstance(exc, NotAdded) else start_failure(exc)
            print(f"{kind} {path} could not be added: {error}", file=sys.stderr)
        Stream.kept_out.discard(threading.get_ident())
        future.set_result(error)

    def _add(self, kind: str, path: str) -> None:
        """Livy takes add-jar and add-pyfile for the same: what it is, its name says as well."""
        session, name = self._spark.session(), _name(path).lower()
        scheme = urlsplit(path).scheme
        is_jar = kind != "file" and (name.endswith(".jar") or (kind == "jar" and not name.endswith(PYTHON_FILES)))
        # Spark notes these before it looks, and then every task looks for them.
        if scheme == "spark" or (scheme == "local" and is_jar):
            raise NotAdded(f"Spark takes no {scheme}: address while it runs; give a path or another URL")
        if scheme in ("http", "https", "ftp"):
            _see_that_it_answers(session, path)
        if kind == "file":
            _check_contents(session, path)
            session.sparkContext.addFile(path)
            self._added["addFile", path] = None
        if is_jar:
            add_jar(session, path)
            self._added["jar", path] = None
        if kind == "pyfile" or (kind == "jar" and name.endswith(PYTHON_FILES)):
            _check_contents(session, path)
            session.sparkContext.addPyFile(path)
            self._added["addPyFile", path] = None
        for listener in self._listeners:
            listener(kind, path)


def _see_that_it_answers(session: Any, url: str) -> None:
    """Raises what Java says. A server that is silent must not hold up what is added after it."""
    connection = session._jvm.java.net.URL(url).openConnection()
    connection.setConnectTimeout(_PATIENCE)
    connection.setReadTimeout(_PATIENCE)
    connection.getInputStream().close()


def _check_contents(session: Any, path: str) -> None:
    """Of two files of one name with other contents only the first can reach the tasks."""
    from pyspark import SparkFiles

    there = SparkFiles.get(_name(path))
    known = session.sparkContext._jsc.sc().listFiles().mkString("\n").split("\n")
    if os.path.exists(there) and path not in known and not _is_same(path, there):
        raise NotAdded(f"there is a file {_name(path)} with other contents already; give this one another name")


def _is_same(path: str, there: str) -> bool:
    url = urlsplit(path)
    local = unquote(url.path) if url.scheme == "file" else path
    return url.scheme in ("", "file") and os.path.isfile(local) and filecmp.cmp(local, there, shallow=False)


def add_jar(session: Any, path: str) -> None:
    """Put a jar on the class path here and in tasks, for what runs from now on. Raises NotAdded or what Spark says."""
    loader = session._jvm.Thread.currentThread().getContextClassLoader()
    session._jsparkSession.sessionState().resourceLoader().addJar(path)
    added = session.sparkContext._jsc.sc().listJars().mkString("\n").split("\n")
    if urlsplit(path).scheme != "ivy" and _name(path) not in map(_name, added):
        raise NotAdded("Spark could not read it; the session's log says why")
    # Spark has put it on the loader of SQL functions alone; this one is asked by everything in the JVM.
    for url in session._jsparkSession.sharedState().jarClassLoader().getURLs():
        loader.addURL(url)


def _name(path: str) -> str:
    """The file's own name in a path or URL."""
    return os.path.basename(unquote(path).rstrip("/"))
