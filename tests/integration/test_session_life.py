"""A session from its opening to its end: queueing while it starts, stop, interrupt, delete, and what stays of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from gateway.core import processes
from tests.integration.running_gateway import SOON, START, Gateway, Session, wait_until

ENDED = '"java.lang.IllegalStateException: Session is in state dead"'


@pytest.fixture(scope="module")
def queued(gateway: Gateway) -> Session:
    """A session that was given statements before it had started, and has run them."""
    opened = gateway.new_session(kind="pyspark", name="queued")
    assert opened.state == "starting"
    waiting = [opened.submit(code) for code in ("x = 1", "x + 1", "raise ValueError(x)", "sc.parallelize([x]).count()")]
    assert [statement.document["state"] for statement in waiting] == ["waiting"] * 4
    assert opened.state == "starting"
    waiting[-1].wait(START)
    return opened.wait_for("idle")


@pytest.fixture(scope="module")
def stopped(queued: Session) -> Session:
    """The same session, stopped while it ran one statement and two waited."""
    queued.submit("print('begun', flush=True); import time; time.sleep(600)").wait_running()
    queued.submit("'never'")
    assert queued.gateway.call("POST", f"{queued.path}/stop").status_code == 204
    return queued


def test_statements_sent_while_starting_run_in_order_once_it_is_up(queued: Session) -> None:
    found = queued.gateway.get(f"{queued.path}/statements")["statements"][:4]
    assert [one["id"] for one in found] == [0, 1, 2, 3]
    assert [one["output"]["status"] for one in found] == ["ok", "ok", "error", "ok"]
    assert found[1]["output"]["data"] == {"text/plain": "2"}
    assert all(one["completed"] <= next_one["started"] for one, next_one in pairwise(found))


def test_connect_answers_with_the_session(queued: Session) -> None:
    assert queued.gateway.post(f"{queued.path}/connect")["id"] == queued.id


def test_stopped_session_stays_listed_as_dead(stopped: Session) -> None:
    assert stopped.state == "dead"
    assert stopped.id in [one["id"] for one in stopped.gateway.get("/sessions")["sessions"]]


def test_stopped_session_leaves_no_process_and_only_its_log(stopped: Session) -> None:
    assert processes.family(stopped.folder) == []
    folder = stopped.folder
    wait_until(lambda: [entry.name for entry in folder.iterdir()] == ["log"], SOON, "only its log is left")


def test_results_stay_readable_after_the_end(stopped: Session) -> None:
    assert stopped.gateway.get(f"{stopped.path}/statements/1")["output"]["data"] == {"text/plain": "2"}


def test_unfinished_statements_say_how_they_ended(stopped: Session) -> None:
    running, waiting = stopped.gateway.get(f"{stopped.path}/statements?from=4")["statements"]
    assert (running["state"], waiting["state"]) == ("available", "available")
    assert "stopped by its user" in running["output"]["evalue"]
    assert "before this statement ran" in waiting["output"]["evalue"]


def test_ended_session_takes_no_statement(stopped: Session) -> None:
    answer = stopped.gateway.call("POST", f"{stopped.path}/statements", {"code": "1"})
    assert (answer.status_code, answer.text) == (500, ENDED)


def test_stop_and_connect_of_an_ended_session_are_no_error(stopped: Session) -> None:
    assert stopped.gateway.call("POST", f"{stopped.path}/stop").status_code == 204
    assert stopped.gateway.post(f"{stopped.path}/connect")["state"] == "dead"


def test_log_of_an_ended_session_is_served_by_page(stopped: Session) -> None:
    whole = stopped.gateway.get(f"{stopped.path}/log?size=-1")
    assert whole["log"][0] == "stdout: " and whole["log"][-1] == "\nstderr: "
    pages = [
        stopped.gateway.get(f"{stopped.path}/log?from={start}&size=2")["log"] for start in range(0, whole["total"], 2)
    ]
    assert [line for page in pages for line in page] == whole["log"]


def test_deleted_session_frees_its_name_and_never_its_id(stopped: Session) -> None:
    stopped.delete()
    assert stopped.gateway.call("GET", stopped.path).json() == {"msg": f"Session '{stopped.id}' not found."}
    again = stopped.gateway.new_session(name="queued")
    assert again.id > stopped.id
    again.delete()


def test_session_deleted_while_it_starts_leaves_nothing(gateway: Gateway) -> None:
    opened = gateway.new_session(kind="pyspark")
    folder = opened.folder
    wait_until(lambda: processes.family(folder), SOON, "the driver's process")
    opened.delete()
    assert not opened.exists() and processes.family(folder) == []
    wait_until(lambda: not folder.exists(), SOON, "its folder is gone")


def test_supervisor_had_nothing_to_complain_about(stopped: Session) -> None:
    assert " ERROR " not in stopped.gateway.output("supervisor")


def test_interrupt_ends_the_session(gateway: Gateway) -> None:
    opened = gateway.new_session(kind="pyspark")
    assert gateway.post(f"{opened.path}/interrupt") == {"msg": "interrupted"}
    assert opened.state == "dead"
    opened.delete()


def test_two_deletes_at_once_both_end_well(gateway: Gateway) -> None:
    opened = gateway.new_session(kind="pyspark")
    with ThreadPoolExecutor(2) as pool:
        codes = [answer.status_code for answer in pool.map(lambda _: gateway.call("DELETE", opened.path), range(2))]
    assert sorted(codes) in ([200, 200], [200, 404])
    assert not opened.exists()


@pytest.mark.parametrize("name", ["", "123"])
def test_name_that_looks_like_an_id_is_refused(gateway: Gateway, name: str) -> None:
    answer = gateway.call("POST", "/sessions", {"name": name})
    assert answer.status_code == 400
    assert answer.json() == {"msg": f"Rejected, Reason: Invalid session name: {name}"}


def test_sessions_start_at_most_so_many_at_a_time(start_gateway: Callable[..., Gateway]) -> None:
    gateway = start_gateway(max_starting_drivers=1)
    first, second = gateway.new_session(), gateway.new_session()
    wait_until(lambda: processes.family(first.folder), SOON, "the first one's process")
    first.wait_for("idle")
    times = gateway.query(
        "SELECT name, at FROM events WHERE subject = 'driver' AND name IN ('launching', 'ready') ORDER BY id"
    )
    assert [name for name, _ in times][:2] == ["launching", "ready"]
    second.delete()
