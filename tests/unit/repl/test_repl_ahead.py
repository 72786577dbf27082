"""A driver that was started ahead: what it runs first, and how it becomes a session's. No Spark."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from sessions.repl.ahead import GROUP, ROUNDS, Ahead


class Spark:
    """Notes what it is asked for; `refusal` is what it says to a claim."""

    def __init__(self) -> None:
        self.ran: list[Any] = []
        self.refusal: str | None = None

    def enter_group(self, name: str, description: str) -> None:
        self.ran.append(f"group {name}")

    def cancel(self, name: str) -> None:
        self.ran.append(f"cancel {name}")

    def take(self, name: str | None, conf: Mapping[str, str]) -> str | None:
        self.ran.append((name, conf))
        return self.refusal


class Language:
    def __init__(self, name: str, spark: Spark) -> None:
        self._name, self._spark = name, spark
        self.then: Any = lambda: None

    def execute(self, code: str, statement: int, group: str) -> None:
        assert group == GROUP
        self._spark.ran.append(self._name)
        self.then()


@pytest.fixture
def spark() -> Spark:
    return Spark()


@pytest.fixture
def languages(spark: Spark) -> dict[str, Language]:
    return {name: Language(name, spark) for name in ("pyspark", "sql", "spark")}


@pytest.fixture
def claimed() -> list[Mapping[str, str]]:
    return []


@pytest.fixture
def ahead(spark: Spark, languages: dict[str, Language], claimed: list[Mapping[str, str]]) -> Ahead:
    return Ahead(spark, languages, claimed.append)  # type: ignore[arg-type]


def test_it_runs_in_each_language_that_it_is_to_and_again(ahead: Ahead, spark: Spark) -> None:
    ahead.warm_up(["pyspark", "sql"])
    assert spark.ran[0] == f"group {GROUP}"
    rounds = [language for language, _ in itertools.groupby(spark.ran[1:])]
    assert rounds == ["pyspark", "sql"] * ROUNDS


def test_nobody_waits_for_more_of_it_than_the_text_that_runs(
    ahead: Ahead, spark: Spark, languages: dict[str, Language]
) -> None:
    languages["sql"].then = lambda: ahead.claim("mine", {})
    ahead.warm_up(["sql", "pyspark", "spark"])
    assert spark.ran == [f"group {GROUP}", "sql", f"cancel {GROUP}", ("mine", {})]


def test_a_claim_is_told_on_unless_it_is_refused(ahead: Ahead, spark: Spark, claimed: list[Mapping[str, str]]) -> None:
    spark.refusal = "not that"
    assert ahead.claim("mine", {"a": "1"}) == "not that" and claimed == []
    spark.refusal = None
    assert ahead.claim("mine", {"a": "2"}) is None and claimed == [{"a": "2"}]
