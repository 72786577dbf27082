"""Spark as one interpreter of a shared application has it: a session of its own in an application of many.

Decides what of the application is this interpreter's, and refuses what would end or stop the others' work. Nothing here
keeps code out that means harm: all of it runs in one JVM.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, NoReturn

from . import groups
from .interpreter import Interpreter
from .output import Envelope, error
from .spark import Application

NO_STOP = (
    "this session shares its Spark application with other sessions, so it does not stop it; delete the session when you"
    " are done, or open one without conf spark.gateway.application, which has an application of its own"
)


class Guest(Application):
    """`seat` is the number of this interpreter's seat, `folder` a folder of its own."""

    def __init__(self, seat: int, folder: str, conf: Mapping[str, str]) -> None:
        """Enter the application to which the environment has the way. Raises what Spark raises, for conf too."""
        session = _join()
        super().__init__(session, groups.of_seat(seat))
        self._folder = folder
        for key, text in conf.items():
            session.conf.set(key, text)
        _guard(session.sparkContext, self)

    def settle(self) -> None:
        """Have a working directory of its own, and find the modules that were added to the application."""
        from pyspark import SparkFiles

        os.makedirs(self._folder, exist_ok=True)
        os.chdir(self._folder)
        for entry in (SparkFiles.getRootDirectory(), self._folder):
            if entry not in sys.path:
                sys.path.insert(0, entry)
        # What is broadcast goes with this interpreter, and not with the application.
        context, temporary = self.context, os.path.join(self._folder, ".pyspark")
        os.makedirs(temporary, exist_ok=True)
        shutil.rmtree(context._temp_dir, ignore_errors=True)
        context._temp_dir = temporary

    def _streams(self) -> list[Any]:
        """Those of its own session."""
        return list(self.session()._jsparkSession.streams().active())

    def has_streams(self) -> bool:
        """Whether streaming queries of its own session run."""
        try:
            return bool(self._streams())
        except Exception:  # noqa: BLE001 - Spark is stopped
            return False

    def works(self) -> bool:
        """Whether a streaming query or a Spark job of its own runs."""
        try:
            return self.has_streams() or any(
                job.ended is None and self._seat in job.tags for job in self._status_store().read(0)
            )
        except Exception:  # noqa: BLE001 - Spark is stopped
            return False

    def cancel_all(self) -> None:
        """Cancel all Spark jobs of this interpreter."""
        self._java_context().cancelJobsWithTag(self._seat)


class Elsewhere(Interpreter):
    """A language that a shared application has not: its interpreter would be one for all."""

    def __init__(self, name: str) -> None:
        self._name = name

    def execute(self, code: str, statement: int, group: str) -> Envelope:
        """What to do instead."""
        reason = (
            f"{self._name} does not run in a session that shares its Spark application; use Python or SQL here, or open"
            " a session without conf spark.gateway.application"
        )
        return error(statement, "InterpreterError", f"Fail to start interpreter: {reason}", [])


def _join() -> Any:
    """The session that the JVM has made for this seat, which is the active one of all threads that serve it."""
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

    SparkContext._ensure_initialized()
    gateway, jvm = SparkContext._gateway, SparkContext._jvm
    assert gateway is not None
    assert jvm is not None
    java = jvm.org.apache.spark.sql.SparkSession.getActiveSession().get()
    context = SparkContext(
        gateway=gateway,
        jsc=jvm.org.apache.spark.api.java.JavaSparkContext.fromSparkContext(java.sparkContext()),
        conf=SparkConf(_jconf=java.sparkContext().conf()),
    )
    # As if there were one: else ours would become the JVM's default session, which is that of others too.
    SparkSession._instantiatedSession = SimpleNamespace(_sc=SimpleNamespace(_jsc=java))
    session = SparkSession(context, java)
    SparkSession._instantiatedSession = session
    if hasattr(SparkSession, "_activeSession"):
        SparkSession._activeSession = session
    return session


def _guard(context: Any, guest: Guest) -> None:
    """Have what would hit all sessions of the application hit this one's alone, or say why it does not."""

    def stop(*args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(NO_STOP)

    kind = type(context)
    kind.stop = stop
    kind.cancelAllJobs = lambda context: guest.cancel_all()
    from pyspark.streaming import StreamingContext

    stop_streaming = StreamingContext.stop

    def stop_streaming_only(streaming: Any, stopSparkContext: bool = False, stopGraceFully: bool = False) -> None:  # noqa: N803 - Spark's own names
        if stopSparkContext:
            raise RuntimeError(NO_STOP)
        stop_streaming(streaming, False, stopGraceFully)

    setattr(StreamingContext, "stop", stop_streaming_only)  # noqa: B010 - mypy forbids the other way
