"""The store in a PostgreSQL database, which several gateways may share.

A transaction takes one lock first, as if the database were one file: what is counted in it holds, and the ids of events
rise in the order of the commits. A single statement outside is one by itself (READ COMMITTED).
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from typing import Any, cast

import psycopg
from psycopg.pq import TransactionStatus

from gateway.core.errors import InvalidRequest, Misconfigured, Unavailable
from gateway.core.faults import Code, Fault
from gateway.core.store import postgres_bell, postgres_lease
from gateway.core.store.database import Conflict, Cursor, Database
from gateway.core.store.postgres_connections import Connection, Connections, connect, parse, said, what_helps

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 8  # of one process, but for the bell's and the lease's own
_OLDEST = 13  # version of the server
# Keys of advisory locks: any numbers that nobody else in the database uses.
_WRITE, _MIGRATE = 0x5350_0001, 0x5350_0002

_WORDS = re.compile(r"""'(?:[^']|'')*'|"[^"]*"|::|:(?P<value>[a-z_][a-z_0-9]*)|%""", re.IGNORECASE)
_TYPES = {"INTEGER": "BIGINT", "REAL": "DOUBLE PRECISION"}


class PostgresDatabase(Database):
    """`url` is libpq's (postgresql://...). Raises Misconfigured when it is none; connects when it is first used."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._asked = parse(url)
        self._of_process: dict[int, Connections] = {}
        self._local = threading.local()

    @property
    def is_near(self) -> bool:
        return False

    @property
    def where(self) -> str:
        user, host, port, name = (self._asked.get(key, "") for key in ("user", "host", "port", "dbname"))
        return f"postgresql://{user}{'@' if user else ''}{host}{':' if port else ''}{port}/{name}"

    def check(self) -> None:
        found = self.row(
            "SELECT CAST(current_setting('server_version_num') AS INTEGER) / 10000 AS version, current_user AS role,"
            " pg_encoding_to_char(encoding) AS encoding, current_schema() AS schema,"
            " has_schema_privilege(current_schema(), 'CREATE') AS may FROM pg_database"
            " WHERE datname = current_database()"
        )
        assert found is not None
        if found["version"] < _OLDEST:
            raise Misconfigured(f"{self.where} is PostgreSQL {found['version']}: {_OLDEST} or newer is needed")
        if found["encoding"] != "UTF8":
            raise Misconfigured(f"{self.where} keeps text as {found['encoding']}: make a database with ENCODING 'UTF8'")
        if not found["may"]:
            schema = found["schema"] or "public"
            raise Misconfigured(
                f"{self.where} gives {found['role']} no schema to make tables in: GRANT USAGE, CREATE ON SCHEMA"
                f' {schema} TO "{found["role"]}"'
            )

    def close(self) -> None:
        if (connections := self._of_process.pop(os.getpid(), None)) is not None:
            connections.close()

    # ------------------------------------------------------------ the bell

    def ring(self) -> None:
        with suppress(Unavailable):
            self.run(postgres_bell.ring())

    def listen(self, *, own: bool = True) -> postgres_bell.BellListener:
        with self._told():
            return postgres_bell.BellListener(self._connect, own=own)

    # ------------------------------------------------------------ the lease

    @contextmanager
    def lease(self, name: str) -> Iterator[None]:
        holder = postgres_lease.new_holder()
        with self.transaction():
            self.run(postgres_lease.TABLE)
        taken = self._wait_for(name, holder)
        try:
            with postgres_lease.renewed(self._connect, name, holder, taken):
                yield
        finally:
            with suppress(Unavailable):
                self.run(postgres_lease.GIVE_BACK, {"name": name, "holder": holder})

    def is_leased(self, name: str) -> bool:
        if not self._has_table("leases"):
            return False
        holder = self.value(postgres_lease.HELD, {"name": name})
        return holder is not None and not postgres_lease.has_died(holder)

    def _wait_for(self, name: str, holder: str) -> float:
        """Take the lease as soon as it is free; when it was asked for."""
        told = False
        while True:
            asked = time.monotonic()
            if self._take(name, holder):
                return asked
            if not told:
                log.info("another %s holds the lease; waiting", name, extra={"action": "wait"})
            told = True
            time.sleep(postgres_lease.ASK_EVERY)

    def _take(self, name: str, holder: str) -> bool:
        other = self.value(postgres_lease.HELD, {"name": name})
        dead = other if other is not None and postgres_lease.has_died(other) else None
        values = {"name": name, "holder": holder, "seconds": postgres_lease.SECONDS, "dead": dead}
        return self.row(postgres_lease.TAKE, values) is not None

    # ------------------------------------------------------------ migrations

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._told(), closing(self._connect()) as connection:
            connection.execute(f"SET lock_timeout = 0; SELECT pg_advisory_lock({_MIGRATE})")
            try:
                yield
            finally:
                self.close()  # a web server migrates before it forks

    def _applied(self) -> set[str]:
        if not self._has_table("migrations"):
            return set()
        return {row["name"] for row in self.rows("SELECT name FROM migrations")}

    def _has_table(self, name: str) -> bool:
        return self.value("SELECT to_regclass(:name) IS NOT NULL", {"name": name}) is True

    def create_texts(self, table: str) -> None:
        self.run(f"CREATE TABLE {table} (rowid INTEGER PRIMARY KEY, text TEXT NOT NULL)")
        may = "has_database_privilege(current_database(), 'CREATE')"
        if self.value(f"SELECT {may} AND EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm')"):
            self.run("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            self.run(f"CREATE INDEX {table}_sought ON {table} USING gin (text gin_trgm_ops)")

    # ------------------------------------------------------------ statements

    def _execute(self, sql: str, values: Mapping[str, Any]) -> Cursor:
        _check_text(values)
        query = _in_postgres(sql)
        if (held := self._held()) is not None:
            return cast(Cursor, held.execute(query, values))
        with self._connections().one() as connection:
            return cast(Cursor, connection.execute(query, values))

    def _in_transaction(self) -> bool:
        return self._held() is not None

    def _begin(self) -> None:
        connections = self._connections()
        connection = connections.take()
        try:
            connection.execute(
                f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({_WRITE})", prepare=False
            )
        except BaseException:
            connections.give(connection)
            raise
        self._local.held, self._local.pid = connection, os.getpid()

    def _commit(self, *, ring: bool) -> None:
        held = self._held()
        assert held is not None
        if held.info.transaction_status == TransactionStatus.INERROR:
            raise Conflict("a statement of the transaction failed, which takes all of it back")
        held.execute(f"{postgres_bell.ring()}; COMMIT" if ring else "COMMIT", prepare=False)
        self._give_back(held)

    def _roll_back(self) -> None:
        held = self._held()
        assert held is not None
        with suppress(psycopg.Error):
            held.execute("ROLLBACK")
        self._give_back(held)

    def _give_back(self, held: Connection) -> None:
        self._local.held = None
        self._connections().give(held)

    def _held(self) -> Connection | None:
        """The connection of this thread's transaction; one of the process before a fork is not ours."""
        if getattr(self._local, "pid", None) != os.getpid():
            return None
        held: Connection | None = self._local.held
        return held

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except psycopg.IntegrityError as error:
            raise Conflict(said(error)) from error
        except psycopg.Error as error:
            if (helps := what_helps(error)) is None:
                raise
            raise Unavailable(f"the store {self.where} cannot be used now ({said(error)}): {helps}") from error

    def _connections(self) -> Connections:
        here = os.getpid()
        if here not in self._of_process:
            self._of_process.setdefault(here, Connections(self._asked, MOST_CONNECTIONS))
        return self._of_process[here]

    def _connect(self) -> Connection:
        return connect(self._asked)


@lru_cache(1024)
def _in_postgres(sql: str) -> str:
    """The statement with its values as psycopg writes them, and with types of 64 bits."""
    if sql.startswith(("CREATE TABLE", "ALTER TABLE")):
        sql = re.sub(r"\b(INTEGER|REAL)\b", lambda found: _TYPES[found[0]], sql)
    return _WORDS.sub(lambda found: f"%({found['value']})s" if found["value"] else found[0].replace("%", "%%"), sql)


def _check_text(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, str) and "\0" in value:
            reason = f"{name} holds a NUL character (U+0000), which this gateway's store cannot keep"
            raise InvalidRequest(Fault(name, Code.MISFIT, reason, "leave it out"))
