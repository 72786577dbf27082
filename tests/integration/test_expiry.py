"""Sessions that nobody needs any more go by themselves: heartbeat, idle time, time to live, retention."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.core import processes
from tests.integration.running_gateway import SOON, Gateway, Session, wait_until


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = Gateway(tmp_path_factory.mktemp("impatient"), retention="3s", session_idle_timeout="0")
    try:
        yield running.open()
    finally:
        running.close()


def reason_of_end(gateway: Gateway, session: Session) -> str:
    found = gateway.query(
        "SELECT data FROM events WHERE subject = 'session' AND subject_id = ? ORDER BY id DESC LIMIT 1", str(session.id)
    )
    return str(found[0][0])


def wait_until_gone(gateway: Gateway, session: Session) -> None:
    """Without looking at the session itself, which would count as a heartbeat."""
    wait_until(
        lambda: not gateway.query("SELECT 1 FROM sessions WHERE id = ?", session.id),
        SOON,
        f"session {session.id} expires",
    )


def test_session_whose_client_is_silent_is_deleted(impatient: Gateway) -> None:
    silent = impatient.new_session(heartbeatTimeoutInSecond=1)
    wait_until_gone(impatient, silent)
    assert "heartbeatTimeoutInSecond" in reason_of_end(impatient, silent)
    assert not silent.exists()


def test_session_whose_client_asks_now_and_then_stays(impatient: Gateway) -> None:
    watched, silent = (impatient.new_session(heartbeatTimeoutInSecond=3) for _ in range(2))

    def silent_is_gone() -> bool:
        assert watched.state in ("starting", "idle")
        return not impatient.query("SELECT 1 FROM sessions WHERE id = ?", silent.id)

    wait_until(silent_is_gone, SOON, "the silent one expires")
    assert watched.exists()
    watched.delete()


def test_looking_at_the_list_is_no_heartbeat(impatient: Gateway) -> None:
    silent = impatient.new_session(heartbeatTimeoutInSecond=1)
    wait_until(
        lambda: silent.id not in [one["id"] for one in impatient.get("/sessions")["sessions"]], SOON, "it expires"
    )


def test_old_session_is_deleted_with_all_its_processes(impatient: Gateway) -> None:
    old = impatient.new_session(ttl="2s")
    folder = old.folder
    wait_until(lambda: not old.exists(), SOON, "it expires")
    assert "ttl" in reason_of_end(impatient, old)
    wait_until(lambda: not processes.family(folder) and not folder.exists(), SOON, "nothing of it is left")


def test_idle_session_goes_but_not_while_code_runs(impatient: Gateway) -> None:
    idle = impatient.new_session(kind="pyspark", idleTimeout="3s")
    long = idle.submit("import time; time.sleep(12); 'done'")
    assert long.wait()["output"]["data"] == {"text/plain": "'done'"}
    wait_until(lambda: not idle.exists(), SOON, "it expires although it is polled")
    assert "idleTimeout" in reason_of_end(impatient, idle)


def test_session_in_which_a_stream_runs_is_in_use(impatient: Gateway) -> None:
    streams = impatient.new_session(kind="pyspark", idleTimeout="3s")
    streams.text(
        "rate = spark.newSession().readStream.format('rate').load().writeStream.format('noop')\n"
        "stream = rate.trigger(processingTime='1 minute').start()"
    )
    later = (
        "SELECT 1 FROM sessions JOIN statements ON session = sessions.id WHERE sessions.id = ? AND activity > completed"
    )
    wait_until(lambda: impatient.query(later, streams.id), SOON, "the stream counts as work")
    streams.text("stream.stop()")
    wait_until_gone(impatient, streams)
    assert "idleTimeout" in reason_of_end(impatient, streams)


def test_ended_session_is_forgotten_after_the_retention_time(impatient: Gateway) -> None:
    ended = impatient.new_session()
    folder = ended.folder
    impatient.call("POST", f"{ended.path}/stop")
    assert ended.state == "dead"
    wait_until(lambda: not ended.exists(), SOON, "it is forgotten")
    wait_until(lambda: not folder.exists(), SOON, "its log is forgotten")


def test_bad_durations_are_refused_in_livy_s_words(impatient: Gateway) -> None:
    answer = impatient.call("POST", "/sessions", {"ttl": "5parsec"})
    assert (answer.status_code, answer.json()) == (400, {"msg": 'Rejected, Reason: Invalid suffix: "parsec"'})
