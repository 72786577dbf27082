"""A cancel stops all that its statement has started in Spark, and nothing that others have."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import count
from typing import Any
from urllib.request import urlopen

import pytest

from tests.integration.repl.driver_process import Client, DriverProcess, wait_until

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning", "default::DeprecationWarning")

numbers = count()
TEXT = "text/plain"
START = 120.0  # seconds the first Scala statement may take: it starts the interpreter

LONG = """
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from threading import Thread
def long(_=None):
    return sc.parallelize([0, 300], 2).foreach(lambda n: time.sleep(n))
"""
SCALA = """
import scala.concurrent.{Await, Future}
import scala.concurrent.duration.Duration
import scala.concurrent.ExecutionContext.Implicits.global
def long(): Unit = sc.parallelize(Seq(0, 300000), 2).foreach(n => Thread.sleep(n))
"""
STREAM = "spark.readStream.format('rate').load().writeStream.trigger(processingTime='1 second')"

# Language, what an earlier statement does, and the code whose Spark jobs are to stop with it.
WORK = {
    "own job group": ("pyspark", "", "sc.setJobGroup('nightly', 'mine')\nlong()"),
    "no group and no tag": ("pyspark", "", "sc._jsc.clearJobGroup(); sc.clearJobTags()\nlong()"),
    "own tag": ("pyspark", "", "sc.addJobTag('mine')\nlong()"),
    "thread": ("pyspark", "", "t = Thread(target=long)\nt.start()\nt.join()"),
    "thread with a group": (
        "pyspark", "", "def go():\n  sc.setJobGroup('a', 'b')\n  long()\nt = Thread(target=go)\nt.start()\nt.join()",
    ),
    "thread of Spark's": (
        "pyspark", "", "from pyspark import InheritableThread as I\nt = I(target=long)\nt.start()\nt.join()",
    ),
    "thread of a thread": (
        "pyspark", "",
        "def go():\n  t = Thread(target=long)\n  t.start()\n  t.join()\nt = Thread(target=go)\nt.start()\nt.join()",
    ),
    "pool with a queue": ("pyspark", "", "with ThreadPoolExecutor(2) as p: list(p.map(long, range(12)))"),
    "pool of an earlier statement": (
        "pyspark", "p = ThreadPoolExecutor(1)\np.submit(lambda: sc.parallelize([1]).count()).result()",
        "p.submit(long).result()",
    ),
    "other pool of an earlier statement": (
        "pyspark", "p = ThreadPool(2)\np.map(lambda _: sc.parallelize([1]).count(), [1])", "p.map(long, [1, 2])",
    ),
    "thread that is not waited for": ("pyspark", "", "Thread(target=long).start()\ntime.sleep(300)"),
    "another session": (
        "pyspark", "", "other = spark.newSession()\nother.range(0, 10**13, 1, 1).selectExpr('sum(sqrt(id))').collect()",
    ),
    "stream": ("pyspark", "", f"{STREAM}.format('noop').start().awaitTermination()"),
    "stream of Python functions": (
        "pyspark", "", f"{STREAM}.foreachBatch(lambda frame, _: frame.foreach(lambda _: 1)).start().awaitTermination()",
    ),
    "SQL": ("sql", "", "select sum(sqrt(a.id)) from range(0, 10000000000000, 1, 1) a"),
    "Scala with its own group": ("spark", "", 'sc.setJobGroup("nightly", "mine"); long()'),
    "Scala thread": ("spark", "", "val t = new Thread(() => long()); t.start(); t.join()"),
    "Scala future": ("spark", "", "Await.result(Future { long() }, Duration.Inf)"),
    "Scala future in the same pool": ("spark", "", "Await.result(Future { long() }, Duration.Inf)"),
    "Scala stream": (
        "spark", 'val rate = spark.readStream.format("rate").load().writeStream.format("noop")',
        'rate.trigger(org.apache.spark.sql.streaming.Trigger.ProcessingTime("1 second")).start().awaitTermination()',
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DriverProcess]:
    folder = tmp_path_factory.mktemp("d")
    (folder / "repl").mkdir()
    driver = DriverProcess(folder, f"spark.repl.class.outputDir={folder}/repl")
    try:
        driver.ready()
        yield driver
    finally:
        driver.close()


@pytest.fixture(scope="module")
def client(driver: DriverProcess) -> Iterator[Client]:
    client = Client(driver.connection_file)
    try:
        run(client, LONG)
        first = client.reply(client.send(next(numbers), SCALA, "spark"), START)
        assert first is not None and first["status"] == "ok", first
        yield client
    finally:
        client.close()


def run(client: Client, code: str, kind: str = "pyspark") -> str:
    output = client.run(next(numbers), code, kind)["output"]
    assert output["status"] == "ok", output
    return str(output["data"].get(TEXT))


def ui(driver: DriverProcess, path: str) -> list[dict[str, Any]]:
    said = driver.ready()
    with urlopen(f"{said['ui_url']}/api/v1/applications/{said['app_id']}{path}", timeout=10) as answer:
        return list(json.load(answer))


def running(driver: DriverProcess) -> list[dict[str, Any]]:
    return ui(driver, "/jobs?status=running")


def newest_job(driver: DriverProcess) -> int:
    return max((int(job["jobId"]) for job in ui(driver, "/jobs")), default=-1)


def active_tasks(driver: DriverProcess) -> int:
    return sum(executor["activeTasks"] for executor in ui(driver, "/executors"))


def cancel(client: Client, statement: int, message: str) -> dict[str, Any]:
    """Cancel as the gateway does, every 0.3 s until it ends."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        client.ask("cancel_request", statement=statement)
        if reply := client.reply(message, 0.3):
            return dict(reply["output"])
    raise AssertionError("not cancelled")


def begun(client: Client, driver: DriverProcess, code: str, kind: str) -> tuple[int, str]:
    """A statement that has a job running, or a stream that has run a batch with one, and its message."""
    statement, before = next(numbers), newest_job(driver)
    message = client.send(statement, code, kind)
    if "awaitTermination" in code:  # its batches are too short to be met
        wait_until(lambda: newest_job(driver) > before)
    else:
        wait_until(lambda: running(driver) and active_tasks(driver))
    return statement, message


@pytest.mark.parametrize("work", WORK)
def test_what_a_statement_started_stops_with_it(client: Client, driver: DriverProcess, work: str) -> None:
    kind, before, code = WORK[work]
    if before:
        run(client, before, kind)
    statement, message = begun(client, driver, code, kind)
    if "long" in code:
        wait_until(lambda: 0 < client.ask("progress_request", statement=statement)["progress"] < 1)
    cancel(client, statement, message)
    wait_until(lambda: not running(driver) and not active_tasks(driver))
    assert run(client, "sc.parallelize([1]).count()") == "1"
    wait_until(lambda: run(client, "len(spark.streams.active)") == "0")


def test_what_others_have_started_goes_on(client: Client, driver: DriverProcess) -> None:
    run(client, f"stream = {STREAM}.format('noop').start()\nleft = Thread(target=long)\nleft.start()")
    wait_until(lambda: run(client, "stream.lastProgress is not None and left.is_alive()") == "True")
    assert client.ask("streams_request") == {"streams": True}
    statement, message = begun(client, driver, "time.sleep(300)", "pyspark")
    cancel(client, statement, message)
    assert run(client, "left.join(3.5)\nleft.is_alive(), stream.isActive, stream.exception()") == "(True, True, None)"
    run(client, "stream.stop()\nsc.cancelAllJobs()\nleft.join()")
    assert client.ask("streams_request") == {"streams": False}
