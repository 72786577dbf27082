"""The supervisor may be killed at any moment: drivers go on, and the next one takes them up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.running_gateway import SOON, Gateway, Session, wait_until


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def held(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """An idle session of a gateway on each store."""
    if request.param == "sqlite":
        yield request.getfixturevalue("session")
        return
    server = request.getfixturevalue("postgres")
    gateway = Gateway(tmp_path_factory.mktemp("postgres"), store=server.url(server.create()))
    try:
        yield gateway.open().new_session(kind="shared").wait_for("idle")
    finally:
        gateway.close()


def test_running_statement_is_finished_by_the_next_supervisor(held: Session) -> None:
    gateway, session = held.gateway, held
    session.text("x = 'still here'")
    statement = session.submit("import time; print('long output ' * 1000); time.sleep(4); x").wait_running()
    gateway.kill_supervisor()
    gateway.start_supervisor()
    output = statement.wait(SOON)["output"]["data"]["text/plain"]
    assert output.startswith("long output") and output.endswith("'still here'")


def test_statement_that_ended_while_nobody_listened_is_not_lost(held: Session, tmp_path: Path) -> None:
    gateway, session = held.gateway, held
    go, done = tmp_path / "go", tmp_path / "done"
    session.text("count = 0; import os, time")
    code = (
        f"while not os.path.exists('{go}'): time.sleep(0.01)\ncount += 1; print('y' * 3_000_000); open('{done}', 'w')"
    )
    statement = session.submit(code).wait_running()
    gateway.kill_supervisor()
    later = session.submit("count")
    go.touch()
    wait_until(done.exists, SOON, "the driver has run it")
    gateway.start_supervisor()
    text = statement.wait(SOON)["output"]["data"]["text/plain"]
    assert text.count("y") >= 3_000_000
    assert later.wait(SOON)["output"]["data"] == {"text/plain": "1"}


def test_cancel_asked_while_nobody_listened_is_carried_out(held: Session) -> None:
    gateway, session = held.gateway, held
    statement = session.submit("while True: pass").wait_running()
    gateway.kill_supervisor()
    gateway.post(f"{statement.path}/cancel")
    gateway.start_supervisor()
    assert statement.wait(SOON)["state"] == "cancelled"


def test_second_supervisor_waits_for_the_first(held: Session) -> None:
    gateway, session = held.gateway, held
    first = gateway.supervisor
    assert first is not None
    gateway.start_supervisor()
    second = gateway.supervisor
    try:
        wait_until(lambda: "holds the lease; waiting" in gateway.output("supervisor"), SOON, "it says so")
        assert session.text("'served by the first'") == "'served by the first'"
    finally:
        first.terminate()
        first.wait(SOON)
    assert second is not None and second.poll() is None
    assert session.text("'served by the second'") == "'served by the second'"
