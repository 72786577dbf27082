"""A long history costs nothing: no query of any store reads it. Plans are looked at, and SQLite's steps counted."""

from __future__ import annotations

import inspect
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from batches import store as batch_store
from gateway.core.identity import ANONYMOUS, Principal
from gateway.core.store.database import Cursor
from gateway.core.store.sqlite import SqliteDatabase
from gateway.stores import Stores
from tests.unit.history import store_with
from tests.unit.tour import Tour

FEW, MANY = 50, 600
ALICE = Principal("alice", "mine", frozenset({"default", "mine"}), administrator=False)
PRINCIPALS = pytest.mark.parametrize("principal", [ANONYMOUS, ALICE], ids=["administrator", "alice"])

# What may be scanned: tables that stay small, and what a query has made itself.
_SMALL = (
    r"counts|driver_claims|ids|runs_cursors|ended_permanent_sessions|parts|part_\d+|counted|ready|live"
    r"|\(subquery-\d+\)|CONSTANT ROW"
)
# Columns that many rows have in common: to be led by these alone is to read a share of the history.
_COMMON = {"state", "target", "owner", "project", "subject", "kind"}


class Recorded(SqliteDatabase):
    """Notes each statement that is executed, and how many of SQLite's steps it took."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.executed: list[tuple[str, Mapping[str, Any]]] = []
        self.steps: list[int] = []
        self._connection().set_progress_handler(self._step, 1)

    def _step(self) -> int:
        if self.steps:
            self.steps[-1] += 1
        return 0

    def _execute(self, sql: str, values: Mapping[str, Any]) -> Cursor:
        self.executed.append((sql, values))
        self.steps.append(0)
        return super()._execute(sql, values)

    def plan(self, sql: str, values: Mapping[str, Any]) -> list[tuple[int, str]]:
        """What SQLite does: for each thing the number of what it is a part of, and its description."""
        found = super()._execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
        return [(parent, detail) for _, parent, _, detail in found]

    def partial_indexes(self) -> set[str]:
        found = super()._execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '% WHERE %'", {})
        return {name for (name,) in found.fetchall()}


def faults(db: Recorded, sql: str, values: Mapping[str, Any]) -> list[str]:
    """What in the plan of this statement reads more the longer the history is."""
    plan, partial = db.plan(sql, values), db.partial_indexes()
    sorted_ones = {parent for parent, detail in plan if detail.startswith("USE TEMP B-TREE FOR ORDER BY")}
    bounded = {parent for parent, _ in plan if parent not in sorted_ones} if " LIMIT " in sql else set()
    return [detail for parent, detail in plan if parent not in bounded and _grows(detail, partial)]


def _grows(detail: str, partial: set[str]) -> bool:
    index = re.search(r"USING (?:COVERING )?INDEX (\w+)", detail)
    if detail.startswith("SCAN"):
        named = re.fullmatch(rf"SCAN ({_SMALL})", detail)
        sought = re.fullmatch(r"SCAN \w+ VIRTUAL TABLE INDEX \d+:[=L].*", detail)
        return not (named or sought or (index and index[1] in partial and index[1] in LIVE_INDEXES))
    led = re.fullmatch(r"SEARCH (\w+) .*\(([^()]*)\)", detail)
    if led is None or re.fullmatch(_SMALL, led[1]) or (index and index[1] in LIVE_INDEXES):
        return False
    columns = set(re.findall(r"(\w+)[=<>]", led[2]))
    return columns <= _COMMON or bool(re.fullmatch(r"rowid[<>]\?( AND rowid[<>]\?)?", led[2]))


# Partial indexes of rows that move: as many as live, or as are to be moved.
LIVE_INDEXES = {
    "sessions_live", "drivers_alive", "drivers_moving", "drivers_unclaimed", "drivers_to_claim", "drivers_shared",
    "drivers_seats", "batches_live",
    "batches_unwanted",
    "statements_unfinished", "statements_one_runs", "session_jobs_unfinished", "session_additions_waiting",
    "runs_that_run",
}  # fmt: skip


@pytest.fixture(scope="module")
def stores_of(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("history")
    return {many: store_with(folder / f"{many}.db", many).path for many in (FEW, MANY)}


@pytest.fixture
def after_tour(stores_of: dict[int, Path], tmp_path: Path, clock, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(batch_store, "SOUGHT", FEW // 2)

    def toured(many: int, principal: Principal) -> Recorded:
        path = tmp_path / f"{many}.db"
        shutil.copy(stores_of[many], path)
        db = Recorded(path)
        Tour(db, Stores(db, "here"), principal, clock())()
        return db

    return toured


@pytest.mark.both_stores
def test_the_tour_takes_every_verb_of_every_store(db, clock, monkeypatch: pytest.MonkeyPatch) -> None:
    stores, taken = Stores(db, "here"), set[str]()
    for room, one in vars(stores).items():
        for verb in verbs_of(one):
            monkeypatch.setattr(one, verb, noting(taken, f"{room}.{verb}", getattr(one, verb)))
    Tour(db, stores, ANONYMOUS, clock())()
    assert {f"{room}.{verb}" for room, one in vars(stores).items() for verb in verbs_of(one)} == taken


def verbs_of(store: object) -> list[str]:
    return [name for name, _ in inspect.getmembers(type(store), inspect.isfunction) if not name.startswith("_")]


def noting(taken: set[str], name: str, verb: Any) -> Any:
    def noted(*args: Any, **kwargs: Any) -> Any:
        taken.add(name)
        return verb(*args, **kwargs)

    return noted


@PRINCIPALS
def test_no_plan_reads_the_history(after_tour, principal: Principal) -> None:
    db = after_tour(FEW, principal)
    found = {
        sql: faults(db, sql, values) for sql, values in db.executed if re.match("SELECT|UPDATE|DELETE|INSERT", sql)
    }
    assert {sql: wrong for sql, wrong in found.items() if wrong} == {}
    assert len(found) > 90


@PRINCIPALS
def test_no_query_takes_more_steps_with_more_history(after_tour, principal: Principal) -> None:
    few, many = after_tour(FEW, principal), after_tour(MANY, principal)
    assert [sql for sql, _ in few.executed] == [sql for sql, _ in many.executed]
    slower = {
        sql: (less, more) for (sql, _), less, more in zip(few.executed, few.steps, many.steps) if more > 1.5 * less + 20
    }
    assert slower == {}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM sessions",
        "SELECT count(*) FROM batches WHERE target <> 'deleted'",
        "SELECT * FROM batches WHERE state = 'success' AND target <> 'deleted'",
        "SELECT * FROM statements WHERE state = 'available'",
        "SELECT * FROM events WHERE id > 3",
        "SELECT * FROM events WHERE subject = 'session'",
        "SELECT * FROM sessions ORDER BY created LIMIT 5",
        "SELECT rowid FROM batch_texts",
        "UPDATE session_jobs SET state = 'failed' WHERE error IS NULL",
        "DELETE FROM session_additions WHERE path = '/x'",
    ],
)
def test_a_query_that_reads_the_history_is_noticed(sql: str, stores_of: dict[int, Path]) -> None:
    assert faults(Recorded(stores_of[FEW]), sql, {})


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM sessions WHERE id = 3",
        "SELECT * FROM sessions ORDER BY id DESC LIMIT 5",
        "SELECT * FROM batches WHERE state IN ('starting', 'running')",
        "SELECT * FROM batch_texts WHERE text LIKE '%abc%'",
    ],
)
def test_a_query_that_is_bounded_is_let_pass(sql: str, stores_of: dict[int, Path]) -> None:
    assert not faults(Recorded(stores_of[FEW]), sql, {})
