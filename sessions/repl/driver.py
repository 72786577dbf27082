"""The driver's life: start Spark and the kernel side by side, say ready, serve, leave.

The composition root of this package. The main thread has Spark and the user's code, a second one the kernel.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from . import process
from .additions import Additions
from .ahead import Ahead
from .interpreter import Interpreter
from .interrupts import Interrupts
from .java_jobs import JavaJobs
from .job_context import JobContext
from .jobs import Jobs, JobType
from .large import Outputs
from .namespace import fill, renew
from .orphan import Orphan
from .output import Capture, Stream
from .preload import import_spark, warm_jvm
from .python import PythonInterpreter, new_main
from .python_jobs import PythonJobs
from .queries import Queries
from .r import RInterpreter
from .ready import tell
from .restarts import Restarts
from .scala import ScalaInterpreter
from .seats import FIRST, Seat
from .service import KernelService
from .spark import Application, start_failure
from .sparkr import SparkR
from .sql import SqlInterpreter
from .statements import Statements

STOP_PATIENCE = 5.0  # seconds Spark may take to stop
_UNCLAIMED = 30.0  # seconds without a gateway after which a driver that is nobody's ends itself
_ROWS = "livy.rsc.sql.num-rows"
REPLY_TIME = 0.1  # seconds for the reply to a shutdown_request to leave before the process does


@dataclass(frozen=True)
class Options:
    """What the gateway asks of a driver; `output_limit` in bytes, `wakeup` None means nobody waits.

    Without a gateway for `orphan_timeout` seconds the driver ends itself, and says why in `left_file`; 0: never.
    `kernel_path` and `kernel_abi` are for `fitting`; `livy_jars`, `sparkr_library` and `scala_cache` are
    folders, or empty, for `java_jobs`, `sparkr` and `scala_jvm`. `warm_up` has the languages that run once in a driver
    that is started ahead of its session; None: its session waits for it. With `seats`, a FIFO, the application is
    shared: it runs nothing itself, but an interpreter for each folder that is asked for there; `seat` is the number of
    such a one, and `conf` what its Spark SQL is to be set to.
    """

    connection_file: str
    ready_file: str
    wakeup: str | None = None
    left_file: str = ""
    orphan_timeout: float = 0
    sql_rows: int = 1000
    output_limit: int = 100 * 1024 * 1024
    kernel_path: Sequence[str] = ()
    kernel_abi: str | None = None
    livy_jars: str = ""
    sparkr_library: str = ""
    scala_cache: str = ""
    warm_up: Sequence[str] | None = None
    seats: str = ""
    seat: int = FIRST
    conf: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The driver's own."""
        return os.path.dirname(self.ready_file)

    @classmethod
    def read(cls, path: str) -> Options:
        """The options file; its members are this class's fields, its paths start from its folder."""
        with open(path, encoding="utf-8") as file:
            options: dict[str, Any] = json.load(file)
        for name in ("connection_file", "ready_file", "left_file", "wakeup", "seats"):
            if options.get(name):
                options[name] = os.path.join(os.path.dirname(path), options[name])
        return cls(**options)


class Driver:
    """One Spark application and one kernel in this process."""

    def __init__(self, options: Options, streams: list[Stream]) -> None:
        self._options = options
        self._streams = streams
        self._spark: Application | None = None
        self._ahead: Ahead | None = None
        self._leaving = False

    def run(self) -> NoReturn:
        """Start, say so, and run statements until told to stop; never returns."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        Capture.folder = self._options.folder
        try:
            spark, statements = self._start()
        except BaseException as exc:
            traceback.print_exc()
            tell(self._options.ready_file, {"error": start_failure(exc)}, self._options.wakeup)
            self._leave(1)
            raise
        facts = {"pid": os.getpid(), **spark.facts(), "python_version": platform.python_version()}
        tell(self._options.ready_file, facts, self._options.wakeup)
        if self._ahead is not None and self._options.warm_up is not None:
            self._ahead.warm_up(self._options.warm_up)
            tell(self._options.ready_file, {**facts, "warm": True}, self._options.wakeup)
        statements.serve()

    def _start(self) -> tuple[Application, Statements]:
        warm_jvm()
        import_spark()  # before the kernel's own imports compete for the interpreter
        kernel = KernelService(self._options.connection_file, self.leave_soon)
        kernel.start()
        spark = self._spark = self._application()
        spark.settle()
        module = new_main()
        fill(module, spark.session())
        jobs, additions = self._jobs(spark)
        restarts = Restarts(spark, [additions.renew], [partial(renew, module)])
        self._watch(restarts)
        python = PythonInterpreter(module, self._streams, self._options.output_limit)
        sql, languages, statements = self._statements(spark, python, restarts)
        seat = Seat(statements, jobs, additions)
        orphan = self._end_as_orphan([seat, spark])
        if self._options.warm_up is not None:
            self._ahead = Ahead(spark, languages, partial(self._on_claim, sql, orphan))
        kernel.serve({self._options.seat: seat}, self._claim)
        return spark, statements

    def _application(self) -> Application:
        return Application()

    def _watch(self, restarts: Restarts) -> None:
        restarts.watch()

    def _statements(
        self, spark: Application, python: PythonInterpreter, restarts: Restarts
    ) -> tuple[SqlInterpreter, Mapping[str, Interpreter], Statements]:
        interrupts = Interrupts()

        def cancelled() -> bool:
            return interrupts.wanted

        sql = SqlInterpreter(spark.session, cancelled, self._options.sql_rows, self._options.output_limit)
        languages = {"pyspark": python, "sql": sql, **self._other_languages(spark, cancelled)}
        outputs = Outputs(os.path.join(self._options.folder, "outputs"))
        statements = Statements(self._options.seat, languages, interrupts, spark, restarts, outputs)
        return sql, languages, statements

    def _other_languages(self, spark: Application, cancelled: Callable[[], bool]) -> dict[str, Interpreter]:
        cache = Path(self._options.scala_cache) if self._options.scala_cache else None
        scala = ScalaInterpreter(spark.session, cancelled, self._options.output_limit, cache)
        r = RInterpreter(SparkR(spark.session, self._options.sparkr_library), self._options.output_limit)
        return {"spark": scala, "sparkr": r}

    def _jobs(self, spark: Application) -> tuple[Jobs, Additions]:
        types = self._job_types(spark)
        jobs = Jobs(self._options.seat, types, spark, self._options.output_limit)
        return jobs, Additions(spark, [one.add for one in types.values()])

    def _job_types(self, spark: Application) -> dict[str, JobType]:
        return {
            "pyspark": PythonJobs(JobContext(spark)),
            "spark": JavaJobs(spark, self._options.livy_jars),
            "sql": Queries(spark),
        }

    def _claim(self, name: str | None, conf: Mapping[str, str]) -> str | None:
        """Be a session's driver; why that cannot be, None when it is, as one that was started for a session is."""
        refusal = self._ahead.claim(name, conf) if self._ahead is not None else None
        return "the driver is ending" if self._leaving else refusal

    def _on_claim(self, sql: SqlInterpreter, orphan: Orphan | None, conf: Mapping[str, str]) -> None:
        rows = conf.get(_ROWS, "")
        if rows.isdigit() and int(rows):
            sql.limit_rows(int(rows))
        if orphan is not None:
            orphan.wait(self._options.orphan_timeout)

    def _end_as_orphan(self, workers: Sequence[Seat | Application]) -> Orphan | None:
        def works() -> bool:
            return any(worker.works() for worker in workers)

        own = self._options.orphan_timeout
        if not self._options.wakeup or (not own and self._options.warm_up is None):
            return None
        timeout = own if self._options.warm_up is None else _UNCLAIMED
        orphan = Orphan(self._options.wakeup, timeout, works, self._leave_because)
        orphan.start()
        return orphan

    def _leave_because(self, reason: str) -> None:
        self._leaving = True
        print(reason, file=sys.__stderr__)
        tell(self._options.left_file, {"reason": reason}, self._options.wakeup)
        self._leave(0)

    def _on_sigterm(self, signum: int, frame: FrameType | None) -> None:
        threading.Thread(target=self._leave, args=(128 + signum,), daemon=True).start()

    def leave_soon(self) -> None:
        """Stop Spark and end the process, in a moment and on another thread."""
        timer = threading.Timer(REPLY_TIME, self._leave, [0])
        timer.daemon = True
        timer.start()

    def _leave(self, code: int) -> None:
        self._leaving = True
        spark = self._spark
        process.leave(code, lambda: spark.stop(code) if spark is not None else None, STOP_PATIENCE)


def main(options_file: str) -> NoReturn:
    """Run the driver that the options file describes; never returns."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    process.close_stdin()
    Driver(Options.read(options_file), process.take_streams()).run()
