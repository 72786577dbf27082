"""What a cancel leaves behind. That the work itself stops, in every language: `test_cancel_stops_work.py`."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core import processes
from tests.integration.running_gateway import SOON, Session, processor_share, wait_until


def jobs(session: Session, state: str) -> list[dict[str, Any]]:
    return list(session.ui(f"/jobs?status={state}"))


def interpreters(session: Session) -> list[int]:
    """The process that runs plain code, without Spark's JVM and workers."""
    found = [one.pid for one in processes.family(session.folder) if "launch.py" in " ".join(one.cmdline()[:2])]
    assert found
    return found


@pytest.mark.parametrize(
    "code",
    ["while True: pass", "import time; time.sleep(600)", "import os; os.system('sleep 600')"],
    ids=["loop", "sleep", "child process"],
)
def test_cancelled_plain_code_stops(session: Session, code: str) -> None:
    statement = session.submit(code).wait_running()
    assert statement.cancel()["state"] == "cancelled"
    assert session.state == "idle"
    wait_until(lambda: processor_share(interpreters(session), 0.5) < 0.5, SOON, "the interpreter is quiet")
    names = [" ".join(process.cmdline()) for process in processes.family(session.folder)]
    assert not [name for name in names if "sleep 600" in name]


def test_what_was_printed_before_a_cancel_is_kept(session: Session) -> None:
    statement = session.submit("print('so far', flush=True)\nwhile True: pass").wait_running()
    ended = statement.cancel()
    assert ended["output"]["ename"] == "KeyboardInterrupt"
    assert ended["output"]["data"] == {"text/plain": "so far"}


def test_loop_of_many_jobs_is_stopped_as_a_whole(session: Session) -> None:
    statement = session.submit("while True: sc.parallelize([1]).count()")
    wait_until(lambda: statement.document["progress"] > 0, SOON, "some jobs have run")
    assert statement.cancel()["state"] == "cancelled"
    assert jobs(session, "running") == []


def test_cancelled_while_waiting_never_runs(session: Session) -> None:
    session.text("touched = False")
    first, second = session.submit("import time; time.sleep(600)"), session.submit("touched = True")
    first.wait_running()
    assert second.cancel() | {"completed": 0, "code": ""} == {
        "id": second.id,
        "code": "",
        "state": "cancelled",
        "output": None,
        "progress": 1.0,
        "started": 0,
        "completed": 0,
    }
    assert first.cancel()["state"] == "cancelled"
    assert session.text("touched") == "False"


def test_cancel_of_an_ended_or_unknown_statement_changes_nothing(session: Session) -> None:
    ended = session.submit("'kept'")
    before = ended.wait()
    assert ended.cancel() == before
    assert session.gateway.post(f"{session.path}/statements/99999/cancel") == {"msg": "canceled"}


def test_session_survives_many_cancels_at_random_moments(session: Session) -> None:
    session.text("x = 17")
    for _ in range(10):
        statement = session.submit("sum(range(10 ** 7)); sc.parallelize(range(100)).map(lambda n: n * n).sum()")
        assert statement.cancel()["state"] in ("cancelled", "available")
    assert session.text("x + sc.parallelize([1, 2]).sum()") == "20"
