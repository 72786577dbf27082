"""Permanent sessions, asked for and declared: killed, they are back under their id; deleted, they stay away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.core import processes
from tests.integration.running_gateway import SOON, START, Document, Gateway, Session, wait_until

BASE = "/lighter/api/sessions"
DECLARED = {"daily": {"driver_memory": "900m", "conf": {"spark.sql.shuffle.partitions": 3}}}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = Gateway(tmp_path_factory.mktemp("permanent"), permanent_sessions=DECLARED)
    try:
        yield running.open()
    finally:
        running.close()


def document(gateway: Gateway, chosen: str) -> Document:
    return gateway.get(f"{BASE}/{chosen}")


def by_number(gateway: Gateway, chosen: str) -> Session:
    """The same session by Livy's protocol."""
    return Session(gateway, gateway.query("SELECT id FROM sessions WHERE uuid = ?", chosen)[0][0])


def wait_for(gateway: Gateway, chosen: str, state: str) -> None:
    wait_until(lambda: document(gateway, chosen)["state"] == state, START, f"session {chosen} is {state}")


def run(gateway: Gateway, chosen: str, code: str) -> str:
    """The id of a new statement."""
    answer = gateway.call("POST", f"{BASE}/{chosen}/statements", {"code": code})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def ended(gateway: Gateway, chosen: str, statement: str, seconds: float = SOON) -> Document:
    def look() -> Document | None:
        found = gateway.get(f"{BASE}/{chosen}/statements/{statement}")
        return found if found["state"] != "waiting" else None

    return wait_until(look, seconds, f"statement {statement} ends")


def kill_driver(gateway: Gateway, chosen: str) -> Path:
    """kill -9 of all its processes; its folder."""
    folder = by_number(gateway, chosen).folder
    family = processes.family(folder)
    for process in family:
        process.kill()
    wait_until(lambda: not processes.family(folder), SOON, "all of it is dead")
    return folder


def test_a_killed_session_is_back_under_its_id(gateway: Gateway) -> None:
    assert gateway.call("PUT", f"{BASE}/etl", {"permanent": True}).status_code == 201
    wait_for(gateway, "etl", "idle")
    before = document(gateway, "etl")
    assert ended(gateway, "etl", kept := run(gateway, "etl", "x = 1; x + 1"))["output"]["data"] == {"text/plain": "2"}
    cut = run(gateway, "etl", "import time; time.sleep(600)")
    waits = run(gateway, "etl", "'ran after the restart'")
    wait_until(lambda: document(gateway, "etl")["state"] == "busy", SOON, "it works")

    begun = time.monotonic()
    old = kill_driver(gateway, "etl")
    wait_until(lambda: document(gateway, "etl")["state"] == "starting", SOON, "it starts again")
    assert ended(gateway, "etl", waits, START)["output"]["data"] == {"text/plain": "'ran after the restart'"}
    back = time.monotonic() - begun
    print(f"back after {back:.2f} s")
    print(f"back and at work {back:.2f} s after the kill")

    after = document(gateway, "etl")
    assert (after["id"], after["type"], after["createdAt"]) == ("etl", "PERMANENT_SESSION", before["createdAt"])
    assert after["appId"] != before["appId"]
    failed = ended(gateway, "etl", cut)
    assert failed["state"] == "error" and "Interpreter died" in failed["output"]["traceback"]
    assert ended(gateway, "etl", kept)["output"]["data"] == {"text/plain": "2"}, "results outlive the driver"
    assert ended(gateway, "etl", run(gateway, "etl", "x"))["output"]["evalue"] == "NameError"
    assert "spark-gateway: started again: the driver" in by_number(gateway, "etl").log
    wait_until(lambda: not old.exists(), SOON, "nothing of the old driver is left")


def test_a_declared_session_is_there_unasked_and_survives_the_death_of_all(gateway: Gateway) -> None:
    wait_for(gateway, "daily", "idle")
    assert document(gateway, "daily")["submitParams"]["driverMemory"] == "900m"
    gateway.kill_supervisor()
    kill_driver(gateway, "daily")
    gateway.start_supervisor()
    wait_until(lambda: document(gateway, "daily")["state"] == "starting", SOON, "it starts again")
    gateway.kill_supervisor()
    gateway.start_supervisor()
    statement = run(gateway, "daily", "spark.conf.get('spark.sql.shuffle.partitions')")
    assert ended(gateway, "daily", statement, START)["output"]["data"] == {"text/plain": "'3'"}
    listed = [one["id"] for one in gateway.get(BASE)["applications"]]
    assert listed.count("daily") == 1


@pytest.mark.parametrize("chosen", ["etl", "daily"])
def test_a_deleted_one_stays_away(gateway: Gateway, chosen: str) -> None:
    opened = by_number(gateway, chosen)
    folder = opened.folder
    assert gateway.call("DELETE", f"{BASE}/{chosen}").status_code == 200
    assert not processes.family(folder)
    gateway.kill_supervisor()
    gateway.start_supervisor()
    later = f"after-{chosen}"
    gateway.call("PUT", f"{BASE}/{later}", {})
    wait_until(by_number(gateway, later).folder.exists, SOON, "the new supervisor has made all its passes")
    assert gateway.call("DELETE", f"{BASE}/{later}").status_code == 200
    assert gateway.call("GET", f"{BASE}/{chosen}").status_code == 404
    assert not opened.exists()
