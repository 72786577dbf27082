"""The Spark application of the driver: started, told which statement runs, cancelled, watched and stopped.

The only file that starts Spark or talks to its context. Refuses to know what code does with it.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from typing import Any

from .progress import Progress

LATE_LOOKS, LATE_EVERY = 10, 0.3  # how often, and every how many seconds


class Application:
    """Spark in this process. Calls from several threads are safe: each thread has its own connection to the JVM."""

    def __init__(self) -> None:
        from pyspark.sql import SparkSession

        # py4j reports every interrupt as an error on stderr, which would be part of the statement's output.
        logging.getLogger().addFilter(lambda record: record.msg != "KeyboardInterrupt while sending command.")
        self._started = SparkSession.builder.getOrCreate()
        self._progress: tuple[int, Progress] | None = None

    @property
    def context(self) -> Any:
        """The live SparkContext, which user code may have replaced; None when it is stopped."""
        from pyspark import SparkContext

        return SparkContext._active_spark_context

    def session(self) -> Any:
        """The live SparkSession. Raises RuntimeError when user code has stopped Spark."""
        from pyspark.sql import SparkSession

        for session in (self._started, SparkSession._instantiatedSession):
            if session is not None and session._sc._jsc is not None:
                return session
        raise RuntimeError(
            "Spark has been stopped in this session; spark = SparkSession.builder.getOrCreate() restarts it"
        )

    def settle(self) -> None:
        """Make Spark's file folder the working directory, as Livy does, and let modules in it be imported."""
        from pyspark import SparkFiles

        root = SparkFiles.getRootDirectory()
        os.chdir(root)
        if root not in sys.path:
            sys.path.insert(0, root)

    def facts(self) -> dict[str, str | None]:
        """What the ready file says about Spark."""
        context = self.context
        return {"app_id": context.applicationId, "ui_url": context.uiWebUrl, "spark_version": context.version}

    def enter(self, statement: int, code: str) -> None:
        """From now on the jobs of this thread belong to `statement`."""
        self.enter_group(group(statement), first_line(code))

    def enter_group(self, name: str, description: str) -> None:
        """From now on the Spark jobs of this thread belong to the job group `name`."""
        try:
            self.context.setJobGroup(name, description, True)
        except Exception:  # noqa: BLE001
            # User code has stopped Spark: what needs no Spark still runs, the rest will say so itself.
            return

    def renew(self) -> None:
        """Make our session the active one of this thread: new, or after an interrupt, its JVM thread knows none yet."""
        try:
            session = self.session()
            session._jvm.SparkSession.setActiveSession(session._jsparkSession)
        except Exception:  # noqa: BLE001
            return

    def cancel(self, statement: int) -> None:
        """Cancel the Spark jobs of `statement`, and those it would still start where Spark knows how."""
        self.cancel_group(group(statement))

    def cancel_group(self, name: str) -> None:
        """Cancel the Spark jobs of a job group, and those it would still start where Spark knows how."""
        try:
            context = self.context
            cancel_all = getattr(context, "cancelJobGroupAndFutureJobs", None) or context.cancelJobGroup
            cancel_all(name)
        except Exception:  # noqa: BLE001
            return

    def cancel_late_jobs(self, name: str) -> None:
        """Go on cancelling a group whose code has been stopped, for a few seconds and on a thread of its own.

        Adaptive execution submits its stages from other threads: one may be on its way to Spark while the code that
        wants it is stopped, and Spark's memory of cancelled groups does not hold it up.
        """
        threading.Thread(target=self._cancel_late_jobs, args=(name,), name=f"late-{name}", daemon=True).start()

    def _cancel_late_jobs(self, name: str) -> None:
        for _ in range(LATE_LOOKS):
            time.sleep(LATE_EVERY)
            self.cancel_group(name)

    def progress(self, statement: int) -> float:
        """Finished tasks over known tasks of the statement's jobs; 0.0 while there are none. One asking thread only."""
        if self._progress is None or self._progress[0] != statement:
            self._progress = (statement, Progress(group(statement)))
        try:
            return self._progress[1].share(self.context.statusTracker())
        except Exception:  # noqa: BLE001
            return 0.0

    def works(self) -> bool:
        """Whether a Spark job or a streaming query runs, whoever has started it."""
        try:
            return bool(self.context.statusTracker().getActiveJobsIds() or self.session().streams.active)
        except Exception:  # noqa: BLE001 - user code has stopped Spark
            return False

    def stop(self, code: int) -> None:
        """Stop Spark and end its JVM, and with that spark-submit, with exit `code`; may take as long as Spark takes."""
        if self.context is not None:
            self.context.stop()
        # The JVM would go by itself only when no thread of the user's libraries keeps it. It cannot answer this call.
        logging.disable()
        self._started._jvm.java.lang.System.exit(code)


def group(statement: int) -> str:
    """The Spark job group of a statement; no two statements of a session share one."""
    return f"statement-{statement}"


def first_line(code: str) -> str:
    """How the Spark UI calls the jobs of `code`."""
    lines = code.strip().splitlines() or [""]
    return lines[0][:200]


def start_failure(exc: BaseException) -> str:
    """One readable message for a Spark that did not start: the Java exception's own, if there is one."""
    java = getattr(exc, "java_exception", None)
    if java is not None:
        return str(java.toString())
    return f"{type(exc).__name__}: {exc}"
