"""A session's jobs in the store: which may start when, how each ends, and that none runs twice."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from gateway.core.errors import LimitReached
from gateway.core.identity import ANONYMOUS
from gateway.core.store.database import Database
from sessions.drivers.store import DriverStore
from sessions.jobs.models import Addition, SessionJob
from sessions.jobs.states import ADDITION_MOVES, JOB_MOVES, AdditionState, JobState
from sessions.jobs.store import JobStore
from sessions.models import Kind, Session
from sessions.store import SessionStore

pytestmark = pytest.mark.both_stores


@pytest.fixture
def store(db: Database) -> JobStore:
    return JobStore(db, "here")


@pytest.fixture
def submit(store: JobStore, clock) -> Callable[..., SessionJob]:
    def submit(session: Session, most_unfinished: int = 1000, retained: int = 1000) -> SessionJob:
        found = store.submit(
            session.id, Kind.PYSPARK, "cGF5", clock(), most_unfinished=most_unfinished, retained=retained
        )
        assert found is not None
        return found

    return submit


@pytest.fixture
def add(store: JobStore, clock) -> Callable[..., Addition]:
    def add(session: Session, path: str = "/a.jar", most_waiting: int = 1000, retained: int = 1000) -> Addition:
        found = store.add(session.id, "jar", path, clock(), most_waiting=most_waiting, retained=retained)
        assert found is not None
        return found

    return add


def running(store: JobStore) -> list[tuple[int, int]]:
    return [(job.session, job.id) for job, _ in store.running()]


def test_jobs_count_from_one_in_each_session(idle_session: Session, add_session, submit, store: JobStore) -> None:
    other = add_session()
    assert [submit(one).id for one in (idle_session, idle_session, other)] == [1, 2, 1]
    job = store.find(idle_session.id, 2)
    assert job is not None and (job.state, job.result, job.error) == (JobState.QUEUED, None, None)
    assert store.payload(idle_session.id, 2) == "cGF5"
    assert store.find(idle_session.id, 3) is None


def test_jobs_of_one_session_run_beside_one_another_up_to_the_limit(
    idle_session: Session, add_session, submit, store: JobStore, clock
) -> None:
    starting = add_session()
    for session in (idle_session, idle_session, idle_session, starting):
        submit(session)
    assert store.claim(clock(), 2) == 2
    assert running(store) == [(idle_session.id, 1), (idle_session.id, 2)]
    assert store.claim(clock(), 2) == 0
    job = store.find(idle_session.id, 1)
    assert job is not None and store.finish(job, "cg==", None, clock(), clock())
    assert store.claim(clock(), 2) == 1
    assert running(store) == [(idle_session.id, 2), (idle_session.id, 3)]


def test_a_job_waits_for_what_was_added_before_it_and_for_nothing_later(
    idle_session: Session, submit, add, store: JobStore, clock
) -> None:
    submit(idle_session)
    first, second = add(idle_session, "/a"), add(idle_session, "/b")
    submit(idle_session)
    add(idle_session, "/c")
    assert store.claim(clock(), 9) == 1
    assert running(store) == [(idle_session.id, 1)]
    assert [one.path for one, _ in store.next_additions()] == ["/a"]
    assert store.settle(first, None, clock()) and not store.settle(first, "late", clock())
    assert store.claim(clock(), 9) == 0
    assert [one.path for one, _ in store.next_additions()] == ["/b"]
    store.settle(second, "it is not there", clock())
    assert store.claim(clock(), 9) == 1
    assert [one.path for one, _ in store.next_additions()] == ["/c"]


def test_nothing_is_added_before_the_session_is_idle(add_session, add, store: JobStore) -> None:
    add(add_session())
    assert store.next_additions() == [] and not store.is_quiet()


@pytest.mark.parametrize("gone", [False, True])
def test_a_driver_that_is_to_go_is_given_no_work(
    gone: bool, idle_session: Session, submit, add, store: JobStore, driver_store: DriverStore, clock
) -> None:
    submit(idle_session)
    add(idle_session)
    assert driver_store.give_up(idle_session.driver, "why")
    if gone:
        driver_store.gone(idle_session.driver, None, clock())
    assert store.claim(clock(), 9) == 0 and running(store) == [] and store.next_additions() == []


def test_an_ended_job_keeps_its_result_and_not_its_payload(
    idle_session: Session, submit, store: JobStore, clock
) -> None:
    job = submit(idle_session)
    store.claim(clock(), 9)
    clock.advance(seconds=5)
    assert store.finish(job, "cg==", None, clock(), clock())
    assert not store.finish(job, "again", None, clock(), clock())
    found = store.find(idle_session.id, job.id)
    assert found is not None and (found.state, found.result, found.ended) == (JobState.SUCCEEDED, "cg==", clock())
    assert store.payload(idle_session.id, job.id) == ""
    assert store.is_quiet()


def test_a_cancelled_job_shows_no_result_whatever_came_of_it(
    idle_session: Session, submit, store: JobStore, clock
) -> None:
    job = submit(idle_session)
    store.claim(clock(), 9)
    assert store.cancel(idle_session.id, job.id, clock()) is JobState.CANCELLING
    assert store.cancel(idle_session.id, job.id, clock()) is None
    assert store.finish(job, "cg==", None, clock(), clock())
    found = store.find(idle_session.id, job.id)
    assert found is not None and (found.state, found.result, found.error) == (JobState.CANCELLED, None, None)


def test_jobs_of_a_session_that_ends_say_why(
    idle_session: Session, session_store: SessionStore, submit, add, store: JobStore, clock
) -> None:
    for _ in range(3):
        submit(idle_session)
    store.claim(clock(), 2)
    store.cancel(idle_session.id, 2, clock())
    addition = add(idle_session)
    session_store.end(idle_session.id, "the machine is gone", clock())
    ended = [store.find(idle_session.id, number) for number in (1, 2, 3)]
    assert [(job and job.state, job and job.error) for job in ended] == [
        (JobState.FAILED, "Session ended while this job ran: the machine is gone"),
        (JobState.CANCELLED, None),
        (JobState.FAILED, "Session ended before this job ran: the machine is gone"),
    ]
    found = store.addition(idle_session.id, addition.id)
    assert found is not None and "the machine is gone" in (found.error or "")
    assert store.submit(idle_session.id, Kind.PYSPARK, "", clock(), most_unfinished=9, retained=9) is None
    assert store.add(idle_session.id, "jar", "/a", clock(), most_waiting=9, retained=9) is None


def test_jobs_whose_driver_is_replaced_do_not_say_that_the_session_ended(
    idle_session: Session, submit, store: JobStore, clock
) -> None:
    submit(idle_session)
    store.claim(clock(), 2)
    submit(idle_session)
    store.lose_driver(idle_session.id, "it was killed", clock())
    assert [(job.state, job.error) for job in map(partial(store.find, idle_session.id), (1, 2)) if job] == [
        (JobState.FAILED, "Session lost its driver while this job ran: it was killed"),
        (JobState.FAILED, "Session lost its driver before this job ran: it was killed"),
    ]


def test_a_deleted_session_leaves_nothing(
    idle_session: Session, session_store: SessionStore, submit, add, store: JobStore, clock, db: Database
) -> None:
    submit(idle_session), add(idle_session)
    session_store.remove(idle_session.id, "why", clock())
    assert store.is_quiet()
    assert db.value("SELECT count(*) FROM session_jobs") == db.value("SELECT count(*) FROM session_additions") == 0


def test_too_many_are_refused(idle_session: Session, submit, add) -> None:
    submit(idle_session, most_unfinished=1), add(idle_session, most_waiting=1)
    with pytest.raises(LimitReached, match="1 unfinished jobs"):
        submit(idle_session, most_unfinished=1)
    with pytest.raises(LimitReached, match="1 files and jars"):
        add(idle_session, most_waiting=1)
    assert submit(idle_session, most_unfinished=2).id == 2, "a refused one uses no id"


def test_only_the_newest_ended_ones_are_kept(idle_session: Session, submit, add, store: JobStore, clock) -> None:
    for _ in range(5):
        job = submit(idle_session, retained=2)
        addition = add(idle_session, retained=2)
        store.settle(addition, None, clock())
        store.claim(clock(), 9)
        store.finish(job, None, None, clock(), clock())
    assert [number for number in range(1, 6) if store.find(idle_session.id, number)] == [4, 5]
    assert [number for number in range(1, 6) if store.addition(idle_session.id, number)] == [4, 5]


def test_only_an_ended_one_can_be_forgotten(idle_session: Session, submit, store: JobStore, clock) -> None:
    queued, done = submit(idle_session), submit(idle_session)
    store.forget(idle_session.id, queued.id)
    store.claim(clock(), 9)
    store.finish(done, "result", None, clock(), clock())
    for job in (queued, done):
        store.forget(idle_session.id, job.id)
    assert running(store) == [(idle_session.id, queued.id)] and store.find(idle_session.id, done.id) is None


def test_a_session_with_jobs_is_in_use(idle_session: Session, session_store: SessionStore, submit) -> None:
    assert [lifetime.has_jobs for lifetime in session_store.live()] == [False]
    submit(idle_session)
    assert [lifetime.has_jobs for lifetime in session_store.live()] == [True]
    found = session_store.find(ANONYMOUS, idle_session.id)
    assert found is not None and found.state.value == "idle", "its state is that of its statements"


def verbs(store: JobStore, sessions: SessionStore, job: SessionJob, clock: Any) -> dict[str, Callable[[], object]]:
    return {
        "claim": lambda: store.claim(clock(), 9),
        "cancel": lambda: store.cancel(job.session, job.id, clock()),
        "succeed": lambda: store.finish(job, "r", None, clock(), clock()),
        "fail": lambda: store.finish(job, None, "e", clock(), clock()),
        "end": lambda: sessions.end(job.session, "why", clock()),
    }


def test_the_verbs_make_the_moves_of_the_tables_and_no_others(
    add_session, make_ready, submit, add, store: JobStore, session_store: SessionStore, clock, db: Database
) -> None:
    seen: dict[JobState, set[JobState]] = {state: set() for state in JobState}
    for before in JobState:
        for verb in ("claim", "cancel", "succeed", "fail", "end"):
            session = add_session()
            make_ready(session)
            job = submit(session)
            db.run("UPDATE session_jobs SET state = :state WHERE session = :id", {"state": before, "id": session.id})
            verbs(store, session_store, job, clock)[verb]()
            found = store.find(session.id, job.id)
            assert found is not None
            seen[before] |= {found.state} - {before}
            session_store.remove(session.id, "", clock())
    assert seen == JOB_MOVES
    assert set(ADDITION_MOVES) == set(AdditionState)
