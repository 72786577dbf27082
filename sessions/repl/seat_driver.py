"""The life of an interpreter in a shared application: forked, joined to Spark, ready, serving, gone.

What a driver is, but for Spark itself, which is the application's. A composition root.
"""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable

from . import process
from .driver import Driver, Options
from .guest import Elsewhere, Guest
from .interpreter import Interpreter
from .job_context import JobContext
from .jobs import JobType
from .output import Stream
from .preload import import_spark, warm_imports
from .python_jobs import PythonJobs
from .queries import Queries
from .restarts import Restarts
from .spark import Application
from .zygote import Order

_LATER = ("pyspark.sql.functions", "pyspark.streaming", "pyspark.sql.streaming", "pyspark.accumulators", "cloudpickle")


class SeatDriver(Driver):
    """One interpreter and one kernel in this process."""

    def __init__(self, options: Options, streams: list[Stream], folder: str) -> None:
        super().__init__(options, streams)
        self._folder = folder

    def _application(self) -> Application:
        return Guest(self._options.seat, os.path.join(self._folder, "work"), self._options.conf)

    def _watch(self, restarts: Restarts) -> None:
        """Nobody starts Spark anew in an application of many."""

    def _other_languages(self, spark: Application, cancelled: Callable[[], bool]) -> dict[str, Interpreter]:
        return {"spark": Elsewhere("Scala"), "sparkr": Elsewhere("R")}

    def _job_types(self, spark: Application) -> dict[str, JobType]:
        return {"pyspark": PythonJobs(JobContext(spark)), "sql": Queries(spark)}

    def _leave(self, code: int) -> None:
        """At once: the application sees to what this seat has in the JVM."""
        self._leaving = True
        os._exit(code)


def prepare() -> None:
    """Import what every interpreter needs, in the process that they are forked from: no thread, no way to Spark."""
    import_spark()
    warm_imports()
    importlib.import_module(".kernel", __package__)
    for name in _LATER:
        try:
            importlib.import_module(name)
        except ImportError:  # not in every version
            continue


def run(order: Order) -> None:
    """Be the interpreter of a seat; never returns."""
    os.environ["PYSPARK_GATEWAY_PORT"], os.environ["PYSPARK_GATEWAY_SECRET"] = str(order.port), order.secret
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options = Options.read(os.path.join(order.folder, "options.json"))
    SeatDriver(options, process.take_streams(), order.folder).run()
