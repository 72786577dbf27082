"""Livy's job API on real Spark, as its Python client uses it."""

from __future__ import annotations

import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.job_client import JobClient, value
from tests.integration.running_gateway import SOON, START, Gateway, Session, wait_until

STOPS = 2.0  # seconds a cancel may take
BUSY = 5.0  # and what a busy machine may add


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What is sent while the session starts."""
    folder = tmp_path_factory.mktemp("sent")
    (folder / "early rä.txt").write_text("early")
    (folder / "early_module.py").write_text("VALUE = 'early'\n")
    return {"file": folder / "early rä.txt", "pyfile": folder / "early_module.py"}


@pytest.fixture(scope="module")
def client(gateway: Gateway, before: dict[str, Path]) -> Iterator[JobClient]:
    """A client whose session was not idle when it sent its first files and jobs."""
    client = JobClient(gateway.url)
    for kind, path in before.items():
        client.upload(kind, path)
    client.first = [client.submit(early) for _ in range(2)]  # type: ignore[attr-defined]
    yield client
    client.close()


@pytest.fixture
def session(gateway: Gateway, client: JobClient) -> Session:
    return Session(gateway, client.session)


def early(context: Any) -> list[str]:
    import early_module  # type: ignore[import-not-found]
    from pyspark import SparkFiles

    with open(SparkFiles.get("early rä.txt")) as file:
        text = file.read()
    with open("early rä.txt") as file:
        return [text, file.read(), early_module.VALUE]


early.__module__ = "__main__"  # as in a user's program: pickled whole, not by its name


def test_what_was_sent_before_idle_runs_in_order_once_it_is(client: JobClient) -> None:
    for job in client.first:  # type: ignore[attr-defined]
        assert value(client.end(job, seconds=START)) == ["early", "early", "early"]


@pytest.mark.parametrize("route", ["submit-job", "run-job"])
def test_a_job_has_the_sessions_spark(route: str, client: JobClient, session: Session) -> None:
    session.run("spark.range(7).createOrReplaceTempView('seven')")

    def look(context: Any) -> list[Any]:
        from pyspark.sql import SparkSession

        count = context.sc.parallelize([10, 20, 30], 2).map(lambda x: x + 1).sum()
        shared = context.spark_session.table("seven").count(), context.sql_ctx.sql("select * from seven").count()
        return [count, *shared, context.hive_ctx is not None, SparkSession.getActiveSession() is not None]

    assert client.run(look, route) == [63, 7, 7, True, True]


def test_results_of_all_kinds_and_errors(client: JobClient) -> None:
    assert client.run(lambda context: None) is None
    assert client.run(lambda context: {"text": "λ🎉", "bytes": b"\0\xff"}) == {"text": "λ🎉", "bytes": b"\0\xff"}
    job = client.submit(lambda context: "hello" + 1)  # type: ignore[operator]
    for _ in range(2):
        status = client.end(job)
        start = "org.apache.livy.repl.PythonJobException: Client job error:Traceback (most recent call last):"
        assert status["state"] == "FAILED" and status["result"] is None
        assert status["error"].startswith(start) and "TypeError: " in status["error"]


def test_jobs_share_objects_a_folder_and_a_streaming_context(client: JobClient) -> None:
    def first(context: Any) -> str:
        context.set_shared_object("lock", 5)
        context.create_streaming_ctx(1)
        context.stop_streaming_ctx()
        return str(context.local_tmp_dir_path)

    def second(context: Any) -> list[Any]:
        import os

        folder = context.local_tmp_dir_path
        return [context.get_shared_object("lock"), folder, os.path.isdir(folder), context.sc.parallelize([1]).count()]

    folder = client.run(first)
    assert client.run(second) == [5, folder, True, 1]


def test_jobs_run_beside_statements_and_one_another(client: JobClient, session: Session, tmp_path: Path) -> None:
    go = tmp_path / "go"
    statement = session.submit(
        f"import os, time\nprint('before')\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\nprint('after')"
    ).wait_running()

    def wait(context: Any) -> int:
        import os
        import time

        print("said by a job")
        while context.get_shared_object("may go") is None:
            time.sleep(0.01)
        return os.getpid()

    waiting = [client.submit(wait) for _ in range(2)]
    client.run(lambda context: context.set_shared_object("may go", True))
    assert len({value(client.end(job)) for job in waiting}) == 1
    assert statement.document["state"] == "running"
    go.touch()
    assert statement.wait(SOON)["output"]["data"] == {"text/plain": "before\nafter"}
    wait_until(lambda: "said by a job" in session.log, SOON, "what a job prints is in the log")


def spin(context: Any) -> None:
    while True:
        pass


def sleep(context: Any) -> None:
    time.sleep(600)


def run_tasks(context: Any) -> None:
    context.sc.parallelize([1, 2], 2).map(lambda _: time.sleep(600)).count()


@pytest.mark.parametrize("work", [spin, sleep, run_tasks])
def test_a_cancelled_job_has_stopped(work: Callable[[Any], None], client: JobClient, session: Session) -> None:
    work.__module__ = "__main__"
    session.run("kept = 'still here'")
    job = client.submit(work)
    wait_until(lambda: client.poll(job)["state"] == "STARTED", SOON, "it runs")
    begun = time.monotonic()
    client.cancel(job)
    status = client.end(job)
    assert status == {"id": job, "state": "CANCELLED", "result": None, "error": None}
    assert time.monotonic() - begun < STOPS + BUSY
    names = session.value("[thread.name for thread in __import__('threading').enumerate()]")
    assert f"job-{job}" not in names
    assert session.value("list(sc.statusTracker().getActiveJobsIds())") == []
    assert session.text("kept") == "'still here'" and client.run(lambda context: "runs") == "runs"


def test_a_jar_that_is_added_can_be_used_by_everything(client: JobClient, session: Session, jar: Path) -> None:
    client.add("jar", f"file:{jar}")
    assert client.run(lambda context: context.sc._jvm.example.Main.greet("you")) == "hello you"
    assert session.text("sc._jvm.example.Main.greet('you')") == "'hello you'"


def test_what_is_added_reaches_the_driver_and_the_tasks(client: JobClient, tmp_path: Path) -> None:
    (tmp_path / "late.txt").write_text("late")
    with zipfile.ZipFile(tmp_path / "late_package.zip", "w") as archive:
        archive.writestr("late_package/__init__.py", "VALUE = 'in a package'\n")
    client.add("file", tmp_path / "late.txt")
    client.upload("pyfile", tmp_path / "late_package.zip")

    def use(context: Any) -> list[Any]:
        def in_task(_: int) -> list[str]:
            import late_package  # type: ignore[import-not-found]
            from pyspark import SparkFiles

            with open(SparkFiles.get("late.txt")) as file:
                return [file.read(), late_package.VALUE]

        return [in_task(0), *context.sc.parallelize([1]).map(in_task).collect()]

    assert client.run(use) == [["late", "in a package"]] * 2


def test_what_cannot_be_added_is_told_and_does_no_harm(client: JobClient, gateway: Gateway, tmp_path: Path) -> None:
    client.upload("file", _file(tmp_path / "one" / "same.txt", "one"))
    client.upload("file", _file(tmp_path / "again" / "same.txt", "one"))
    path = f"/sessions/{client.session}"
    with open(_file(tmp_path / "other" / "same.txt", "other"), "rb") as file:
        answer = gateway.http.post(f"{gateway.url}{path}/upload-file", files={"file": file}, timeout=30)
    said = "file same.txt could not be added: there is a file same.txt with other contents already"
    assert answer.status_code == 400 and answer.json()["msg"].startswith(said)
    for kind, uri, why in (
        ("file", "http://127.0.0.1:1/x.txt", "Connection refused"),
        ("jar", "http://127.0.0.1:1/x.jar", "Connection refused"),
        ("file", str(tmp_path), "directory"),
    ):
        answer = gateway.call("POST", f"{path}/add-{kind}", {"uri": uri})
        assert answer.status_code == 400 and why in answer.json()["msg"], answer.text
    assert client.run(lambda context: context.sc.parallelize([1, 2]).count()) == 2


def test_jobs_and_additions_survive_the_supervisor(client: JobClient, gateway: Gateway, tmp_path: Path) -> None:
    trail = str(tmp_path / "trail")
    go = str(tmp_path / "go")

    def work(context: Any) -> str:
        import os
        import time

        with open(trail, "a") as file:
            file.write("ran ")
        while not os.path.exists(go):
            time.sleep(0.01)
        return "x" * 1_000_000

    def noted() -> int:
        return len(Path(trail).read_text().split()) if Path(trail).exists() else 0

    running = [client.submit(work) for _ in range(3)]
    wait_until(lambda: noted() == 3, SOON, "all run")
    gateway.kill_supervisor()
    cancelled = running.pop()
    client.cancel(cancelled)
    adding = threading.Thread(target=client.upload, args=("file", _file(tmp_path / "sent.txt", "sent")))
    adding.start()
    wait_until(lambda: gateway.query("SELECT 1 FROM session_additions WHERE state = 'waiting'"), SOON, "it is asked")
    later = client.submit(lambda context: open("sent.txt").read())  # noqa: SIM115
    Path(go).touch()
    gateway.start_supervisor()
    assert [len(value(client.end(job))) for job in running] == [1_000_000] * 2
    assert value(client.end(later)) == "sent"
    assert client.end(cancelled)["state"] == "CANCELLED"
    adding.join()
    assert noted() == 3, "none ran twice"


def test_a_session_that_dies_fails_its_jobs_and_leaves_no_uploads(gateway: Gateway, tmp_path: Path) -> None:
    client = JobClient(gateway.url)
    client.upload("file", _file(tmp_path / "sent.txt", "sent"))
    jobs = [client.submit(lambda context: __import__("os")._exit(3))]
    session = Session(gateway, client.session).wait_for("dead")
    assert "the driver ended by itself with exit code 3" in client.end(jobs[0])["error"]
    wait_until(lambda: [entry.name for entry in session.folder.iterdir()] == ["log"], SOON, "only its log is left")
    sent = gateway.data / "uploads" / str(session.id)
    wait_until(lambda: not sent.exists(), SOON, "what was sent is gone too")
    client.close()
    assert gateway.query("SELECT count(*) FROM session_jobs WHERE session = ?", client.session) == [(0,)]


def _file(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path
