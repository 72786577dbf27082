"""A store that an earlier version made, with records in all its tables, is brought up to date and used."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from batches.models import Batch, BatchKind, BatchRequest
from batches.states import BatchState
from gateway import stores
from gateway.core import events
from gateway.core.identity import ANONYMOUS
from gateway.core.store.sqlite import SqliteDatabase
from gateway.stores import Stores
from sessions.states import SessionState

EARLIER = Path(__file__).with_name("earlier_store.sql")


@pytest.fixture
def earlier(tmp_path: Path) -> SqliteDatabase:
    return earlier_store(tmp_path)


def earlier_store(tmp_path: Path) -> SqliteDatabase:
    path = tmp_path / "gateway.db"
    with sqlite3.connect(path) as db:
        db.executescript(EARLIER.read_text("utf-8"))
    db.close()
    made = SqliteDatabase(path)
    assert made.migrate(stores.MIGRATIONS)
    return made


def test_it_has_what_a_new_store_has(earlier: SqliteDatabase, db: SqliteDatabase) -> None:
    def shape(one: SqliteDatabase) -> dict[str, list[str]]:
        made = one.rows("SELECT name, type, tbl_name FROM sqlite_master WHERE name NOT LIKE '%sqlite%'")
        return {
            row["name"]: sorted(column["name"] for column in one.rows(f"PRAGMA table_xinfo({row['name']})"))
            if row["type"] == "table" else [column["name"] for column in one.rows(f"PRAGMA index_xinfo({row['name']})")]
            for row in made
        }  # fmt: skip

    assert shape(earlier) == shape(db)
    assert earlier.pending(stores.MIGRATIONS) == [] and earlier.value("PRAGMA quick_check") == "ok"
    assert earlier.rows("PRAGMA foreign_key_check") == []


def test_its_sessions_and_statements_go_on(earlier: SqliteDatabase, clock) -> None:
    store = Stores(earlier, "here")
    total, (ended, live, permanent) = store.sessions.page(ANONYMOUS, 0, 9)
    assert (total, ended.name, live.name, permanent.permanent) == (3, "ended", "live", True)
    assert store.sessions.counts(ANONYMOUS) == {SessionState.DEAD: 1, SessionState.IDLE: 1, SessionState.BUSY: 1}
    assert store.statements.page(ended.id, 0, 9, newest_first=False)[1][0].output
    assert [(statement.session, statement.id) for statement in store.statements.claim(clock())] == [(live.id, 1)]
    ((addition, _),) = store.jobs.next_additions()
    store.jobs.settle(addition, None, clock())
    assert store.jobs.claim(clock(), 1) == 1
    assert store.sessions.end(live.id, "stopped by its user", clock())
    assert store.sessions.remove(ended.id, "enough", clock()) == ended.driver
    assert store.sessions.counts(ANONYMOUS) == {SessionState.DEAD: 1, SessionState.IDLE: 1}


def test_its_drivers_are_forgotten_when_nobody_refers_to_them(earlier: SqliteDatabase, clock) -> None:
    store = Stores(earlier, "here")
    assert [driver.options.name for driver in store.drivers.unclaimed()] == ["forgotten"]
    assert [driver.options.name for driver in store.drivers.running()] == ["live", "nightly"]
    store.sessions.remove(0, "enough", clock())
    assert [driver.options.name for driver in store.drivers.unclaimed()] == ["ended", "forgotten"]


def test_its_batches_go_on_and_are_found(earlier: SqliteDatabase, clock) -> None:
    store = Stores(earlier, "here").batches
    assert store.counts(ANONYMOUS) == {BatchState.SUCCESS: 1, BatchState.DEAD: 1, BatchState.STARTING: 1}
    for text, names in {"2026-01": ["done"], "JOBS/A.PY": ["waits", "failed", "done"], "hunter": []}.items():
        assert [batch.name for batch in store.search(ANONYMOUS, list(BatchState), text, 0, 9)[1]] == names
    assert [batch.name for batch in store.unwanted()] == ["unwanted"]
    assert [(batch.name, batch.request.kind) for batch in store.next(2)] == [("waits", BatchKind.SPARK)]
    assert store.add(ANONYMOUS, BatchRequest("/a.py"), Path("/x"), "new", clock(), 9).id == 4
    assert store.page(ANONYMOUS, 0, 9)[0] == 4


def test_texts_are_made_of_no_more_than_their_step_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch may have columns that only later steps make."""
    monkeypatch.delattr(Batch, "of")
    assert earlier_store(tmp_path).value("SELECT count(*) FROM batch_texts") == 4


def test_its_events_are_followed_by_new_ones(earlier: SqliteDatabase, clock) -> None:
    old = events.after(earlier, ANONYMOUS, 0, 100)
    assert [event.id for event in old] == list(range(1, 32)) and {event.project for event in old} == {"default"}
    assert events.newest(earlier) == 31
    Stores(earlier, "here").sessions.end(1, "why", clock())
    assert events.after(earlier, ANONYMOUS, 31, 100)[0].id == 32
    assert [event.name for event in events.after(earlier, ANONYMOUS, 0, 9, subject="batch", subject_ids=["1"])] == [
        "starting", "running", "dead",
    ]  # fmt: skip
