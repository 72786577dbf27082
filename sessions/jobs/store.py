"""A session's jobs and additions in the store: every SQL of theirs but the tables (see `sessions.store`).

Additions of a session are made one after another. A job waits for the additions that were asked for before it, and
for nothing else but a free place.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateway.core import events
from gateway.core.clock import to_text
from gateway.core.database import Database
from gateway.core.errors import LimitReached
from sessions.driver_store import driver_of
from sessions.jobs.models import Addition, SessionJob
from sessions.jobs.states import JobState
from sessions.models import Driver, Kind

# The words of an index's own condition: a query has to repeat them to be served by the index.
UNFINISHED = "('queued', 'started', 'cancelling')"
_RUNNING = "('started', 'cancelling')"
_JOB = "session, id, type, state, result, error, created, started, ended, cancelled"


class JobStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    # ------------------------------------------------------------ jobs

    def submit(
        self, session: int, kind: Kind, payload: str, now: datetime, *, most_unfinished: int, retained: int
    ) -> SessionJob | None:
        """Queue a job under the session's next id; None if the session takes none. Raises LimitReached."""
        db = self._db
        with db.transaction():
            number = self._next(session, "next_job", now)
            if number is None:
                return None
            unfinished = db.value(
                f"SELECT count(*) FROM session_jobs WHERE session = :id AND state IN {UNFINISHED}", {"id": session}
            )
            if unfinished >= most_unfinished:
                raise LimitReached(f"the session has {unfinished} unfinished jobs; wait for some or cancel them")
            row = db.row(
                "INSERT INTO session_jobs (session, id, type, payload, state, additions, created)"
                " SELECT :session, :id, :type, :payload, 'queued', next_addition - 1, :now FROM sessions"
                f" WHERE id = :session RETURNING {_JOB}",
                {"session": session, "id": number, "type": kind.value, "payload": payload, "now": to_text(now)},
            )
            db.run(
                f"DELETE FROM session_jobs WHERE session = :id AND id <= :last AND state NOT IN {UNFINISHED}",
                {"id": session, "last": number - retained},
            )
        assert row is not None
        return SessionJob.of(row)

    def find(self, session: int, number: int) -> SessionJob | None:
        row = self._db.row(
            f"SELECT {_JOB} FROM session_jobs WHERE session = :session AND id = :id", {"session": session, "id": number}
        )
        return None if row is None else SessionJob.of(row)

    def payload(self, session: int, number: int) -> str:
        """The serialised job, base64; empty once it has ended."""
        found = self._db.value(
            "SELECT payload FROM session_jobs WHERE session = :session AND id = :id", {"session": session, "id": number}
        )
        return str(found or "")

    def cancel(self, session: int, number: int, now: datetime) -> JobState | None:
        """Queued becomes cancelled, started becomes cancelling; None when there was nothing to cancel."""
        with self._db.transaction():
            row = self._db.row(
                "UPDATE session_jobs SET ended = CASE state WHEN 'queued' THEN :now ELSE ended END,"
                " payload = CASE state WHEN 'queued' THEN '' ELSE payload END, cancelled = :now,"
                " state = CASE state WHEN 'queued' THEN 'cancelled' ELSE 'cancelling' END"
                " WHERE session = :session AND id = :id AND state IN ('queued', 'started') RETURNING state",
                {"session": session, "id": number, "now": to_text(now)},
            )
            if row is None:
                return None
            _record(self._db, now, session, number, row["state"])
        return JobState(row["state"])

    def claim(self, now: datetime, most_running: int) -> int:
        """Start queued jobs of idle sessions, by rising id, as long as a session has places; how many."""
        return self._db.run(
            "UPDATE session_jobs SET state = 'started', started = :now WHERE state = 'queued' AND (session, id) IN ("
            " SELECT session, id FROM (SELECT queued.session, queued.id,"
            " row_number() OVER (PARTITION BY queued.session ORDER BY queued.id) AS place,"
            " (SELECT count(*) FROM session_jobs AS other WHERE other.session = queued.session"
            f" AND other.state IN {UNFINISHED} AND other.state <> 'queued') AS running"
            " FROM session_jobs AS queued JOIN sessions ON sessions.id = queued.session AND sessions.state = 'idle'"
            f" WHERE queued.state IN {UNFINISHED} AND queued.state = 'queued'"
            " AND NOT EXISTS (SELECT 1 FROM session_additions AS addition WHERE addition.session = queued.session"
            " AND addition.state = 'waiting' AND addition.id <= queued.additions)) AS ready"
            " WHERE place + running <= :most)",
            {"now": to_text(now), "most": most_running},
        )

    def running(self) -> list[tuple[SessionJob, Driver]]:
        """Every job that runs or is being cancelled, with the driver that runs it."""
        rows = self._db.rows(
            f"SELECT {_JOB} FROM session_jobs WHERE state IN {UNFINISHED} AND state IN {_RUNNING} ORDER BY session, id"
        )
        pairs = [(SessionJob.of(row), driver_of(self._db, row["session"])) for row in rows]
        return [(job, driver) for job, driver in pairs if driver is not None]

    def finish(
        self, job: SessionJob, result: str | None, error: str | None, started: datetime, ended: datetime
    ) -> bool:
        """Store how it ended, unless it was to be cancelled: then it is. False when it had ended before."""
        with self._db.transaction():
            row = self._db.row(
                "UPDATE session_jobs SET result = CASE state WHEN 'started' THEN :result END,"
                " error = CASE state WHEN 'started' THEN :error END, payload = '', started = :started, ended = :ended,"
                " state = CASE state WHEN 'cancelling' THEN 'cancelled' ELSE :state END"
                f" WHERE session = :session AND id = :id AND state IN {_RUNNING} RETURNING state",
                {
                    "session": job.session,
                    "id": job.id,
                    "result": result,
                    "error": error,
                    "state": (JobState.SUCCEEDED if error is None else JobState.FAILED).value,
                    "started": to_text(started),
                    "ended": to_text(ended),
                },
            )
            if row is None:
                return False
            self._db.run(
                "UPDATE sessions SET activity = :now WHERE id = :id AND activity < :now",
                {"id": job.session, "now": to_text(ended)},
            )
            _record(self._db, ended, job.session, job.id, row["state"])
        return True

    # ------------------------------------------------------------ additions

    def add(
        self, session: int, kind: str, path: str, now: datetime, *, most_waiting: int, retained: int
    ) -> Addition | None:
        """Ask for an addition, after those asked for before; None if the session takes none. Raises LimitReached."""
        db = self._db
        with db.transaction():
            number = self._next(session, "next_addition", now)
            if number is None:
                return None
            waiting = db.value(
                "SELECT count(*) FROM session_additions WHERE session = :id AND state = 'waiting'", {"id": session}
            )
            if waiting >= most_waiting:
                raise LimitReached(f"the session has {waiting} files and jars still to be added; wait for some")
            row = db.row(
                "INSERT INTO session_additions (session, id, kind, path, state)"
                " VALUES (:session, :id, :kind, :path, 'waiting') RETURNING *",
                {"session": session, "id": number, "kind": kind, "path": path},
            )
            db.run(
                "DELETE FROM session_additions WHERE session = :id AND id <= :last AND state <> 'waiting'",
                {"id": session, "last": number - retained},
            )
        assert row is not None
        return Addition.of(row)

    def addition(self, session: int, number: int) -> Addition | None:
        row = self._db.row(
            "SELECT * FROM session_additions WHERE session = :session AND id = :id", {"session": session, "id": number}
        )
        return None if row is None else Addition.of(row)

    def next_additions(self) -> list[tuple[Addition, Driver]]:
        """The first waiting addition of every idle session, with the session's driver."""
        rows = self._db.rows(
            "SELECT addition.* FROM session_additions AS addition"
            " JOIN sessions ON sessions.id = addition.session AND sessions.state = 'idle'"
            " WHERE addition.state = 'waiting' AND NOT EXISTS (SELECT 1 FROM session_additions AS earlier"
            " WHERE earlier.session = addition.session AND earlier.state = 'waiting' AND earlier.id < addition.id)"
        )
        pairs = [(Addition.of(row), driver_of(self._db, row["session"])) for row in rows]
        return [(addition, driver) for addition, driver in pairs if driver is not None]

    def settle(self, addition: Addition, error: str | None) -> bool:
        """Store whether it was added (`error` None). False when that was known before."""
        changed = self._db.run(
            "UPDATE session_additions SET state = :state, error = :error"
            " WHERE session = :session AND id = :id AND state = 'waiting'",
            {
                "session": addition.session,
                "id": addition.id,
                "state": "added" if error is None else "failed",
                "error": error,
            },
        )
        return bool(changed)

    # ------------------------------------------------------------ both

    def is_quiet(self) -> bool:
        """Whether nothing of any session waits or runs."""
        return not self._db.value(
            f"SELECT EXISTS (SELECT 1 FROM session_jobs WHERE state IN {UNFINISHED})"
            " OR EXISTS (SELECT 1 FROM session_additions WHERE state = 'waiting')"
        )

    def _next(self, session: int, counter: str, now: datetime) -> int | None:
        """The next number of the session's `counter`; None when the session has ended."""
        row = self._db.row(
            f"UPDATE sessions SET {counter} = {counter} + 1, activity = :now, heartbeat = :now"
            f" WHERE id = :id AND state <> 'dead' RETURNING {counter} - 1 AS number",
            {"id": session, "now": to_text(now)},
        )
        return None if row is None else int(row["number"])


def sessions_with_jobs(db: Database) -> set[int]:
    """The sessions that have unfinished jobs."""
    rows = db.rows(f"SELECT DISTINCT session FROM session_jobs WHERE state IN {UNFINISHED}")
    return {row["session"] for row in rows}


def finish_all(db: Database, session: int, reason: str, now: datetime) -> None:
    """End what a session that ends leaves unfinished. Call it inside the transaction that ends the session."""
    rows = db.rows(
        "UPDATE session_jobs SET payload = '', ended = :now,"
        " error = CASE state WHEN 'queued' THEN :unstarted WHEN 'started' THEN :lost END,"
        " state = CASE state WHEN 'cancelling' THEN 'cancelled' ELSE 'failed' END"
        f" WHERE session = :id AND state IN {UNFINISHED} RETURNING id, state",
        {
            "id": session,
            "now": to_text(now),
            "unstarted": f"Session ended before this job ran: {reason}",
            "lost": f"Session ended while this job ran: {reason}",
        },
    )
    for row in rows:
        _record(db, now, session, row["id"], row["state"])
    db.run(
        "UPDATE session_additions SET state = 'failed', error = :error WHERE session = :id AND state = 'waiting'",
        {"id": session, "error": f"Session ended before this was added: {reason}"},
    )


def remove_all(db: Database, session: int) -> None:
    """Forget all of a session's. Call it inside the transaction that removes the session."""
    values: dict[str, Any] = {"id": session}
    db.run("DELETE FROM session_jobs WHERE session = :id", values)
    db.run("DELETE FROM session_additions WHERE session = :id", values)


def _record(db: Database, now: datetime, session: int, number: int, name: str) -> None:
    events.record(db, now, "session job", f"{session}/{number}", name)
