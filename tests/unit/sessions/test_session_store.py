"""Sessions in the store: names, ids, limits, ends."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from gateway.core.errors import DuplicateName, LimitReached
from gateway.core.identity import ANONYMOUS
from gateway.core.options import SparkOptions
from gateway.core.store.database import Database
from sessions import store as store_module
from sessions.drivers.store import DriverStore
from sessions.models import Kind, Session
from sessions.statements.store import StatementStore
from sessions.states import SessionState
from sessions.store import SessionStore

pytestmark = pytest.mark.both_stores


def test_a_session_comes_back_as_it_was_asked_for(session_store: SessionStore, add_session, clock) -> None:
    options = SparkOptions(name="n", jars=["/a.jar"], conf={"k": "v"}, driver_cores=2)
    added = add_session(options=options, heartbeat_timeout=timedelta(seconds=60), ttl="8h", idle_timeout="1h")
    assert (added.id, added.name, added.kind, added.state) == (0, "n", Kind.PYSPARK, SessionState.STARTING)
    assert (added.options, added.heartbeat_timeout) == (options, timedelta(seconds=60))
    assert (added.ttl, added.idle_timeout, added.created, added.ended) == ("8h", "1h", clock(), None)
    assert session_store.find(ANONYMOUS, 0) == session_store.find(ANONYMOUS, "n") == added
    assert session_store.find(ANONYMOUS, 1) is None and session_store.find(ANONYMOUS, "0") is None


def test_ids_rise_from_zero_and_are_never_given_again(session_store: SessionStore, add_session, clock) -> None:
    assert [add_session().id for _ in range(3)] == [0, 1, 2]
    session_store.remove(2, "", clock())
    session_store.remove(1, "", clock())
    assert add_session().id == 3


def test_threads_that_open_at_once_do_not_exceed_the_limit(session_store: SessionStore, add_session) -> None:
    def open_one(_: int) -> bool:
        try:
            return bool(add_session(limit=10))
        except LimitReached:
            return False

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(open_one, range(30))) == 10


def test_a_refused_session_leaves_nothing_and_burns_no_id(session_store: SessionStore, add_session, db) -> None:
    add_session(name="n")
    before = {table: db.value(f"SELECT count(*) FROM {table}") for table in ("sessions", "drivers", "events")}
    with pytest.raises(DuplicateName, match="^the session name 'n' is taken"):
        add_session(name="n")
    with pytest.raises(LimitReached):
        add_session(limit=1)
    assert {table: db.value(f"SELECT count(*) FROM {table}") for table in before} == before
    assert add_session().id == 1


def test_a_name_stays_taken_while_its_session_is_listed(session_store: SessionStore, add_session, clock) -> None:
    first = add_session(name="n")
    session_store.end(first.id, "", clock())
    with pytest.raises(DuplicateName):
        add_session(name="n")
    session_store.remove(first.id, "", clock())
    assert add_session(name="n").id == 1


def test_sessions_without_a_name_do_not_clash(add_session) -> None:
    assert add_session().name is add_session().name is None


def test_of_many_sessions_of_one_name_at_once_one_is_added(add_session, session_store: SessionStore) -> None:
    def attempt(_: int) -> bool:
        try:
            add_session(name="n")
        except DuplicateName:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(attempt, range(20))) == 1
    assert session_store.page(ANONYMOUS, 0, 100)[0] == 1


def test_the_limit_counts_live_sessions_alone(add_session, session_store: SessionStore, clock) -> None:
    add_session(limit=1)
    with pytest.raises(LimitReached, match="^there are as many sessions as there may be"):
        add_session(limit=1)
    session_store.end(0, "", clock())
    assert add_session(limit=1).id == 1


def test_the_limit_holds_when_many_come_at_once(add_session, session_store: SessionStore) -> None:
    def attempt(_: int) -> None:
        try:
            add_session(limit=3)
        except LimitReached:
            pass

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(attempt, range(20)))
    assert session_store.page(ANONYMOUS, 0, 100)[0] == 3


def test_pages_are_by_rising_id(add_session, session_store: SessionStore, clock) -> None:
    for _ in range(5):
        add_session()
    session_store.remove(1, "", clock())
    assert [session.id for session in session_store.page(ANONYMOUS, 1, 2)[1]] == [2, 3]
    assert session_store.page(ANONYMOUS, 0, 0) == (4, [])
    assert session_store.page(ANONYMOUS, 9, 9) == (4, [])


def test_a_session_becomes_idle_when_its_driver_is_ready(
    add_session, session_store: SessionStore, driver_store: DriverStore, clock
) -> None:
    slow, quick = add_session(), add_session()
    driver_store.launch(quick.driver, quick.folder, clock())
    driver_store.ready(quick.driver, "local-7", "http://h:4040", clock())
    assert session_store.become_idle(clock()) == [quick.id]
    assert session_store.become_idle(clock()) == []
    found = session_store.find(ANONYMOUS, quick.id)
    assert found is not None and (found.state, found.app_id, found.ui_url) == (
        SessionState.IDLE, "local-7", "http://h:4040",
    )  # fmt: skip
    assert session_store.find(ANONYMOUS, slow.id).state is SessionState.STARTING  # type: ignore[union-attr]


def test_a_session_whose_driver_is_unwanted_never_becomes_idle(
    add_session, session_store: SessionStore, driver_store: DriverStore, clock
) -> None:
    session = add_session()
    driver_store.launch(session.driver, session.folder, clock())
    driver_store.ready(session.driver, None, None, clock())
    driver_store.give_up(session.driver, "too slow")
    assert session_store.become_idle(clock()) == []


def test_a_session_is_busy_exactly_while_it_has_unfinished_statements(
    idle_session: Session, session_store: SessionStore, statement_store: StatementStore, clock
) -> None:
    def state() -> SessionState:
        return session_store.find(ANONYMOUS, idle_session.id).state  # type: ignore[union-attr]

    assert state() is SessionState.IDLE
    for _ in range(2):
        statement_store.submit(idle_session.id, "1", "sql", clock(), most_unfinished=9, retained=9)
    assert state() is SessionState.BUSY
    statement_store.claim(clock())
    statement_store.finish(idle_session.id, 0, "{}", clock(), clock())
    assert state() is SessionState.BUSY
    statement_store.cancel(idle_session.id, 1, clock())
    assert state() is SessionState.IDLE


def test_a_starting_session_with_work_is_still_starting(
    add_session, session_store: SessionStore, statement_store: StatementStore, clock
) -> None:
    session = add_session()
    statement_store.submit(session.id, "1", "sql", clock(), most_unfinished=9, retained=9)
    assert session_store.find(ANONYMOUS, session.id).state is SessionState.STARTING  # type: ignore[union-attr]


def test_ending_a_session_finishes_its_statements_with_words_for_a_reader(
    idle_session: Session, session_store: SessionStore, statement_store: StatementStore, clock
) -> None:
    for _ in range(4):
        statement_store.submit(idle_session.id, "1", "sql", clock(), most_unfinished=9, retained=9)
    statement_store.claim(clock())
    statement_store.finish(idle_session.id, 0, '{"status":"ok"}', clock(), clock())
    statement_store.claim(clock())
    statement_store.cancel(idle_session.id, 3, clock())
    clock.advance(seconds=1)
    assert session_store.end(idle_session.id, "the machine ran out of memory", clock())
    _, (done, ran, waited, cancelled) = statement_store.page(idle_session.id, 0, -1, newest_first=False)
    assert done.output == '{"status":"ok"}' and cancelled.output is None
    for statement, words in ((ran, "Interpreter died"), (waited, "Session ended before this statement ran")):
        assert statement.state.value == "available" and statement.progress == 1.0
        assert statement.completed == clock()
        output = json.loads(statement.output or "")
        assert output["status"] == "error" and output["execution_count"] == statement.id
        assert output["evalue"].startswith(words) and "the machine ran out of memory" in output["evalue"]
        assert output["traceback"] == []


def test_ending_a_session_gives_up_its_driver(
    idle_session: Session, session_store: SessionStore, driver_store: DriverStore, clock
) -> None:
    session_store.end(idle_session.id, "", clock())
    assert [driver.id for driver in driver_store.moving()] == [idle_session.driver]
    assert not session_store.end(idle_session.id, "", clock())


def test_a_session_in_use_again_is_not_removed_for_its_idleness(
    session_store: SessionStore, idle_session: Session, clock
) -> None:
    (seen,) = session_store.live()
    clock.advance(seconds=1)
    session_store.touch(idle_session.id, clock(), activity=True)
    assert session_store.remove(idle_session.id, "", clock(), idle_since=seen.activity) is None
    (seen,) = session_store.live()
    assert session_store.remove(idle_session.id, "", clock(), idle_since=seen.activity) == idle_session.driver


def test_removing_a_session_removes_its_statements_and_gives_up_its_driver(
    idle_session: Session,
    session_store: SessionStore,
    statement_store: StatementStore,
    driver_store: DriverStore,
    db: Database,
    clock,
) -> None:
    statement_store.submit(idle_session.id, "1", "sql", clock(), most_unfinished=9, retained=9)
    assert session_store.remove(idle_session.id, "", clock()) == idle_session.driver
    assert session_store.remove(idle_session.id, "", clock()) is None
    assert session_store.find(ANONYMOUS, idle_session.id) is None
    assert db.value("SELECT count(*) FROM statements") == 0
    assert [driver.id for driver in driver_store.moving()] == [idle_session.driver]


def test_a_driver_stays_until_no_session_shows_its_log(
    idle_session: Session, session_store: SessionStore, driver_store: DriverStore, clock
) -> None:
    session_store.end(idle_session.id, "", clock())
    driver_store.gone(idle_session.driver, None, clock())
    assert driver_store.unclaimed() == []
    session_store.remove(idle_session.id, "", clock())
    assert [driver.id for driver in driver_store.unclaimed()] == [idle_session.driver]
    driver_store.remove(idle_session.driver)
    assert driver_store.unclaimed() == [] and driver_store.is_gone(idle_session.driver)


def test_a_session_without_driver_is_named_with_the_reason(
    add_session, session_store: SessionStore, driver_store: DriverStore, clock
) -> None:
    one, two, three = add_session(), add_session(), add_session()
    driver_store.gone(one.driver, "out of memory", clock())
    driver_store.gone(two.driver, None, clock())
    assert session_store.without_driver() == [(one.id, "out of memory"), (two.id, "the driver was stopped")]
    session_store.end(one.id, "", clock())
    session_store.end(two.id, "", clock())
    assert session_store.without_driver() == [] and session_store.find(ANONYMOUS, three.id) is not None


def test_ended_sessions_are_named_when_they_are_old(add_session, session_store: SessionStore, clock) -> None:
    old, live = add_session(), add_session()
    session_store.end(old.id, "", clock())
    clock.advance(hours=1)
    assert session_store.ended_before(clock()) == [old.id]
    assert session_store.ended_before(clock() - timedelta(hours=1)) == []
    assert [lease.session.id for lease in session_store.live()] == [live.id]


def test_of_many_old_ended_sessions_some_are_named_at_a_time(
    add_session, session_store: SessionStore, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_REMOVED_AT_ONCE", 2)
    for session in reversed([add_session().id for _ in range(3)]):
        session_store.end(session, "", clock())
        clock.advance(hours=1)
    assert session_store.ended_before(clock()) == [2, 1]
    session_store.remove(2, "", clock()), session_store.remove(1, "", clock())
    assert session_store.ended_before(clock()) == [0]


def test_every_change_of_a_session_leaves_an_event(
    idle_session: Session, session_store: SessionStore, db: Database, clock
) -> None:
    session_store.end(idle_session.id, "why", clock())
    session_store.remove(idle_session.id, "kept long enough", clock())
    events = db.rows("SELECT name, data FROM events WHERE subject = 'session' ORDER BY id")
    assert [event["name"] for event in events] == ["starting", "idle", "dead", "deleted"]
    assert json.loads(events[2]["data"]) == {"reason": "why"}
