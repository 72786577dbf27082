"""Keeping a lease in a PostgreSQL store: a row that says who holds it until when, by the server's clock.

A holder that cannot renew it in time ends its process, whatever it does at that moment: another one may hold it from
then on. Of a holder on this machine a waiting one knows at once that it has died.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from gateway.core.store.postgres_connections import Connection

log = logging.getLogger(__name__)

SECONDS = 10  # that a lease lasts when it is not renewed: what the successor of a lost host waits
ASK_EVERY = 0.5  # seconds between the questions of one that waits
TABLE = (
    "CREATE TABLE IF NOT EXISTS leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until TIMESTAMP WITH TIME ZONE)"
)
# `dead` is a holder that is known to have died.
TAKE = (
    "INSERT INTO leases (name, holder, until)"
    " VALUES (:name, :holder, clock_timestamp() + make_interval(secs => :seconds))"
    " ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until"
    " WHERE leases.until < clock_timestamp() OR leases.holder = :dead RETURNING name"
)
HELD = "SELECT holder FROM leases WHERE name = :name AND until >= clock_timestamp()"
GIVE_BACK = "DELETE FROM leases WHERE name = :name AND holder = :holder"
_RENEW = "UPDATE leases SET until = clock_timestamp() + make_interval(secs => %s) WHERE name = %s AND holder = %s"
_RENEW_EVERY = SECONDS / 4
_EARLY = 1.0  # seconds before its end by which a lease must have been renewed


def new_holder() -> str:
    """A name for this process as the holder of one lease, by which others on this machine see whether it lives."""
    return f"{_machine()} {os.getpid()} {_started(os.getpid())} {uuid.uuid4()}"


def has_died(holder: str) -> bool:
    """Whether it was a process of this machine that is no more; False when that cannot be known."""
    machine, pid, started, _ = holder.rsplit(" ", 3)
    return machine == _machine() and _started(int(pid)) != started


@contextmanager
def renewed(connect: Callable[[], Connection], name: str, holder: str, taken: float) -> Iterator[None]:
    """While inside, the lease that was asked for at `taken` (of time.monotonic) is renewed, or this process ends."""
    renewal = _Renewal(connect, name, holder, taken)
    renewal.start()
    try:
        yield
    finally:
        renewal.stop()


class _Renewal(threading.Thread):
    def __init__(self, connect: Callable[[], Connection], name: str, holder: str, taken: float) -> None:
        super().__init__(name="lease", daemon=True)
        self._connect, self._lease, self._holder = connect, name, holder
        self._stopped = threading.Event()
        self._connection: Connection | None = None
        self._end = self._end_after(taken)

    def run(self) -> None:
        while not self._stopped.wait(_RENEW_EVERY):
            asked = time.monotonic()
            try:
                self._renew()
            except psycopg.Error as error:
                log.warning("the lease %s is not renewed yet: %s", self._lease, error, extra={"action": "lease"})
                self._drop()
            else:
                self._end.cancel()
                self._end = self._end_after(asked)

    def stop(self) -> None:
        self._stopped.set()
        self.join()
        self._end.cancel()
        self._drop()

    def _renew(self) -> None:
        self._connection = self._connection or self._connect()
        if not self._connection.execute(_RENEW, (SECONDS, self._lease, self._holder)).rowcount:
            self._lose()

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _end_after(self, asked: float) -> threading.Timer:
        """A thread of its own: the one that renews may hang."""
        timer = threading.Timer(asked + SECONDS - _EARLY - time.monotonic(), self._lose)
        timer.daemon = True
        timer.start()
        return timer

    def _lose(self) -> None:
        log.error("the lease %s could not be renewed in time; ending", self._lease, extra={"action": "lease"})
        os._exit(1)


def _machine() -> str:
    """This machine since it was started, and what of its processes we see."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {os.readlink('/proc/self/ns/pid')}"


def _started(pid: int) -> str | None:
    """When a live process began, in clock ticks since the machine did; None when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
