"""The JVM's side of seats: for each one a Spark session, and a way in that belongs to its interpreter alone.

Decides what an interpreter finds there: its session is the active one of every thread that serves it, all its Spark
jobs have its tag and its scheduler pool, and what Spark calls back goes to it and to nobody else. When it has ended,
nothing of it is left: no job, no stream, no object that it held.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from . import groups
from .spark import LATE_EVERY, LATE_LOOKS
from .thread_tags import TAGS

POOL = "spark.scheduler.pool"


@dataclass(frozen=True)
class Door:
    """Where an interpreter enters the JVM, and with which secret."""

    port: int
    secret: str


@dataclass(frozen=True)
class _Room:
    session: Any
    server: Any
    tag: str


class JvmSeats:
    """`context` is the SparkContext, `session` Spark's own session, from which the others are made."""

    def __init__(self, context: Any, session: Any) -> None:
        self._context, self._session = context, session
        self._rooms: dict[str, _Room] = {}

    def open(self, folder: str, seat: int) -> Door:
        """Make the session of a seat and the way to it. Raises what Spark raises. For one thread.

        A thread of the JVM hands to those that it starts which session is active and which properties jobs have. So
        those of this thread are the seat's while the server is started, whose threads serve the interpreter.
        """
        jvm, tag = self._session._jvm, groups.of_seat(seat)
        sessions = jvm.org.apache.spark.sql.SparkSession
        session = self._session._jsparkSession.newSession()
        try:
            sessions.setActiveSession(session)
            self._context.setLocalProperty(TAGS, tag)
            self._context.setLocalProperty(POOL, tag)
            server = jvm.org.apache.spark.api.python.Py4JServer(self._context._jsc.sc().conf())
            server.start()  # which may have begun to listen when it was made
        finally:
            sessions.clearActiveSession()
            self._context.setLocalProperty(TAGS, None)
            self._context.setLocalProperty(POOL, None)
        self._rooms[folder] = _Room(session, server, tag)
        return Door(int(server.getListeningPort()), str(server.secret()))

    def close(self, folder: str) -> None:
        """Let go of all that a seat has there, whose interpreter has ended; nothing when it has nothing."""
        room = self._rooms.pop(folder, None)
        if room is not None:
            threading.Thread(target=self._clear, args=(room,), name=f"clear-{room.tag}", daemon=True).start()

    def _clear(self, room: _Room) -> None:
        try:
            room.server.shutdown()
            for _ in range(LATE_LOOKS):  # adaptive execution may be about to submit one more job
                self._context._jsc.sc().cancelJobsWithTag(room.tag)
                for query in room.session.streams().active():
                    query.stop()
                time.sleep(LATE_EVERY)
        except Exception:  # noqa: BLE001 - Spark is being stopped, and takes all with it
            return
