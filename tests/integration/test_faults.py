"""Drivers that die or cannot start: the session says so soon and says why, and nothing of the driver is left."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from gateway.core import processes
from tests.integration.running_gateway import SOON, START, Gateway, Session, wait_until


def assert_nothing_left(session: Session) -> None:
    folder = session.folder
    wait_until(lambda: not processes.family(folder), SOON, "its processes are gone")
    wait_until(lambda: [entry.name for entry in folder.iterdir()] == ["log"], SOON, f"only its log is left in {folder}")


def jvm_of(session: Session) -> psutil.Process:
    return next(one for one in processes.family(session.folder) if one.name() == "java")


def test_code_that_ends_the_process_ends_the_session(gateway: Gateway) -> None:
    opened = gateway.new_session(kind="pyspark").wait_for("idle")
    statement, behind = opened.submit("import os; os._exit(7)"), opened.submit("'never'")
    opened.wait_for("dead", seconds=SOON)
    assert "exit code 7" in opened.log
    assert statement.document["output"]["evalue"].startswith("Interpreter died:")
    assert "before this statement ran" in behind.document["output"]["evalue"]
    assert_nothing_left(opened)


def test_temporary_files_of_the_jvm_go_with_its_folder(session: Session) -> None:
    used = session.value("sc._jvm.java.lang.System.getProperty('java.io.tmpdir')")
    assert used.startswith(str(session.folder))


def test_killed_jvm_ends_the_session(gateway: Gateway) -> None:
    opened = gateway.new_session(kind="pyspark").wait_for("idle")
    statement = opened.submit("sc.parallelize([1]).map(lambda _: __import__('time').sleep(600)).count()").wait_running()
    jvm_of(opened).kill()
    opened.wait_for("dead", seconds=SOON)
    assert "killed (signal 9)" in opened.log
    assert statement.document["state"] == "available"
    assert_nothing_left(opened)


def test_driver_out_of_memory_ends_the_session_and_says_so(gateway: Gateway) -> None:
    opened = gateway.new_session(kind="pyspark", driverMemory="512m").wait_for("idle")
    statement = opened.submit(
        "l = sc._jvm.java.util.ArrayList()\nwhile True: l.add(sc._jvm.java.nio.ByteBuffer.allocate(32 * 1024 * 1024))"
    )
    opened.wait_for("dead", seconds=START)
    assert "ran out of memory; ask for more with driverMemory" in opened.log
    assert statement.document["output"]["status"] == "error"
    assert_nothing_left(opened)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"conf": {"spark.driver.memory": "1k"}}, "heap"),
        ({"conf": {"spark.driver.memory": "300m"}}, "at least"),
        ({"conf": {"spark.memory.fraction": "much"}}, "spark.memory.fraction"),
        ({"conf": {"spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:+UseParallelGC"}}, "Multiple garbage collectors selected"),
        ({"jars": ["http://127.0.0.1:9/missing.jar"]}, "Connection refused"),
    ],
    ids=["heap of 1k", "heap below Spark's least", "bad conf", "bad Java option", "jar from nowhere"],
)
def test_driver_that_cannot_start_says_why(gateway: Gateway, asked: dict[str, Any], reason: str) -> None:
    opened = gateway.new_session(kind="pyspark", **asked)
    waiting = opened.submit("1")
    opened.wait_for("dead", seconds=START)
    assert reason in opened.log
    assert "\nspark-gateway: " in opened.log
    assert waiting.document["output"]["status"] == "error"
    assert_nothing_left(opened)


def test_jar_that_is_not_there_is_refused_at_once(gateway: Gateway) -> None:
    answer = gateway.call("POST", "/sessions", {"jars": ["/nowhere/missing.jar"]})
    assert answer.status_code == 400
    assert "there is no file /nowhere/missing.jar" in answer.json()["msg"]


def test_python_without_ipykernel_has_the_gateways(start_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    opened = start_gateway(python=str(tmp_path / "bare" / "bin" / "python")).new_session(kind="pyspark")
    opened.wait_for("idle")
    assert opened.value("__import__('sys').prefix") == str(tmp_path / "bare")


def test_python_that_is_not_there_says_so(start_gateway: Callable[..., Gateway]) -> None:
    opened = start_gateway(python="/nowhere/python").new_session(kind="pyspark")
    opened.wait_for("dead", seconds=START)
    assert "/nowhere/python" in opened.log
    assert_nothing_left(opened)


def test_driver_that_is_not_ready_in_time_is_stopped(start_gateway: Callable[..., Gateway]) -> None:
    opened = start_gateway(driver_start_timeout="1s").new_session(kind="pyspark")
    opened.wait_for("dead", seconds=START)
    assert "not ready after 1 s (setting driver_start_timeout)" in opened.log
    assert_nothing_left(opened)


# How user code starts Spark again, by the language.
RESTARTS = [
    (
        "pyspark",
        "spark.stop()\nSparkSession.builder.config('spark.some', '1').getOrCreate()\nprint(open('w.txt').read())",
    ),
    (
        "pyspark",
        "sc.stop()\nother = SparkContext.getOrCreate()\nprint(open(os.path.join(os.getcwd(), 'w.txt')).read())",
    ),
    ("spark", "spark.stop()\nval other = org.apache.spark.sql.SparkSession.builder.getOrCreate()"),
]


def test_spark_that_was_stopped_and_started_again_has_what_the_first_one_had(
    gateway: Gateway, session: Session
) -> None:
    opened = gateway.new_session(kind="pyspark").wait_for("idle")
    sent = {"file": ("w.txt", b"word")}
    assert gateway.http.post(f"{gateway.url}{opened.path}/upload-file", files=sent, timeout=60).ok
    opened.text("import os\nfrom pyspark import SparkContext, SparkFiles\nfrom pyspark.sql import SparkSession")
    read = "sc.parallelize([0]).map(lambda _: open(SparkFiles.get('w.txt')).read()).first()"
    for kind, code in RESTARTS:
        before = opened.document["appId"]
        output = opened.run(code, kind, seconds=START)
        assert output["status"] == "ok", output
        assert opened.value(f"[spark.range(3).count(), open('w.txt').read(), {read}, sc.applicationId]") == [
            3, "word", "word", opened.document["appId"],
        ]  # fmt: skip
        assert opened.document["appId"] != before
        assert opened.ui("/jobs")
        assert opened.run("select count(*) from range(4)", "sql")["data"]["application/json"]["data"] == [[4]]
    assert opened.text("println(sc.parallelize(1 to 3).count())", "spark") == "3\n"
    opened.text("spark.stop()")
    assert "has been stopped in this session" in opened.run("select 1", "sql")["evalue"]
    opened.delete()
    assert session.text("'the other sessions are fine'")
