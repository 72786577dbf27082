"""The store as one SQLite file: the embedded default.

Reads run in autocommit. A transaction takes the write lock first (BEGIN IMMEDIATE): reading first and locking later
fails under several processes. The lease is a lock on a file, which the system gives back in the moment its holder dies,
however it dies; the bell is a FIFO for each listener.
"""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlite_utils

from gateway.core import wakeup
from gateway.core.errors import Misconfigured, Unavailable
from gateway.core.store.database import Conflict, Cursor, Database, Row

log = logging.getLogger(__name__)

# SQLite's words for what is no mistake of ours, and what helps.
_OUTSIDE = {
    "database is locked": "another process writes to it for long; try again",
    "database or disk is full": "make room on its disk",
    "disk I/O error": "make room on its disk, or see what is wrong with it",
    "attempt to write a readonly database": "let the gateway write to the file and its folder",
    "unable to open database file": "see that its folder is there, and that the gateway may write to it",
}
_numbers = itertools.count()
_MUCH = 4 << 20  # characters of answers that a connection keeps, more or less
_SMALL = 1 << 10  # of one beside its texts
_NONE: Mapping[str, Any] = {}


class SqliteDatabase(Database):
    """`path` is the file. Leases and listeners have files of their own in its folder."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._bells = path.parent / "run" / "bells"
        self._deaf: set[Path] = set()  # bells of this process that it does not ring itself
        self._local = threading.local()
        self._tells = _Told(path)

    @property
    def is_near(self) -> bool:
        return True

    @property
    def where(self) -> str:
        return str(self.path)

    def check(self) -> None:
        if self.path.exists() and self.value("PRAGMA quick_check") != "ok":
            raise Misconfigured(f"{self.path} is damaged: move it away, and put back a copy if there is one")

    # ------------------------------------------------------------ the bell

    def ring(self) -> None:
        with suppress(OSError):
            for bell in set(self._bells.iterdir()) - self._deaf:
                if not wakeup.nudge(bell):
                    bell.unlink(missing_ok=True)  # its listener died

    def listen(self, *, own: bool = True) -> _Fifo:
        bell = self._bells / f"{os.getpid()}-{next(_numbers)}"
        if not own:
            self._deaf.add(bell)
        return _Fifo(bell)

    # ------------------------------------------------------------ the lease

    @contextmanager
    def lease(self, name: str) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(self._lock(name), "a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                log.info("another %s holds the lease; waiting", name, extra={"action": "wait"})
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def is_leased(self, name: str) -> bool:
        try:
            descriptor = os.open(self._lock(name), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # two who ask do not see one another
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _lock(self, name: str) -> Path:
        return self.path.with_name(f"{name}.lock")

    # ------------------------------------------------------------ migrations

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(self.path.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield
            finally:
                self.close()  # a web server migrates before it forks

    def _applied(self) -> set[str]:
        if not self.path.exists():
            return set()
        tables = {row["name"] for row in self.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
        names = {row["name"] for row in self.rows("SELECT name FROM migrations")} if "migrations" in tables else set()
        if "_sqlite_migrations" in tables:  # where the first versions noted them
            noted = "SELECT migration_set || '.' || name AS name FROM _sqlite_migrations"
            names |= {row["name"] for row in self.rows(noted)}
        return names

    def create_texts(self, table: str) -> None:
        # "none": LIKE needs no places within a text, and the index is half as large without them.
        self.run(f"CREATE VIRTUAL TABLE {table} USING fts5 (text, tokenize = 'trigram', detail = 'none')")

    # ------------------------------------------------------------ statements

    def polled(self, sql: str, values: Mapping[str, Any] = _NONE) -> list[Row]:
        with self._told():
            connection = self._connection()
            # the first counts the commits of all other connections, the second what this one has written
            version = connection.execute("PRAGMA data_version").fetchone()[0], connection.total_changes
        if version != self._local.version or self._local.kept > _MUCH:
            self._local.version, self._local.polled, self._local.kept = version, {}, 0
        key = sql, *values.values()
        found: list[Row] | None = self._local.polled.get(key)
        if found is None:
            found = self._local.polled[key] = self.rows(sql, values)
            self._local.kept += _SMALL + sum(len(one) for row in found for one in row.values() if isinstance(one, str))
        return found

    def _execute(self, sql: str, values: Mapping[str, Any]) -> Cursor:
        cursor: Cursor = self._connection().execute(sql, values)
        return cursor

    def _in_transaction(self) -> bool:
        with self._told():
            return bool(self._connection().in_transaction)

    def _begin(self) -> None:
        self._execute("BEGIN IMMEDIATE", {})

    def _commit(self, *, ring: bool) -> None:
        self._execute("COMMIT", {})
        if ring:
            self.ring()

    def _roll_back(self) -> None:
        if self._connection().in_transaction:  # SQLite itself rolls back when its disk is full
            self._connection().execute("ROLLBACK")

    def _told(self) -> _Told:
        return self._tells

    def _connection(self) -> Any:
        if getattr(self._local, "pid", None) != os.getpid():
            # A connection of the process before the fork stays open: closing it here would drop our own locks.
            self._local.inherited = getattr(self._local, "db", None)
            self._local.db, self._local.pid = self._open(), os.getpid()
            self._local.version, self._local.polled, self._local.kept = None, {}, 0
        return self._local.db.conn

    def close(self) -> None:
        self._connection().close()
        self._local.pid = None

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


class _Told:
    """A context in which SQLite's errors become ours. A class, because a generator's would cost each read more."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.IntegrityError):
            raise Conflict(str(error)) from error
        if isinstance(error, sqlite3.OperationalError) and (helps := _OUTSIDE.get(str(error))) is not None:
            raise Unavailable(f"the store {self._path} cannot be used now ({error}): {helps}") from error


class _Fifo:
    """A listener of the bell: a FIFO of its own, gone with it."""

    def __init__(self, path: Path) -> None:
        made = path.parent.with_name(f"bell-{path.name}")  # whoever rings removes one that nobody has open yet
        self._path, self._descriptor = path, wakeup.create(made)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        made.rename(path)

    def fileno(self) -> int:
        return self._descriptor

    def drain(self) -> None:
        wakeup.drain(self._descriptor)

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
