"""The outbox: an event is there if and only if its change is."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from gateway.core import events
from gateway.core.clock import from_text
from gateway.core.events import Belonging
from gateway.core.identity import ANONYMOUS
from gateway.core.store.database import Database

pytestmark = pytest.mark.both_stores

MINE = Belonging("alice", "default")


def test_an_event_holds_what_happened_to_whom_and_when(db: Database, clock) -> None:
    events.record(db, clock(), MINE, "session", 3, "dead", reason="out of \u2028 memory")
    row = db.row("SELECT * FROM events")
    assert row is not None
    assert (row["subject"], row["subject_id"], row["name"]) == ("session", "3", "dead")
    assert from_text(row["at"]) == clock()
    assert json.loads(row["data"]) == {"reason": "out of \u2028 memory"}


def test_an_event_vanishes_with_the_change_it_tells_of(db: Database, clock) -> None:
    with pytest.raises(ZeroDivisionError), db.transaction():
        events.record(db, clock(), MINE, "session", 3, "dead")
        raise ZeroDivisionError
    assert db.value("SELECT count(*) FROM events") == 0


def test_old_events_are_dropped_and_new_ones_stay(db: Database, clock) -> None:
    for name in ("old", "new"):
        events.record(db, clock(), MINE, "session", 0, name)
        clock.advance(days=1)
    assert events.forget_before(db, clock() - timedelta(days=1)) == 1
    assert [row["name"] for row in db.rows("SELECT name FROM events")] == ["new"]


def test_event_numbers_are_never_given_twice(db: Database, clock) -> None:
    """A consumer keeps the last number it has seen."""
    events.record(db, clock(), MINE, "session", 0, "one")
    events.forget_before(db, clock() + timedelta(seconds=1))
    events.record(db, clock(), MINE, "session", 0, "two")
    assert db.value("SELECT id FROM events") == 2


def test_who_reads_from_a_cursor_on_misses_nothing_of_those_who_write_at_once(db: Database, clock) -> None:
    def write(_: int) -> None:
        with db.transaction():
            events.record(db, clock(), MINE, "session", 0, "one")

    cursor, seen = events.newest(db), 0
    with ThreadPoolExecutor(4) as threads:
        writing = [threads.submit(write, number) for number in range(100)]
        while not all(one.done() for one in writing) or events.newest(db) > cursor:
            for event in events.after(db, ANONYMOUS, cursor, 1000):
                cursor, seen = event.id, seen + 1
    assert seen == 100
