"""SparkR on the driver's own Spark session.

It needs R and a folder that holds Spark's R package SparkR: that of the variable SPARKR_LIBRARY, else R/lib of the
Spark installation.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pyspark
import pytest

from tests.integration.repl.driver_process import Client, DriverProcess, wait_until

HOME = Path(os.environ.get("SPARK_HOME") or pyspark.__path__[0])
LIBRARY = Path(os.environ.get("SPARKR_LIBRARY") or HOME / "R" / "lib")

pytestmark = [
    pytest.mark.skipif(
        shutil.which("R") is None or not (LIBRARY / "SparkR").is_dir(),
        reason=f"R or SparkR is not installed: SparkR is looked for in SPARKR_LIBRARY, or in {HOME}/R/lib",
    ),
    pytest.mark.filterwarnings("default::ResourceWarning"),
]

TEXT = "text/plain"
numbers = count()
# A loop that looks at interrupts in every Spark version: its tasks end when they are cancelled.
LONG = "collect(sql('select sum(id % 7) from range(0, 1000000000000, 1, 2)'))"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DriverProcess]:
    """A driver whose Spark installation has SparkR."""
    folder = tmp_path_factory.mktemp("r")
    home = folder / "home"
    (home / "R").mkdir(parents=True)
    (home / "R" / "lib").symlink_to(LIBRARY)
    for part in HOME.iterdir():
        if part.name != "R":
            (home / part.name).symlink_to(part)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_HOME", str(home))
        driver = DriverProcess(folder, f"spark.driver.defaultJavaOptions=-Djava.io.tmpdir={folder}")
    try:
        driver.ready()
        yield driver
    finally:
        driver.close()


@pytest.fixture(scope="module")
def client(driver: DriverProcess) -> Iterator[Client]:
    client = Client(driver.connection_file)
    yield client
    client.close()


def run(client: Client, code: str, kind: str = "sparkr") -> dict[str, Any]:
    return dict(client.run(next(numbers), code, kind)["output"])


def text(client: Client, code: str, kind: str = "sparkr") -> str:
    output = run(client, code, kind)
    assert output["status"] == "ok", output
    return str(output["data"][TEXT])


def test_only_sparks_names_are_there(client: Client) -> None:
    assert text(client, "ls()") == '[1] "sc"         "spark"      "sqlContext"'
    assert "SparkSession" in text(client, "spark") and "JavaSparkContext" in text(client, "sc")


def test_views_of_one_language_are_seen_by_the_others(client: Client) -> None:
    text(client, "spark.range(3).createOrReplaceTempView('of_python')", "pyspark")
    assert text(client, "collect(sql('select * from of_python where id > 0'))") == "  id\n1  1\n2  2"
    text(client, "createOrReplaceTempView(sql('select 7 as n'), 'of_r')")
    assert run(client, "select * from of_r", "sql")["data"]["application/json"]["data"] == [[7]]
    assert text(client, "spark.table('of_r').first().n", "pyspark") == "7"


def test_data_of_r_goes_to_spark_and_back(client: Client) -> None:
    text(client, "df <- createDataFrame(data.frame(value = 0:9))")
    assert text(client, "count(df)") == "[1] 10"
    double = "function(part) data.frame(value = part$value * 2L)"
    code = f"sum(collect(dapply(df, {double}, structType(structField('value', 'integer'))))$value)"
    assert text(client, code) == "[1] 90"


def test_an_error_of_spark_has_its_message_and_its_frames_apart(client: Client) -> None:
    output = run(client, "collect(sql('select * from nowhere'))")
    assert output["ename"] == "Error" and "`nowhere`" in output["evalue"] and "\tat " not in output["evalue"]
    assert output["traceback"][:2] == ['collect(sql("select * from nowhere"))', 'sql("select * from nowhere")']
    assert any(line.startswith("org.apache.spark.sql.") for line in output["traceback"])


def test_jobs_of_r_belong_to_their_statement(client: Client) -> None:
    number = next(numbers)
    code = "cat(SparkR:::callJMethod(sc, 'getLocalProperty', 'spark.jobGroup.id'))"
    assert client.run(number, code, "sparkr")["output"]["data"][TEXT] == f"seat-0-statement-{number}"


def running_jobs(driver: DriverProcess) -> list[Any]:
    facts = driver.ready()
    with urlopen(f"{facts['ui_url']}/api/v1/applications/{facts['app_id']}/jobs?status=running") as answer:
        return list(json.load(answer))


def cancel(client: Client, driver: DriverProcess, code: str) -> tuple[float, dict[str, Any]]:
    """Seconds from the first cancel of `code`, once it has a job running, to its end; and its output."""
    number = next(numbers)
    message = client.send(number, code, "sparkr")
    wait_until(lambda: running_jobs(driver))
    began = time.monotonic()
    while True:
        client.ask("cancel_request", statement=number)
        if (reply := client.reply(message, 0.3)) is not None:
            return time.monotonic() - began, reply["output"]


def test_a_cancelled_job_of_r_is_cancelled_in_spark(client: Client, driver: DriverProcess) -> None:
    text(client, "kept <- 42")
    seconds, output = cancel(client, driver, LONG)
    assert output["status"] == "error" and "cancelled" in output["evalue"]
    assert seconds < 2
    assert running_jobs(driver) == []
    assert text(client, "kept") == "[1] 42"
    assert text(client, "collect(sql('select 7 as a'))") == "  a\n1 7"


def test_a_new_r_has_the_same_session(client: Client) -> None:
    text(client, "createOrReplaceTempView(sql('select 8 as n'), 'survivor')")
    assert "its variables are lost" in run(client, "base::quit()")["evalue"]
    assert text(client, "collect(sql('select * from survivor'))$n") == "[1] 8"


def test_closing_all_connections_does_not_lose_spark(client: Client) -> None:
    text(client, "closeAllConnections()")
    assert text(client, "count(sql('select 1'))") == "[1] 1"
