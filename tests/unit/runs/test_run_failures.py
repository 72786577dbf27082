"""Each code of the table, by the lines that a failing run has left. Spark's are as 4.3 and 3.5 write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.platform.runs.evidence import Evidence
from gateway.platform.runs.failures import Ended, RunError, explain
from gateway.platform.runs.reading import Reading
from gateway.platform.runs.tally import Tally

STORY = Path(__file__).with_name("story_4.3.jsonl").read_bytes().splitlines()
COUNTS, TASK_FAILS, EXECUTOR_LOST, OUT_OF_MEMORY, TOO_LARGE, FETCH_FAILED = 0, 2, 4, 5, 6, 7
REASON = "the batch ended with exit code 1"
TRACEBACK = 'Traceback (most recent call last):\n  File "/jobs/a.py", line 3, in <module>\nValueError: on purpose\n'


def story(job: int) -> Tally:
    """What is known once this job has ended."""
    made, ended = Tally(), -1
    for line in STORY:
        made.take(line)
        ended += b'"SparkListenerJobEnd"' in line[:40]
        if ended == job:
            break
    return made


def error(log: str = "", tally: Tally | None = None, **how: Any) -> RunError:
    told = {"exit_code": 1, "reason": REASON, "started": True, "program": "/jobs/a.py", "application": None, **how}
    found = Reading(tally=tally or Tally(), evidence=Evidence().after(log.splitlines()))
    return explain(Ended(**told, reading=found))


@pytest.mark.parametrize(
    ("log", "how", "code", "message"),
    [
        ("", {"started": False, "exit_code": None, "reason": "no disk"}, "SPK001", "no disk"),
        ("/x.zip cannot be unpacked: bad\n", {"reason": "/x.zip cannot be unpacked: bad"}, "SPK001", "/x.zip cannot"),
        (
            'Exception in thread "main" java.lang.RuntimeException: [unresolved dependency: no#thing;1: not found]\n',
            {"reason": "spark.jars.packages could not be resolved: no#thing;1: not found"},
            "SPK003", "spark.jars.packages could not be resolved",
        ),
        (
            "WARN DependencyUtils: Local jar /jobs/a.jar does not exist, skipping.\nError: Failed to load class a.B.\n",
            {"exit_code": 101, "program": "/jobs/a.jar"}, "SPK003", "the program was not found: WARN",
        ),
        (
            "/usr/bin/python3: can't open file '/jobs/a.py': [Errno 2] No such file or directory\n", {"exit_code": 2},
            "SPK003", "can't open file '/jobs/a.py'",
        ),
        ("Error: Failed to load class a.B.\n", {"exit_code": 101}, "SPK004", "check className: Error: Failed to load"),
        ("Error: Failed to load a.B: org/lib/Thing\n", {"exit_code": 101}, "SPK004", "org/lib/Thing"),
        ("", {"exit_code": 101}, "SPK004", "exit code 101"),
        (
            'Exception in thread "main" org.apache.spark.SparkException: No main class set in JAR; please\n',
            {}, "SPK004", "No main class set in JAR",
        ),
        ("ERROR StandaloneSchedulerBackend: All masters are unresponsive! Giving up.\n", {}, "CLU001", "no master"),
        (
            ': org.apache.spark.SparkIllegalArgumentException: [INVALID] The config "spark.task.cpus" is invalid.\n',
            {}, "SPK002", '"spark.task.cpus" is invalid',
        ),
        ("Terminating due to java.lang.OutOfMemoryError: heap\n", {"exit_code": 3}, "SPK006", "driverMemory"),
        ("java.lang.OutOfMemoryError: Java heap space\n", {"exit_code": 52}, "SPK006", "driverMemory"),
        (TRACEBACK.replace("ValueError: on purpose", "MemoryError"), {}, "SPK006", "the program ran out of memory"),
        ("", {"exit_code": None, "reason": "killed from outside"}, "CLU003", "killed from outside"),
        (
            'Exception in thread "main" org.apache.spark.SparkException: Executor memory must be a positive number\n',
            {}, "SPK001", "Executor memory must be a positive number",
        ),
        (TRACEBACK, {}, "SPK011", REASON),
        ("", {"exit_code": 3}, "SPK011", REASON),
    ],
)  # fmt: skip
def test_what_the_log_and_the_end_tell(log: str, how: dict[str, Any], code: str, message: str) -> None:
    found = error(log, **how)
    assert found.code == code and message in found.message


@pytest.mark.parametrize(
    ("tally", "code", "message"),
    [
        (story(OUT_OF_MEMORY), "SPK006", "executor 3 ran out of memory; ask for more with executorMemory"),
        (story(FETCH_FAILED), "SPK010", "could not be fetched"),
        (story(EXECUTOR_LOST), "SPK006", "executor 1 ran out of memory"),
        (story(TASK_FAILS), "SPK009", "a task failed as often as it may"),
        (story(TOO_LARGE), "SPK008", "a Spark job failed"),
        (story(COUNTS), "SPK011", REASON),
    ],
)
def test_what_the_event_log_tells(tally: Tally, code: str, message: str) -> None:
    found = error(TRACEBACK, tally)
    assert found.code == code and message in found.message


def test_an_executor_that_is_lost_otherwise_than_by_want_of_memory() -> None:
    made = Tally()
    for line in STORY:
        made.take(line.replace(b"exited with code 137", b"exited with code 143"))
        if made.jobs.failed == 2:
            break
    found = error(TRACEBACK, made)
    assert (found.code, found.message) == ("SPK007", "executor 1 was lost")
    assert found.exception == "Command exited with code 143" and found.task == "0.1 on executor 1"


def test_on_a_local_master_it_is_the_driver_that_ran_out_of_memory() -> None:
    made = story(OUT_OF_MEMORY)
    made.out_of_memory = "driver"
    assert error("", made).message == "the driver ran out of memory; ask for more with driverMemory"


def test_the_error_says_which_stage_and_task_failed_and_what_the_program_said_in_it() -> None:
    found = error(TRACEBACK, story(TASK_FAILS))
    assert found.stage.startswith("4.0 (count at ") and found.task == "1.1 on executor 0"
    assert found.exception.startswith("ValueError: on purpose: 3\n")
    assert error(TRACEBACK).exception == "ValueError: on purpose"


@pytest.mark.parametrize(
    "line",
    [
        'SLF4J: Failed to load class "org.slf4j.impl.StaticLoggerBinder".',
        "java.io.FileNotFoundException: File file:/nowhere does not exist",
        "WARN DependencyUtils: Local jar /jobs/b.jar does not exist, skipping.",
        "python3: can't open file '/jobs/other.py': [Errno 2] No such file or directory",
        "the archive /x.zip cannot be unpacked: so I say",
    ],
)
def test_what_only_looks_like_a_known_failure_is_the_program_s_own(line: str) -> None:
    assert error(f"{line}\n{TRACEBACK}").code == "SPK011"


@pytest.mark.parametrize(
    "line",
    [
        "Error: Failed to load class a.B.",
        "python3: can't open file '/jobs/a.py': [Errno 2] No such file or directory",
        "org.apache.spark.SparkException: spark.my.key is odd",
        'Exception in thread "main" org.apache.spark.SparkException: mine',
    ],
)
def test_what_a_program_says_after_spark_is_there_is_its_own(line: str) -> None:
    assert error(f"{line}\n", application="app-1").code == "SPK011"
    assert error(f"{line}\n").code != "SPK011"


def test_the_last_exception_counts_also_when_it_is_read_in_parts() -> None:
    first = Evidence().after(["ValueError: no exception", "Traceback (most recent call last):"])
    assert first.exception is None
    second = first.after(['  File "a.py"', "KeyError: 3"]).after(["Caused by: java.lang.Exception: why", "\tat x"])
    assert second.exception == "java.lang.Exception: why"
    assert len(second.after(["Traceback (most recent call last):", "E" * 10**6]).exception or "") == 1000
