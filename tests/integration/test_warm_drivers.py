"""Sessions that get a driver which was started ahead, with real Spark."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import requests

from tests.integration.running_gateway import START, Gateway, Session, wait_until

UNKNOWN = "spark.sql.iceberg.vectorization.enabled"  # no key of Spark's own
NAMED = {"name": "mine", "conf": {"spark.sql.shuffle.partitions": "3", "livy.rsc.sql.num-rows": "2", UNKNOWN: "false"}}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = Gateway(
        tmp_path_factory.mktemp("gateway"), max_warm_drivers=1, warm_languages=["pyspark", "sql", "spark"]
    )
    try:
        yield running.open()
    finally:
        running.close()


def wait_for_a_warm_one(gateway: Gateway) -> str:
    """Its driver's id."""
    sql = "SELECT id FROM drivers WHERE state = 'warm' AND target = 'warm'"
    return str(wait_until(lambda: gateway.query(sql), 2 * START, "a driver is warm")[0][0])


def driver_of(session: Session) -> str:
    return session.folder.name


def open_warm(gateway: Gateway, **asked: Any) -> Session:
    wait_for_a_warm_one(gateway)
    session = gateway.new_session(**{"kind": "shared", **asked})
    assert session.document["state"] == "idle", "in the answer to the POST already"
    return session


@pytest.fixture(scope="module")
def session(gateway: Gateway) -> Session:
    return open_warm(gateway, **NAMED)


def test_a_warm_session_is_what_it_was_asked_to_be(session: Session) -> None:
    assert session.value("[spark.conf.get('spark.sql.shuffle.partitions'), sc.appName]") == ["3", "mine"]
    assert session.value("[sc.getConf().get(key) for key in ('spark.app.name', 'spark.sql.shuffle.partitions')]") == [
        "mine",
        "3",
    ]
    assert session.value(f"[spark.conf.get(key) for key in ('spark.app.name', '{UNKNOWN}')]") == ["mine", "false"]
    assert session.document["appId"] == session.value("sc.applicationId")
    result = session.run("select id from range(5)", kind="sql")["data"]["application/json"]
    assert len(result["data"]) == 2 and result["truncated"] is True


def test_spark_s_own_ui_has_its_name(session: Session) -> None:
    address = session.document["appInfo"]["sparkUiUrl"]
    (application,) = requests.get(f"{address}/api/v1/applications", timeout=20).json()
    assert (application["name"], application["id"]) == ("mine", session.document["appId"])
    assert "mine - Spark Jobs" in requests.get(f"{address}/jobs/", timeout=20).text


def test_what_it_ran_before_has_left_nothing_in_any_language(session: Session) -> None:
    predefined = ["HiveContext", "StreamingContext", "cloudpickle", "sc", "spark", "sqlContext"]
    assert session.value("[name for name in dir() if not name.startswith('_') and name != 'json']") == predefined
    assert "res0: Int = 2" in session.text("1+1", kind="spark")
    assert session.run("show tables", kind="sql")["data"]["application/json"]["data"] == []


def test_its_log_begins_with_it(gateway: Gateway, session: Session) -> None:
    session.text("import os; os.write(2, b'to the log\\n')")
    lines = session.log.splitlines()
    assert lines[1] == "spark-gateway: this driver was started ahead of its session"
    assert "to the log" in session.log and "Setting default log level" not in session.log


def test_spark_that_is_started_anew_is_still_what_was_asked_for(gateway: Gateway) -> None:
    session = open_warm(gateway, **{**NAMED, "name": "again"})
    renewed = (
        "spark.stop()\nfrom pyspark.sql import SparkSession\nspark = SparkSession.builder.getOrCreate()\n"
        "spark.conf.get('spark.sql.shuffle.partitions'), spark.sparkContext.appName"
    )
    assert session.text(renewed) == "('3', 'again')"
    session.delete()


def test_a_value_that_spark_refuses_is_spark_s_to_refuse(gateway: Gateway) -> None:
    """As of a driver that is started for the session: it is the one that it gets in the end."""
    warm = wait_for_a_warm_one(gateway)
    session = gateway.new_session(kind="pyspark", conf={"spark.sql.ansi.enabled": "perhaps"})
    wait_until(lambda: driver_of(session) != warm, START, "it is given another driver")
    assert "spark.sql.ansi.enabled" in session.log
    session.delete()


def test_a_supervisor_that_is_killed_in_between_loses_nothing(gateway: Gateway) -> None:
    wait_for_a_warm_one(gateway)
    gateway.kill_supervisor()
    session = gateway.new_session(kind="pyspark", name="orphaned")
    assert session.document["state"] == "idle"
    statement = session.submit("sc.appName")
    gateway.start_supervisor()
    assert statement.wait()["output"]["data"]["text/plain"] == "'orphaned'"
    session.delete()


def test_a_warm_driver_that_is_killed_is_nobody_s_and_another_is_started(gateway: Gateway) -> None:
    driver = wait_for_a_warm_one(gateway)
    folder = gateway.data / "drivers" / driver
    gateway.kill_supervisor()
    for process in psutil.process_iter():
        if _folder_of(process) == str(folder):
            os.kill(process.pid, signal.SIGKILL)
    session = gateway.new_session(kind="pyspark")  # nobody has noticed yet
    gateway.start_supervisor()
    assert session.submit("1+1").wait(2 * START)["output"]["data"]["text/plain"] == "2"
    session.delete()


def _folder_of(process: psutil.Process) -> str:
    try:
        return process.environ().get("SPARK_GATEWAY_OWNER", "")
    except psutil.Error:
        return ""
