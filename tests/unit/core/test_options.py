"""What of a request may be shown, and that none of it is lost."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gateway.core import records
from gateway.core.options import SparkOptions, redact


@dataclass(frozen=True)
class Kept:
    """A record with a column of options."""

    options: SparkOptions


@pytest.mark.parametrize(
    "key",
    ["spark.db.password", "spark.PASSWORD.x", "spark.my.secret", "fs.s3a.access.key", "spark.accessKey", "x.token"],
)
def test_a_secret_is_not_shown(key: str) -> None:
    assert redact({key: "hunter2", "spark.a": "b"}) == {key: "*********(redacted)", "spark.a": "b"}


@pytest.mark.parametrize("key", ["spark.executor.memory", "spark.key", "spark.access", "spark.app.name"])
def test_what_is_no_secret_is_shown(key: str) -> None:
    assert redact({key: "x"}) == {key: "x"}


def test_options_survive_the_store() -> None:
    options = SparkOptions(name="n", driver_cores=1, jars=["/a"], conf={"k": "v"})
    kept = records.read(Kept, {"options": records.to_json(options)})
    assert kept.options == options
