"""Two gateways, each on a host of its own, over one PostgreSQL: either may be killed, and what waits goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.running_gateway import SOON, START, Batch, Gateway, wait_until
from tests.postgres_server import PostgresServer

# A Spark that starts Python programs at once: what is looked at here is who starts them.
SUBMIT = """#!/bin/sh
while [ "${1##*.}" != py ]; do shift; done
exec "$PYSPARK_PYTHON" "$@"
"""

# Says that it runs, and runs until it may end.
PROGRAM = """
import pathlib, sys, time
name, trail, may_end = sys.argv[1:]
with open(trail, "a") as file:
    file.write(name + " ")
while not pathlib.Path(may_end).exists():
    time.sleep(0.05)
"""


class Pair:
    """The two, by name, and batches that they share."""

    def __init__(self, folder: Path, store: str) -> None:
        home = folder / "spark"
        (home / "bin").mkdir(parents=True)
        submit = home / "bin" / "spark-submit"
        submit.write_text(SUBMIT)
        submit.chmod(0o755)
        self.program = folder / "program.py"
        self.program.write_text(PROGRAM)
        shared = {"store": store, "max_batches_running": 2, "clusters": {"quick": {"spark_home": str(home)}}}
        self.of = {name: Gateway(folder / name, host_name=name, **shared) for name in ("one", "two")}

    def submit(self, gateway: Gateway, name: object, folder: Path) -> Batch:
        args = [str(name), str(folder / "trail"), str(folder / "may end")]
        return gateway.new_batch(self.program, args=args, conf={"spark.gateway.cluster": "quick"})


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Pair]:
    made = Pair(tmp_path_factory.mktemp("pair"), postgres.url(postgres.create()))
    try:
        for gateway in made.of.values():
            gateway.open()
        yield made
    finally:
        for gateway in made.of.values():
            gateway.close()


def begun(folder: Path) -> list[str]:
    trail = folder / "trail"
    return trail.read_text().split() if trail.exists() else []


@pytest.mark.parametrize(("killed", "other"), [("one", "two"), ("two", "one")])
def test_waiting_work_of_a_killed_gateway_is_taken_over(pair: Pair, killed: str, other: str, tmp_path: Path) -> None:
    lost, left = pair.of[killed], pair.of[other]
    batches = [pair.submit(lost, number, tmp_path) for number in range(10)]
    wait_until(lambda: len(begun(tmp_path)) == 4, START, "each host runs as many as it may")
    hosts = dict(left.query("SELECT id, host FROM batches WHERE state = 'running'"))
    assert sorted(hosts.values()) == ["one", "one", "two", "two"]
    lost.kill()
    (tmp_path / "may end").touch()
    seen = [Batch(left, batch.id) for batch in batches]
    for batch in seen:
        if hosts.get(batch.id) != killed:
            batch.wait_for("success")
    stuck = [batch for batch in seen if hosts.get(batch.id) == killed]
    assert [batch.state for batch in stuck] == ["running"] * 2
    assert f"this log is on the host {killed}" in stuck[0].log[0]
    lost.open()
    for batch in stuck:
        batch.wait_for("success")
    assert sorted(map(int, begun(tmp_path))) == list(range(10)), "each ran once"


def test_a_gateway_speaks_for_a_session_that_runs_beside_another(pair: Pair) -> None:
    one, two = pair.of["one"], pair.of["two"]
    two.kill_supervisor()
    session = two.new_session(kind="shared").wait_for("idle")
    assert one.query("SELECT host FROM drivers") == [("one",)], "it was free, and took it"
    two.start_supervisor()
    assert session.text("6 * 7") == "42"
    assert session.log.splitlines()[1] == "spark-gateway: this log is on the host one: ask the gateway there"
    sent = two.http.post(
        f"{session.gateway.url}{session.path}/upload-file", files={"file": ("a.txt", b"a")}, timeout=60
    )
    assert sent.status_code == 400 and "runs on the host one, and this is two" in sent.text, sent.text
    assert two.post(f"{session.path}/completion", {"code": "6", "kind": "pyspark", "cursor": 1}) == {"candidates": []}
    session.delete()
    wait_until(lambda: not one.started_processes(), SOON, "it was ended where it ran")
