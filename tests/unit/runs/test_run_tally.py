"""What is made of Spark's event log, by what two Sparks have written of the same program.

It ran eight jobs one after the other. Members that nothing reads, and most of Java's stack traces, were left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.core import records
from gateway.platform.runs import tally
from gateway.platform.runs.reading import Reading
from gateway.platform.runs.tally import Counts, Tally, first_cause

STORIES = {version: Path(__file__).with_name(f"story_{version}.jsonl") for version in ("4.3", "3.5")}
COUNTS, COUNTS_AGAIN, TASK_FAILS, FAILS_ONCE, EXECUTOR_LOST, OUT_OF_MEMORY, TOO_LARGE, FETCH_FAILED = range(8)

pytestmark = pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)


def lines_of(story: Path) -> list[bytes]:
    return story.read_bytes().splitlines()


def is_(line: bytes, event: str) -> bool:
    return line.startswith(b'{"Event":"SparkListener' + event.encode() + b'"')


def after(story: Path, job: int) -> Tally:
    """What is known once this job has ended, and what is told of its executors."""
    lines, made = lines_of(story), Tally()
    begins = [at for at, line in enumerate(lines) if is_(line, "JobStart")] + [len(lines)]
    for line in lines[: begins[job + 1]]:
        made.take(line)
    return made


def moments(story: Path) -> Iterator[Tally]:
    made = Tally()
    for line in lines_of(story):
        made.take(line)
        yield made


def test_everything_that_began_is_counted_once(story: Path) -> None:
    made = after(story, FETCH_FAILED)
    assert made.application and made.application.startswith("app-2026")
    assert (made.jobs, made.unreadable) == (Counts(0, 3, 5), 0)
    assert (made.stages.active, made.tasks.active, made.open_jobs, made.open_stages) == (0, 0, {}, {})
    ends = [json.loads(line)["Task End Reason"]["Reason"] for line in lines_of(story) if is_(line, "TaskEnd")]
    assert made.tasks.succeeded == ends.count("Success")
    assert made.tasks.failed == len(ends) - ends.count("Success") - ends.count("TaskKilled")


def test_counts_are_never_below_nought_and_progress_stays_below_a_hundred(story: Path) -> None:
    for made in moments(story):
        counts = [number for part in (made.jobs, made.stages, made.tasks) for number in vars(part).values()]
        assert min(counts) >= 0 and 0 <= made.percent <= 99 and made.finished <= made.total


def test_a_stage_that_was_skipped_counts_as_finished(story: Path) -> None:
    first, second = after(story, COUNTS), after(story, COUNTS_AGAIN)
    assert (first.total, first.finished) == (5, 5)
    assert (second.total, second.finished, second.stages.succeeded) == (10, 10, 3)


def test_the_sums_are_those_of_the_tasks(story: Path) -> None:
    metrics = [json.loads(line).get("Task Metrics") or {} for line in lines_of(story) if is_(line, "TaskEnd")]
    made = after(story, FETCH_FAILED).metrics
    assert made.executor_run_time == sum(one.get("Executor Run Time", 0) for one in metrics) > 0
    assert made.gc_time == sum(one.get("JVM GC Time", 0) for one in metrics) > 0
    assert made.shuffle_write > 0 and made.shuffle_read > 0 and made.peak_heap > 2**20


def test_what_went_well_the_second_time_is_no_failure(story: Path) -> None:
    made = after(story, FAILS_ONCE)
    assert (made.last_job_failed, made.failure, made.out_of_memory) == (False, None, None)
    assert made.tasks.failed == 3


@pytest.mark.parametrize(
    ("job", "cause", "task", "said"),
    [
        (TASK_FAILS, tally.TASK_FAILED, "1.1 on executor 0", "ValueError: on purpose: 3\norg.apache.spark.api.python"),
        (EXECUTOR_LOST, tally.EXECUTOR_LOST, "0.1 on executor 1", "Command exited with code 137"),
        (OUT_OF_MEMORY, tally.TASK_FAILED, "1.2 on executor 3", "java.lang.OutOfMemoryError: Java heap space"),
        (TOO_LARGE, "", "", "Job aborted due to stage failure: Total size of serialized results of 1 tasks"),
        (FETCH_FAILED, tally.FETCH_FAILED, "0.0 on executor 4", "org.apache.spark.shuffle.FetchFailedException"),
    ],
)
def test_a_failure_says_what_failed_where_and_why(story: Path, job: int, cause: str, task: str, said: str) -> None:
    made = after(story, job)
    assert made.last_job_failed and made.failure is not None
    assert (made.failure.cause, made.failure.task) == (cause, task)
    assert made.failure.stage.split(" at ")[0] in (
        "4.0 (count",
        "6.0 (count",
        "7.0 (collect",
        "8.0 (collect",
        "10.1 (count",
    )
    assert made.failure.exception.startswith(said)


@pytest.mark.parametrize(
    ("job", "who"), [(TASK_FAILS, None), (EXECUTOR_LOST, "1"), (OUT_OF_MEMORY, "3"), (TOO_LARGE, None)]
)
def test_which_executor_ran_out_of_memory(story: Path, job: int, who: str | None) -> None:
    assert after(story, job).out_of_memory == who


def test_a_job_that_was_cancelled_says_so_and_not_what_an_earlier_one_failed_of(story: Path) -> None:
    made = after(story, OUT_OF_MEMORY)
    made.take(b'{"Event":"SparkListenerJobStart","Job ID":90,"Stage Infos":[{"Stage ID":90,"Number of Tasks":1}]}')
    assert (made.last_job_failed, made.out_of_memory) == (False, None)
    made.take(
        b'{"Event":"SparkListenerJobEnd","Job ID":90,"Job Result":'
        b'{"Result":"JobFailed","Exception":{"Message":"Job 90 cancelled","Stack Trace":[]}}}'
    )
    assert made.failure == tally.Failure(exception="Job 90 cancelled")


def test_what_a_program_says_itself_is_no_cause(story: Path) -> None:
    made = Tally()
    said = "Job aborted due to stage failure: Task 1 in stage 4.0 failed 4 times, most recent failure: Lost task 1.3 in"
    said += " stage 4.0 (TID 9) (127.0.0.1 executor 0): mine.FetchFailedException: ExecutorLostFailure, I say"
    for line in lines_of(story):
        if is_(line, "StageCompleted") and (event := json.loads(line))["Stage Info"]["Stage ID"] == 4:
            event["Stage Info"]["Failure Reason"] = said
            made.take(json.dumps(event).encode())
            break
        made.take(line)
    assert made.failure is not None and made.failure.cause == tally.TASK_FAILED


def test_a_new_application_in_the_same_run_is_counted_on_from_where_the_old_one_was(story: Path) -> None:
    lines = lines_of(story)
    begins = [at for at, line in enumerate(lines) if is_(line, "TaskStart")]
    made = Tally()
    for line in [*lines[: begins[2]], *lines]:
        made.take(line)
    assert made.jobs == Counts(0, 3, 5)
    assert (made.stages.active, made.tasks.active, made.open_stages) == (0, 0, {})


def test_it_is_kept_and_read_again_at_any_moment(story: Path) -> None:
    whole, cut = Tally(), Tally()
    for line in lines_of(story):
        whole.take(line)
        cut.take(line)
        kept = records.read(Reading, json.loads(records.to_json(Reading(tally=cut))))
        cut = kept.tally
    assert cut == whole


@pytest.mark.parametrize(
    ("line", "unreadable"),
    [
        (b"", 1), (b"\xff\xfe", 1), (b"null", 1), (b"[]", 1), (b"{}", 1), (b"[" * 100_000, 1), (b'{"Event":3}', 0),
        (b'{"Event":"SparkListenerJobStart"}', 1), (b'{"Event":"SparkListenerTaskEnd","Task End Reason":7}', 1),
        (b'{"Event":"SparkListenerJobEnd","Job ID":0}', 0), (b'{"Event":"SparkListenerSomethingNew","Job ID":{}}', 0),
    ],
)  # fmt: skip
def test_a_line_that_is_no_event_is_counted_and_skipped(story: Path, line: bytes, unreadable: int) -> None:
    made = after(story, COUNTS)
    before = records.to_json(made)
    made.take(line)
    assert made.unreadable == unreadable
    made.unreadable = 0
    assert records.to_json(made) == before


ODD: list[object] = ["x", None, [1], {}, True, 1.5, float("nan"), float("inf"), 1 << 63, 10**4000]


@pytest.mark.parametrize("count", ODD, ids=[str(at) for at in range(len(ODD))])
@pytest.mark.parametrize(
    "event",
    [
        {"Event": "SparkListenerJobStart", "Job ID": 90, "Stage Infos": [{"Stage ID": 90, "Number of Tasks": ...}]},
        {
            "Event": "SparkListenerStageSubmitted",
            "Stage Info": {"Stage ID": 90, "Stage Attempt ID": 0, "Number of Tasks": ...},
        },
        {
            "Event": "SparkListenerTaskEnd",
            "Task End Reason": {"Reason": "Success"},
            "Task Metrics": {"Executor Run Time": 5, "Shuffle Read Metrics": {"Local Bytes Read": ...}},
        },
        {"Event": "SparkListenerStageExecutorMetrics", "Executor Metrics": {"JVMHeapMemory": ...}},
    ],
    ids=["job", "stage", "task", "heap"],
)
def test_what_is_no_count_changes_nothing(story: Path, event: dict[str, object], count: object) -> None:
    made = after(story, COUNTS)
    before = records.to_json(made)
    made.take(json.dumps(event, default=lambda _: count).encode())
    assert made.unreadable == 1 and 0 <= made.percent <= 99
    made.unreadable = 0
    assert records.to_json(made) == before


def test_words_in_the_place_of_numbers_stay_short_and_whole_characters(story: Path) -> None:
    made, odd = Tally(), "\ud800" * 10_000
    ids = {"Stage ID": odd, "Stage Attempt ID": odd}
    made.take(json.dumps({"Event": "SparkListenerStageSubmitted", "Stage Info": ids | {"Number of Tasks": 1}}).encode())
    reason, info = {"Reason": "ExceptionFailure", "Message": odd}, {"Index": odd, "Attempt": odd, "Executor ID": odd}
    ended = {"Event": "SparkListenerTaskEnd", **ids, "Task End Reason": reason, "Task Info": info}
    made.take(json.dumps(ended).encode())
    failed = ids | {"Stage Name": odd, "Failure Reason": "Task 1 in stage 1 failed 4 times"}
    for _ in range(2):
        assert made.failure is not None
        said = vars(made.failure).values()
        assert all(len(one) <= tally.LONGEST_EXCEPTION and one.encode() for one in said if one)
        made.take(json.dumps({"Event": "SparkListenerStageCompleted", "Stage Info": failed}).encode())
    assert made.stages.failed == 1


def test_an_exception_begins_with_the_last_line_of_its_python_worker_and_is_bounded(story: Path) -> None:
    said = 'PythonException: Traceback (most recent call last):\n  File "a.py", line 1\nValueError: é\ud800\n\n\tat x'
    assert first_cause(said).startswith("ValueError: é?\nPythonException: Traceback")
    assert len(first_cause("x" * 10**6)) == tally.LONGEST_EXCEPTION
