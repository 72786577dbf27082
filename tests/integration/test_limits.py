"""What is bounded: live sessions, waiting batches and statements, and what many idle sessions cost the supervisor."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import requests

from gateway.core import processes
from tests.integration.crowd import crowd
from tests.integration.running_gateway import SOON, Gateway, wait_until

MANY = 200
MOST_FILES = 64  # open files of an idle supervisor beside one per driver


def test_sessions_beyond_the_limit_are_refused(start_gateway: Callable[..., Gateway]) -> None:
    gateway = start_gateway(max_sessions=2)
    kept = [gateway.new_session(), gateway.new_session()]
    answer = gateway.call("POST", "/sessions", {})
    assert (answer.status_code, answer.json()) == (400, {"msg": "Rejected, too many sessions are being created!"})
    assert gateway.get("/sessions")["total"] == 2
    kept[0].delete()
    gateway.new_session().delete()


def test_batches_beyond_the_limit_are_refused(start_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    script = tmp_path / "application.py"
    script.write_text("import time; time.sleep(600)\n", "utf-8")
    gateway = start_gateway(max_batches_running=1, max_batches_waiting=2)
    gateway.new_batch(script).wait_for("running")
    waiting = [gateway.new_batch(script) for _ in range(2)]
    answer = gateway.call("POST", "/batches", {"file": str(script)})
    assert answer.status_code == 400 and "too many batches are waiting" in answer.json()["msg"]
    assert [batch.state for batch in waiting] == ["starting", "starting"]


def test_statements_beyond_the_limit_are_refused_and_old_ones_forgotten(start_gateway: Callable[..., Gateway]) -> None:
    gateway = start_gateway(max_statements_waiting=3, statements_retained=2)
    opened = gateway.new_session(kind="pyspark")
    waiting = [opened.submit(str(n)) for n in range(3)]
    answer = gateway.call("POST", f"{opened.path}/statements", {"code": "4"})
    assert answer.status_code == 400 and "3 unfinished statements" in answer.text
    waiting[-1].wait()
    last = opened.submit("5")
    assert last.id == 3
    kept = gateway.get(f"{opened.path}/statements")
    assert [one["id"] for one in kept["statements"]] == [2, 3]
    assert gateway.call("GET", f"{opened.path}/statements/0").text == '"Statement not found"'


def test_body_beyond_the_limit_is_refused(start_gateway: Callable[..., Gateway]) -> None:
    gateway = start_gateway(request_limit=100_000)
    body = json.dumps({"name": "x" * 200_000})
    assert requests.post(f"{gateway.url}/sessions", data=body, timeout=SOON).status_code == 413
    assert gateway.get("/sessions")["total"] == 0


def test_output_beyond_the_limit_is_cut_with_a_sign(start_gateway: Callable[..., Gateway]) -> None:
    opened = start_gateway(statement_output_limit=10_000).new_session(kind="pyspark")
    text = opened.submit("print('x' * 50_000)").wait(90)["output"]["data"]["text/plain"]
    assert text == "x" * 10_000 + "\n[output cut: the limit is 10000 bytes]"


def test_many_idle_sessions_cost_the_supervisor_next_to_nothing(tmp_path: Path) -> None:
    with crowd(tmp_path, MANY) as gateway:
        assert gateway.supervisor is not None
        supervisor = psutil.Process(gateway.supervisor.pid)
        assert _wakes(supervisor, 11) < MANY, "it wakes again and again, or for each session"
        assert supervisor.num_fds() < MANY + MOST_FILES
        assert supervisor.num_threads() < 20
        assert _states(gateway) == ["idle"] * MANY

        victim = processes.find(Path(gateway.query("SELECT folder FROM drivers LIMIT 1")[0][0]))
        assert victim is not None
        processes.signal_all({victim.folder: processes.signal.SIGKILL})
        wait_until(lambda: _states(gateway).count("dead") == 1, SOON, "one death among many is noticed")


def _wakes(process: psutil.Process, seconds: float) -> int:
    """How often it went to sleep and was woken. A count: unlike CPU time it is the same on a busy machine."""
    begun, before = time.monotonic(), process.num_ctx_switches().voluntary
    wait_until(lambda: time.monotonic() - begun >= seconds, seconds + SOON, "the time to count in")
    return int(process.num_ctx_switches().voluntary - before)


def _states(gateway: Gateway) -> list[str]:
    return [one["state"] for one in gateway.get("/sessions?size=1000")["sessions"]]
