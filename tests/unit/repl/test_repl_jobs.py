"""Jobs in the driver: each runs once, is kept until forgotten, and stops when it is to. No Spark, no sockets."""

from __future__ import annotations

import base64
import contextlib
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import cloudpickle
import pytest

from sessions.repl import jobs as jobs_module
from sessions.repl.job_context import MOST_SHARED_OBJECTS, JobContext
from sessions.repl.jobs import Ended, JobFailed, Jobs, JobType
from sessions.repl.output import Stream
from sessions.repl.python_jobs import PythonJobs

PATIENCE = 10.0


class Spark:
    """A Spark application that does nothing and notes the job groups."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.cancelled: list[str] = []

    def enter_group(self, name: str, description: str) -> None:
        self.entered.append(name)

    def renew(self) -> None: ...

    def cancel_late_jobs(self, name: str) -> None: ...

    def cancel(self, name: str) -> None:
        self.cancelled.append(name)


class Functions(JobType):
    """Runs a Python function registered under the payload's text."""

    def __init__(self) -> None:
        self.ran: list[int] = []
        self.does: dict[str, Callable[[], str | None]] = {}

    def run(self, job: int, payload: bytes, group: str) -> str | None:
        self.ran.append(job)
        return self.does.get(payload.decode(), payload.decode)()


@pytest.fixture
def spark() -> Spark:
    return Spark()


@pytest.fixture
def functions() -> Functions:
    return Functions()


@pytest.fixture
def jobs(functions: Functions, spark: Spark, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    monkeypatch.setattr(time, "sleep", time.sleep)  # what the runner of Python jobs puts in its place goes with it
    runners = {"functions": functions, "pyspark": PythonJobs(JobContext(spark))}  # type: ignore[arg-type]
    # As in a driver: below tests that run in the background it is ignored, by what a job starts too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield Jobs(3, runners, spark, result_limit=1000)  # type: ignore[arg-type]
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def go() -> Iterator[threading.Event]:
    """Set when the test is over, whatever happened."""
    event = threading.Event()
    yield event
    event.set()


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def python_job(function: Callable[[Any], Any]) -> str:
    return base64.b64encode(cloudpickle.dumps(function)).decode()


def run_python(jobs: Jobs, function: Callable[[Any], Any], job: int = 1) -> Ended:
    return jobs.submit(job, "pyspark", python_job(function)).result(PATIENCE)


def value(ended: Ended) -> Any:
    """What Livy's client makes of a result."""
    assert ended.error is None, ended.error
    return pickle.loads(base64.b64decode(base64.b64decode(ended.result or "")))


def stop_until_ended(jobs: Jobs, job: int, future: Future[Ended]) -> Ended:
    """Press as the gateway does."""
    end = time.monotonic() + PATIENCE
    while not future.done() and time.monotonic() < end:
        jobs.stop(job)
        with contextlib.suppress(TimeoutError):
            return future.result(0.05)
    return future.result(0)


def test_each_job_runs_once_in_its_own_group(jobs: Jobs, functions: Functions, spark: Spark) -> None:
    first = jobs.submit(3, "functions", encoded("a"))
    assert first.result(PATIENCE) is jobs.submit(3, "functions", encoded("a")).result(PATIENCE)
    assert (first.result().result, first.result().error) == ("a", None)
    assert first.result().started <= first.result().ended
    assert functions.ran == [3] and spark.entered == ["seat-3-job-3"]


def test_a_forgotten_job_is_not_run_again(jobs: Jobs, functions: Functions) -> None:
    jobs.submit(3, "functions", encoded("a")).result(PATIENCE)
    jobs.forget(3)
    assert "has run already" in (jobs.submit(3, "functions", encoded("a")).result(PATIENCE).error or "")
    assert functions.ran == [3]


def test_a_running_job_is_not_forgotten(jobs: Jobs, functions: Functions, go: threading.Event) -> None:
    functions.does["wait"] = lambda: str(go.wait(PATIENCE))
    running = jobs.submit(1, "functions", encoded("wait"))
    jobs.forget(1)
    assert jobs.submit(1, "functions", encoded("wait")) is running
    go.set()
    assert running.result(PATIENCE).result == "True"


def test_jobs_run_beside_one_another(jobs: Jobs, functions: Functions) -> None:
    both = threading.Barrier(2, timeout=PATIENCE)
    functions.does["meet"] = lambda: str(both.wait() >= 0)
    running = [jobs.submit(number, "functions", encoded("meet")) for number in (1, 2)]
    assert [one.result(PATIENCE).result for one in running] == ["True", "True"]


def test_failures_are_told(jobs: Jobs, functions: Functions) -> None:
    def fail() -> str:
        raise JobFailed("it did not work")

    def break_down() -> str:
        raise ValueError("a defect")

    functions.does |= {"fail": fail, "break": break_down, "none": lambda: None, "long": lambda: "x" * 1001}
    ends = [jobs.submit(n, "functions", encoded(t)).result(PATIENCE) for n, t in enumerate(functions.does)]
    assert [end.error for end in ends[:3]] == ["it did not work", "ValueError: a defect", None]
    assert "larger than the limit of 1000 bytes" in (ends[3].error or "")
    assert all(end.result is None for end in ends)


@pytest.mark.parametrize("name", ["job-1", "job-1-keeper"])
def test_a_job_for_which_there_is_no_thread_has_failed(
    name: str, jobs: Jobs, functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def start_or_not(thread: threading.Thread) -> None:
        if thread.name == name:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_not)
    ended = jobs.submit(1, "functions", encoded("a")).result(PATIENCE)
    assert (ended.result, ended.error) == (None, "the job could not be run: can't start new thread")
    assert jobs.submit(1, "functions", encoded("a")).result(PATIENCE) is ended and functions.ran == []


def test_a_job_whose_late_work_nobody_can_follow_keeps_its_end(
    jobs: Jobs, functions: Functions, spark: Spark, go: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(spark, "cancel_late_jobs", fail)
    functions.does["wait"] = lambda: str(go.wait(PATIENCE))
    running = jobs.submit(1, "functions", encoded("wait"))
    while not functions.ran:
        time.sleep(0.001)
    jobs._kept[1].asked_to_stop = time.monotonic()
    go.set()
    assert running.result(PATIENCE).result == "True"


def test_a_type_that_is_not_there_is_an_answer(jobs: Jobs) -> None:
    assert "the types that can: functions, pyspark" in (jobs.submit(1, "cobol", "").result(PATIENCE).error or "")


def test_a_python_job_gives_its_value(jobs: Jobs) -> None:
    assert value(run_python(jobs, lambda context: [type(context).__name__, 1 + 1])) == ["JobContext", 2]


def test_none_is_a_value(jobs: Jobs) -> None:
    ended = run_python(jobs, lambda context: None)
    assert ended.result is not None and value(ended) is None


def test_the_error_of_a_python_job_is_livys(jobs: Jobs) -> None:
    def fail(context: Any) -> Any:
        return "hello" + 1  # type: ignore[operator]

    error = run_python(jobs, fail).error or ""
    start = "org.apache.livy.repl.PythonJobException: Client job error:Traceback (most recent call last):\n  File "
    assert error.startswith(start) and 'can only concatenate str (not "int") to str' in error
    assert "python_jobs.py" not in error, "no frame of ours"


def test_no_frame_of_ours_is_in_the_error_of_a_python_job(jobs: Jobs) -> None:
    def sleep_backwards(context: Any) -> None:
        time.sleep("long")  # type: ignore[arg-type]

    def fail_with_others(context: Any) -> None:
        try:
            context.stop_streaming_ctx()
        except ValueError as exc:
            raise OSError("no stream") from exc

    errors = [
        run_python(jobs, function, job).error or "" for job, function in enumerate((sleep_backwards, fail_with_others))
    ]
    assert all("test_repl_jobs.py" in error and "sessions/repl/" not in error for error in errors)
    assert "Cannot stop streaming context" in errors[1] and "OSError: no stream" in errors[1]


def test_errors_can_always_be_sent(jobs: Jobs, functions: Functions) -> None:
    """Half of a surrogate pair has no UTF-8: an answer with one would never leave the driver."""

    def fail(context: Any = None) -> Any:
        raise ValueError("half \ud800")

    functions.does["fail"] = fail
    ends = [run_python(jobs, fail), jobs.submit(2, "functions", encoded("fail")).result(PATIENCE)]
    assert all((ended.error or "").rstrip().endswith("half \\ud800") for ended in ends)


def test_what_cannot_be_unpickled_or_pickled_is_an_error(jobs: Jobs) -> None:
    no_pickle = jobs.submit(1, "pyspark", encoded("garbage")).result(PATIENCE)
    assert "UnpicklingError" in (no_pickle.error or "")
    assert "cannot pickle" in (run_python(jobs, lambda context: threading.Lock(), 2).error or "")
    assert "SystemExit: 3" in (run_python(jobs, lambda context: exit(3), 3).error or "")


def spin(context: Any) -> None:
    while True:
        pass


def sleep(context: Any) -> None:
    time.sleep(600)


def sleep_stubbornly(context: Any) -> None:
    for _ in range(3):
        with contextlib.suppress(BaseException):
            time.sleep(600)
    time.sleep(600)


def wait_for_a_child(context: Any) -> None:
    import subprocess

    subprocess.run(["sleep", "600"], check=False)


@pytest.mark.parametrize("function", [spin, sleep, sleep_stubbornly, wait_for_a_child])
def test_a_python_job_stops(function: Callable[[Any], None], jobs: Jobs, spark: Spark) -> None:
    running = jobs.submit(7, "pyspark", python_job(function))
    ended = stop_until_ended(jobs, 7, running)
    assert ended.result is None and ended.error is not None
    assert spark.cancelled[0] == "seat-3-job-7"
    assert value(run_python(jobs, lambda context: "the next one runs", 8)) == "the next one runs"


def test_the_thread_of_a_job_that_is_being_stopped_ends_only_after_that(
    jobs: Jobs, functions: Functions, go: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a thread that starts meanwhile may have its number, and be struck in its place."""
    alive = []

    def interrupt(thread: threading.Thread) -> None:
        go.set()
        thread.join(0.2)
        alive.append(thread.is_alive())

    monkeypatch.setattr(jobs_module.children, "interrupt", interrupt)
    functions.does["waits"] = lambda: str(go.wait())
    running = jobs.submit(1, "functions", encoded("waits"))
    stop_until_ended(jobs, 1, running)
    assert alive and all(alive)


def test_stopping_what_does_not_run_does_nothing(jobs: Jobs, spark: Spark) -> None:
    assert not jobs.stop(1)
    run_python(jobs, lambda context: 1)
    assert not jobs.stop(1)
    assert spark.cancelled == []


def test_a_job_that_never_stops_is_given_up(
    jobs: Jobs, functions: Functions, go: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "GIVEN_UP_AFTER", 0.0)
    functions.does["deaf"] = lambda: str(go.wait())
    running = jobs.submit(1, "functions", encoded("deaf"))
    assert "was stopped" in (stop_until_ended(jobs, 1, running).error or "")


def test_a_sleep_of_another_thread_is_as_ever(jobs: Jobs) -> None:
    assert value(run_python(jobs, lambda context: 1)) == 1
    time.sleep(0)
    with pytest.raises(ValueError, match="non-negative"):
        time.sleep(-1)


def test_functions_that_sleep_still_go_to_the_executors(jobs: Jobs) -> None:
    assert value(run_python(jobs, lambda context: 1)) == 1
    assert pickle.loads(pickle.dumps(time.sleep)) is time.sleep
    sleep = time.sleep
    assert b"threading" not in cloudpickle.dumps(lambda: sleep(1)), "it goes by its name, as the built-in one"


def test_what_a_job_prints_is_no_statements_output(jobs: Jobs) -> None:
    others = set(Stream.kept_out)
    assert value(run_python(jobs, lambda context: threading.get_ident() in Stream.kept_out)) is True
    assert others >= Stream.kept_out, "its thread's number may be another one's later"


def test_shared_objects_are_bounded_and_the_oldest_goes() -> None:
    context = JobContext(Spark())  # type: ignore[arg-type]
    for number in range(MOST_SHARED_OBJECTS):
        context.set_shared_object(str(number), number)
    assert context.get_shared_object("0") == 0
    context.set_shared_object("new", "new")
    assert (context.get_shared_object("0"), context.get_shared_object("1")) == (0, None)
    context.remove_shared_object("0")
    context.remove_shared_object("0")
    assert context.get_shared_object("0") is None


def test_streaming_before_it_is_made_is_an_error() -> None:
    context = JobContext(Spark())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="create_streaming_ctx"):
        _ = context.streaming_ctx
    with pytest.raises(ValueError, match="Streaming context is None"):
        context.stop_streaming_ctx()
