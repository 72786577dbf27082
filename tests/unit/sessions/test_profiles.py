"""For which sessions a driver may be started ahead: what real clients send by default must be one profile."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from gateway.core.events import Belonging
from gateway.core.options import SparkOptions
from gateway.core.settings import Settings
from sessions.drivers.profiles import Profile, name_of, profile_of, set_when_claimed

WHOSE = Belonging(None, "default")


@pytest.fixture
def here(settings: Settings) -> Settings:
    return dataclasses.replace(settings, master="local[2]")


def profile(settings: Settings, whose: Belonging = WHOSE, **asked: Any) -> Profile:
    return profile_of(SparkOptions(**asked), whose, settings)


DEFAULTS: dict[str, dict[str, Any]] = {
    "sparkmagic": {"driver_memory": "1000M", "executor_cores": 2},
    "a name": {"name": "mine"},
    "a name in the conf": {"conf": {"spark.app.name": "mine"}},
    "Spark's own memory": {"driver_memory": "1g"},
    "the same in the conf": {"conf": {"spark.driver.memory": "1024m"}},
    "cores of a driver that the client starts": {"driver_cores": 1},
    "executors, where there are none": {"num_executors": 3, "executor_memory": "2g", "queue": "default"},
    "the same in the conf ": {"conf": {"spark.executor.instances": "3", "spark.executor.cores": "1"}},
    "what Spark SQL is told later": {"conf": {"spark.sql.shuffle.partitions": "7", "spark.sql.ansi.enabled": "true"}},
    "a key of Livy's": {"conf": {"livy.rsc.sql.num-rows": "10"}},
}


@pytest.mark.parametrize("asked", DEFAULTS.values(), ids=DEFAULTS)
def test_what_is_told_later_or_makes_no_difference_is_the_default_profile(asked: dict[str, Any], here) -> None:
    assert profile(here, **asked) == profile(here)


OTHERS: dict[str, dict[str, Any]] = {
    "more memory": {"driver_memory": "2g"},
    "less memory": {"driver_memory": "512m"},
    "a conf": {"conf": {"spark.task.maxFailures": "2"}},
    "what Spark SQL knows from its start": {"conf": {"spark.sql.extensions": "a.B"}},
    "a catalog": {"conf": {"spark.sql.catalog.mine": "a.B"}},
    "a Python": {"conf": {"spark.pyspark.python": "/opt/python"}},
    "packages": {"conf": {"spark.jars.packages": "a:b:1"}},
    "a proxy user": {"proxy_user": "alice"},
}


@pytest.mark.parametrize("asked", OTHERS.values(), ids=OTHERS)
def test_what_is_fixed_at_the_start_is_another_profile(asked: dict[str, Any], here) -> None:
    assert profile(here, **asked).key not in ("", profile(here).key)
    assert profile(here, **asked) == profile(here, **asked)


def test_on_a_cluster_there_is_none_which_would_hold_cores_for_nobody(here) -> None:
    for master in ("spark://h:7077", "yarn", "k8s://h", "local-cluster[1,1,1024]"):
        assert profile(dataclasses.replace(here, master=master)).key == ""
    assert profile(dataclasses.replace(here, master="local")).key != ""


def test_another_user_project_or_setting_is_another_profile(here) -> None:
    others = [
        profile(here, Belonging("alice", "default")),
        profile(here, Belonging(None, "blue")),
        profile(dataclasses.replace(here, spark_conf={"spark.task.maxFailures": "9"})),
        profile(dataclasses.replace(here, sql_rows=5)),
        profile(dataclasses.replace(here, master="local[1]")),
    ]
    assert len({one.key for one in [*others, profile(here)]}) == len(others) + 1


def test_a_file_that_has_changed_is_another_profile(here, tmp_path: Path) -> None:
    jar = tmp_path / "a.jar"
    jar.write_text("old")
    for asked in ({"jars": [str(jar)]}, {"conf": {"spark.jars": f"file:{jar}"}}):
        jar.write_text("old")
        before = profile(here, **asked)
        assert before.key and before == profile(here, **asked)
        jar.write_text("newer")
        assert profile(here, **asked).key not in ("", before.key)


@pytest.mark.parametrize(
    "asked",
    [
        {"jars": ["hdfs://h/a.jar"]},
        {"files": ["/not/there"]},
        {"py_files": ["/tmp"]},
        {"archives": ["https://h/a.zip#b"]},
        {"conf": {"spark.driver.extraClassPath": "/a"}},
        {"conf": {"spark.driver.extraJavaOptions": "-javaagent:/a.jar"}},
        {"conf": {"spark.scheduler.allocation.file": "file:/a.xml"}},
        {"conf": {"spark.files": "s3://b/c"}},
    ],
)
def test_of_files_that_may_have_changed_unseen_there_is_none(asked: dict[str, Any], here) -> None:
    assert profile(here, **asked).key == ""


def test_files_of_the_settings_count_too(here, tmp_path: Path) -> None:
    jar = tmp_path / "a.jar"
    jar.write_text("old")
    with_jar = dataclasses.replace(here, spark_conf={"spark.jars": str(jar)})
    before = profile(with_jar)
    jar.write_text("newer")
    assert profile(with_jar).key not in ("", before.key)


def test_of_secrets_there_is_none(here) -> None:
    assert profile(here, conf={"spark.hadoop.fs.s3a.secret.key": "k"}).key == ""
    assert profile(here, conf={"spark.hadoop.fs.s3a.user": "k"}).key != ""
    operators = dataclasses.replace(here, spark_conf={"spark.hadoop.fs.s3a.secret.key": "k"})
    assert profile(operators).key != "", "the operator's own are known anyway"


def test_what_a_driver_is_started_with_is_the_same_for_all_of_a_profile(here) -> None:
    options = profile(here, name="mine", driver_memory="1000M", conf={"spark.sql.shuffle.partitions": "7"}).options
    assert options == SparkOptions(driver_memory="1024m")
    assert profile_of(options, WHOSE, here) == profile(here)


def test_the_rest_is_told_when_it_is_claimed() -> None:
    conf = {"spark.sql.shuffle.partitions": "7", "spark.jars.packages": "a:b:1", "livy.rsc.sql.num-rows": "3"}
    options = SparkOptions(name="mine", driver_memory="1000M", executor_cores=2, conf=conf)
    assert set_when_claimed(options) == {
        "spark.sql.shuffle.partitions": "7",
        "livy.rsc.sql.num-rows": "3",
        "spark.driver.memory": "1000M",
        "spark.executor.cores": "2",
    }
    assert name_of(options) == "mine"
    assert name_of(SparkOptions(conf={"spark.app.name": "other"})) == "other" and name_of(SparkOptions()) is None
