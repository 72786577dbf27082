"""What is written beside a record's move, in its transaction: its event, and the number of records in its state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from batches import store as batch_store
from batches.states import BATCH_MOVES, BatchState
from gateway import stores
from gateway.core import events
from gateway.core.events import Event
from gateway.core.identity import ANONYMOUS, Principal
from gateway.core.store.database import Database
from gateway.core.store.postgres import PostgresDatabase
from gateway.core.store.sqlite import SqliteDatabase
from gateway.stores import Stores
from sessions.drivers.states import DRIVER_MOVES
from sessions.jobs.states import ADDITION_MOVES, JOB_MOVES
from sessions.statements.states import STATEMENT_MOVES
from sessions.states import SESSION_MOVES, SessionState
from tests.postgres_server import PostgresServer
from tests.unit.conftest import FixedClock
from tests.unit.walk import EVERYBODY, Walk

STEPS = 500
MOST_STEPS = 5000  # until each move has been made
MOVES: dict[str, Any] = {
    "session": SESSION_MOVES, "statement": STATEMENT_MOVES, "driver": DRIVER_MOVES, "job": JOB_MOVES,
    "addition": ADDITION_MOVES, "batch": BATCH_MOVES,
}  # fmt: skip
PART = "SELECT session || '/' || {0}.id AS id, {0}.state, '' AS whom, owner, project FROM {0} JOIN sessions"
RECORDS = {
    "session": "SELECT id, state, driver AS whom, owner, project FROM sessions",
    "driver": "SELECT id, state, '' AS whom, owner, project FROM drivers",
    "batch": "SELECT id, state, '' AS whom, owner, project FROM batches",
    "statement": PART.format("statements") + " ON sessions.id = session",
    "job": PART.format("session_jobs") + " ON sessions.id = session",
    "addition": PART.format("session_additions") + " ON sessions.id = session",
}
Key = tuple[str, str]


def records(db: Database) -> dict[Key, dict[str, Any]]:
    """Every record by its kind and number."""
    return {(kind, str(row["id"])): row for kind, sql in RECORDS.items() for row in db.rows(sql)}


def told_by(before: dict[Key, dict[str, Any]], after: dict[Key, dict[str, Any]]) -> Counter[tuple[object, ...]]:
    """The events of what differs: kind, number, name, owner, project."""
    moved = [(key, row, row["state"]) for key, row in after.items() if before.get(key) != row]
    deleted = [
        (key, row, "deleted") for key, row in before.items() if key not in after and key[0] in ("session", "batch")
    ]
    return Counter((*key, name, row["owner"], row["project"]) for key, row, name in moved + deleted)


def as_told(event: Event) -> tuple[object, ...]:
    return (event.subject, event.subject_id, event.name, event.owner, event.project)


def all_events(db: Database, cursor: int = 0, principal: Principal = ANONYMOUS) -> list[Event]:
    return events.after(db, principal, cursor, 10**6)


class TakenBack(Exception):
    pass


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def walked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A store in which much has happened."""
    db: Database = SqliteDatabase(tmp_path_factory.mktemp("walked") / "gateway.db")
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        db = PostgresDatabase(server.url(server.create()))
    db.migrate(stores.MIGRATIONS)
    walk = Walk(db, FixedClock())
    for _ in range(STEPS):
        walk.step()()
    yield db
    db.close()


@pytest.mark.both_stores
def test_each_move_of_each_table_has_its_event_in_its_transaction(db: Database, clock) -> None:
    """And nothing else has one; when the transaction is taken back there is none."""
    walk = Walk(db, clock, seed=7)
    seen: dict[str, Any] = {kind: {state: set() for state in moves} for kind, moves in MOVES.items()}
    for _ in range(MOST_STEPS):
        step, before, cursor = walk.step(), records(db), events.newest(db)
        with pytest.raises(TakenBack), db.transaction():
            step()
            raise TakenBack
        assert (records(db), all_events(db, cursor)) == (before, [])
        step()
        after = records(db)
        assert Counter(map(as_told, all_events(db, cursor))) == told_by(before, after)
        for (kind, number), row in after.items():
            if (old := before.get((kind, number))) and old["state"] != row["state"]:
                seen[kind][type(next(iter(MOVES[kind])))(old["state"])].add(row["state"])
        if seen == MOVES:
            break
    assert seen == MOVES


@pytest.mark.both_stores
def test_the_numbers_by_state_are_those_of_the_rows(db: Database, clock) -> None:
    walk, made, met = Walk(db, clock, seed=2), Stores(db, "here"), set[BatchState | SessionState]()
    for _ in range(STEPS):
        walk.step()()
        batches, sessions = made.batches.counts(ANONYMOUS), made.sessions.counts(ANONYMOUS)
        assert batches == counted(db, "batches", "target <> 'deleted'")
        assert folded(sessions) == counted(db, "sessions", "TRUE")
        met |= {*batches, *sessions}
    assert met == {*BatchState, *SessionState}


def counted(db: Database, table: str, where: str) -> dict[str, int]:
    return {
        row["state"]: row["n"]
        for row in db.rows(f"SELECT state, count(*) AS n FROM {table} WHERE {where} GROUP BY state")
    }


def folded(numbers: Any) -> dict[str, int]:
    """A busy session's row says idle."""
    return dict(
        sum((Counter({"idle" if state == "busy" else state.value: n}) for state, n in numbers.items()), Counter())
    )


# ---------------------------------------------------------------- what each principal sees


def is_seen(principal: Principal, row: dict[str, Any]) -> bool:
    return row["owner"] == principal.user or row["project"] in principal.projects


@pytest.mark.parametrize("who", EVERYBODY, ids=lambda who: who.user)
def test_one_sees_what_is_ones_own_or_of_ones_projects(walked: Database, who: Principal) -> None:
    made = Stores(walked, "here")
    sessions = [row for row in walked.rows("SELECT * FROM sessions ORDER BY id") if is_seen(who, row)]
    batches = [
        row for row in walked.rows("SELECT * FROM batches WHERE target <> 'deleted' ORDER BY id") if is_seen(who, row)
    ]
    assert sessions and 0 < len(batches) < walked.value("SELECT count(*) FROM batches")
    assert folded(made.sessions.counts(who)) == Counter(row["state"] for row in sessions)
    assert made.batches.counts(who) == Counter(row["state"] for row in batches)
    ids, numbers = [row["id"] for row in sessions], [row["id"] for row in batches]
    for start in (0, 1, 3, len(ids) - 2, len(ids), 10**18):
        for size in (0, 2, 10**18):
            page, upside_down = slice(start, start + size), {"newest_first": True}
            assert ids_of(made.sessions.page(who, start, size)) == (len(ids), ids[page])
            assert ids_of(made.sessions.page(who, start, size, **upside_down)) == (len(ids), ids[::-1][page])
            assert ids_of(made.batches.page(who, start, size)) == (len(numbers), numbers[page])
    for row in walked.rows("SELECT * FROM sessions"):
        seen = is_seen(who, row)
        assert (made.sessions.find(who, row["id"]) is not None) is seen
        assert (made.sessions.number_of(who, row["uuid"]) is not None) is seen
    for row in walked.rows("SELECT * FROM batches WHERE target <> 'deleted'"):
        assert (made.batches.find(who, row["id"]) is not None) is is_seen(who, row)
        assert (made.batches.number_of(who, row["uuid"]) is not None) is is_seen(who, row)


def ids_of(page: tuple[int, list[Any]]) -> tuple[int, list[int]]:
    return page[0], [one.id for one in page[1]]


@pytest.mark.parametrize("sought", [0, 1000], ids=["in the index", "in the newest"])
@pytest.mark.parametrize("who", [*EVERYBODY, ANONYMOUS], ids=lambda who: str(who.user))
def test_one_finds_what_one_sees(
    walked: Database, who: Principal, sought: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_store, "SOUGHT", sought)
    rows = walked.rows("SELECT * FROM batches WHERE target <> 'deleted' ORDER BY id DESC")
    for text in ("", "day 3", "DAY _", "a.py%day", "nothing"):
        for states in (list(BatchState), [BatchState.SUCCESS, BatchState.STARTING], []):
            wanted = [
                row["id"] for row in rows
                if (who.administrator or is_seen(who, row)) and row["state"] in states
                and (text in ("", "DAY _", "a.py%day") or f"{text}\"" in row["request"])
            ]  # fmt: skip
            total = min(len(wanted), 1 + 3 + sought) if text else len(wanted)
            assert ids_of(Stores(walked, "here").batches.search(who, states, text, 1, 3)) == (total, wanted[1:4])


@pytest.mark.parametrize("who", EVERYBODY, ids=lambda who: who.user)
def test_one_hears_of_what_one_sees_in_order(walked: Database, who: Principal) -> None:
    everything = all_events(walked)
    mine = [event for event in everything if event.owner == who.user or event.project in who.projects]
    assert 0 < len(mine) < len(everything) and [event.id for event in mine] == sorted(event.id for event in mine)
    assert all_events(walked, 0, who) == mine
    middle = mine[len(mine) // 2].id
    assert events.after(walked, who, middle, 5) == [event for event in mine if event.id > middle][:5]
    for subject in MOVES:
        of_kind = [event for event in mine if event.subject == subject]
        assert events.after(walked, who, 0, 10**6, subject=subject) == of_kind
        some = sorted({event.subject_id for event in everything if event.subject == subject})[::3]
        of_some = [event for event in of_kind if event.subject_id in some]
        assert events.after(walked, who, 0, 10**6, subject=subject, subject_ids=some) == of_some
