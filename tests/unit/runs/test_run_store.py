"""Runs in the store: begun, ended and forgotten as the outbox tells of their batches, once, by the host they are on."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from batches.models import Batch
from batches.states import BatchState
from gateway.core import events
from gateway.core.identity import ANONYMOUS
from gateway.core.store.database import Database
from gateway.platform.runs import store as run_store
from gateway.platform.runs.failures import RunError
from gateway.platform.runs.models import Run
from gateway.platform.runs.reading import Position, Reading
from gateway.platform.runs.states import RunState
from gateway.platform.runs.store import RunStore
from gateway.stores import Stores

pytestmark = pytest.mark.both_stores


@pytest.fixture
def runs(all_stores: Stores) -> RunStore:
    all_stores.runs.begin()
    return all_stores.runs


@pytest.fixture
def start(add_batch: Callable[..., Batch], all_stores: Stores, clock) -> Callable[..., Batch]:
    """Starts a batch, on this host or the one that has these stores."""

    def one(there: Stores = all_stores) -> Batch:
        batch = add_batch()
        assert there.batches.start(batch.id, batch.folder, clock())
        return batch

    return one


def run_of(runs: RunStore, batch: Batch) -> Run:
    (found,) = runs.find(ANONYMOUS, [batch.id])
    return found


def told(db: Database) -> list[tuple[str, str]]:
    return [(event.subject_id, event.name) for event in events.after(db, ANONYMOUS, 0, 100, subject="run")]


def test_a_run_begins_with_its_batch_and_is_told_once(runs: RunStore, start, add_batch, clock, db: Database) -> None:
    waiting, batch = add_batch(), start()
    while runs.follow():
        pass
    assert runs.find(ANONYMOUS, [waiting.id]) == []
    assert [run.batch for run in runs.running()] == [batch.id]
    assert run_of(runs, batch) == Run(
        batch.id, batch.owner, batch.project, RunState.RUNNING, 0, 0, Reading(), None, clock(), None
    )
    assert told(db) == [(str(batch.id), "running")]


def test_what_was_there_before_runs_were_kept_has_none(all_stores: Stores, start) -> None:
    batch = start()
    all_stores.runs.begin()
    assert all_stores.runs.follow() == [] and all_stores.runs.find(ANONYMOUS, [batch.id]) == []


def test_a_successor_follows_from_where_its_predecessor_stopped(runs: RunStore, start, db: Database) -> None:
    first = start()
    runs.follow()
    second = start()
    again = Stores(db, "here").runs
    again.begin()
    again.follow()
    assert [run.batch for run in again.running()] == [first.id, second.id]
    assert told(db) == [(str(first.id), "running"), (str(second.id), "running")]


def test_of_two_that_follow_at_once_one_begins_the_run(
    runs: RunStore, start, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, after = start(), events.after

    def and_another(*args, **kwargs):
        found = after(*args, **kwargs)
        monkeypatch.setattr(run_store.events, "after", after)
        Stores(db, "here").runs.follow()
        return found

    monkeypatch.setattr(run_store.events, "after", and_another)
    runs.follow()
    assert told(db) == [(str(batch.id), "running")]


def test_a_transaction_that_fails_is_done_again(
    runs: RunStore, start, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = [start(), start()]
    record, calls = events.record, iter([True, False])

    def once(*args, **kwargs):
        if not next(calls):
            raise OSError("disk full")
        record(*args, **kwargs)

    with monkeypatch.context() as patched, pytest.raises(OSError, match="disk full"):
        patched.setattr(run_store.events, "record", once)
        runs.follow()
    assert runs.running() == [] and told(db) == []
    runs.follow()
    assert [run.batch for run in runs.running()] == [batch.id for batch in batches]
    assert told(db) == [(str(batch.id), "running") for batch in batches]


@pytest.mark.parametrize("tally", [{"open_stages": {"1.0": ["x", 0]}}, {"total": float("nan")}, 7])
def test_a_run_whose_reading_is_none_is_read_from_its_beginning_and_hides_no_other(
    runs: RunStore, start, db: Database, tally: object
) -> None:
    odd, good = start(), start()
    while runs.follow():
        pass
    kept = json.dumps({"log": {"offset": 7}, "tally": tally})
    db.run("UPDATE runs SET reading = :kept, looks = 3 WHERE batch = :batch", {"kept": kept, "batch": odd.id})
    assert [run.batch for run in runs.running()] == [odd.id, good.id]
    assert (run_of(runs, odd).reading, run_of(runs, odd).looks) == (Reading(), 3)


def test_a_look_at_the_outbox_is_bounded(runs: RunStore, start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_store, "_EVENTS_A_LOOK", 2)
    batches = [start() for _ in range(3)]
    seen = [runs.follow() for _ in range(4)]
    assert seen == [[one.id, one.id] for one in batches] + [[]]
    assert len(runs.running()) == 3


def test_each_host_has_the_runs_of_its_own_batches(runs: RunStore, start, db: Database, clock) -> None:
    there = Stores(db, "there")
    there.runs.begin()
    mine, theirs = start(), start(there)
    runs.follow(), there.runs.follow()
    assert [run.batch for run in runs.running()] == [mine.id]
    assert [run.batch for run in there.runs.running()] == [theirs.id]
    assert [run.batch for run in runs.find(ANONYMOUS, [mine.id, theirs.id])] == [mine.id, theirs.id]
    assert not runs.end(theirs.id, RunState.FAILED, None, clock())
    there.batches.end(theirs.id, BatchState.KILLED, None, "why", clock())
    there.batches.remove(theirs.id, clock())
    runs.follow()
    assert run_of(runs, theirs).state is RunState.RUNNING
    there.runs.follow()
    assert runs.find(ANONYMOUS, [theirs.id]) == []


def test_a_run_whose_batch_is_killed_is_terminated_and_goes_with_it(
    runs: RunStore, start, all_stores: Stores, clock, db: Database
) -> None:
    batch = start()
    runs.follow()
    all_stores.batches.delete(batch.id)
    all_stores.batches.end(batch.id, BatchState.KILLED, 143, "killed by its user", clock())
    runs.follow()
    assert run_of(runs, batch).state is RunState.TERMINATED
    all_stores.batches.remove(batch.id, clock())
    runs.follow()
    assert runs.find(ANONYMOUS, [batch.id]) == []
    assert told(db) == [(str(batch.id), "running"), (str(batch.id), "terminated")]


def test_what_was_read_is_stored_by_whoever_read_on_from_there(runs: RunStore, start, db: Database) -> None:
    batch = start()
    runs.follow()
    run, further = run_of(runs, batch), Reading(log=Position(offset=7))
    assert runs.advance(run, further, 40)
    assert (run_of(runs, batch).reading, run_of(runs, batch).progress, run_of(runs, batch).looks) == (further, 40, 1)
    assert not runs.advance(run, Reading(log=Position(offset=5)), 90)
    assert run_of(runs, batch).progress == 40
    assert told(db) == [(str(batch.id), "running")]


ERROR = RunError(
    "SPK009", "a task failed \0 as often as it may", "ValueError: \ud800 é", "1.0 (count)", "0.3 on executor 1"
)


@pytest.mark.parametrize(
    ("state", "error", "progress"),
    [(RunState.SUCCEEDED, None, 100), (RunState.FAILED, ERROR, 40), (RunState.TERMINATED, None, 40)],
)
def test_an_end_is_final_and_told_once(
    runs: RunStore, start, db: Database, clock, state: RunState, error: RunError | None, progress: int
) -> None:
    batch = start()
    runs.follow()
    runs.advance(run_of(runs, batch), Reading(), 40)
    run, end = run_of(runs, batch), clock() + timedelta(seconds=3)
    assert runs.end(batch.id, state, error, end)
    assert not runs.end(batch.id, RunState.FAILED, ERROR, clock())
    assert not runs.advance(run, Reading(), 99)
    ended = run_of(runs, batch)
    assert (ended.state, ended.error, ended.progress, ended.ended) == (state, error, progress, end)
    assert runs.running() == []
    assert told(db) == [(str(batch.id), "running"), (str(batch.id), state.value)]
    assert events.after(db, ANONYMOUS, 0, 100, subject="run")[-1].data == {"code": error and error.code}
