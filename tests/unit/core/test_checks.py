"""What may not be asked of Spark, and how it is refused."""

from __future__ import annotations

import dataclasses
import re

import pytest

from gateway.core import checks
from gateway.core.errors import InvalidRequest, refuse
from gateway.core.options import SparkOptions
from gateway.core.settings import ClusterSettings, Settings

HERE = ClusterSettings()


def check(options: SparkOptions, settings: Settings, here: ClusterSettings, file: str | None = None) -> None:
    refuse(checks.faults(options, settings, here, file))


def refusal(options: SparkOptions, settings: Settings, file: str | None = None) -> str:
    with pytest.raises(InvalidRequest) as refused:
        check(options, settings, HERE, file)
    return str(refused.value)


def test_forbidden_conf_is_named(settings: Settings) -> None:
    conf = {"spark.submit.deployMode": "cluster", "spark.a": "b"}
    expected = "conf has what may not be chosen here: spark.submit.deployMode: leave it out"
    assert refusal(SparkOptions(conf=conf), settings) == expected


def test_all_forbidden_conf_is_named(settings: Settings) -> None:
    strict = dataclasses.replace(settings, conf_blacklist=["spark.b", "spark.a"])
    said = refusal(SparkOptions(conf={"spark.a": "1", "spark.b": "2", "spark.c": "3"}), strict)
    assert "chosen here: spark.a, spark.b: " in said


@pytest.mark.parametrize("size", ["1g", "512m", "1024", "2G", "1gb", "1GiB", "524288kb", "1t", " 2g ", "512MB", "64t"])
def test_a_size_in_sparks_notation_is_fine(size: str, settings: Settings) -> None:
    check(SparkOptions(driver_memory=size, executor_memory=size), settings, HERE)


@pytest.mark.parametrize(
    "size",
    [
        "",
        "lots",
        "1.5g",
        "-1g",
        "1 x",
        "2 g",
        "g",
        "1g\n2g",
        "1e",
        "1bb",
        "+1g",
        "1_0g",
        "١g",
        "\u00a02g",
        "9" * 40,
        "9999p",
    ],
)
def test_what_is_no_size_is_refused_by_the_fields_name(size: str, settings: Settings) -> None:
    assert refusal(SparkOptions(executor_memory=size), settings).startswith(f"executorMemory '{size}' is not a size")


@pytest.mark.parametrize("number", [-1, 2**31])
def test_a_wrong_number_is_refused_by_the_fields_name(number: int, settings: Settings) -> None:
    assert refusal(SparkOptions(num_executors=number), settings).startswith(
        f"numExecutors is {number}: give a whole number"
    )


@pytest.mark.parametrize("size", ["0", "0g", "65t", "1p"])
@pytest.mark.parametrize("field", ["driver_memory", "executor_memory"])
def test_a_size_that_no_java_has_is_refused(field: str, size: str, settings: Settings) -> None:
    said = refusal(SparkOptions(**{field: size}), settings)  # type: ignore[arg-type]
    assert re.match(rf"(driver|executor)Memory is '{size}', which no Java has: give a size", said)


WRONG = {
    "spark.driver.memory": "lots",
    "spark.executor.memory": "",
    "spark.driver.memoryOverhead": "10%",
    "spark.executor.memoryOverhead": "0.1g",
    "spark.executor.pyspark.memory": "1 g",
    "spark.driver.maxResultSize": "unlimited",
    "spark.network.timeout": "2 minutes",
    "spark.driver.cores": "two",
    "spark.executor.cores": "0",
    "spark.default.parallelism": "1.5",
    "spark.cores.max": "-1",
    "spark.ui.port": "http",
    "spark.ui.enabled": "no",
    "spark.dynamicAllocation.enabled": "1",
    "spark.driver.extraJavaOptions": "-Da=b -Xmx2g",
}


@pytest.mark.parametrize("key", WRONG)
def test_a_value_that_ends_a_start_is_refused_by_its_key(key: str, settings: Settings) -> None:
    assert refusal(SparkOptions(conf={key: WRONG[key]}), settings).startswith(f"{key} ")


def test_what_is_no_value_of_these_is_sparks_business(settings: Settings) -> None:
    conf = {
        "spark.driver.memory": "2gb",
        "spark.driver.maxResultSize": "0",
        "spark.executor.memoryOverhead": "384",
        "spark.ui.port": "0",
        "spark.driver.port": " +5\u0001",
        "spark.ui.enabled": " TRUE ",
        "spark.network.timeout": "120s",
        "spark.driver.extraJavaOptions": "-Xms1g -Dx=y",
        "spark.mine.memory": "lots",
    }
    check(SparkOptions(conf=conf), settings, HERE)


def test_a_field_is_told_of_by_its_name_also_over_the_same_key_in_conf(settings: Settings) -> None:
    conf = {"spark.driver.memory": "lots"}
    assert refusal(SparkOptions(conf=conf, driver_memory="more"), settings).startswith("driverMemory 'more'")
    check(SparkOptions(conf=conf, driver_memory="2g"), settings, HERE)
