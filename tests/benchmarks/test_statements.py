"""From the POST of a statement to its result."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from statistics import quantiles

import pytest

from tests.benchmarks.baselines import SPARK, bare_kernel, median_milliseconds, plain_python, seconds
from tests.benchmarks.conftest import Compare
from tests.integration.running_gateway import Session

GROUP = "Statements"
LARGE_MB = 5
# Seconds between one poll and the next; the first follows the POST at once.
CADENCES: dict[str, Callable[[], Iterable[float]]] = {
    "1 ms": lambda: itertools.repeat(0.001),
    "10 ms": lambda: itertools.repeat(0.010),
    "sparkmagic's cadence": lambda: itertools.chain([0.2, 0.5, 0.5, 1, 1], itertools.repeat(2)),
}


def run(session: Session, code: str, cadence: Iterable[float], kind: str = "pyspark") -> None:
    statement = session.submit(code, kind)
    for pause in cadence:
        if statement.document["state"] == "available":
            return
        time.sleep(pause)


@pytest.mark.parametrize("cadence", CADENCES)
def test_round_trip(cadence: str, session: Session, compare: Compare) -> None:
    with bare_kernel() as ask:
        compare(
            GROUP,
            f"1 + 1, POST to available, polled each {cadence}, p50",
            "ms",
            lambda: median_milliseconds(lambda: run(session, "1 + 1", CADENCES[cadence]())),
            "a Jupyter kernel's reply",
            lambda: median_milliseconds(ask),
            bar="1.25" if cadence == "1 ms" else "",
        )


def test_the_slowest_at_sparkmagics_cadence(session: Session, compare: Compare) -> None:
    with bare_kernel() as ask:
        compare(
            GROUP,
            "1 + 1 at sparkmagic's cadence, p95",
            "ms",
            lambda: _p95(lambda: run(session, "1 + 1", CADENCES["sparkmagic's cadence"]())),
            "a Jupyter kernel's reply",
            lambda: _p95(ask),
            bar="30 ms",
        )


def test_sql(session: Session, compare: Compare) -> None:
    program = f"""{SPARK}
from statistics import median
def one():
    begun = time.perf_counter()
    spark.sql("select 1").collect()
    return time.perf_counter() - begun
for _ in range(10): one()
print(1000 * median(one() for _ in range(50)))
"""
    compare(
        GROUP,
        "select 1, POST to available, p50",
        "ms",
        lambda: median_milliseconds(lambda: run(session, "select 1", CADENCES["1 ms"](), "sql"), 50),
        'spark.sql("select 1").collect() in plain Python',
        lambda: float(plain_python(program).split()[-1]),
    )


def test_scala(session: Session, compare: Compare) -> None:
    def through_the_gateway(kind: str) -> float:
        return median_milliseconds(lambda: run(session, "1 + 1", CADENCES["1 ms"](), kind), 30)

    compare(
        GROUP,
        "1 + 1 in Scala, POST to available, p50",
        "ms",
        lambda: through_the_gateway("spark"),
        "in Python",
        lambda: through_the_gateway("pyspark"),
    )


def test_large_output(session: Session, compare: Compare) -> None:
    code = f"print(('x' * 99 + '\\n') * {LARGE_MB * 10_000})"

    def through_the_gateway() -> float:
        return 1000 * seconds(lambda: run(session, code, CADENCES["1 ms"]()))

    compare(
        GROUP,
        f"{LARGE_MB} MB printed to fetched",
        "ms",
        through_the_gateway,
        "1 + 1",
        lambda: median_milliseconds(lambda: run(session, "1 + 1", CADENCES["1 ms"]()), 20),
    )


def _p95(work: Callable[[], object]) -> float:
    for _ in range(10):
        work()
    return 1000 * quantiles((seconds(work) for _ in range(100)), n=20)[-1]
