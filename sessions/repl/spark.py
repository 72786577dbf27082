"""The Spark application of the driver: started, told which statement runs, cancelled, watched and stopped.

The only file that starts Spark or talks to its context. Refuses to know what code does with it.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from typing import Any

from . import thread_tags
from .ownership import Owner
from .spark_jobs import StatusStore

LATE_LOOKS, LATE_EVERY = 30, 0.3  # how often in a row without a find, and every how many seconds
LATE_MOST = 1000  # looks in all, some minutes: a job whose end Spark's status store has missed runs there for good


class Application:
    """Spark in this process. Calls from several threads are safe: each thread has its own connection to the JVM."""

    def __init__(self, session: Any = None, seat: str | None = None) -> None:
        """Start Spark, or be what `session` has of one that runs. `seat`: the tag of all jobs of this interpreter."""
        from pyspark.sql import SparkSession

        # py4j reports every interrupt as an error on stderr, which would be part of the statement's output.
        logging.getLogger().addFilter(lambda record: record.msg != "KeyboardInterrupt while sending command.")
        self._started = session or SparkSession.builder.getOrCreate()
        self._seat = seat
        self._statement: Owner | None = None
        self._store: tuple[str, StatusStore] | None = None
        self._stopping: set[str] = set()  # run ids of streaming queries
        client = self._started.sparkContext._gateway._gateway_client
        if type(client).__name__ == "JavaClient":  # else PYSPARK_PIN_THREAD is false: threads share JVM threads
            thread_tags.inherit(client, lambda: self.context)

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
        if self.context is not None:  # started by SparkContext.getOrCreate()
            return SparkSession.builder.getOrCreate()
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

    def take(self, name: str | None, conf: Mapping[str, str]) -> str | None:
        """Be the application that a session asks for; what of it cannot be any more, None when all can.

        Also after user code has started Spark anew: a new SparkContext reads the JVM's properties. For any thread.
        """
        session, jvm = self._started, self._started._jvm
        java, context = session._jsparkSession, session.sparkContext._jsc.sc()
        asked = {key: text for key, text in conf.items() if key.startswith("spark.")}
        try:
            for key in (key for key in asked if key.startswith("spark.sql.")):
                session.conf.set(key, asked[key])
        except Exception as exc:  # noqa: BLE001 - whatever Spark does not take, or not any more
            return start_failure(exc)
        for key, text in {**asked, **({"spark.app.name": name} if name else {})}.items():
            java.sessionState().conf().setConfString(key, text)
            for of_java in (context.conf(), java.sharedState().conf()):
                of_java.set(key, text)
            jvm.System.setProperty(key, text)
        if name:
            self._rename(name)
        return None

    def _rename(self, name: str) -> None:
        """In Spark's own UI and REST API too, which keep the name that the application started with."""
        context = self._started.sparkContext
        context.appName = name
        java, jvm = context._jsc.sc(), self._started._jvm
        try:
            if java.ui().isDefined():
                ui = java.ui().get()
                field = ui.getClass().getDeclaredField("appName")
                field.setAccessible(True)
                field.set(ui, name)
            none, application = jvm.scala.Option.empty(), jvm.scala.Option.apply(java.applicationId())
            started = jvm.org.apache.spark.scheduler.SparkListenerApplicationStart
            java.listenerBus().post(
                started(name, application, java.startTime(), java.sparkUser(), java.applicationAttemptId(), none, none)
            )
        except Exception:  # noqa: BLE001 - another Spark version: its UI shows the name that it started with
            traceback.print_exc()

    def adopt(self, session: Any) -> bool:
        """Be the application of this session, which user code has started; False when it is already."""
        is_new, self._started = session is not self._started, session
        return is_new

    def java_session(self) -> Any:
        """The JVM's own session, whoever started it; None when it has none that lives."""
        found = self._started._jvm.org.apache.spark.sql.SparkSession.getDefaultSession()
        return found.get() if found.isDefined() and not found.get().sparkContext().isStopped() else None

    def _java_context(self) -> Any:
        """The JVM's SparkContext that lives; the running statement may have started it without Python."""
        context = self.context
        if context is not None and not context._jsc.sc().isStopped():
            return context._jsc.sc()
        return self.java_session().sparkContext()

    def enter(self, name: str, code: str) -> None:
        """A statement begins, whose job group is `name`: jobs of this thread, and of those it starts, are its own."""
        now = _now()
        if self._statement is not None:
            self._statement.followed = now
        self._statement = Owner(name, now, by_tag_only=False, within=self._seat)
        self.enter_group(name, first_line(code))

    def enter_group(self, name: str, description: str) -> None:
        """From now on the Spark jobs of this thread belong to the job group `name`, and have its job tag."""
        try:
            self.context.setJobGroup(name, description, True)
            thread_tags.enter(self.context, name)
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

    def cancel(self, name: str) -> None:
        """Cancel the Spark jobs of the statement or job whose job group is `name`, and stop the streams it started.

        Those of a running statement whatever their group is.
        """
        try:
            # Spark itself knows of a job sooner than its status store. It is not asked to remember the group: the
            # threads of a JVM pool keep the group they were made in, and would never again run a job.
            self._java_context().cancelJobGroup(name)
            self._cancel_all(self._owner(name))
        except Exception:  # noqa: BLE001
            return

    def _cancel_all(self, owner: Owner) -> bool:
        """Whether there was something to cancel. Raises what py4j raises."""
        jobs = owner.look(self._status_store().read)
        for job in jobs:
            self._cancel_job(job.id, f"part of cancelled {owner.name}")
        stopped = owner.streams and self._stop_streams(owner.streams)
        return bool(jobs or stopped)

    def _cancel_job(self, job: int, reason: str) -> None:
        context = self._java_context()
        active = context.dagScheduler().jobIdToActiveJob().get(job)
        if active.isDefined():
            # A group of the user's own, or none, means that tasks which wait are left to wait.
            active.get().properties().setProperty("spark.job.interruptOnCancel", "true")
        context.cancelJob(job, reason)

    def _stop_streams(self, runs: set[str]) -> bool:
        """Stop streaming queries by their run ids; each waits until its batch has ended, and so not here."""
        found = [query for query in self._streams() if str(query.runId()) in runs - self._stopping]
        for query in found:
            self._stopping.add(str(query.runId()))
            threading.Thread(target=query.stop, name="stop-stream", daemon=True).start()
        return bool(found)

    def _streams(self) -> list[Any]:
        """The running streaming queries of all sessions of the application."""
        return list(self.session()._jsparkSession.sharedState().activeStreamingQueries().values())

    def has_streams(self) -> bool:
        """Whether streaming queries run, also those of the older kind, of any session of the application."""
        try:
            older = self.session()._jvm.org.apache.spark.streaming.StreamingContext.getActive().isDefined()
            return bool(older or self._streams())
        except Exception:  # noqa: BLE001 - Spark is stopped
            return False

    def cancel_late_jobs(self, name: str) -> None:
        """Go on cancelling what is started for a statement or job that has been stopped, on a thread of its own.

        Adaptive execution submits its stages from other threads: one may be on its way to Spark while the code that
        wants it is stopped. And what a pool was handed before, its threads go on with.
        """
        owner = self._owner(name)
        owner.ended = _now()
        threading.Thread(target=self._cancel_late_jobs, args=(owner,), name=f"late-{name}", daemon=True).start()

    def _cancel_late_jobs(self, owner: Owner) -> None:
        in_vain = 0
        for _ in range(LATE_MOST):
            try:
                in_vain = 0 if self._cancel_all(owner) else in_vain + 1
            except Exception:  # noqa: BLE001 - Spark is being stopped
                in_vain += 1
            if in_vain == LATE_LOOKS:
                return
            time.sleep(LATE_EVERY)

    def progress(self, name: str) -> float:
        """Finished tasks over known tasks of the statement with this job group; 0.0 while there are none.

        One asking thread only.
        """
        owner = self._owner(name)
        try:
            owner.look(self._status_store().read)
        except Exception:  # noqa: BLE001
            return 0.0
        return owner.progress

    def _owner(self, name: str) -> Owner:
        current = self._statement
        return current if current is not None and current.name == name else Owner(name, within=self._seat)

    def _status_store(self) -> StatusStore:
        context = self._java_context()
        application = context.applicationId()
        if self._store is None or self._store[0] != application:
            self._store = (application, StatusStore(self._started._jvm, context))
            if self._statement is not None:
                self._statement.forget()
        return self._store[1]

    def works(self) -> bool:
        """Whether a Spark job or a streaming query runs, whoever has started it."""
        try:
            return bool(self.context.statusTracker().getActiveJobsIds() or self.has_streams())
        except Exception:  # noqa: BLE001 - user code has stopped Spark
            return False

    def stop(self, code: int) -> None:
        """Stop Spark and end its JVM, and with that spark-submit, with exit `code`; may take as long as Spark takes."""
        if self.context is not None:
            self.context.stop()
        # The JVM would go by itself only when no thread of the user's libraries keeps it. It cannot answer this call.
        logging.disable()
        self._started._jvm.java.lang.System.exit(code)


def first_line(code: str) -> str:
    """How the Spark UI calls the jobs of `code`."""
    lines = code.strip().splitlines() or [""]
    return lines[0][:200]


def _now() -> int:
    return int(time.time() * 1000)


def start_failure(exc: BaseException) -> str:
    """One readable message for a Spark that did not start: the Java exception's own, if there is one."""
    java = getattr(exc, "java_exception", None)
    if java is not None:
        return str(java.toString())
    return f"{type(exc).__name__}: {exc}"
