"""A real archive and real drivers: one that can use it does, one that cannot runs as if there were none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.core import class_archive, installation, java, submit
from gateway.core.java import Java
from gateway.core.settings import ClusterSettings

# The JVM is the parent of a Python application, and what it has mapped when that starts is what it uses.
APPLICATION = """
import os, sys
if "count" in sys.argv:
    from pyspark.sql import SparkSession
    print("count", SparkSession.builder.getOrCreate().range(10).count())
with open(f"/proc/{os.getppid()}/maps") as maps:
    print("archive", "used" if "spark.jsa" in maps.read() else "not used")
"""

Run = Callable[..., list[str]]


@pytest.fixture(scope="module")
def found() -> Java:
    return java.find()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled Spark, with a folder of jars that a test may change."""
    bundled, copy = installation.spark_home(ClusterSettings()), tmp_path_factory.mktemp("spark")
    shutil.copytree(bundled / "bin", copy / "bin")
    (copy / "jars").mkdir()
    for jar in bundled.glob("jars/*.jar"):
        (copy / "jars" / jar.name).symlink_to(jar)
    return copy


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, found: Java, home: Path) -> Path:
    """A cache with the archive in it. The space in its name is part of the test."""
    folder = tmp_path_factory.mktemp("a cache")
    class_archive.build(folder, found, home, sys.executable)
    return folder


@pytest.fixture(scope="module")
def words(cache: Path, found: Java, home: Path) -> list[str]:
    return class_archive.java_options(cache, found, home)


@pytest.fixture
def run_driver(found: Java, home: Path, tmp_path: Path) -> Run:
    """Runs the application with these words in SPARK_SUBMIT_OPTS and returns its output, both streams."""

    def run(words: list[str], options: list[str], *arguments: str, java_home: Path = found.home) -> list[str]:
        script = tmp_path / "application.py"
        script.write_text(APPLICATION)
        command = [str(home / "bin" / "spark-submit"), "--master", "local[1]", *options, str(script), *arguments]
        environ = submit.environ(ClusterSettings(spark_home=str(home)), java_home, words, sys.executable)
        done = subprocess.run(
            command, env=environ, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
        )
        output: list[str] = done.stdout.splitlines()
        assert [line for line in output if "shared archive" in line.lower() or line.startswith("[0.")] == []
        return output

    return run


def test_a_driver_uses_the_archive_and_spark_works(run_driver: Run, words: list[str]) -> None:
    output = run_driver(words, [], "count")
    assert "archive used" in output and "count 10" in output


@pytest.mark.parametrize(
    "options",
    [
        ["--conf", "spark.driver.memory=2g"],
        ["--driver-java-options", "-XX:+UseSerialGC"],
        ["--jars", "{jar}"],
    ],
    ids=["another heap", "another collector", "a jar of its own"],
)
def test_what_sessions_usually_ask_for_keeps_the_archive_usable(
    run_driver: Run, words: list[str], home: Path, options: list[str]
) -> None:
    jar = next(home.glob("jars/py4j-*.jar"))
    assert "archive used" in run_driver(words, [option.format(jar=jar) for option in options])


@pytest.mark.parametrize(
    "options",
    [
        ["--driver-class-path", "{jar}"],
        ["--driver-java-options", "-XX:-UseCompressedOops"],
        ["--driver-java-options", "-XX:+UseZGC"],
        ["--driver-java-options", "-Xshare:off"],
    ],
    ids=["another class path", "other pointers", "a collector with other pointers", "sharing off"],
)
def test_a_driver_it_does_not_fit_starts_without_a_word(
    run_driver: Run, words: list[str], home: Path, options: list[str]
) -> None:
    jar = next(home.glob("jars/py4j-*.jar"))
    assert "archive not used" in run_driver(words, [option.format(jar=jar) for option in options])


def test_a_driver_of_another_java_starts_without_a_word(run_driver: Run, words: list[str], found: Java) -> None:
    probed = [java.probe(place) for place in java._usual_homes(os.environ)]
    others = [one for one in probed if isinstance(one, Java) and one.version != found.version]
    if not others:
        pytest.skip("there is one Java on this machine")
    assert "archive not used" in run_driver(words, [], java_home=others[0].home)


def test_a_cut_archive_is_not_handed_to_a_driver(cache: Path, found: Java, home: Path, tmp_path: Path) -> None:
    """Java 17 crashes on one."""
    copy = class_archive.archive_path(tmp_path, found, home)
    shutil.copytree(class_archive.archive_path(cache, found, home).parent, copy.parent)
    assert class_archive.java_options(tmp_path, found, home) != []
    os.truncate(copy, copy.stat().st_size // 2)
    assert class_archive.java_options(tmp_path, found, home) == []


def test_the_archive_of_replaced_jars_is_passed_over_in_silence(
    run_driver: Run, words: list[str], cache: Path, found: Java, home: Path
) -> None:
    """Spark is replaced while a supervisor still hands out the options it found when it started."""
    jar = next(home.glob("jars/spark-core_*.jar"))
    bundled = jar.readlink()
    jar.unlink()
    shutil.copyfile(bundled, jar)
    try:
        output = run_driver(words, [], "count")
        assert "archive not used" in output and "count 10" in output
        assert class_archive.java_options(cache, found, home) == []  # the next set-up builds anew
    finally:
        jar.unlink()
        jar.symlink_to(bundled)
