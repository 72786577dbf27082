"""What may not be asked of Spark, and how it is refused."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.core import checks
from gateway.core.errors import InvalidRequest
from gateway.core.options import SparkOptions
from gateway.core.settings import ClusterSettings, Settings

HERE = ClusterSettings()


def refusal(options: SparkOptions, settings: Settings, file: str | None = None) -> str:
    with pytest.raises(InvalidRequest) as refused:
        checks.check(options, settings, HERE, file)
    return str(refused.value)


def test_forbidden_conf_is_named_in_livys_words(settings: Settings) -> None:
    conf = {"spark.submit.deployMode": "cluster", "spark.a": "b"}
    expected = "Blacklisted configuration values in session config: spark.submit.deployMode"
    assert refusal(SparkOptions(conf=conf), settings) == expected


def test_all_forbidden_conf_is_named(settings: Settings) -> None:
    strict = dataclasses.replace(settings, conf_blacklist=["spark.b", "spark.a"])
    said = refusal(SparkOptions(conf={"spark.a": "1", "spark.b": "2", "spark.c": "3"}), strict)
    assert said.endswith(": spark.a, spark.b")


@pytest.mark.parametrize("size", ["1g", "512m", "1024", "2G", "1gb", "100kb", "1t", "64MB"])
def test_a_size_in_sparks_notation_is_fine(size: str, settings: Settings) -> None:
    checks.check(SparkOptions(driver_memory=size, executor_memory=size), settings, HERE)


@pytest.mark.parametrize("size", ["", "lots", "1.5g", "-1g", "1 x", "g", "1g\n2g"])
def test_what_is_no_size_is_refused_by_the_fields_name(size: str, settings: Settings) -> None:
    assert refusal(SparkOptions(executor_memory=size), settings).startswith(f"executorMemory '{size}' is not a size")


@pytest.mark.parametrize("number", [-1, 2**31])
def test_a_wrong_number_is_refused_by_the_fields_name(number: int, settings: Settings) -> None:
    assert refusal(SparkOptions(num_executors=number), settings).startswith(f"numExecutors is {number}")
