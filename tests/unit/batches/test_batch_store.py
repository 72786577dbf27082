"""Batches in the store: moves, names, ids, limits, order."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from batches import store as store_module
from batches.models import Batch
from batches.states import BATCH_MOVES, BatchState, Target
from batches.store import BatchStore
from gateway.core.errors import DuplicateName, LimitReached
from gateway.core.identity import ANONYMOUS
from gateway.core.store.database import Database

pytestmark = pytest.mark.both_stores
FOLDER = Path("/batches/1")


def verbs(store: BatchStore, clock: Any) -> dict[str, Callable[[], object]]:
    return {
        "start": lambda: store.start(0, FOLDER, clock()),
        "succeed": lambda: store.end(0, BatchState.SUCCESS, 0, None, clock()),
        "die": lambda: store.end(0, BatchState.DEAD, 1, "why", clock()),
        "kill": lambda: store.end(0, BatchState.KILLED, None, "why", clock()),
        "delete": lambda: store.delete(0),
        "expire": lambda: store.expire(clock() + timedelta(days=1)),
        "set_app": lambda: store.set_app(0, "app", None),
    }


VERBS = ["start", "succeed", "die", "kill", "delete", "expire", "set_app"]


def state_after(before: BatchState, verb: str, db: Database, store: BatchStore, clock: Any) -> BatchState:
    db.run("UPDATE batches SET state = :state, ended = NULL", {"state": before.value})
    verbs(store, clock)[verb]()
    return BatchState(db.value("SELECT state FROM batches"))


def test_every_state_has_its_row_in_the_table() -> None:
    assert set(BATCH_MOVES) == set(BatchState)


@pytest.mark.parametrize("before", BatchState)
@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_moves_a_batch_against_the_table(
    before: BatchState, verb: str, db: Database, batch_store: BatchStore, add_batch, clock
) -> None:
    add_batch()
    after = state_after(before, verb, db, batch_store, clock)
    assert after is before or after in BATCH_MOVES[before]


def test_every_move_in_the_table_is_made_by_some_verb(db: Database, batch_store: BatchStore, add_batch, clock) -> None:
    add_batch()
    seen = {
        before: {state_after(before, verb, db, batch_store, clock) for verb in VERBS if verb != "delete"} - {before}
        for before in BatchState
    }
    assert seen == BATCH_MOVES


def test_a_batch_comes_back_as_it_was_submitted(add_batch, batch_store: BatchStore, clock) -> None:
    batch = add_batch("/a.py", name="n", args=["1", "--x"])
    assert (batch.id, batch.name, batch.state, batch.target) == (0, "n", BatchState.STARTING, Target.FINISHED)
    assert (batch.request.file, batch.request.args, batch.created) == ("/a.py", ["1", "--x"], clock())
    assert batch_store.find(ANONYMOUS, 0) == batch_store.find(ANONYMOUS, "n") == batch
    assert batch_store.find(ANONYMOUS, "0") is None and batch_store.find(ANONYMOUS, 1) is None


def test_ids_rise_from_zero_and_are_never_given_again(add_batch, batch_store: BatchStore, clock) -> None:
    assert [add_batch().id for _ in range(2)] == [0, 1]
    batch_store.remove(1, clock())
    assert add_batch().id == 2


def test_a_refused_batch_leaves_nothing_and_burns_no_id(add_batch, db: Database) -> None:
    add_batch(name="n")
    events = db.value("SELECT count(*) FROM events")
    with pytest.raises(DuplicateName, match="^the batch name 'n' is taken"):
        add_batch(name="n")
    with pytest.raises(LimitReached):
        add_batch(most_waiting=1)
    assert (db.value("SELECT count(*) FROM batches"), db.value("SELECT count(*) FROM events")) == (1, events)
    assert add_batch().id == 1


def test_a_name_is_free_as_soon_as_its_batch_is_deleted(add_batch, batch_store: BatchStore) -> None:
    add_batch(name="n")
    batch_store.delete(0)
    assert add_batch(name="n").id == 1
    assert batch_store.find(ANONYMOUS, "n").id == 1  # type: ignore[union-attr]


def test_a_deleted_batch_is_seen_by_nobody_but_the_supervisor(add_batch, batch_store: BatchStore, clock) -> None:
    add_batch(), add_batch()
    batch_store.delete(0)
    assert batch_store.find(ANONYMOUS, 0) is None
    assert (batch_store.page(ANONYMOUS, 0, 9)[0], [batch.id for batch in batch_store.page(ANONYMOUS, 0, 9)[1]]) == (
        1,
        [1],
    )
    assert [batch.id for batch in batch_store.unwanted()] == [0] and batch_store.exists(0)
    assert not batch_store.start(0, FOLDER, clock())
    batch_store.remove(0, clock())
    assert not batch_store.exists(0)


def test_the_queue_is_in_order_and_bounded(add_batch, batch_store: BatchStore, clock) -> None:
    for _ in range(5):
        add_batch()
    assert [batch.id for batch in batch_store.next(2)] == [0, 1]
    batch_store.start(0, FOLDER, clock()), batch_store.start(1, FOLDER, clock())
    assert batch_store.next(2) == [] and batch_store.next(1) == []
    batch_store.end(0, BatchState.SUCCESS, 0, None, clock())
    assert [batch.id for batch in batch_store.next(2)] == [2]
    batch_store.delete(2)
    assert [batch.id for batch in batch_store.next(2)] == [3]


def test_of_many_starts_at_once_one_wins(add_batch, batch_store: BatchStore, clock) -> None:
    add_batch()
    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(lambda _: batch_store.start(0, FOLDER, clock()), range(8))) == 1


def test_a_hundred_submitted_at_once_are_all_there(add_batch, batch_store: BatchStore) -> None:
    with ThreadPoolExecutor(8) as threads:
        ids = [batch.id for batch in threads.map(lambda _: add_batch(), range(100))]
    assert sorted(ids) == list(range(100))
    assert batch_store.page(ANONYMOUS, 0, 1)[0] == 100


def test_the_limit_of_waiting_batches_holds_when_many_come_at_once(add_batch, batch_store: BatchStore) -> None:
    def attempt(_: int) -> bool:
        try:
            add_batch(most_waiting=7)
        except LimitReached:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(attempt, range(40))) == 7


def test_running_batches_do_not_count_as_waiting(add_batch, batch_store: BatchStore, clock) -> None:
    add_batch(most_waiting=1)
    batch_store.start(0, FOLDER, clock())
    assert add_batch(most_waiting=1).id == 1


def test_the_end_is_written_once(add_batch, batch_store: BatchStore, clock) -> None:
    add_batch()
    batch_store.start(0, FOLDER, clock())
    assert batch_store.end(0, BatchState.DEAD, 3, "why", clock())
    assert not batch_store.end(0, BatchState.SUCCESS, 0, None, clock())
    batch = batch_store.find(ANONYMOUS, 0)
    assert batch is not None and (batch.state, batch.exit_code, batch.ended) == (BatchState.DEAD, 3, clock())


def test_old_ended_batches_are_marked_for_deletion(add_batch, batch_store: BatchStore, clock) -> None:
    add_batch(), add_batch()
    batch_store.start(0, FOLDER, clock())
    batch_store.end(0, BatchState.SUCCESS, 0, None, clock())
    assert batch_store.expire(clock()) == 0
    clock.advance(seconds=1)
    assert batch_store.expire(clock()) == 1 and batch_store.expire(clock()) == 0
    assert [batch.id for batch in batch_store.unwanted()] == [0]


def test_a_running_batch_is_known_by_its_folder(add_batch, batch_store: BatchStore, clock) -> None:
    batch: Batch = add_batch()
    assert batch_store.with_folders([batch.folder.name]) == []
    batch_store.start(0, FOLDER, clock())
    assert [found.id for found in batch_store.with_folders([batch.folder.name])] == [0]


def test_a_batch_without_an_application_is_asked_for_it_until_there_is_one(add_batch, batch_store, clock) -> None:
    add_batch()
    assert batch_store.without_app() == []
    batch_store.start(0, FOLDER, clock())
    assert [batch.id for batch in batch_store.without_app()] == [0]
    batch_store.set_app(0, "local-1", "http://h:1")
    assert batch_store.without_app() == []
    found = batch_store.find(ANONYMOUS, 0)
    assert (found.app_id, found.ui_url) == ("local-1", "http://h:1")


def test_of_many_that_ended_long_ago_some_expire_at_a_time(
    add_batch, batch_store: BatchStore, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_EXPIRED_AT_ONCE", 2)
    for number in reversed([add_batch().id for _ in range(5)]):
        batch_store.end(number, BatchState.DEAD, 1, "why", clock())
        clock.advance(seconds=1)
    assert [batch_store.expire(clock()) for _ in range(2)] == [2, 2]
    assert [batch.id for batch in batch_store.page(ANONYMOUS, 0, 9)[1]] == [0]
    assert [batch_store.expire(clock()) for _ in range(2)] == [1, 0]
