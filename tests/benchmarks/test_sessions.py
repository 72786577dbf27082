"""From the POST of a session to its first answers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.benchmarks.baselines import FIRST_JOB, SPARK, plain_python, seconds
from tests.benchmarks.conftest import Compare
from tests.integration.running_gateway import Gateway, Session, wait_until

GROUP = "Sessions"
AT_ONCE = 6
SHARED = {"spark.gateway.application": "benchmark"}
WARM_UP = 120.0  # seconds for a driver to be started ahead


def _open(gateway: Gateway) -> Session:
    return gateway.new_session(kind="pyspark").wait_for("idle")


def test_cold_session(gateway: Gateway, compare: Compare) -> None:
    opened: list[Session] = []

    def through_the_gateway() -> float:
        taken = seconds(lambda: opened.append(_open(gateway)))
        opened.pop().delete()
        return taken

    compare(
        GROUP,
        "create to idle, started for the session",
        "s",
        through_the_gateway,
        "SparkSession and first job in plain Python",
        lambda: seconds(lambda: plain_python(SPARK + FIRST_JOB)),
        bar="0.6",
    )


def test_first_job(gateway: Gateway, compare: Compare) -> None:
    def through_the_gateway() -> float:
        opened: list[Session] = []

        def first() -> None:
            opened.append(_open(gateway))
            assert opened[0].run(FIRST_JOB)["status"] == "ok"

        taken = seconds(first)
        opened[0].delete()
        return taken

    bare = "SparkSession and first job in plain Python"
    compare(
        GROUP,
        "create to the result of a first job",
        "s",
        through_the_gateway,
        bare,
        lambda: seconds(lambda: plain_python(SPARK + FIRST_JOB)),
    )


def test_warm_session(tmp_path_factory: pytest.TempPathFactory, compare: Compare) -> None:
    gateway = Gateway(tmp_path_factory.mktemp("warm"), web_workers=2, max_warm_drivers=1).open()
    opened: list[Session] = []

    def warm() -> float:
        wait_until(
            lambda: gateway.query("SELECT 1 FROM drivers WHERE state = 'warm'"), WARM_UP, "a driver is started ahead"
        )
        taken = seconds(lambda: opened.append(_open(gateway)))
        opened.pop().delete()
        return taken

    def cold() -> float:
        taken = seconds(
            lambda: opened.append(gateway.new_session(kind="pyspark", driverMemory="900m").wait_for("idle"))
        )
        opened.pop().delete()
        return taken

    try:
        compare(GROUP, "create to idle, started ahead", "s", warm, "started for the session", cold, bar="0.05 s")
    finally:
        gateway.close()


def test_shared_application(gateway: Gateway, compare: Compare) -> None:
    def joins() -> float:
        opened: list[Session] = []
        taken = seconds(lambda: opened.append(gateway.new_session(conf=SHARED).wait_for("idle")))
        opened[0].delete()
        return taken

    def alone() -> float:
        opened: list[Session] = []
        taken = seconds(lambda: opened.append(_open(gateway)))
        opened[0].delete()
        return taken

    first = gateway.new_session(conf=SHARED).wait_for("idle")
    try:
        what = "create to idle, in a shared application that runs"
        compare(GROUP, what, "s", joins, "started for the session", alone, bar="0.3 s")
    finally:
        first.delete()


def test_many_at_once(gateway: Gateway, compare: Compare) -> None:
    def through_the_gateway() -> float:
        with ThreadPoolExecutor(AT_ONCE) as clients:
            opened: list[Session] = []
            taken = seconds(lambda: opened.extend(clients.map(lambda _: _open(gateway), range(AT_ONCE))))
            list(clients.map(Session.delete, opened))
        return taken

    def bare() -> float:
        with ThreadPoolExecutor(AT_ONCE) as clients:
            return seconds(lambda: list(clients.map(lambda _: plain_python(SPARK), range(AT_ONCE))))

    what = f"{AT_ONCE} creates at once to all idle"
    compare(GROUP, what, "s", through_the_gateway, f"{AT_ONCE} SparkSessions in plain Python at once", bare, rounds=2)
