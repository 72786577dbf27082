"""What Java jobs need first, and which of them run and stop. The JVM's side is a fake; no Spark."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from sessions.repl import java_jobs
from sessions.repl.java_jobs import JavaJobs, found_in
from sessions.repl.jobs import JobFailed, JobStopped

PATIENCE = 10.0


class RunningJob:
    """A job in a JVM that ends when it is cancelled, or at once with the payload's text."""

    def __init__(self, payload: bytes) -> None:
        self.started = self.cancelled = False
        self._payload = payload.decode()
        self._ended = threading.Event()

    def start(self) -> None:
        self.started = True
        if self._payload != "endless":
            self._ended.set()

    def join(self) -> None:
        assert self._ended.wait(PATIENCE)

    def cancel(self) -> None:
        self.cancelled = True
        self._ended.set()

    def failed(self) -> bool:
        return self.cancelled or self._payload.startswith("java.")

    def error(self) -> str:
        return self._payload

    def result(self) -> str | None:
        return self._payload or None


class Jvm:
    """Stands for a Spark session, its gateway, its JVM and what `load` gives; makes what is asked of it."""

    def __init__(self) -> None:
        self.added: list[str] = []
        self.jobs: list[RunningJob] = []
        self.on_prepare: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self

    @property
    def sparkContext(self) -> Jvm:
        return self

    _gateway = _jsparkSession = jvm = Thread = sparkContext

    def prepare(self, group: str, payload: bytes, classes: Any) -> RunningJob:
        self.on_prepare()
        self.jobs.append(RunningJob(payload))
        return self.jobs[-1]


@pytest.fixture
def jvm(monkeypatch: pytest.MonkeyPatch) -> Jvm:
    jvm = Jvm()
    monkeypatch.setattr(java_jobs, "add_jar", lambda session, path: jvm.added.append(path))
    monkeypatch.setattr(java_jobs, "load", lambda *_: jvm)
    return jvm


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("livy-api-0.7.1.jar", "livy-client-http-0.7.1.jar"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.fixture
def runner(jvm: Jvm, folder: Path) -> JavaJobs:
    return JavaJobs(jvm, str(folder))  # type: ignore[arg-type]


def in_thread(call: Callable[[], Any]) -> Future[Any]:
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as exc:  # noqa: BLE001 - for the test's thread
            future.set_exception(exc)

    threading.Thread(target=run, daemon=True).start()
    return future


def test_the_result_is_the_jvms_text_and_null_is_none(runner: JavaJobs) -> None:
    assert runner.run(1, b"AQI=", "group") == "AQI="
    assert runner.run(2, b"", "group") is None


def test_what_the_job_threw_is_its_error(runner: JavaJobs) -> None:
    with pytest.raises(JobFailed, match="java.lang.Error: boo"):
        runner.run(1, b"java.lang.Error: boo", "group")


def test_the_jvms_side_is_brought_once_and_livy_api_goes_to_the_executors(runner: JavaJobs, jvm: Jvm) -> None:
    assert jvm.added == []
    runner.run(1, b"a", "group")
    runner.run(2, b"b", "group")
    assert [Path(jar).name for jar in jvm.added] == ["livy-api-0.7.1.jar"]


def test_a_missing_jar_is_named_and_the_next_job_tries_again(runner: JavaJobs, folder: Path) -> None:
    client = folder / "livy-client-http-0.7.1.jar"
    client.unlink()
    with pytest.raises(JobFailed, match=rf"put the jar of livy-client-http into {folder} \(livy_jars\)$"):
        runner.run(1, b"a", "group")
    client.touch()
    assert runner.run(2, b"a", "group") == "a"


def test_a_folder_that_is_not_there_says_what_to_supply(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match="^Java jobs need livy-api and livy-client-http: put the jar of livy-api into "):
        found_in(str(tmp_path / "missing"))


def test_an_unexpected_failure_is_told_by_every_job_that_waits(
    runner: JavaJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("boo")

    monkeypatch.setattr(java_jobs, "load", fail)
    with pytest.raises(JobFailed, match="^Java jobs cannot run in this session: ValueError: boo$"):
        runner.run(1, b"a", "group")


def test_a_running_job_is_cancelled_in_the_jvm(runner: JavaJobs, jvm: Jvm) -> None:
    prepared = threading.Event()
    jvm.on_prepare = prepared.set
    running = in_thread(lambda: runner.run(1, b"endless", "group"))
    assert prepared.wait(PATIENCE)
    runner.stop(1)
    assert isinstance(running.exception(PATIENCE), (JobFailed, JobStopped))
    assert jvm.jobs[0].cancelled or not jvm.jobs[0].started


def test_a_job_that_was_stopped_while_it_was_prepared_never_starts(runner: JavaJobs, jvm: Jvm) -> None:
    jvm.on_prepare = lambda: runner.stop(1)
    with pytest.raises(JobStopped):
        runner.run(1, b"endless", "group")
    assert not jvm.jobs[0].started


def test_a_stop_concerns_no_other_job(runner: JavaJobs, jvm: Jvm) -> None:
    runner.stop(1)
    assert runner.run(2, b"a", "group") == "a"
    assert not jvm.jobs[0].cancelled
