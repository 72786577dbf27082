"""What a store does, whichever database is behind it. Knows no table of any feature.

SQL is what both SQLite and PostgreSQL understand, with values by name (`:name`); INTEGER and REAL have 64 bits. A
single statement commits on return. What must hold several together runs in `transaction()`, in which one process is at
a time: limits that are counted there hold.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.core import metrics

Row = dict[str, Any]
_NONE: Mapping[str, Any] = {}


class Conflict(Exception):
    """The write breaks what the store promises: a row that must be the only one of its kind is there already."""


class Cursor(Protocol):
    """What a statement left, as Python's database API has it (PEP 249)."""

    @property
    def description(self) -> Sequence[Sequence[Any]] | None: ...
    @property
    def rowcount(self) -> int: ...
    def fetchall(self) -> list[tuple[Any, ...]]: ...


class Listener(Protocol):
    """Somebody whom the bell wakes: `fileno()` is readable when it has rung since the last `drain()`."""

    def fileno(self) -> int: ...
    def drain(self) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Step:
    """`was`: the step of an earlier version that did the same; a store that has had it does not need this one."""

    name: str
    apply: Callable[[Database], None]
    was: str | None


class Migrations:
    """The steps of one room's tables. A step that has landed is never edited: a change is a new one at the end."""

    def __init__(self, room: str) -> None:
        self.room = room
        self.steps: list[Step] = []

    def __call__(self, was: str | None = None) -> Callable[[Callable[[Database], None]], Callable[[Database], None]]:
        def add(apply: Callable[[Database], None]) -> Callable[[Database], None]:
            self.steps.append(Step(f"{self.room}.{apply.__name__}", apply, was))
            return apply

        return add


class Database(ABC):
    """One store. Safe to share between threads and across a fork: each opens a connection of its own.

    Every verb raises Unavailable when something outside keeps it from being done, writes raise Conflict.
    """

    def __init__(self) -> None:
        self._rings = threading.local()

    # ------------------------------------------------------------ reads and writes

    def rows(self, sql: str, values: Mapping[str, Any] = _NONE) -> list[Row]:
        """All rows of a query, or of a write with RETURNING."""
        cursor, found = self._fetch(sql, values)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row)) for row in found]

    def polled(self, sql: str, values: Mapping[str, Any] = _NONE) -> list[Row]:
        """As `rows`, of a query that is asked over and over. Nobody changes what it gives.

        An adapter that can tell that nothing was committed since gives the same rows again.
        """
        return self.rows(sql, values)

    def row(self, sql: str, values: Mapping[str, Any] = _NONE) -> Row | None:
        found = self.rows(sql, values)
        return found[0] if found else None

    def value(self, sql: str, values: Mapping[str, Any] = _NONE) -> Any:
        """The first column of the first row, or None."""
        _, found = self._fetch(sql, values)
        return found[0][0] if found else None

    def _fetch(self, sql: str, values: Mapping[str, Any]) -> tuple[Cursor, list[tuple[Any, ...]]]:
        begun = time.perf_counter()
        try:
            with self._told():
                cursor = self._execute(sql, values)
                return cursor, cursor.fetchall()
        finally:
            metrics.STORE.observe(time.perf_counter() - begun)

    def run(self, sql: str, values: Mapping[str, Any] = _NONE) -> int:
        """Do a write without RETURNING; the number of rows it touched."""
        with self._told(), metrics.STORE.time():
            return int(self._execute(sql, values).rowcount)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside commit together, or none of them. Nested use joins the outer one."""
        if self._in_transaction():
            yield
            return
        with self._told():
            self._begin()
        self._rings.wanted = False
        try:
            yield
            with self._told():
                self._commit(ring=self._rings.wanted)
        except BaseException:
            self._roll_back()
            raise

    # ------------------------------------------------------------ the bell

    def ring_on_commit(self) -> None:
        """Ring when what is being written can be seen: at the end of the transaction, or now if there is none."""
        if self._in_transaction():
            self._rings.wanted = True
        else:
            self.ring()

    @abstractmethod
    def ring(self) -> None:
        """Wake all who listen, in every process: rows have changed. Only shortens a wait; losing it loses nothing."""

    @abstractmethod
    def listen(self, *, own: bool = True) -> Listener:
        """A new listener of the bell, for the process that calls; without `own` deaf to what that process rings."""

    # ------------------------------------------------------------ the lease

    @abstractmethod
    def lease(self, name: str) -> AbstractContextManager[None]:
        """Hold the lease of this name, which one process has at a time; wait for it as long as another one does."""

    @abstractmethod
    def is_leased(self, name: str) -> bool:
        """Whether some process holds the lease now."""

    # ------------------------------------------------------------ migrations

    def migrate(self, sets: Sequence[Migrations]) -> list[str]:
        """Apply what is pending of each set, in order; the names applied. Several processes may call it at once."""
        with self._alone():
            pending = self.pending(sets)
            for step in [step for one in sets for step in one.steps if step.name in pending]:
                with self.transaction():
                    step.apply(self)
                    self._note_applied(step.name)
        return pending

    def pending(self, sets: Sequence[Migrations]) -> list[str]:
        """The names of the migrations that are still to be applied."""
        applied = self._applied()
        return [step.name for one in sets for step in one.steps if applied.isdisjoint((step.name, step.was))]

    def _note_applied(self, name: str) -> None:
        self.run("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)")
        self.run("INSERT INTO migrations (name) VALUES (:name)", {"name": name})

    @abstractmethod
    def create_texts(self, table: str) -> None:
        """Make a table of `rowid` (whole numbers) and `text` in which an index serves `text LIKE`.

        It does for patterns that hold three characters in a row which are no wildcards. Who keeps the texts keeps them
        in lower case and without backslashes: databases differ in what those mean to LIKE.
        """

    # ------------------------------------------------------------ what an adapter is

    @property
    @abstractmethod
    def is_near(self) -> bool:
        """Whether a read takes no longer than a look into a file, so that an event loop may do it."""

    @property
    @abstractmethod
    def where(self) -> str:
        """Where it is, for people: without secrets."""

    @abstractmethod
    def check(self) -> None:
        """Raises Misconfigured, with the fix, when the store is damaged or cannot be used."""

    @abstractmethod
    def close(self) -> None:
        """Give up the connections of this thread, or of all its process; the next use opens others."""

    @abstractmethod
    def _alone(self) -> AbstractContextManager[None]:
        """While inside, no other process migrates."""

    @abstractmethod
    def _applied(self) -> set[str]:
        """The migrations that were applied; empty when there is no store yet."""

    @abstractmethod
    def _told(self) -> AbstractContextManager[None]:
        """While inside, the database's own errors are raised as Unavailable and Conflict."""

    @abstractmethod
    def _execute(self, sql: str, values: Mapping[str, Any]) -> Cursor: ...

    @abstractmethod
    def _in_transaction(self) -> bool: ...

    @abstractmethod
    def _begin(self) -> None: ...

    @abstractmethod
    def _commit(self, *, ring: bool) -> None:
        """Commit, and ring the bell if told so."""

    @abstractmethod
    def _roll_back(self) -> None: ...


def keepable(text: str | None) -> str | None:
    """What a program has said, as any store can keep it: PostgreSQL keeps no NUL. What a user sends is refused."""
    return text and text.replace("\0", "\N{SYMBOL FOR NULL}")


def next_id(db: Database, subject: str) -> int:
    """The next id of this kind of record, from 0, never given twice. Call it inside the transaction of the insert."""
    return int(
        db.value(
            "INSERT INTO ids (subject, next) VALUES (:subject, 1)"
            " ON CONFLICT (subject) DO UPDATE SET next = ids.next + 1 RETURNING next - 1",
            {"subject": subject},
        )
    )


migrations = Migrations("core")


@migrations(was="core.ids_and_events")
def ids(db: Database) -> None:
    db.run("CREATE TABLE ids (kind TEXT PRIMARY KEY, next INTEGER NOT NULL)")


@migrations()
def subjects(db: Database) -> None:
    db.run("ALTER TABLE ids RENAME COLUMN kind TO subject")
