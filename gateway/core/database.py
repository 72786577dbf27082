"""The one SQLite file: how it is opened, written and brought up to date. Knows no table of any feature.

Reads run in autocommit. A write that must hold several statements together runs in `transaction()`, which
takes the write lock first (BEGIN IMMEDIATE): reading first and locking later fails under several processes.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlite_utils
from sqlite_utils import Migrations

from gateway.core.errors import Unavailable

Row = dict[str, Any]
_NONE: Mapping[str, Any] = {}

# SQLite's words for what is no mistake of ours, and what helps.
_OUTSIDE = {
    "database is locked": "another process writes to it for long; try again",
    "database or disk is full": "make room on its disk",
    "disk I/O error": "make room on its disk, or see what is wrong with it",
    "attempt to write a readonly database": "let the gateway write to the file and its folder",
    "unable to open database file": "see that its folder is there, and that the gateway may write to it",
}


class Database:
    """One store file. Safe to share between threads and across a fork: each opens a connection of its own.

    Every read and write raises Unavailable when something outside keeps it from being done.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()

    def rows(self, sql: str, values: Mapping[str, Any] = _NONE) -> list[Row]:
        """All rows of a query, or of a write with RETURNING (committed on return unless in a transaction)."""
        with self._told():
            cursor = self._connection().execute(sql, values)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row)) for row in cursor.fetchall()]

    def row(self, sql: str, values: Mapping[str, Any] = _NONE) -> Row | None:
        found = self.rows(sql, values)
        return found[0] if found else None

    def value(self, sql: str, values: Mapping[str, Any] = _NONE) -> Any:
        """The first column of the first row, or None."""
        with self._told():
            found = self._connection().execute(sql, values).fetchall()
        return found[0][0] if found else None

    def run(self, sql: str, values: Mapping[str, Any] = _NONE) -> int:
        """Do a write without RETURNING; the number of rows it touched."""
        with self._told():
            return int(self._connection().execute(sql, values).rowcount)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside commit together, or none of them. Nested use joins the outer one."""
        with self._told():
            connection = self._connection()
        if connection.in_transaction:
            yield
            return
        with self._told():
            connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            with self._told():
                connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # SQLite itself rolls back when its disk is full
                connection.execute("ROLLBACK")
            raise

    def migrate(self, sets: Sequence[Migrations]) -> list[str]:
        """Apply what is pending of each set, in order; the names applied. Several processes may call it at once."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(self.path.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            db = self._open()
            applied = [migration.name for one in sets for migration in one.pending(db)]
            for one in sets:
                one.apply(db)
            db.conn.close()
        return applied

    def pending(self, sets: Sequence[Migrations]) -> list[str]:
        if not self.path.exists():
            return ["everything: the store does not exist yet"]
        db = self._open()
        names = [migration.name for one in sets for migration in one.pending(db)]
        db.conn.close()
        return names

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if (helps := _OUTSIDE.get(str(error))) is None:
                raise
            raise Unavailable(f"the store {self.path} cannot be used now ({error}): {helps}") from error

    def _connection(self) -> Any:
        if getattr(self._local, "pid", None) != os.getpid():
            self._local.db, self._local.pid = self._open(), os.getpid()
        return self._local.db.conn

    def _open(self) -> sqlite_utils.Database:
        # SQLite gives its -wal and -shm files the mode of the file itself: made private before the first byte.
        # Only a file that is not there may be opened here: closing one that is would drop the locks of all other
        # connections of this process, and the next process to close the store would take their -wal file away.
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        db = sqlite_utils.Database(str(self.path))
        db.conn.isolation_level = None
        db.conn.execute("PRAGMA busy_timeout = 15000")
        db.conn.execute("PRAGMA journal_mode = WAL")
        # NORMAL: a killed process loses nothing; only a power cut may lose the last moments.
        db.conn.execute("PRAGMA synchronous = NORMAL")
        db.conn.execute("PRAGMA foreign_keys = ON")
        return db


def next_id(db: Database, kind: str) -> int:
    """The next id of this kind, from 0, never given twice. Call it inside the transaction of the insert."""
    return int(
        db.value(
            "INSERT INTO ids (kind, next) VALUES (:kind, 1)"
            " ON CONFLICT (kind) DO UPDATE SET next = ids.next + 1 RETURNING next - 1",
            {"kind": kind},
        )
    )


migrations = Migrations("core")


@migrations()
def ids_and_events(db: sqlite_utils.Database) -> None:
    db.execute("CREATE TABLE ids (kind TEXT PRIMARY KEY, next INTEGER NOT NULL)")
    db.execute(
        "CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, subject TEXT NOT NULL,"
        " subject_id TEXT NOT NULL, name TEXT NOT NULL, data TEXT NOT NULL)"
    )
    db.execute("CREATE INDEX events_by_subject ON events (subject, subject_id)")
    db.execute("CREATE INDEX events_by_time ON events (at)")
