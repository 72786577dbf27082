"""The bell of a PostgreSQL store: NOTIFY rings it, and each listener has a connection that does nothing but LISTEN."""

from __future__ import annotations

import logging
import os
import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import psycopg

from gateway.core.store.postgres_connections import Connection

log = logging.getLogger(__name__)

_LISTEN = "LISTEN spark_gateway"
_PAUSE = 1.0  # seconds between attempts to reach a server that is away


def ring() -> str:
    """The SQL that rings; it tells who does."""
    return f"NOTIFY spark_gateway, '{_ringer()}'"


def _ringer() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


class BellListener:
    """Goes on over a restart of the server: then it rings once, since rows may have changed meanwhile.

    `connect` opens a connection. Raises psycopg.Error when the server cannot be reached now. Without `own` it is deaf
    to what its own process rings.
    """

    def __init__(self, connect: Callable[[], Connection], *, own: bool) -> None:
        self._connect, self._deaf_to = connect, None if own else _ringer()
        self._heard, self._ended = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC), os.eventfd(0, os.EFD_CLOEXEC)
        try:
            connection = self._open()
        except BaseException:
            os.close(self._heard)
            os.close(self._ended)
            raise
        self._thread = threading.Thread(target=self._listen, args=(connection,), name="bell", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        return self._heard

    def drain(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._heard)

    def close(self) -> None:
        os.eventfd_write(self._ended, 1)
        self._thread.join()
        os.close(self._heard)
        os.close(self._ended)

    def _open(self) -> Connection:
        connection = self._connect()
        connection.execute(_LISTEN)
        return connection

    def _listen(self, connection: Connection) -> None:
        try:
            while not self._has_ended(connection.fileno()):
                try:
                    ringers = {heard.payload for heard in connection.notifies(timeout=0)}
                    if ringers - {self._deaf_to}:
                        os.eventfd_write(self._heard, 1)
                except psycopg.Error as error:
                    log.warning("the store's bell is away: %s", error, extra={"action": "listen"})
                    connection.close()
                    if (again := self._open_again()) is None:
                        return
                    connection = again
                    os.eventfd_write(self._heard, 1)
        finally:
            connection.close()

    def _open_again(self) -> Connection | None:
        """A connection as soon as there is one; None when the listener was closed before."""
        while not self._has_ended(seconds=_PAUSE):
            with suppress(psycopg.Error):
                return self._open()
        return None

    def _has_ended(self, *also: int, seconds: float | None = None) -> bool:
        """Wait for the end, for something to read from `also`, or for this long; whether it was the end."""
        look = select.poll()
        for descriptor in (self._ended, *also):
            look.register(descriptor, select.POLLIN)
        ready = look.poll(None if seconds is None else seconds * 1000)
        return self._ended in [descriptor for descriptor, _ in ready]
