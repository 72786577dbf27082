"""What the integration tests share: a gateway, a session with both languages, a jar. Each is made when asked for."""

from __future__ import annotations

import os
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core import installation, java
from tests.integration.running_gateway import ROOT, Gateway, Session

MAIN = """
package example;

import org.apache.spark.sql.SparkSession;

public class Main {
    public static String greet(String whom) { return "hello " + whom; }

    public static void main(String[] args) {
        SparkSession spark = SparkSession.builder().getOrCreate();
        System.out.println("rows=" + spark.range(100).filter("id % 2 = 0").count());
        System.out.println("first argument=" + args[0]);
        spark.stop();
    }
}
"""


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The gateway of all tests that need no settings of their own. At most two batches run in it."""
    running = Gateway(tmp_path_factory.mktemp("gateway"), max_batches_running=2)
    try:
        yield running.open()
    finally:
        running.close()


@pytest.fixture(scope="session")
def session(gateway: Gateway) -> Session:
    """An idle session for every test that leaves it as it was."""
    return gateway.new_session(kind="shared", name="shared by the tests").wait_for("idle")


@pytest.fixture
def start_gateway(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Starts a gateway of the test's own, with the settings it is called with."""
    started: list[Gateway] = []

    def start(**changed: Any) -> Gateway:
        started.append(Gateway(tmp_path / f"gateway{len(started)}", **changed))
        return started[-1].open()

    try:
        yield start
    finally:
        for one in started:
            one.close()


@pytest.fixture(scope="session")
def old_spark() -> Path:
    """The home of a Spark 3.5: `make spark35` installs it, TEST_SPARK35_HOME names another."""
    named = os.environ.get("TEST_SPARK35_HOME")
    found = [Path(named)] if named else list(ROOT.glob(".venv-spark35/lib/python3*/site-packages/pyspark"))
    assert found, "Spark 3.5 is missing: run `make spark35`"
    return found[0]


@pytest.fixture(scope="session")
def jar(tmp_path_factory: pytest.TempPathFactory, gateway: Gateway) -> Path:
    """A jar with a Spark application, example.Main, which also has a method `greet`."""
    folder = tmp_path_factory.mktemp("jar")
    source = folder / "Main.java"
    source.write_text(MAIN, "utf-8")
    home = installation.spark_home(gateway.settings.on("default"))
    javac = java.find(compiler=True).home / "bin" / "javac"
    subprocess.run([javac, "-cp", f"{home}/jars/*", "-d", folder, source], check=True)
    path = folder / "example.jar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(folder / "example" / "Main.class", "example/Main.class")
    return path
