"""Sessions and batches on a real standalone cluster, a master and a worker from Spark's own scripts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from gateway.core import installation, processes
from gateway.core.settings import ClusterSettings
from tests.integration.running_gateway import SOON, START, Gateway, Session, wait_until
from tests.integration.standalone import Cluster, standalone


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with standalone(installation.spark_home(ClusterSettings()), tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="module")
def on_cluster(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = Gateway(tmp_path_factory.mktemp("on_cluster"), master=cluster.url)
    try:
        yield running.open()
    finally:
        running.close()


@pytest.fixture(scope="module")
def opened(on_cluster: Gateway, jar: Path) -> Session:
    asked = {"executorMemory": "500m", "executorCores": 1, "conf": {"spark.cores.max": "2"}}
    return on_cluster.new_session(kind="pyspark", name="on a cluster", jars=[str(jar)], **asked).wait_for("idle")


def test_executors_have_the_size_that_was_asked(cluster: Cluster, opened: Session) -> None:
    application = cluster.applications[opened.document["appId"]]
    assert (application["name"], application["cores"], application["memoryperexecutor"]) == ("on a cluster", 2, 500)
    executors = wait_until(
        lambda: found if len(found := _executors(opened)) == 2 else None, START, "two executors have come"
    )
    assert [executor["totalCores"] for executor in executors] == [1, 1]


def test_work_is_done_in_executor_processes(opened: Session) -> None:
    opened.text("import os\nwhere = lambda _: os.environ['SPARK_EXECUTOR_DIRS']")
    folders = opened.value("sc.parallelize(range(8), 8).map(where).distinct().collect()")
    assert folders and not [folder for folder in folders if folder.startswith(str(opened.folder))]


def test_scala_classes_and_added_jars_reach_the_executors(opened: Session) -> None:
    code = """case class Point(x: Long, said: String)
        val scale = 3
        val points = spark.range(8).repartition(4).map(n => Point(n * scale, example.Main.greet("you")))
        points.filter(_.x > 15).map(_.said).collect().toList"""
    output = opened.run(code, "spark", seconds=180)
    assert output["data"]["text/plain"].endswith("List[String] = List(hello you, hello you)\n")


def test_cancelled_job_stops_on_the_executors(opened: Session) -> None:
    statement = opened.submit("import time; sc.parallelize(range(2), 2).map(lambda n: time.sleep(300)).count()")
    wait_until(lambda: sum(one["activeTasks"] for one in _executors(opened)) == 2, SOON, "two tasks run")
    assert statement.cancel()["state"] == "cancelled"
    wait_until(lambda: sum(one["activeTasks"] for one in _executors(opened)) == 0, SOON, "no task runs")
    assert opened.text("sc.parallelize([1, 2, 3]).sum()") == "6"


def test_deleted_session_gives_its_cores_back(cluster: Cluster, opened: Session) -> None:
    application = opened.document["appId"]
    folder = opened.folder
    opened.delete()
    wait_until(lambda: cluster.state["coresused"] == 0, SOON, "the cluster's cores are free")
    assert application not in cluster.applications
    assert processes.family(folder) == []


def test_session_killed_from_outside_gives_its_cores_back(cluster: Cluster, on_cluster: Gateway) -> None:
    killed = on_cluster.new_session(kind="pyspark", conf={"spark.cores.max": "1"}).wait_for("idle")
    wait_until(lambda: cluster.state["coresused"] == 1, SOON, "it has a core")
    next(one for one in processes.family(killed.folder) if one.name() == "java").kill()
    killed.wait_for("dead", seconds=SOON)
    wait_until(lambda: cluster.state["coresused"] == 0, SOON, "the cluster's cores are free")


def test_batch_runs_on_the_cluster_and_shows_its_application(
    cluster: Cluster, on_cluster: Gateway, tmp_path: Path
) -> None:
    script = tmp_path / "application.py"
    script.write_text(
        "import time\nfrom pyspark.sql import SparkSession\n"
        "sc = SparkSession.builder.getOrCreate().sparkContext\n"
        "print('sum', sc.parallelize(range(10), 2).sum())\ntime.sleep(600)\n",
        "utf-8",
    )
    batch = on_cluster.new_batch(
        script, name="batch on a cluster", conf={"spark.cores.max": "1"}, executorMemory="500m"
    )
    assert batch.wait_for_line("sum ") == "sum 45"
    document = wait_until(lambda: found if (found := batch.document)["appId"] else None, SOON, "its application")
    assert cluster.applications[document["appId"]]["name"] == "batch on a cluster"
    assert requests.get(f"{document['appInfo']['sparkUiUrl']}/api/v1/applications", timeout=30).ok
    batch.delete()
    wait_until(lambda: cluster.state["coresused"] == 0, SOON, "the cluster's cores are free")


def _executors(session: Session) -> list[dict[str, Any]]:
    return [executor for executor in session.ui("/executors") if executor["id"] != "driver"]
