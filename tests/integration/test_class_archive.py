"""A real archive and real drivers: one that can use it does, one that cannot runs as if there were none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.core import class_archive, java, spark
from gateway.core.java import Java
from gateway.core.settings import Settings

# The JVM is the parent of a Python application; what it has mapped is what it uses.
APPLICATION = """
import os
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
print("count", spark.range(10).count())
with open(f"/proc/{os.getppid()}/maps") as maps:
    print("archive", "used" if "spark.jsa" in maps.read() else "not used")
spark.stop()
"""


@pytest.fixture(scope="module")
def found() -> Java:
    return java.find()


@pytest.fixture(scope="module")
def home() -> Path:
    return spark.spark_home(Settings())


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, found: Java, home: Path) -> Path:
    """A cache with the archive in it. The space in its name is part of the test."""
    folder = tmp_path_factory.mktemp("a cache")
    class_archive.build(folder, found, home, sys.executable)
    return folder


@pytest.fixture
def run_driver(found: Java, home: Path, tmp_path: Path):
    """Runs the application with these words in SPARK_SUBMIT_OPTS and returns its output, both streams."""

    def run(words: list[str], *arguments: str, application: str = APPLICATION, **environ: str) -> list[str]:
        script = tmp_path / "application.py"
        script.write_text(application)
        command = [home / "bin" / "spark-submit", "--master", "local[1]", *arguments, script]
        variables: Mapping[str, str] = {
            **spark.submit_environ(Settings(), found.home, words, sys.executable),
            **environ,
        }
        done = subprocess.run(
            command,
            env=variables,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()

    return run


def said_by_jvm(output: list[str]) -> list[str]:
    """Lines of the JVM's own log, which begin with its uptime: [0.123s][warning][cds] …"""
    return [line for line in output if line.startswith("[0.") or "shared archive" in line.lower()]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--conf", "spark.driver.memory=2g"],
        ["--conf", "spark.driver.extraJavaOptions=-XX:+UseSerialGC"],
        ["--jars", "{jar}"],
    ],
    ids=["as it is", "another heap", "another collector", "a jar of its own"],
)
def test_drivers_use_the_archive(run_driver, cache: Path, found: Java, home: Path, arguments: list[str]) -> None:
    jar = next(home.glob("jars/py4j-*.jar"))
    output = run_driver(class_archive.java_options(cache, found, home), *(word.format(jar=jar) for word in arguments))
    assert "archive used" in output and "count 10" in output
    assert said_by_jvm(output) == []


@pytest.mark.parametrize(
    "options",
    [
        "--driver-class-path={jar}",
        "--driver-java-options=-XX:-UseCompressedOops",
        "--driver-java-options=-XX:+UseZGC",
        "--driver-java-options=-Xshare:off",
    ],
)
def test_a_driver_it_does_not_fit_runs_without_a_word(
    run_driver, cache: Path, found: Java, home: Path, options: str
) -> None:
    jar = next(home.glob("jars/py4j-*.jar"))
    output = run_driver(class_archive.java_options(cache, found, home), *options.format(jar=jar).split("=", 1))
    assert "archive not used" in output and "count 10" in output
    assert said_by_jvm(output) == []


def test_the_archive_of_changed_jars_is_passed_over_in_silence(
    run_driver, cache: Path, found: Java, home: Path, tmp_path: Path
) -> None:
    """Spark is replaced while a supervisor still hands out the options it found when it started."""
    mine = tmp_path / "spark"
    shutil.copytree(home / "bin", mine / "bin")
    shutil.copytree(home / "jars", mine / "jars", copy_function=os.link)
    jar = next(mine.glob("jars/spark-core_*.jar"))
    bytes_of_jar = jar.read_bytes()
    class_archive.build(tmp_path / "cache", found, mine, sys.executable)
    words = class_archive.java_options(tmp_path / "cache", found, mine)
    assert "archive used" in run_driver(words, SPARK_HOME=str(mine))

    jar.unlink()  # a link to the real one, which stays as it is
    jar.write_bytes(bytes_of_jar)
    output = run_driver(words, SPARK_HOME=str(mine))
    assert "archive not used" in output and "count 10" in output
    assert said_by_jvm(output) == []
    assert class_archive.java_options(tmp_path / "cache", found, mine) == []  # the next start builds anew


def test_a_driver_of_another_java_runs_without_a_word(run_driver, cache: Path, found: Java, home: Path) -> None:
    others = [one for one in map(java.probe, java._usual_homes(os.environ)) if isinstance(one, Java)]
    other = next((one for one in others if one.version != found.version), None)
    if other is None:
        pytest.skip("there is one Java on this machine")
    output = run_driver(class_archive.java_options(cache, found, home), JAVA_HOME=str(other.home))
    assert "archive not used" in output and "count 10" in output
    assert said_by_jvm(output) == []


def test_a_cut_archive_is_not_handed_to_a_driver(cache: Path, found: Java, home: Path, tmp_path: Path) -> None:
    """Java 17 crashes on one."""
    copy = class_archive.archive_path(tmp_path, found, home)
    shutil.copytree(class_archive.archive_path(cache, found, home).parent, copy.parent)
    assert class_archive.java_options(tmp_path, found, home) != []
    os.truncate(copy, copy.stat().st_size // 2)
    assert class_archive.java_options(tmp_path, found, home) == []
