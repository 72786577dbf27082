"""Which Python an application gets, and which is refused."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from gateway.core import pythons
from gateway.core.options import SparkOptions
from gateway.core.pythons import Archive
from gateway.core.settings import ClusterSettings

IN_ARCHIVE = "./env/bin/python"
DRIVER, BOTH = "spark.pyspark.driver.python", "spark.pyspark.python"
YARN, EXECUTORS = "spark.yarn.appMasterEnv.PYSPARK_PYTHON", "spark.executorEnv.PYSPARK_PYTHON"


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the environment for sessions would be."""
    monkeypatch.setattr(pythons, "_ENVIRONMENT", tmp_path / "environment")
    return tmp_path / "environment"


def make_environment(folder: Path, version: str) -> str:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / "lib" / f"python{version}").mkdir(parents=True)
    return str(folder / "bin" / "python")


def test_who_names_none_gets_the_environment_for_sessions(here: ClusterSettings, environment: Path) -> None:
    python = make_environment(environment, f"{sys.version_info[0]}.{sys.version_info[1]}")
    for sessions in (True, False):
        chosen = pythons.choose({}, here, of_archives=sessions)
        assert (chosen.driver, chosen.executors) == (python, python)
    assert pythons.choose({DRIVER: "/d"}, here, of_archives=True).executors == python
    assert pythons.default(dataclasses.replace(here, python="/opt/python")) == "/opt/python"


def test_an_environment_that_cannot_have_the_kernel_is_left_alone(here: ClusterSettings, environment: Path) -> None:
    python = make_environment(environment, "3.9")
    assert pythons.default(here) == sys.executable
    (environment / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}").mkdir()
    Path(python).unlink()
    Path(python).symlink_to("/gone/python")
    assert pythons.default(here) == sys.executable


@pytest.mark.parametrize(
    ("conf", "driver", "executors"),
    [
        ({}, sys.executable, sys.executable),
        ({BOTH: "/b"}, "/b", "/b"),
        ({DRIVER: "/d"}, "/d", sys.executable),
        ({DRIVER: "/d", BOTH: "/b"}, "/d", "/b"),
        ({YARN: "/y"}, "/y", "/y"),
        ({YARN: "/y", BOTH: "/b"}, "/b", "/b"),
        ({YARN: "/y", EXECUTORS: "/e"}, "/y", "/e"),
        ({EXECUTORS: "/e"}, sys.executable, "/e"),
        ({BOTH: ""}, sys.executable, sys.executable),
    ],
)
def test_conf_chooses_as_spark_would(conf: dict[str, str], driver: str, executors: str, here: ClusterSettings) -> None:
    chosen = pythons.choose(conf, here, of_archives=True)
    assert (chosen.driver, chosen.executors, chosen.unpack) == (driver, executors, [])
    assert chosen.command(archive_limit=1024) == []


def test_the_settings_python_is_for_who_names_none(here: ClusterSettings) -> None:
    own = dataclasses.replace(here, python="/opt/python")
    assert pythons.choose({}, own, of_archives=True).driver == "/opt/python"


@pytest.mark.parametrize("key", ["spark.archives", "spark.yarn.dist.archives"])
def test_the_archive_of_the_chosen_python_is_unpacked_and_no_other(key: str, here: ClusterSettings) -> None:
    conf = {key: "/data.zip,file:///my%20env.tar.gz#env, /more.tgz", BOTH: IN_ARCHIVE}
    chosen = pythons.choose(conf, here, of_archives=True)
    assert (chosen.unpack, chosen.undecided) == ([Archive("env", Path("/my env.tar.gz"))], False)


def test_without_a_word_every_archive_that_may_hold_one_is_unpacked(here: ClusterSettings) -> None:
    conf = {"spark.archives": "/env.tar.gz,hdfs:///far.tar.gz,/data.7z,/x.zip#..,/y.zip#log"}
    chosen = pythons.choose(conf, here, of_archives=True)
    assert (chosen.unpack, chosen.undecided) == ([Archive("env.tar.gz", Path("/env.tar.gz"))], True)
    assert pythons.choose(conf, here, of_archives=False).unpack == []


def test_executors_apart_unpack_their_own(here: ClusterSettings) -> None:
    apart = dataclasses.replace(here, master="spark://host:7077")
    conf = {"spark.archives": "/env.tar.gz#env", BOTH: IN_ARCHIVE, DRIVER: "/usr/bin/python3"}
    assert pythons.choose(conf, apart, of_archives=True).unpack == []
    assert len(pythons.choose(conf, here, of_archives=True).unpack) == 1


@pytest.mark.parametrize(
    "python", ["/nowhere/python", "no-such-python", "/etc/passwd", IN_ARCHIVE, "../env/bin/python"]
)
def test_a_python_that_cannot_be_started_is_refused(python: str, here: ClusterSettings) -> None:
    (fault,) = pythons.faults(SparkOptions(conf={BOTH: python}), here)
    assert str(fault).startswith(f"{BOTH} is '{python}': ")


@pytest.mark.parametrize("archive", ["/env.tar.gz", "hdfs:///env.tar.gz#env", "/env.7z#env"])
def test_a_python_in_an_archive_that_cannot_be_unpacked_here_is_refused(archive: str, here: ClusterSettings) -> None:
    (fault,) = pythons.faults(SparkOptions(conf={BOTH: IN_ARCHIVE}, archives=[archive]), here)
    assert "/path/to/file#NAME" in fault.fix


def test_an_archive_that_is_no_url_is_anothers_to_refuse(here: ClusterSettings) -> None:
    assert list(pythons.faults(SparkOptions(archives=["http://[::1"]), here)) == []


@pytest.mark.parametrize("python", [sys.executable, "python3", IN_ARCHIVE, "env/bin/python"])
def test_a_python_that_is_there_passes(python: str, here: ClusterSettings) -> None:
    assert list(pythons.faults(SparkOptions(conf={BOTH: python}, archives=["/env.tar.gz#env"]), here)) == []


def test_what_only_workers_have_is_not_looked_for_here(here: ClusterSettings) -> None:
    apart = dataclasses.replace(here, master="spark://host:7077")
    assert list(pythons.faults(SparkOptions(conf={BOTH: "/on/workers/python", DRIVER: sys.executable}), apart)) == []
