"""Sessions that share one Spark application, with real Spark."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gateway.core import processes
from tests.integration.running_gateway import SOON, START, Gateway, Session, wait_until

KEY = "spark.gateway.application"
SLEEPS = "sc.parallelize(range(2), 2).foreach(lambda x: __import__('time').sleep(600))"
STREAM = (
    "seen = []\n"
    "query = spark.readStream.format('rate').load().writeStream"
    ".foreachBatch(lambda frame, number: seen.append(number)).start()"
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = Gateway(tmp_path_factory.mktemp("gateway"), shared_application_linger="0s")
    try:
        yield running.open()
    finally:
        running.close()


@pytest.fixture(scope="module")
def resident(gateway: Gateway) -> Session:
    """A session that keeps the application of all these tests going; what they do to others does not reach it."""
    return open_shared(gateway, kind="shared", conf={"spark.sql.shuffle.partitions": "3"})


@pytest.fixture
def another(gateway: Gateway, resident: Session) -> Iterator[Callable[..., Session]]:
    """Opens further sessions in the same application."""
    opened: list[Session] = []

    def open_another(**asked: Any) -> Session:
        opened.append(open_shared(gateway, **asked))
        return opened[-1]

    yield open_another
    for session in opened:
        if session.exists():
            session.delete()


def open_shared(gateway: Gateway, application: str = "team", **asked: Any) -> Session:
    conf = {KEY: application, **asked.pop("conf", {})}
    return gateway.new_session(**{"kind": "pyspark", "conf": conf, **asked}).wait_for("idle")


def application_of(session: Session) -> Path:
    """The folder of the application that the session shares."""
    (found,) = session.gateway.query("SELECT application FROM drivers WHERE id = ?", session.folder.name)
    return session.folder.with_name(found[0])


def jvm_of(application: Path) -> psutil.Process:
    (found,) = [one for one in processes.family(application) if one.name() == "java"]
    return found


def interpreter_of(session: Session) -> int:
    return int(session.text("import os; os.getpid()"))


def wait_until_gone(folder: Path) -> None:
    wait_until(lambda: not processes.family(folder), SOON, f"nothing of {folder} runs")


def test_sessions_are_in_one_application_and_one_jvm(resident: Session, another: Callable[..., Session]) -> None:
    second = another(name="mine")
    assert second.document["name"] == "mine"
    assert second.document["appId"] == resident.document["appId"] == second.value("sc.applicationId")
    assert second.document["appInfo"] == resident.document["appInfo"]
    assert interpreter_of(second) != interpreter_of(resident)
    assert second.value("[sc.appName, sc.getConf().get('spark.scheduler.mode')]") == ["team", "FAIR"]
    assert "this session shares the Spark application team" in second.log


def test_conf_views_and_functions_are_each_sessions_own(resident: Session, another: Callable[..., Session]) -> None:
    second = another(conf={"spark.sql.shuffle.partitions": "5"})
    asked = "spark.conf.get('spark.sql.shuffle.partitions')"
    assert (resident.value(asked), second.value(asked)) == ("3", "5")
    second.text("spark.conf.set('spark.sql.ansi.enabled', 'false'); spark.range(7).createOrReplaceTempView('v')")
    second.text("double = spark.udf.register('twice', lambda x: 2 * x, 'long')")
    assert second.value("[r[0] for r in spark.sql('SELECT twice(id) FROM v WHERE id > 4').collect()]") == [10, 12]
    assert resident.value("spark.conf.get('spark.sql.ansi.enabled')") == "true"
    assert resident.run("spark.table('v')")["ename"] == "AnalysisException"
    assert resident.run("SELECT twice(1)", "sql")["status"] == "error"


@pytest.mark.parametrize(
    "code",
    [
        "SparkSession.builder.getOrCreate() is spark",
        "SparkSession.getActiveSession()._jsparkSession.equals(spark._jsparkSession)",
        "sqlContext.sparkSession is spark and SparkContext.getOrCreate() is sc",
        "sc.getLocalProperty('spark.scheduler.pool') in ' '.join(sc.getLocalProperty('spark.job.tags').split(','))",
    ],
)
def test_what_a_program_asks_spark_for_is_its_own(
    code: str, resident: Session, another: Callable[..., Session]
) -> None:
    for session in (another(), resident):
        assert session.value(f"[{code} for SparkSession in [type(spark)] for SparkContext in [type(sc)]][0]") is True


def test_accumulators_broadcasts_and_threads_work(another: Callable[..., Session]) -> None:
    first, second = another(), another()
    for session, number in ((first, 3), (second, 4)):
        session.text(
            f"total, one = sc.accumulator(0), sc.broadcast({number})\n"
            "import threading\n"
            "work = lambda: sc.parallelize(range(10)).foreach(lambda x: total.add(one.value))\n"
            "threads = [threading.Thread(target=work) for _ in range(2)]\n"
            "[thread.start() for thread in threads], [thread.join() for thread in threads]"
        )
    assert (first.value("total.value"), second.value("total.value")) == (60, 80)


def test_a_cancel_hits_its_own_jobs_alone(another: Callable[..., Session]) -> None:
    first, second = another(), another()
    second.text(
        "import threading; thread = threading.Thread(target=lambda: sc.range(10).map(__import__('time').sleep))"
    )
    stays = second.submit("__import__('time').sleep(1.5); sum(sc.range(100).collect())").wait_running()
    assert first.submit(SLEEPS).wait_running().cancel()["state"] == "cancelled"
    assert stays.wait()["output"]["data"]["text/plain"] == "4950"
    assert first.text("spark.range(10).count()") == "10"
    wait_until(lambda: running_jobs(first) == [], SOON, "none of its jobs runs")


def running_jobs(session: Session) -> list[Any]:
    return [job for job in session.ui("/jobs") if job["status"] == "RUNNING"]


def test_a_stream_calls_its_own_session_and_ends_with_it(resident: Session, another: Callable[..., Session]) -> None:
    first, second = another(), another()
    for session in (first, second):
        session.text(STREAM)
    for session in (first, second):
        wait_until(lambda session=session: len(session.value("seen")) > 1, START, "batches arrive")  # type: ignore[misc]
    assert [session.value("len(spark.streams.active)") for session in (first, second, resident)] == [1, 1, 0]
    first.delete()
    names = "spark._jsparkSession.sharedState().activeStreamingQueries().size()"
    wait_until(lambda: resident.value(names) == 1, SOON, "one stream is left")
    assert second.value("query.isActive")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os._exit(7)", "the interpreter ended by itself with exit code 7"),
        ("import os; os.kill(os.getpid(), 9)", "the interpreter was killed (signal 9)"),
        ("import ctypes; ctypes.string_at(0)", "the interpreter was ended by signal 11"),
    ],
)
def test_an_interpreter_that_ends_takes_its_session_alone(
    code: str, reason: str, resident: Session, another: Callable[..., Session]
) -> None:
    lost = another()
    lost.text("import subprocess; child = subprocess.Popen(['sleep', '600'])")
    lost.submit(code)
    wait_until(lambda: lost.state == "dead", SOON, "the session is dead")
    assert reason in lost.log
    wait_until_gone(lost.folder)
    assert resident.text("spark.range(10).count()") == "10"


def test_the_jobs_of_a_killed_interpreter_are_cancelled(resident: Session, another: Callable[..., Session]) -> None:
    lost = another()
    pid = interpreter_of(lost)
    lost.submit(SLEEPS).wait_running()
    wait_until(lambda: running_jobs(resident), SOON, "its job runs")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: lost.state == "dead", SOON, "the session is dead")
    wait_until(lambda: running_jobs(resident) == [], SOON, "its job is cancelled")


def test_exit_and_stop_are_errors_and_nothing_more(resident: Session, another: Callable[..., Session]) -> None:
    session = another()
    assert session.run("import sys; sys.exit(3)")["ename"] == "SystemExit"
    said = session.run("spark.stop()")
    assert "does not stop it; delete the session" in said["evalue"]
    assert session.run("sc.stop()")["ename"] == "RuntimeError"
    for one in (session, resident):
        assert one.text("spark.range(3).count()") == "3"


def test_other_languages_say_where_to_go(another: Callable[..., Session]) -> None:
    session = another(kind="shared")
    for kind, name in (("spark", "Scala"), ("sparkr", "R")):
        said = session.run("1 + 1", kind)
        assert said["status"] == "error" and f"{name} does not run" in said["evalue"]
    assert session.run("SELECT 1 AS one", "sql")["status"] == "ok"


def test_a_deleted_session_leaves_nothing(resident: Session, another: Callable[..., Session]) -> None:
    session = another()
    session.text("import subprocess; child = subprocess.Popen(['sleep', '600'], start_new_session=True)")
    folder = session.folder
    session.delete()
    assert not processes.family(folder)
    assert resident.text("1 + 1") == "2"


def test_a_killed_supervisor_finds_seats_again(gateway: Gateway, resident: Session, another: Any) -> None:
    session, lost = another(), another()
    session.text("kept = 41")
    waits = session.submit("__import__('time').sleep(2); kept + 1").wait_running()
    pid = interpreter_of(lost)
    gateway.kill_supervisor()
    os.kill(pid, signal.SIGKILL)
    gateway.start_supervisor()
    assert waits.wait()["output"]["data"]["text/plain"] == "42"
    wait_until(lambda: lost.state == "dead", SOON, "what died meanwhile is dead")
    assert another().text("1 + 1") == "2"


def test_what_the_application_cannot_be_any_more_is_refused(gateway: Gateway, resident: Session) -> None:
    misfits: list[dict[str, Any]] = [
        {"driverMemory": "3g"},
        {"files": [__file__]},
        {"conf": {"spark.driver.maxResultSize": "7g"}},
    ]
    for asked in misfits:
        conf = {KEY: "team", **asked.pop("conf", {})}
        answer = gateway.call("POST", "/sessions", {"kind": "pyspark", "conf": conf, **asked})
        assert answer.status_code == 400 and "runs already" in answer.json()["msg"], answer.text
    answer = gateway.call("POST", "/sessions", {"kind": "spark", "conf": {KEY: "team"}})
    assert answer.status_code == 400 and "cannot share a Spark application" in answer.json()["msg"]


def test_the_application_ends_with_its_last_session(gateway: Gateway) -> None:
    first, second = (gateway.new_session(kind="pyspark", conf={KEY: "short"}) for _ in range(2))
    for session in (first, second):
        session.wait_for("idle")
    application = application_of(first)
    assert application == application_of(second)
    first.delete()
    assert second.text("1 + 1") == "2"
    second.delete()
    wait_until_gone(application)
    wait_until(lambda: not application.exists(), SOON, "its folder is removed")


def test_it_ends_with_its_last_session_also_while_no_supervisor_looks(gateway: Gateway) -> None:
    session = open_shared(gateway, "unseen")
    application, pid = application_of(session), interpreter_of(session)
    gateway.kill_supervisor()
    os.kill(pid, signal.SIGKILL)
    gateway.start_supervisor()
    wait_until(lambda: session.state == "dead", SOON, "the session is dead")
    wait_until_gone(application)


def test_an_application_that_can_make_no_interpreters_ends(gateway: Gateway) -> None:
    session = open_shared(gateway, "barren")
    family = {one.pid: one for one in processes.family(application_of(session))}
    (zygote,) = [one for one in family.values() if one.ppid() in family and family[one.ppid()].name() == one.name()]
    zygote.kill()
    wait_until(lambda: session.state == "dead", SOON, "the session is dead")
    assert "the shared Spark application barren ended: the process that makes its interpreters ended" in session.log


def test_a_killed_application_ends_its_sessions_and_says_why(gateway: Gateway) -> None:
    first, second = (open_shared(gateway, "doomed") for _ in range(2))
    application = application_of(first)
    second.submit("import ctypes; ctypes.CDLL(None).sleep(600)").wait_running()
    jvm_of(application).kill()
    for session in (first, second):
        wait_until(lambda session=session: session.state == "dead", SOON, "the session is dead")  # type: ignore[misc]
        assert "the shared Spark application doomed ended: the driver was killed (signal 9)" in session.log
        wait_until_gone(session.folder)
    assert open_shared(gateway, "doomed").text("1 + 1") == "2"
