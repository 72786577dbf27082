"""Why a run failed: one code of the table, a sentence that one can act on, and what Spark said. Contract platform §3.6.

The first rule that holds decides. Knows what was read of the run, not where.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

from gateway.core import records
from gateway.platform.runs import evidence, tally
from gateway.platform.runs.reading import Reading

_MEMORY_EXITS = (3, 52, 137)  # JVM that ends for want of memory, executor that does, killed
_NO_MAIN_CLASS = 101  # spark-submit's exit code
_IN_DRIVER = "driver"  # what Spark calls the executor of a local master
_DRIVER_OUT_OF_MEMORY = "the driver ran out of memory; ask for more with driverMemory"


@records.kept_as_json
@dataclass(frozen=True)
class RunError:
    """`exception`, `stage` and `task` are Spark's or the program's own words; "" when nothing was said."""

    code: str
    message: str
    exception: str = ""
    stage: str = ""
    task: str = ""


@dataclass(frozen=True)
class Ended:
    """How a run ended: `reason` is its batch's, `started` whether there was ever a process.

    `program` is the file that was to run; `application` that of Spark which it became, None: it did not get so far.
    """

    exit_code: int | None
    reason: str
    started: bool
    program: str
    application: str | None
    reading: Reading

    @property
    def failed_job(self) -> tally.Failure | None:
        """What failed the last Spark job that ended; None when that went well."""
        return self.reading.tally.failure if self.reading.tally.last_job_failed else None

    def mark(self, kind: str) -> str | None:
        """What the log says of this kind."""
        return self.reading.evidence.marks.get(kind)

    def early(self, kind: str) -> str | None:
        """As `mark`, of what only counts as long as there was no Spark application."""
        return None if self.application else self.mark(kind)


def explain(end: Ended) -> RunError:
    """The error of a run that has failed."""
    for code, rule in _RULES:
        if message := rule(end):
            failure = end.failed_job or tally.Failure()
            said = failure.exception or end.reading.evidence.exception or ""
            return RunError(code, message, said, failure.stage, failure.task)
    return RunError("SPK011", end.reason, end.reading.evidence.exception or "")


def _not_started(end: Ended) -> str | None:
    return None if end.started else end.reason


def _not_submitted(end: Ended) -> str | None:
    said = end.early(evidence.NOT_SUBMITTED)
    return f"spark-submit could not start the application: {said}" if said else None


def _not_unpacked(end: Ended) -> str | None:
    return end.reason if end.early(evidence.NOT_UNPACKED) else None


def _no_packages(end: Ended) -> str | None:
    return end.reason if end.early(evidence.PACKAGES) else None


def _no_program(end: Ended) -> str | None:
    said = end.early(evidence.NO_PROGRAM) or ""
    return f"the program was not found: {said}" if PurePath(end.program).name in said else None


def _no_class(end: Ended) -> str | None:
    said = end.early(evidence.NO_CLASS)
    if said or (end.exit_code == _NO_MAIN_CLASS and not end.application):
        return f"the program's class could not be loaded; check className: {said or 'exit code 101'}"
    return None


def _no_master(end: Ended) -> str | None:
    return "no master of the cluster answered" if end.mark(evidence.NO_MASTER) else None


def _bad_conf(end: Ended) -> str | None:
    said = end.early(evidence.BAD_CONF)
    return f"Spark refused a value of its conf: {said}" if said else None


def _out_of_memory(end: Ended) -> str | None:
    if (end.reading.evidence.exception or "").startswith("MemoryError"):
        return "the program ran out of memory"
    if end.exit_code in _MEMORY_EXITS and end.mark(evidence.OUT_OF_MEMORY):
        return _DRIVER_OUT_OF_MEMORY
    executor = end.reading.tally.out_of_memory if end.failed_job else None
    if executor == _IN_DRIVER:
        return _DRIVER_OUT_OF_MEMORY
    return f"executor {executor} ran out of memory; ask for more with executorMemory" if executor else None


def _failed_by(cause: str, message: str) -> Callable[[Ended], str | None]:
    def rule(end: Ended) -> str | None:
        failure = end.failed_job
        return message.format(failure=failure) if failure and failure.cause == cause else None

    return rule


def _failed(end: Ended) -> str | None:
    return "a Spark job failed" if end.failed_job else None


def _lost(end: Ended) -> str | None:
    return end.reason if end.exit_code is None else None


_RULES: tuple[tuple[str, Callable[[Ended], str | None]], ...] = (
    ("SPK001", _not_started),
    ("SPK001", _not_unpacked),
    ("SPK003", _no_packages),
    ("SPK003", _no_program),
    ("SPK004", _no_class),
    ("CLU001", _no_master),
    ("SPK002", _bad_conf),
    ("SPK006", _out_of_memory),
    ("SPK010", _failed_by(tally.FETCH_FAILED, "the output of an earlier stage could not be fetched")),
    ("SPK007", _failed_by(tally.EXECUTOR_LOST, "executor {failure.executor} was lost")),
    ("SPK009", _failed_by(tally.TASK_FAILED, "a task failed as often as it may")),
    ("SPK008", _failed),
    ("CLU003", _lost),
    ("SPK001", _not_submitted),
)
