"""The store's file under several threads and processes."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway import stores
from gateway.core.errors import Unavailable
from gateway.core.store.database import Conflict, Database, Migrations, next_id
from gateway.core.store.sqlite import SqliteDatabase

ROOT = Path(__file__).parents[3]


def migrations() -> tuple[Migrations, ...]:
    one, two = Migrations("one"), Migrations("two")

    @one()
    def first(db: Database) -> None:
        db.run("CREATE TABLE counts (n INTEGER NOT NULL CHECK (n < 1000))")

    @two()
    def second(db: Database) -> None:
        db.run("INSERT INTO counts VALUES (0)")

    return one, two


@pytest.fixture
def counts(tmp_path: Path) -> SqliteDatabase:
    db = SqliteDatabase(tmp_path / "store" / "gateway.db")
    db.migrate(migrations())
    return db


def migrate_in_another_process(path: Path) -> list[str]:
    return SqliteDatabase(path).migrate(stores.MIGRATIONS)


def count_up(path: Path, times: int) -> None:
    db = SqliteDatabase(path)
    for _ in range(times):
        with db.transaction():
            n = db.value("SELECT n FROM counts")
            db.run("UPDATE counts SET n = :n", {"n": n + 1})


def take_ids(path: Path, times: int) -> list[int]:
    db = SqliteDatabase(path)
    taken = []
    for _ in range(times):
        with db.transaction():
            taken.append(next_id(db, "session"))
    return taken


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as pool:
        yield pool


def test_each_migration_is_applied_once_in_order(tmp_path: Path) -> None:
    db = SqliteDatabase(tmp_path / "gateway.db")
    assert db.pending(migrations()) == ["one.first", "two.second"]
    assert db.migrate(migrations()) == ["one.first", "two.second"]
    assert db.pending(migrations()) == []
    assert db.migrate(migrations()) == []
    assert db.value("SELECT count(*) FROM counts") == 1


def test_processes_that_migrate_at_once_apply_each_migration_once(tmp_path: Path, pool: ProcessPoolExecutor) -> None:
    path = tmp_path / "gateway.db"
    applied = list(pool.map(migrate_in_another_process, [path] * 8))
    assert sum(map(bool, applied)) == 1
    assert SqliteDatabase(path).pending(stores.MIGRATIONS) == []


def test_what_was_asked_before_the_migration_is_seen_after(tmp_path: Path) -> None:
    db = SqliteDatabase(tmp_path / "gateway.db")
    assert db.value("SELECT 1") == 1
    db.migrate(migrations())
    assert db.value("SELECT n FROM counts") == 0


def test_processes_that_read_and_then_write_lose_nothing(counts: SqliteDatabase, pool: ProcessPoolExecutor) -> None:
    list(pool.map(count_up, [counts.path] * 4, [50] * 4))
    assert counts.value("SELECT n FROM counts") == 200


def test_threads_that_read_and_then_write_lose_nothing(counts: SqliteDatabase) -> None:
    def work(_: int) -> None:
        with counts.transaction():
            n = counts.value("SELECT n FROM counts")
            counts.run("UPDATE counts SET n = :n", {"n": n + 1})

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(200)))
    assert counts.value("SELECT n FROM counts") == 200


def test_an_id_is_given_once_whoever_asks(db: SqliteDatabase, pool: ProcessPoolExecutor) -> None:
    taken = [number for some in pool.map(take_ids, [db.path] * 4, [25] * 4) for number in some]
    assert sorted(taken) == list(range(100))


def test_an_id_of_a_change_that_was_taken_back_is_given_again(db: Database) -> None:
    with pytest.raises(ZeroDivisionError), db.transaction():
        next_id(db, "session")
        raise ZeroDivisionError
    with db.transaction():
        assert next_id(db, "session") == 0


def test_kinds_count_apart(db: Database) -> None:
    assert [next_id(db, kind) for kind in ("session", "session", "batch")] == [0, 1, 0]


def test_a_failure_takes_back_the_whole_transaction(counts: SqliteDatabase) -> None:
    with pytest.raises(Conflict), counts.transaction():
        counts.run("UPDATE counts SET n = 1")
        counts.run("UPDATE counts SET n = 1000")
    assert counts.value("SELECT n FROM counts") == 0
    with counts.transaction():
        counts.run("UPDATE counts SET n = 2")
    assert counts.value("SELECT n FROM counts") == 2


def test_an_interrupt_takes_back_the_whole_transaction(counts: SqliteDatabase) -> None:
    with pytest.raises(KeyboardInterrupt), counts.transaction():
        counts.run("UPDATE counts SET n = 1")
        raise KeyboardInterrupt
    assert counts.value("SELECT n FROM counts") == 0


def test_an_inner_transaction_is_part_of_the_outer_one(counts: SqliteDatabase) -> None:
    with pytest.raises(ZeroDivisionError), counts.transaction():
        with counts.transaction():
            counts.run("UPDATE counts SET n = 1")
        raise ZeroDivisionError
    assert counts.value("SELECT n FROM counts") == 0


def test_others_see_nothing_before_the_end_of_a_transaction(counts: SqliteDatabase) -> None:
    with counts.transaction():
        counts.run("UPDATE counts SET n = 1")
        with ThreadPoolExecutor(1) as other:
            assert other.submit(counts.value, "SELECT n FROM counts").result() == 0
    with ThreadPoolExecutor(1) as other:
        assert other.submit(counts.value, "SELECT n FROM counts").result() == 1


def test_a_write_with_returning_is_stored_when_it_returns(counts: SqliteDatabase) -> None:
    assert counts.rows("UPDATE counts SET n = 7 RETURNING n") == [{"n": 7}]
    assert counts.value("UPDATE counts SET n = 8 RETURNING n") == 8
    assert SqliteDatabase(counts.path).value("SELECT n FROM counts") == 8


def test_each_thread_has_a_connection_of_its_own(counts: SqliteDatabase) -> None:
    at_once = threading.Barrier(4)

    def work(_: int) -> int:
        at_once.wait()
        return int(counts.value("SELECT n FROM counts"))

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(work, range(4))) == [0, 0, 0, 0]


def test_a_forked_process_opens_a_connection_of_its_own(counts: SqliteDatabase) -> None:
    counts.run("UPDATE counts SET n = 1")
    child = os.fork()
    if child == 0:
        counts.run("UPDATE counts SET n = n + 1")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    counts.run("UPDATE counts SET n = n + 1")
    assert counts.value("SELECT n FROM counts") == 3


def test_a_fork_in_the_middle_of_a_transaction_does_not_harm_it(counts: SqliteDatabase) -> None:
    with counts.transaction():
        counts.run("UPDATE counts SET n = 1")
        child = os.fork()
        if child == 0:
            os._exit(0 if counts.value("SELECT n FROM counts") == 0 else 1)
        assert os.waitpid(child, 0)[1] == 0
    assert SqliteDatabase(counts.path).value("SELECT n FROM counts") == 1


def test_nobody_else_may_read_the_store(counts: SqliteDatabase) -> None:
    counts.run("UPDATE counts SET n = 1")
    modes = {file.name: file.stat().st_mode & 0o077 for file in counts.path.parent.glob("gateway.db*")}
    assert set(modes) >= {"gateway.db", "gateway.db-wal", "gateway.db-shm"}
    assert set(modes.values()) == {0}
    assert counts.path.parent.stat().st_mode & 0o077 == 0


def test_what_a_record_refers_to_must_be_there(db: Database) -> None:
    with pytest.raises(Conflict, match="FOREIGN KEY"):
        db.run(
            "INSERT INTO statements (session, id, code, kind, state, progress, created)"
            " VALUES (9, 0, '', 'sql', 'waiting', 0, '')"
        )


def test_another_connection_keeps_the_locks_of_the_first(tmp_path: Path) -> None:
    """Or else the next process to close the store takes the write-ahead log away, and the file is damaged."""
    db = SqliteDatabase(tmp_path / "gateway.db")
    db.migrate(stores.MIGRATIONS)
    db.run("INSERT INTO ids VALUES ('session', 7)")
    with ThreadPoolExecutor(1) as other_thread:
        assert other_thread.submit(db.value, "SELECT next FROM ids WHERE kind = 'session'").result() == 7
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as other_process:
        other_process.submit(migrate_in_another_process, db.path).result()
    assert db.path.with_name("gateway.db-wal").exists()
    assert db.value("PRAGMA quick_check") == "ok"


def test_a_store_that_another_process_keeps_locked_is_unavailable(counts: SqliteDatabase) -> None:
    counts.run("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(counts.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="database is locked.*try again"):
        counts.run("UPDATE counts SET n = 1")
    with pytest.raises(Unavailable), counts.transaction():
        pass
    other.close()
    count_up(counts.path, 1)
    assert counts.value("SELECT n FROM counts") == 1


def test_a_full_disk_is_told_and_nothing_of_the_transaction_stays(counts: SqliteDatabase) -> None:
    counts.run(f"PRAGMA max_page_count = {counts.value('PRAGMA page_count')}")  # SQLite says the same of a full disk
    with pytest.raises(Unavailable, match="disk is full.*make room"), counts.transaction():
        counts.run("UPDATE counts SET n = 7")
        counts.run("CREATE TABLE more (n)")
    assert counts.value("SELECT n FROM counts") == 0
    with counts.transaction():
        counts.run("UPDATE counts SET n = 8")
    assert SqliteDatabase(counts.path).value("SELECT n FROM counts") == 8


def test_the_store_brings_no_pandas_into_the_gateway_s_processes() -> None:
    code = "import sys, gateway.stores; print({'numpy', 'pandas'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"
