"""Connections to a PostgreSQL server: opened when they are needed and kept for the next who needs one.

Who needs one opens it, so that a server that is away is told at once and with its reason: psycopg's own pool connects
on threads of its own, and of what they meet its callers hear nothing but a timeout.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

from gateway.core.errors import Misconfigured, Unavailable

Connection = psycopg.Connection[tuple[Any, ...]]

_PATIENCE = 15.0  # seconds for another thread to give a connection back
# A peer that has vanished must be noticed, at either end: it may hold the lock that all who write wait for.
_DEFAULTS = {
    "application_name": "spark-gateway",
    "client_encoding": "UTF8",
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "target_session_attrs": "read-write",
}
_OPTIONS = (
    "-c lock_timeout=15s -c idle_in_transaction_session_timeout=15s"
    r" -c default_transaction_isolation=read\ committed"  # what one has waited for is seen by whoever waited
)

# Who is not let in is told why in words alone, not by a code.
_AWAY = (
    "see that it runs, and that it lets the gateway in as the setting store, PGPASSWORD or ~/.pgpass say; the gateway"
    " goes on by itself once it does"
)
# The server's codes, or their first two characters, for what is no mistake of ours, and what helps.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_OUTSIDE = {
    "08": _AWAY,
    "25006": "it takes no writes: name the primary server in the setting store",
    "25P03": "the gateway was too slow in a transaction; try again",
    "25P04": "the gateway was too slow in a transaction; try again",
    "40": "others wrote at the same time; try again",
    "42501": "grant the gateway's role all rights on the tables, and CREATE on their schema",
    "53100": "make room on the server's disk",
    "53200": "give the server more memory",
    "55P03": "another process writes to it for long; try again",
    "57014": "a statement took longer than the server's statement_timeout allows; try again",
    "57": _AWAY,
    "58": "see what is wrong with the server's disk",
}


def parse(url: str) -> dict[str, Any]:
    """What the URL says, by libpq's names. Raises Misconfigured, without the URL: it may hold a password."""
    try:
        found = conninfo_to_dict(url)
        for port in str(found.get("port") or 1).split(","):
            if not 0 < int(port) < 65536:
                raise ValueError
    except (psycopg.Error, ValueError):
        raise Misconfigured(
            "setting store is no address of a PostgreSQL database: give postgresql://ROLE@HOST:PORT/DATABASE, with %40"
            " for @, %3A for :, %2F for / and %25 for % in any part of it"
        ) from None
    return found


def connect(asked: Mapping[str, Any]) -> Connection:
    """A connection that commits each statement; what is `asked` wins over our defaults. Raises psycopg.Error."""
    options = f"{_OPTIONS} {asked.get('options', '')}"
    return psycopg.connect(make_conninfo(**{**_DEFAULTS, **asked, "options": options}), autocommit=True)


def what_helps(error: psycopg.Error) -> str | None:
    """For an error that is no mistake of ours; None for one that is."""
    if error.sqlstate is None:
        return _AWAY if isinstance(error, psycopg.OperationalError) else None
    return _OUTSIDE.get(error.sqlstate) or _OUTSIDE.get(error.sqlstate[:2])


def said(error: psycopg.Error) -> str:
    """The error on one line, without the statement."""
    return error.diag.message_primary or " ".join(str(error).split())


class Connections:
    """Those of one process, `most` at a time; any of its threads may take one."""

    def __init__(self, asked: Mapping[str, Any], most: int) -> None:
        self._asked, self._most = asked, most
        self._places = threading.BoundedSemaphore(most)
        self._idle: list[Connection] = []

    @contextmanager
    def one(self) -> Iterator[Connection]:
        connection = self.take()
        try:
            yield connection
        finally:
            self.give(connection)

    def take(self) -> Connection:
        """To be given back. Raises Unavailable when none comes free in time, and psycopg.Error."""
        if not self._places.acquire(timeout=_PATIENCE):
            raise Unavailable(f"all {self._most} connections of this process to the store are busy: try again")
        try:
            return self._kept() or connect(self._asked)
        except BaseException:
            self._places.release()
            raise

    def give(self, connection: Connection) -> None:
        """One that is in a transaction is closed, which takes the transaction back."""
        if not connection.closed and connection.info.transaction_status == TransactionStatus.IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        self._places.release()

    def close(self) -> None:
        """Close those that are not in use."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def _kept(self) -> Connection | None:
        with suppress(IndexError):
            while True:
                connection = self._idle.pop()
                if _is_quiet(connection):
                    return connection
                connection.close()
        return None


def _is_quiet(connection: Connection) -> bool:
    """A server that shuts down, or one that was restarted, has sent something to an idle connection, or its end."""
    look = select.poll()
    look.register(connection.fileno(), select.POLLIN)
    return not look.poll(0)
