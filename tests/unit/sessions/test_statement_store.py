"""Statements in the store: one runs per session, in order, and never twice."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest

from gateway import stores
from gateway.core.errors import LimitReached
from gateway.core.settings import Settings
from sessions.drivers.store import DriverStore
from sessions.models import Session
from sessions.statements.models import Statement
from sessions.statements.states import StatementState
from sessions.statements.store import StatementStore

pytestmark = pytest.mark.both_stores


@pytest.fixture
def submit(statement_store: StatementStore, clock):
    def submit(
        session: int, code: str = "1", most_unfinished: int = 10_000, retained: int = 10_000
    ) -> Statement | None:
        return statement_store.submit(session, code, "sql", clock(), most_unfinished=most_unfinished, retained=retained)

    return submit


@pytest.fixture
def many(add_session, make_ready, submit) -> list[int]:
    """Twenty idle sessions with five statements each."""
    sessions = [add_session() for _ in range(20)]
    for session in sessions:
        make_ready(session)
        for _ in range(5):
            submit(session.id)
    return [session.id for session in sessions]


def keys(statements: list[Statement]) -> list[tuple[int, int]]:
    return [(statement.session, statement.id) for statement in statements]


def claim_and_finish(settings: Settings) -> list[tuple[int, int]]:
    """What one supervisor of several would do, until nothing is left to do."""
    db, now = stores.open_store(settings), datetime.now(timezone.utc)
    store, done = StatementStore(db, "here"), []
    while store.has_waiting():
        for statement in store.claim(now):
            done.append((statement.session, statement.id))
            assert store.finish(statement.session, statement.id, "{}", now, now)
    db.close()
    return done


def test_a_statement_comes_back_as_it_was_submitted(idle_session: Session, submit, statement_store, clock) -> None:
    statement = submit(idle_session.id, "select 'ü🎉'\r\n\ttab")
    assert statement == statement_store.find(idle_session.id, 0)
    assert (statement.id, statement.code, statement.state) == (0, "select 'ü🎉'\r\n\ttab", StatementState.WAITING)
    assert (statement.output, statement.progress, statement.started, statement.completed) == (None, 0.0, None, None)
    assert statement_store.find(idle_session.id, 1) is None and statement_store.find(99, 0) is None


def test_a_claim_takes_the_first_of_each_idle_session(
    idle_session, add_session, make_ready, submit, statement_store, clock
):
    other = add_session()
    make_ready(other)
    starting = add_session()
    for session in (idle_session, other, starting):
        submit(session.id), submit(session.id)
    assert sorted(keys(statement_store.claim(clock()))) == [(idle_session.id, 0), (other.id, 0)]
    assert statement_store.claim(clock()) == []


@pytest.mark.parametrize("gone", [False, True])
def test_a_driver_that_is_to_go_is_given_no_statement(
    gone: bool, idle_session: Session, submit, statement_store, driver_store: DriverStore, clock
) -> None:
    """What waits stays for the driver that comes after it."""
    submit(idle_session.id)
    assert driver_store.give_up(idle_session.driver, "why", replace=True)
    if gone:
        driver_store.gone(idle_session.driver, None, clock())
    assert statement_store.claim(clock()) == []
    assert statement_store.find(idle_session.id, 0).state is StatementState.WAITING


def test_the_next_is_claimed_when_the_first_has_ended(idle_session: Session, submit, statement_store, clock) -> None:
    for _ in range(3):
        submit(idle_session.id)
    for number in range(3):
        assert keys(statement_store.claim(clock())) == [(idle_session.id, number)]
        assert statement_store.claim(clock()) == []
        statement_store.finish(idle_session.id, number, "{}", clock(), clock())
    assert not statement_store.has_waiting()


def test_while_one_is_being_cancelled_no_other_is_claimed(
    idle_session: Session, submit, statement_store, clock
) -> None:
    submit(idle_session.id), submit(idle_session.id)
    statement_store.claim(clock())
    statement_store.cancel(idle_session.id, 0, clock())
    assert statement_store.claim(clock()) == []
    statement_store.finish(idle_session.id, 0, "{}", clock(), clock())
    assert keys(statement_store.claim(clock())) == [(idle_session.id, 1)]


def test_a_cancelled_one_is_passed_over(idle_session: Session, submit, statement_store, clock) -> None:
    submit(idle_session.id), submit(idle_session.id)
    statement_store.cancel(idle_session.id, 0, clock())
    assert keys(statement_store.claim(clock())) == [(idle_session.id, 1)]


def test_what_was_submitted_while_starting_runs_once_idle(
    add_session, make_ready, submit, statement_store, clock
) -> None:
    session = add_session()
    submit(session.id)
    assert statement_store.claim(clock()) == []
    make_ready(session)
    assert keys(statement_store.claim(clock())) == [(session.id, 0)]


def test_threads_that_claim_at_once_never_claim_the_same(many: list[int], settings: Settings) -> None:
    with ThreadPoolExecutor(4) as threads:
        done = [key for some in threads.map(claim_and_finish, [settings] * 4) for key in some]
    assert sorted(done) == [(session, number) for session in many for number in range(5)]


def test_processes_that_claim_at_once_never_claim_the_same(many: list[int], settings: Settings) -> None:
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as pool:
        done = [key for some in pool.map(claim_and_finish, [settings] * 4) for key in some]
    assert sorted(done) == [(session, number) for session in many for number in range(5)]


def test_threads_that_submit_at_once_get_numbers_without_gaps(idle_session: Session, submit) -> None:
    with ThreadPoolExecutor(4) as threads:
        numbers = [statement.id for statement in threads.map(lambda _: submit(idle_session.id), range(50))]
    assert sorted(numbers) == list(range(50))


@pytest.mark.parametrize(
    ("reach", "answer", "after"),
    [
        ([], StatementState.CANCELLED, StatementState.CANCELLED),
        (["claim"], StatementState.CANCELLING, StatementState.CANCELLING),
        (["claim", "cancel"], None, StatementState.CANCELLING),
        (["claim", "finish"], None, StatementState.AVAILABLE),
        (["cancel"], None, StatementState.CANCELLED),
    ],
)
def test_a_cancel_in_every_state(reach, answer, after, idle_session: Session, submit, statement_store, clock) -> None:
    submit(idle_session.id)
    step = {
        "claim": lambda: statement_store.claim(clock()),
        "cancel": lambda: statement_store.cancel(idle_session.id, 0, clock()),
        "finish": lambda: statement_store.finish(idle_session.id, 0, "{}", clock(), clock()),
    }
    for name in reach:
        step[name]()
    assert statement_store.cancel(idle_session.id, 0, clock()) is answer
    assert statement_store.find(idle_session.id, 0).state is after


def test_a_cancelled_waiting_statement_looks_as_in_livy(idle_session: Session, submit, statement_store, clock) -> None:
    submit(idle_session.id)
    statement_store.cancel(idle_session.id, 0, clock())
    statement = statement_store.find(idle_session.id, 0)
    assert (statement.output, statement.started, statement.progress) == (None, None, 1.0)
    assert statement.completed == clock()


def test_a_cancel_of_nothing_does_nothing(idle_session: Session, statement_store, clock) -> None:
    assert statement_store.cancel(idle_session.id, 7, clock()) is None
    assert statement_store.cancel(99, 0, clock()) is None


def test_the_answer_of_a_cancelled_statement_is_kept(idle_session: Session, submit, statement_store, clock) -> None:
    submit(idle_session.id)
    statement_store.claim(clock())
    statement_store.cancel(idle_session.id, 0, clock())
    assert statement_store.finish(idle_session.id, 0, '{"status":"error"}', clock(), clock())
    statement = statement_store.find(idle_session.id, 0)
    assert (statement.state, statement.output) == (StatementState.CANCELLED, '{"status":"error"}')


def test_an_answer_that_comes_twice_or_too_late_changes_nothing(
    idle_session: Session, submit, session_store, statement_store, clock
) -> None:
    submit(idle_session.id), submit(idle_session.id)
    statement_store.claim(clock())
    assert statement_store.finish(idle_session.id, 0, '"first"', clock(), clock())
    assert not statement_store.finish(idle_session.id, 0, '"second"', clock(), clock())
    statement_store.claim(clock())
    session_store.remove(idle_session.id, "", clock())
    assert not statement_store.finish(idle_session.id, 1, '"late"', clock(), clock())


def test_times_and_progress_are_those_of_the_driver(idle_session: Session, submit, statement_store, clock) -> None:
    submit(idle_session.id)
    statement_store.claim(clock())
    statement_store.set_progress(idle_session.id, 0, 0.5)
    assert statement_store.find(idle_session.id, 0).progress == 0.5
    began, ended = clock() + timedelta(seconds=1), clock() + timedelta(seconds=3)
    statement_store.finish(idle_session.id, 0, "{}", began, ended)
    statement_store.set_progress(idle_session.id, 0, 0.7)
    statement = statement_store.find(idle_session.id, 0)
    assert (statement.started, statement.completed, statement.progress) == (began, ended, 1.0)


def test_running_statements_come_with_the_claims_of_their_sessions(
    idle_session: Session, submit, statement_store, clock
) -> None:
    submit(idle_session.id)
    assert statement_store.running() == []
    statement_store.claim(clock())
    ((statement, claim),) = statement_store.running()
    assert (statement.id, claim.driver.id, claim.seat) == (0, idle_session.driver, 0)
    assert claim.driver.folder == idle_session.folder


def test_a_dead_session_takes_no_statement(idle_session: Session, submit, session_store, clock) -> None:
    session_store.end(idle_session.id, "", clock())
    assert submit(idle_session.id) is None
    assert submit(99) is None


def test_the_limit_of_unfinished_statements(idle_session: Session, submit, statement_store, clock) -> None:
    submit(idle_session.id, most_unfinished=2), submit(idle_session.id, most_unfinished=2)
    with pytest.raises(LimitReached, match="2 unfinished statements"):
        submit(idle_session.id, most_unfinished=2)
    statement_store.cancel(idle_session.id, 0, clock())
    assert submit(idle_session.id, most_unfinished=2).id == 2, "a refused statement burns no number"


def test_the_newest_statements_are_kept(idle_session: Session, submit, statement_store, clock) -> None:
    for number in range(6):
        submit(idle_session.id, retained=3)
        statement_store.claim(clock())
        statement_store.finish(idle_session.id, number, "{}", clock(), clock())
    total, kept = statement_store.page(idle_session.id, 0, -1, newest_first=False)
    assert (total, [statement.id for statement in kept]) == (3, [3, 4, 5])
    assert statement_store.find(idle_session.id, 2) is None


def test_an_unfinished_statement_is_never_dropped(idle_session: Session, submit, statement_store) -> None:
    for _ in range(6):
        submit(idle_session.id, retained=3)
    assert statement_store.page(idle_session.id, 0, -1, newest_first=False)[0] == 6


def test_pages_of_statements(idle_session: Session, submit, statement_store) -> None:
    for _ in range(5):
        submit(idle_session.id)

    def numbers(start: int, size: int, newest_first: bool) -> list[int]:
        return [s.id for s in statement_store.page(idle_session.id, start, size, newest_first=newest_first)[1]]

    assert numbers(1, 2, False) == [1, 2] and numbers(1, 2, True) == [3, 2]
    assert numbers(0, -1, True) == [4, 3, 2, 1, 0] and numbers(0, 0, False) == [] and numbers(9, 9, False) == []


def test_a_finished_statement_is_activity_of_its_session(
    idle_session: Session, submit, session_store, statement_store, clock
) -> None:
    submit(idle_session.id)
    statement_store.claim(clock())
    clock.advance(hours=5)
    statement_store.finish(idle_session.id, 0, "{}", clock(), clock())
    assert session_store.live()[0].activity == clock()
