"""Drivers without a gateway: they end by themselves, but not in the middle of work; and `stop` ends them all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import stop
from gateway.core import processes
from tests.integration.running_gateway import ROOT, START, Gateway, wait_until

WAITS = "import os, time\nopen({begun!r}, 'w').close()\nwhile not os.path.exists({may_end!r}): time.sleep(0.05)"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = Gateway(tmp_path_factory.mktemp("gateway"), orphan_timeout="2s")
    try:
        yield running.open()
    finally:
        running.close()


def test_an_orphan_ends_once_nothing_works_in_it_and_a_gateway_that_comes_back_says_why(
    gateway: Gateway, tmp_path: Path
) -> None:
    idle, works = (gateway.new_session(kind="pyspark") for _ in range(2))
    begun, may_end = tmp_path / "begun", tmp_path / "may end"
    idle.wait_for("idle")
    works.wait_for("idle").submit(WAITS.format(begun=str(begun), may_end=str(may_end)))
    wait_until(begun.exists, START, "the statement runs")
    folders = [idle.folder, works.folder]
    gateway.kill_supervisor()
    wait_until(lambda: not processes.family(folders[0]), START, "the idle one ends")
    log = (folders[0] / "log").read_text("utf-8")
    assert "no gateway has been there for 2 s (setting orphan_timeout)" in log
    assert processes.family(folders[1])
    may_end.touch()
    wait_until(lambda: not processes.family(folders[1]), START, "the other one ends after its work")
    gateway.start_supervisor()
    for session in (idle, works):
        wait_until(lambda session=session: session.state == "dead", START, "the gateway has seen it")  # type: ignore[misc]
        assert "\nspark-gateway: no gateway has been there for 2 s (setting orphan_timeout)\n" in session.log


def test_stop_ends_sessions_and_batches_below_a_running_gateway(gateway: Gateway, tmp_path: Path) -> None:
    script = tmp_path / "waits.py"
    script.write_text("import time\nprint('begun', flush=True)\ntime.sleep(1000)\n")
    batch, session = gateway.new_batch(script), gateway.new_session(kind="pyspark").wait_for("idle")
    batch.wait_for_line("begun")
    ended = subprocess.run(
        [sys.executable, "-m", "gateway", "stop"],
        cwd=ROOT, env=gateway.environ, capture_output=True, text=True, timeout=START,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(ended.stdout.splitlines()) == [f"batch {batch.id} has ended", f"session {session.id} has ended"]
    assert f"\nspark-gateway: {stop.REASON}\n" in session.wait_for("dead").log
    assert gateway.call("GET", batch.path).status_code == 404
    assert not gateway.started_processes()
