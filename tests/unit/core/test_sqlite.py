"""What the store promises when it is one SQLite file."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import select
import sqlite3
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from gateway import stores
from gateway.core.errors import Unavailable
from gateway.core.store.database import Database, Migrations
from gateway.core.store.sqlite import SqliteDatabase

ROOT = Path(__file__).parents[3]


@pytest.fixture
def counts(tmp_path: Path) -> SqliteDatabase:
    migrations = Migrations("one")

    @migrations()
    def first(db: Database) -> None:
        db.run("CREATE TABLE counts (n INTEGER NOT NULL)")
        db.run("INSERT INTO counts VALUES (0)")

    db = SqliteDatabase(tmp_path / "store" / "gateway.db")
    db.migrate((migrations,))
    return db


def migrate_in_another_process(path: Path) -> list[str]:
    return SqliteDatabase(path).migrate(stores.MIGRATIONS)


def test_nobody_else_may_read_the_store(counts: SqliteDatabase) -> None:
    counts.run("UPDATE counts SET n = 1")
    modes = {file.name: file.stat().st_mode & 0o077 for file in counts.path.parent.glob("gateway.db*")}
    assert set(modes) >= {"gateway.db", "gateway.db-wal", "gateway.db-shm"}
    assert set(modes.values()) == {0}
    assert counts.path.parent.stat().st_mode & 0o077 == 0


def test_another_connection_keeps_the_locks_of_the_first(tmp_path: Path) -> None:
    """Or else the next process to close the store takes the write-ahead log away, and the file is damaged."""
    db = SqliteDatabase(tmp_path / "gateway.db")
    db.migrate(stores.MIGRATIONS)
    db.run("INSERT INTO ids VALUES ('session', 7)")
    with ThreadPoolExecutor(1) as other_thread:
        assert other_thread.submit(db.value, "SELECT next FROM ids WHERE subject = 'session'").result() == 7
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
    counts.run("UPDATE counts SET n = 1")
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


def test_a_bell_that_is_just_being_made_is_not_taken_for_a_dead_one_s(
    counts: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = os.mkfifo

    def ring_then(path: Path, mode: int) -> None:
        make(path, mode)
        counts.ring()

    monkeypatch.setattr(os, "mkfifo", ring_then)
    with closing(counts.listen()) as bell:
        counts.ring()
        assert select.select([bell], [], [], 0)[0]


def test_a_bell_that_cannot_be_rung_now_stays(counts: SqliteDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(counts.listen()) as bell:
        with monkeypatch.context() as patched:
            patched.setattr(os, "open", lambda *asked: raise_(OSError(errno.EMFILE, "Too many open files")))
            counts.ring()
        assert not select.select([bell], [], [], 0)[0]
        counts.ring()
        assert select.select([bell], [], [], 0)[0]


def test_the_bell_of_a_dead_listener_is_removed(counts: SqliteDatabase) -> None:
    with closing(counts.listen()) as bell:
        left = bell._path.with_name("left")
        os.mkfifo(left)
        counts.ring()
        assert list(left.parent.iterdir()) == [bell._path]


def raise_(error: Exception) -> None:
    raise error


def test_two_who_ask_for_the_lease_do_not_see_one_another(counts: SqliteDatabase) -> None:
    with counts.lease("watch"):
        assert counts.is_leased("watch")
    with open(counts._lock("watch")) as another:
        fcntl.flock(another, fcntl.LOCK_SH)
        assert not counts.is_leased("watch")


def test_the_store_brings_no_pandas_into_the_gateway_s_processes() -> None:
    code = "import sys, gateway.stores; print({'numpy', 'pandas'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"


def test_a_gateway_on_it_does_not_carry_the_other_store_s_library() -> None:
    code = "import sys, gateway.app, gateway.supervisor; print('psycopg' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"
