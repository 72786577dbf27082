"""What Spark's event log says of a run, counted line by line. Knows no file and no store.

A tally is kept as JSON between two looks, so it holds what is open now and sums of all the rest: its size does not
grow with the run. The events and their members: org.apache.spark.util.JsonProtocol of Spark 3.5 and 4.3. The log lies
in the batch's own folder, so it may hold anything: what is no count, and no text, never gets into a tally.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FETCH_FAILED, EXECUTOR_LOST, TASK_FAILED = "FetchFailed", "ExecutorLostFailure", "TaskFailed"
LONGEST_EXCEPTION = 4096  # characters
# 52 is what Spark's executors end with for OutOfMemoryError, 137 what one ends with that was killed
_OUT_OF_MEMORY = re.compile(
    r"OutOfMemoryError|exceeding memory limits|exit(?:ed with)? code(?: is|:)? (?:52|137)\b", re.IGNORECASE
)
# why a stage failed, by how its reason begins; the first that fits. What a program says itself comes later in it.
_OFTEN = r"(?:Job aborted due to stage failure: )?Task \S+ in stage \S+ failed \d+ times"
_CAUSES = (
    (
        FETCH_FAILED,
        re.compile(r"(?:.*Most recent failure reason:\s*)?org\.apache\.spark\.shuffle\.\w*FetchFailedEx", re.DOTALL),
    ),
    (EXECUTOR_LOST, re.compile(_OFTEN + r", most recent failure: Lost task [^:]*: ExecutorLostFailure")),
    (TASK_FAILED, re.compile(_OFTEN)),
)

Event = Mapping[str, Any]


@dataclass
class Counts:
    """`active` are those that began and have not ended."""

    active: int = 0
    succeeded: int = 0
    failed: int = 0


@dataclass
class Metrics:
    """Sums over the tasks that have ended, in milliseconds and bytes; of memory the most that one needed at a time.

    `peak_execution_memory` is one task's, `peak_heap` one executor's or the driver's.
    """

    executor_run_time: int = 0
    executor_cpu_time: int = 0
    gc_time: int = 0
    shuffle_read: int = 0
    shuffle_write: int = 0
    spilled_to_disk: int = 0
    input: int = 0
    output: int = 0
    peak_execution_memory: int = 0
    peak_heap: int = 0

    def after(self, task: Mapping[str, Any]) -> Metrics:
        """These, and those of one more task."""
        read, written = task.get("Shuffle Read Metrics", {}), task.get("Shuffle Write Metrics", {})
        remote, local = _count(read.get("Remote Bytes Read", 0)), _count(read.get("Local Bytes Read", 0))
        return Metrics(
            executor_run_time=self.executor_run_time + _count(task.get("Executor Run Time", 0)),
            executor_cpu_time=self.executor_cpu_time + _count(task.get("Executor CPU Time", 0)) // 1_000_000,
            gc_time=self.gc_time + _count(task.get("JVM GC Time", 0)),
            shuffle_read=self.shuffle_read + remote + local,
            shuffle_write=self.shuffle_write + _count(written.get("Shuffle Bytes Written", 0)),
            spilled_to_disk=self.spilled_to_disk + _count(task.get("Disk Bytes Spilled", 0)),
            input=self.input + _count(task.get("Input Metrics", {}).get("Bytes Read", 0)),
            output=self.output + _count(task.get("Output Metrics", {}).get("Bytes Written", 0)),
            peak_execution_memory=max(self.peak_execution_memory, _count(task.get("Peak Execution Memory", 0))),
            peak_heap=self.peak_heap,
        )


@dataclass
class Failure:
    """What a failed task or stage said. `cause` is one of the words above for a stage that failed by it, else ""."""

    cause: str = ""
    stage: str = ""
    task: str = ""
    executor: str = ""
    exception: str = ""


@dataclass
class Tally:
    """`last_job_failed`: the last job that ended, if no other has begun since. `out_of_memory`: which executor was.

    `open_jobs`: job → the tasks of each of its stages that has not begun; `open_stages`: stage attempt → its tasks,
    and how many of them have succeeded. `total` and `finished` are tasks of all stages that were begun or skipped.
    """

    application: str | None = None
    jobs: Counts = field(default_factory=Counts)
    stages: Counts = field(default_factory=Counts)
    tasks: Counts = field(default_factory=Counts)
    metrics: Metrics = field(default_factory=Metrics)
    total: int = 0
    finished: int = 0
    open_jobs: dict[str, dict[str, int]] = field(default_factory=dict)
    open_stages: dict[str, list[int]] = field(default_factory=dict)
    last_job_failed: bool = False
    failure: Failure | None = None
    out_of_memory: str | None = None
    unreadable: int = 0

    @property
    def percent(self) -> int:
        """Finished tasks of those of all jobs that were begun so far: whole, and 99 at most."""
        tasks = self.total + sum(sum(stages.values()) for stages in self.open_jobs.values())
        return min(99, 100 * self.finished // tasks) if tasks else 0

    def take(self, line: bytes) -> None:
        """Count what a line of the log says; one that is no event is only counted as such."""
        if line.startswith(b'{"Event":"SparkListenerTaskStart"'):  # as many as tasks, and nothing else in them counts
            self.tasks.active += 1
            return
        try:
            event = json.loads(line)
            handler = _HANDLERS.get(event["Event"])
            if handler is not None:
                handler(self, event)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            self.unreadable += 1

    # ------------------------------------------------------------ events

    def _application_start(self, event: Event) -> None:
        """Another one in the same run begins to count anew: what an earlier one left open will not end any more."""
        self.application = event.get("App ID")
        self.open_jobs, self.open_stages = {}, {}
        self.jobs.active = self.stages.active = self.tasks.active = 0

    def _job_start(self, event: Event) -> None:
        stages = {str(one["Stage ID"]): _count(one["Number of Tasks"]) for one in event["Stage Infos"]}
        job = str(event["Job ID"])
        if not self.open_jobs:
            self._forget_failures()
        self.open_jobs[job] = stages
        self.jobs.active += 1

    def _job_end(self, event: Event) -> None:
        waiting = self.open_jobs.pop(str(event["Job ID"]), None)
        if waiting is None:
            return
        self.jobs.active -= 1
        self.last_job_failed = event["Job Result"]["Result"] != "JobSucceeded"
        if self.last_job_failed:
            self.jobs.failed += 1
            self._explain(event["Job Result"].get("Exception", {}).get("Message") or "")
        else:
            self.jobs.succeeded += 1
            self._forget_failures()  # what had failed went well the next time
            skipped = sum(waiting.values())
            self.total, self.finished = self.total + skipped, self.finished + skipped

    def _forget_failures(self) -> None:
        self.last_job_failed, self.failure, self.out_of_memory = False, None, None

    def _explain(self, message: str) -> None:
        """What no task and no stage has explained, the job does: it was cancelled, say, or its result was too large."""
        if self.failure is None:
            self.failure = Failure(exception=_clipped(message))

    def _stage_submitted(self, event: Event) -> None:
        stage = event["Stage Info"]
        attempt, tasks = _attempt(stage), _count(stage["Number of Tasks"])
        for waiting in self.open_jobs.values():
            waiting.pop(str(stage["Stage ID"]), None)
        self.open_stages[attempt] = [tasks, 0]
        self.stages.active += 1
        self.total += tasks

    def _stage_completed(self, event: Event) -> None:
        stage = event["Stage Info"]
        begun = self.open_stages.pop(_attempt(stage), None)
        if begun is None:
            return
        total, finished = begun
        self.stages.active -= 1
        reason = stage.get("Failure Reason")
        if reason is None:
            self.stages.succeeded += 1
            self.finished += total - finished
        else:
            self.stages.failed += 1
            self.total -= total - finished  # another attempt counts them again
            self._stage_failed(stage, reason)

    def _stage_failed(self, stage: Mapping[str, Any], reason: str) -> None:
        name = _clipped(f"{_attempt(stage)} ({stage['Stage Name']})")
        if self.failure is None or self.failure.stage != _attempt(stage):
            self.failure = Failure(exception=_clipped(reason))
        self.failure.stage = name
        self.failure.cause = next((cause for cause, said in _CAUSES if said.match(reason)), "")
        if not self.failure.cause and self.failure.task and reason.partition("\n")[0] in self.failure.exception:
            self.failure.cause = TASK_FAILED  # Spark 4 may say what the task said, and nothing else

    def _task_end(self, event: Event) -> None:
        reason = event["Task End Reason"]["Reason"]
        self.metrics = self.metrics.after(event.get("Task Metrics") or {})
        self.tasks.active = max(0, self.tasks.active - 1)
        if reason == "Success":
            self.tasks.succeeded += 1
            begun = self.open_stages.get(f"{event['Stage ID']}.{event['Stage Attempt ID']}")
            if begun is not None and begun[1] < begun[0]:
                begun[1] += 1
                self.finished += 1
        elif reason != "TaskKilled":
            self.tasks.failed += 1
            self._task_failed(event)

    def _task_failed(self, event: Event) -> None:
        """Not of one that ends after its stage, which has said already why it failed."""
        stage = _clipped(f"{event['Stage ID']}.{event['Stage Attempt ID']}")
        if self.failure is not None and stage not in self.open_stages:
            return
        reason, info = event["Task End Reason"], event["Task Info"]
        executor = _clipped(str(reason.get("Executor ID") or info["Executor ID"]))
        said = reason.get("Loss Reason") or reason.get("Full Stack Trace") or reason.get("Message") or ""
        self.failure = Failure(
            stage=stage,
            task=_clipped(f"{info['Index']}.{info['Attempt']} on executor {executor}"),
            executor=executor,
            exception=first_cause(said),
        )
        if _OUT_OF_MEMORY.search(said):
            self.out_of_memory = executor

    def _stage_executor_metrics(self, event: Event) -> None:
        heap = _count(event["Executor Metrics"].get("JVMHeapMemory", 0))
        self.metrics.peak_heap = max(self.metrics.peak_heap, heap)

    def _executor_removed(self, event: Event) -> None:
        if _OUT_OF_MEMORY.search(str(event.get("Removed Reason", ""))):
            self.out_of_memory = _clipped(str(event["Executor ID"]))


_HANDLERS = {
    "SparkListenerApplicationStart": Tally._application_start,
    "SparkListenerJobStart": Tally._job_start,
    "SparkListenerJobEnd": Tally._job_end,
    "SparkListenerStageSubmitted": Tally._stage_submitted,
    "SparkListenerStageCompleted": Tally._stage_completed,
    "SparkListenerTaskEnd": Tally._task_end,
    "SparkListenerStageExecutorMetrics": Tally._stage_executor_metrics,
    "SparkListenerExecutorRemoved": Tally._executor_removed,
}


def _attempt(stage: Mapping[str, Any]) -> str:
    return f"{stage['Stage ID']}.{stage['Stage Attempt ID']}"


def _count(value: Any) -> int:
    """Nought for -1, which stands for what was not measured. Raises TypeError for what is none, or no Java long."""
    if type(value) is not int or value >= 1 << 63:
        raise TypeError("no count")
    return max(0, value)


def _clipped(said: str) -> str:
    """No longer than is kept, and without halves of characters, which no page could show."""
    return said[:LONGEST_EXCEPTION].encode("utf-8", "replace").decode("utf-8")


def first_cause(said: str) -> str:
    """An exception in at most 4 KiB; of one that passed through a Python worker, that worker's last line first."""
    _, mark, traceback = said.rpartition("Traceback (most recent call last)")
    last = next((line for line in traceback.splitlines()[1:] if line and not line[0].isspace()), "") if mark else ""
    return _clipped(f"{last}\n{said}".strip())
