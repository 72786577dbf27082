"""Runs Livy's Java jobs (job type `spark`, contract livy §8.1) in the driver's JVM, by `JavaJobs.java`.

Decides where the jars come from that only these jobs need, and that the first such job brings them. Refuses to know
what a job is made of.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from .additions import add_jar
from .jobs import JobFailed, JobStopped, JobType
from .spark import Application, start_failure

SOURCE = Path(__file__).with_name("JavaJobs.java")
# The newest on Maven Central. It brings livy-api with it, and a Kryo of its own inside.
CLIENT = "org.apache.livy:livy-client-http:0.7.1-incubating"
NEEDED = ("livy-api", "livy-client-http")
SERIALIZER = "org.apache.livy.client.common.Serializer"
_STOPPED = 1000  # stopped jobs that are remembered: one of them may be about to start
_GLANCE = 0.05  # seconds; a job that waits for the start can be stopped between two looks


class JavaJobs(JobType):
    """Jobs as threads of the JVM. `folder` has the jars they need; empty: they come from Maven Central."""

    def __init__(self, spark: Application, folder: str) -> None:
        self._spark = spark
        self._folder = folder
        self._running: dict[int, Any] = {}
        self._stopped: deque[int] = deque(maxlen=_STOPPED)
        self._lock = threading.Lock()
        self._start: _Start | None = None

    def run(self, job: int, payload: bytes, group: str) -> str | None:
        """Run the job in the JVM; its result as base64 text, None for null. Raises JobFailed."""
        # This loader also knows what SQL's ADD JAR has added.
        classes = self._spark.session()._jsparkSession.sharedState().jarClassLoader()
        running = self._jobs().prepare(group, payload, classes)
        # First known as running, then seen whether it was stopped; `stop` does the reverse. So one of them notices.
        self._running[job] = running
        try:
            if job in self._stopped:
                raise JobStopped
            running.start()
            running.join()
        finally:
            self._running.pop(job, None)
        if running.failed():
            raise JobFailed(running.error())
        result: str | None = running.result()
        return result

    def stop(self, job: int) -> None:
        """Have the JVM stop the job; asked again, it changes nothing."""
        self._stopped.append(job)
        if (running := self._running.get(job)) is not None:
            running.cancel()

    def _jobs(self) -> Any:
        """The JVM's side, once it is there. Raises JobFailed, and tries again at the next job."""
        start = self._current_start()
        while start.jobs is None and start.error is None:
            time.sleep(_GLANCE)
        if start.error is not None:
            raise JobFailed(start.error)
        return start.jobs

    def _current_start(self) -> _Start:
        with self._lock:
            start = self._start
            if start is None or start.error is not None:
                start = _Start(self._spark, self._folder)
                start.start()
                self._start = start
            return start


class _Start(threading.Thread):
    """Brings the jars and the JVM's side. A thread of its own, so that a job that waits for it can be stopped."""

    def __init__(self, spark: Application, folder: str) -> None:
        super().__init__(name="java-jobs", daemon=True)
        self._spark = spark
        self._folder = folder
        self.jobs: Any = None
        self.error: str | None = None

    def run(self) -> None:
        try:
            self.jobs = self._bring()
        except JobFailed as exc:
            self.error = str(exc)
        except BaseException as exc:  # noqa: BLE001 - told by the jobs that wait
            self.error = f"Java jobs cannot run in this session: {start_failure(exc)}"

    def _bring(self) -> Any:
        session = self._spark.session()
        gateway = session.sparkContext._gateway
        classes = gateway.jvm.Thread.currentThread().getContextClassLoader()
        jars = found_in(self._folder) if self._folder else resolved(gateway.jvm)
        # Jobs are of a class of livy-api, and their closures take it to the executors.
        add_jar(session, str(next(jar for jar in jars if NEEDED[0] in jar.name)))
        return load(gateway, jars, classes)


def found_in(folder: str) -> list[Path]:
    """The jars in a folder on the gateway's host. Raises JobFailed when one that is needed is not there."""
    jars = sorted(Path(folder).glob("*.jar"))
    for name in NEEDED:
        if not any(name in jar.name for jar in jars):
            raise JobFailed(f"Java jobs need {' and '.join(NEEDED)}: put the jar of {name} into {folder} (livy_jars)")
    return jars


def resolved(jvm: Any) -> list[Path]:
    """The jars from where Spark finds packages, as conf spark.jars.packages does. Raises JobFailed."""
    from py4j.protocol import Py4JJavaError

    uri = jvm.java.net.URI(f"ivy://{CLIENT}")
    try:
        found = jvm.org.apache.spark.util.DependencyUtils.resolveMavenDependencies(uri)
    except Py4JJavaError as exc:
        raise JobFailed(
            f"Java jobs need {CLIENT} and its livy-api, and Spark could not get them ({start_failure(exc)}):"
            " put both jars into a folder and name it in the setting livy_jars"
        ) from None
    return [Path(path) for path in found.mkString("\n").splitlines()]


def load(gateway: Any, jars: list[Path], classes: Any) -> Any:
    """Our JVM code, compiled by Spark's own Janino on top of `classes`; nobody else sees it or the client's jar."""
    from pyspark import SparkFiles

    jvm = gateway.jvm
    compiler = jvm.org.codehaus.janino.SimpleCompiler()
    compiler.setParentClassLoader(classes)
    compiler.cook(SOURCE.read_text("utf-8"))
    client = _class_loader(gateway, jars, jvm.java.lang.ClassLoader.getPlatformClassLoader())
    folder = tempfile.mkdtemp(prefix="java-jobs-", dir=os.path.dirname(SparkFiles.getRootDirectory()))
    arguments = _array(gateway, jvm.java.lang.Object, [client.loadClass(SERIALIZER), folder])
    return compiler.getClassLoader().loadClass("spark_gateway.JavaJobs").getConstructors()[0].newInstance(arguments)


def _class_loader(gateway: Any, paths: list[Path], parent: Any) -> Any:
    urls = [gateway.jvm.java.io.File(str(path)).toURI().toURL() for path in paths]
    return gateway.jvm.java.net.URLClassLoader(_array(gateway, gateway.jvm.java.net.URL, urls), parent)


def _array(gateway: Any, of: Any, items: list[Any]) -> Any:
    array = gateway.new_array(of, len(items))
    for place, item in enumerate(items):
        array[place] = item
    return array
