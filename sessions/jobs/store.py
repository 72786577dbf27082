"""A session's jobs and additions in the store: their tables and every SQL of theirs.

Additions of a session are made one after another. A job waits for the additions that were asked for before it, and
for nothing else but a free place.
"""

from __future__ import annotations

from datetime import datetime

from gateway.core import events
from gateway.core.clock import to_text
from gateway.core.errors import LimitReached
from gateway.core.events import Belonging
from gateway.core.store.database import Database, Migrations, Row, keepable
from sessions.drivers.claims import Claim, claim_of
from sessions.drivers.store import HERE, READY
from sessions.jobs.models import Addition, SessionJob
from sessions.jobs.states import JobState
from sessions.models import Kind
from sessions.store import belonging_of

migrations = Migrations("jobs")

# The words of an index's own condition: a query has to repeat them to be served by the index.
_UNFINISHED = "('queued', 'started', 'cancelling')"
_RUNNING = "('started', 'cancelling')"
_JOB = "session, id, type, state, result, error, created, started, ended, cancelled"


@migrations(was="sessions.jobs_and_additions")
def first_tables(db: Database) -> None:
    db.run(
        "CREATE TABLE session_jobs (session INTEGER NOT NULL REFERENCES sessions (id), id INTEGER NOT NULL,"
        " type TEXT NOT NULL, payload TEXT NOT NULL, state TEXT NOT NULL, additions INTEGER NOT NULL, result TEXT,"
        " error TEXT, created TEXT NOT NULL, started TEXT, ended TEXT, PRIMARY KEY (session, id))"
    )
    db.run(f"CREATE INDEX session_jobs_unfinished ON session_jobs (session) WHERE state IN {_UNFINISHED}")
    db.run(
        "CREATE TABLE session_additions (session INTEGER NOT NULL REFERENCES sessions (id), id INTEGER NOT NULL,"
        " kind TEXT NOT NULL, path TEXT NOT NULL, state TEXT NOT NULL, error TEXT, PRIMARY KEY (session, id))"
    )
    db.run("CREATE INDEX session_additions_waiting ON session_additions (session, id) WHERE state = 'waiting'")


@migrations()
def cancels(db: Database) -> None:
    db.run("ALTER TABLE session_jobs ADD COLUMN cancelled TEXT")


@migrations()
def in_order(db: Database) -> None:
    db.run("DROP INDEX session_jobs_unfinished")
    db.run(f"CREATE INDEX session_jobs_unfinished ON session_jobs (session, id) WHERE state IN {_UNFINISHED}")


class JobStore:
    """As one host sees it, which runs those of sessions whose driver is there."""

    def __init__(self, db: Database, host: str) -> None:
        self._db, self._host = db, host

    # ------------------------------------------------------------ jobs

    def submit(
        self, session: int, language: Kind, payload: str, now: datetime, *, most_unfinished: int, retained: int
    ) -> SessionJob | None:
        """Queue a job under the session's next id; None if the session takes none. Raises LimitReached."""
        db = self._db
        with db.transaction():
            taken = self._next(session, "next_job", now)
            if taken is None:
                return None
            number = taken["number"]
            unfinished = db.value(
                f"SELECT count(*) FROM session_jobs WHERE session = :id AND state IN {_UNFINISHED}", {"id": session}
            )
            if unfinished >= most_unfinished:
                raise LimitReached(f"the session has {unfinished} unfinished jobs; wait for some or cancel them")
            row = db.row(
                "INSERT INTO session_jobs (session, id, type, payload, state, additions, created)"
                " SELECT :session, :id, :type, :payload, 'queued', next_addition - 1, :now FROM sessions"
                f" WHERE id = :session RETURNING {_JOB}",
                {"session": session, "id": number, "type": language.value, "payload": payload, "now": to_text(now)},
            )
            db.run(
                f"DELETE FROM session_jobs WHERE session = :id AND id <= :last AND state NOT IN {_UNFINISHED}",
                {"id": session, "last": number - retained},
            )
            assert row is not None
            _record(db, now, Belonging.of(taken), "job", row)
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
                " WHERE session = :session AND id = :id AND state IN ('queued', 'started')"
                " RETURNING session, id, state",
                {"session": session, "id": number, "now": to_text(now)},
            )
            if row is None:
                return None
            _record(self._db, now, belonging_of(self._db, session), "job", row)
        return JobState(row["state"])

    def forget(self, session: int, number: int) -> None:
        """Keep nothing of a job that has ended."""
        self._db.run(
            f"DELETE FROM session_jobs WHERE session = :session AND id = :id AND state NOT IN {_UNFINISHED}",
            {"session": session, "id": number},
        )

    def claim(self, now: datetime, most_running: int) -> int:
        """Start queued jobs of idle sessions here, by rising id, as long as a session has places; how many."""
        with self._db.transaction():
            rows = self._claim(now, most_running)
            for row in rows:
                _record(self._db, now, belonging_of(self._db, row["session"]), "job", row)
        return len(rows)

    def _claim(self, now: datetime, most_running: int) -> list[Row]:
        return self._db.rows(
            "UPDATE session_jobs SET state = 'started', started = :now WHERE state = 'queued' AND (session, id) IN ("
            " SELECT session, id FROM (SELECT queued.session, queued.id,"
            " row_number() OVER (PARTITION BY queued.session ORDER BY queued.id) AS place,"
            " (SELECT count(*) FROM session_jobs AS other WHERE other.session = queued.session"
            f" AND other.state IN {_UNFINISHED} AND other.state <> 'queued') AS running"
            " FROM session_jobs AS queued JOIN sessions ON sessions.id = queued.session AND sessions.state = 'idle'"
            f" JOIN drivers ON drivers.id = sessions.driver AND {READY} AND {HERE}"
            f" WHERE queued.state IN {_UNFINISHED} AND queued.state = 'queued'"
            " AND NOT EXISTS (SELECT 1 FROM session_additions AS addition WHERE addition.session = queued.session"
            " AND addition.state = 'waiting' AND addition.id <= queued.additions)) AS ready"
            " WHERE place + running <= :most) RETURNING session, id, state",
            {"now": to_text(now), "most": most_running, "host": self._host},
        )

    def running(self) -> list[tuple[SessionJob, Claim]]:
        """Every job that runs or is being cancelled here, with the claim of its session."""
        rows = self._db.rows(
            f"SELECT {_JOB} FROM session_jobs WHERE state IN {_UNFINISHED} AND state IN {_RUNNING} ORDER BY session, id"
        )
        pairs = [(SessionJob.of(row), claim_of(self._db, row["session"])) for row in rows]
        return [(job, claim) for job, claim in pairs if claim and claim.driver.may_be_on(self._host)]

    def finish(
        self, job: SessionJob, result: str | None, error: str | None, started: datetime, ended: datetime
    ) -> bool:
        """Store how it ended, unless it was to be cancelled: then it is. False when it had ended before."""
        with self._db.transaction():
            row = self._db.row(
                "UPDATE session_jobs SET result = CASE state WHEN 'started' THEN :result END,"
                " error = CASE state WHEN 'started' THEN :error END, payload = '', started = :started, ended = :ended,"
                " state = CASE state WHEN 'cancelling' THEN 'cancelled' ELSE :state END"
                f" WHERE session = :session AND id = :id AND state IN {_RUNNING} RETURNING session, id, state",
                {
                    "session": job.session,
                    "id": job.id,
                    "result": result,
                    "error": keepable(error),
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
            _record(self._db, ended, belonging_of(self._db, job.session), "job", row)
        return True

    # ------------------------------------------------------------ additions

    def add(
        self, session: int, kind: str, path: str, now: datetime, *, most_waiting: int, retained: int
    ) -> Addition | None:
        """Ask for an addition, after those asked for before; None if the session takes none. Raises LimitReached."""
        db = self._db
        with db.transaction():
            taken = self._next(session, "next_addition", now)
            if taken is None:
                return None
            number = taken["number"]
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
            _record(db, now, Belonging.of(taken), "addition", row)
        return Addition.of(row)

    def addition(self, session: int, number: int) -> Addition | None:
        row = self._db.row(
            "SELECT * FROM session_additions WHERE session = :session AND id = :id", {"session": session, "id": number}
        )
        return None if row is None else Addition.of(row)

    def next_additions(self) -> list[tuple[Addition, Claim]]:
        """The first waiting addition of every idle session here, with the session's claim."""
        rows = self._db.rows(
            "SELECT addition.* FROM session_additions AS addition"
            " JOIN sessions ON sessions.id = addition.session AND sessions.state = 'idle'"
            f" JOIN drivers ON drivers.id = sessions.driver AND {READY} AND {HERE}"
            " WHERE addition.state = 'waiting' AND NOT EXISTS (SELECT 1 FROM session_additions AS earlier"
            " WHERE earlier.session = addition.session AND earlier.state = 'waiting' AND earlier.id < addition.id)",
            {"host": self._host},
        )
        pairs = [(Addition.of(row), claim_of(self._db, row["session"])) for row in rows]
        return [(addition, claim) for addition, claim in pairs if claim]

    def settle(self, addition: Addition, error: str | None, now: datetime) -> bool:
        """Store whether it was added (`error` None). False when that was known before."""
        with self._db.transaction():
            row = self._db.row(
                "UPDATE session_additions SET state = :state, error = :error"
                " WHERE session = :session AND id = :id AND state = 'waiting' RETURNING session, id, state",
                {
                    "session": addition.session,
                    "id": addition.id,
                    "state": "added" if error is None else "failed",
                    "error": keepable(error),
                },
            )
            if row is not None:
                _record(self._db, now, belonging_of(self._db, addition.session), "addition", row)
        return row is not None

    # ------------------------------------------------------------ both

    def is_quiet(self) -> bool:
        """Whether nothing of any session waits or runs."""
        return not self._db.value(
            f"SELECT EXISTS (SELECT 1 FROM session_jobs WHERE state IN {_UNFINISHED})"
            " OR EXISTS (SELECT 1 FROM session_additions WHERE state = 'waiting')"
        )

    def _next(self, session: int, counter: str, now: datetime) -> Row | None:
        """The next number of the session's `counter`, and whose it is; None when the session has ended."""
        return self._db.row(
            f"UPDATE sessions SET {counter} = {counter} + 1, activity = :now, heartbeat = :now"
            f" WHERE id = :id AND state <> 'dead' RETURNING {counter} - 1 AS number, owner, project",
            {"id": session, "now": to_text(now)},
        )

    # ------------------------------------------------------------ as a part of its session

    def lose_driver(self, session: int, reason: str, now: datetime) -> None:
        """What ran or waited has failed; what was added is to be added to the next driver, in the same order."""
        self._fail_jobs(session, "Session lost its driver", reason, now)
        self._move_additions(session, "added", "waiting", None, now)

    def end(self, session: int, reason: str, now: datetime) -> None:
        self._fail_jobs(session, "Session ended", reason, now)
        self._move_additions(session, "waiting", "failed", f"Session ended before this was added: {reason}", now)

    def remove(self, session: int) -> None:
        self._db.run("DELETE FROM session_jobs WHERE session = :id", {"id": session})
        self._db.run("DELETE FROM session_additions WHERE session = :id", {"id": session})

    def _fail_jobs(self, session: int, what: str, reason: str, now: datetime) -> None:
        rows = self._db.rows(
            "UPDATE session_jobs SET payload = '', ended = :now,"
            " error = CASE state WHEN 'queued' THEN :unstarted WHEN 'started' THEN :lost END,"
            " state = CASE state WHEN 'cancelling' THEN 'cancelled' ELSE 'failed' END"
            f" WHERE session = :id AND state IN {_UNFINISHED} RETURNING session, id, state",
            {
                "id": session,
                "now": to_text(now),
                "unstarted": f"{what} before this job ran: {reason}",
                "lost": f"{what} while this job ran: {reason}",
            },
        )
        for row in rows:
            _record(self._db, now, belonging_of(self._db, session), "job", row)

    def _move_additions(self, session: int, before: str, after: str, error: str | None, now: datetime) -> None:
        rows = self._db.rows(
            "UPDATE session_additions SET state = :after, error = :error WHERE session = :id AND state = :before"
            " RETURNING session, id, state",
            {"id": session, "before": before, "after": after, "error": error},
        )
        for row in rows:
            _record(self._db, now, belonging_of(self._db, session), "addition", row)


def _record(db: Database, now: datetime, whose: Belonging, subject: str, row: Row) -> None:
    events.record(db, now, whose, subject, f"{row['session']}/{row['id']}", row["state"])
