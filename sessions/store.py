"""Sessions in the store: their SQL, and the tables of all that hangs on them.

Decides races by one conditional write each. No row back from a write means that somebody else was first; that is an
answer, not an error.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime

import sqlite_utils
from sqlite_utils import Migrations

from gateway.core import events
from gateway.core.clock import from_text, to_text
from gateway.core.database import Database, next_id
from gateway.core.errors import AlreadyExists, DuplicateName, LimitReached
from sessions import statement_store as statements
from sessions.driver_store import driver_of
from sessions.jobs import store as jobs
from sessions.models import Driver, Session, SessionRequest

migrations = Migrations("sessions")

_BUSY = (
    "(sessions.state = 'idle' AND EXISTS (SELECT 1 FROM statements"
    f" WHERE statements.session = sessions.id AND statements.state IN {statements.UNFINISHED}))"
)
_SESSION = (
    f"SELECT sessions.*, {_BUSY} AS busy, drivers.folder, drivers.app_id, drivers.ui_url"
    " FROM sessions JOIN drivers ON drivers.id = sessions.driver"
)


# permanent ones, and others whose driver was ended in order to be replaced
_RESTARTS = "(sessions.permanent = 1 OR drivers.replaced = 1)"


@migrations()
def first_tables(db: sqlite_utils.Database) -> None:
    db.execute(
        "CREATE TABLE drivers (id TEXT PRIMARY KEY, state TEXT NOT NULL, target TEXT NOT NULL, folder TEXT NOT NULL,"
        " options TEXT NOT NULL, app_id TEXT, ui_url TEXT, reason TEXT, created TEXT NOT NULL, launched TEXT,"
        " ended TEXT)"
    )
    db.execute("CREATE INDEX drivers_alive ON drivers (state) WHERE state <> 'gone'")
    db.execute(
        "CREATE TABLE sessions (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT UNIQUE, owner TEXT,"
        " proxy_user TEXT, project TEXT, kind TEXT NOT NULL, state TEXT NOT NULL, options TEXT NOT NULL,"
        " heartbeat_seconds REAL, ttl TEXT, idle_timeout TEXT, driver TEXT NOT NULL REFERENCES drivers (id),"
        " next_statement INTEGER NOT NULL, created TEXT NOT NULL, heartbeat TEXT NOT NULL, activity TEXT NOT NULL,"
        " ended TEXT)"
    )
    db.execute("CREATE INDEX sessions_by_driver ON sessions (driver)")
    db.execute(
        "CREATE TABLE statements (session INTEGER NOT NULL REFERENCES sessions (id), id INTEGER NOT NULL,"
        " code TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, output TEXT, progress REAL NOT NULL,"
        " created TEXT NOT NULL, started TEXT, completed TEXT, PRIMARY KEY (session, id))"
    )
    db.execute(f"CREATE INDEX statements_unfinished ON statements (session) WHERE state IN {statements.UNFINISHED}")
    db.execute(
        "CREATE UNIQUE INDEX statements_one_runs ON statements (session) WHERE state IN ('running', 'cancelling')"
    )


@migrations()
def permanent_sessions(db: sqlite_utils.Database) -> None:
    db.execute("ALTER TABLE sessions ADD COLUMN permanent INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE sessions ADD COLUMN short_lives INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE drivers ADD COLUMN not_before TEXT")
    db.execute("CREATE TABLE ended_permanent_sessions (uuid TEXT PRIMARY KEY)")


@migrations()
def jobs_and_additions(db: sqlite_utils.Database) -> None:
    db.execute("ALTER TABLE sessions ADD COLUMN next_job INTEGER NOT NULL DEFAULT 1")
    db.execute("ALTER TABLE sessions ADD COLUMN next_addition INTEGER NOT NULL DEFAULT 1")
    db.execute(
        "CREATE TABLE session_jobs (session INTEGER NOT NULL REFERENCES sessions (id), id INTEGER NOT NULL,"
        " type TEXT NOT NULL, payload TEXT NOT NULL, state TEXT NOT NULL, additions INTEGER NOT NULL, result TEXT,"
        " error TEXT, created TEXT NOT NULL, started TEXT, ended TEXT, PRIMARY KEY (session, id))"
    )
    db.execute(f"CREATE INDEX session_jobs_unfinished ON session_jobs (session) WHERE state IN {jobs.UNFINISHED}")
    db.execute(
        "CREATE TABLE session_additions (session INTEGER NOT NULL REFERENCES sessions (id), id INTEGER NOT NULL,"
        " kind TEXT NOT NULL, path TEXT NOT NULL, state TEXT NOT NULL, error TEXT, PRIMARY KEY (session, id))"
    )
    db.execute("CREATE INDEX session_additions_waiting ON session_additions (session, id) WHERE state = 'waiting'")


@migrations()
def stuck_drivers(db: sqlite_utils.Database) -> None:
    db.execute("ALTER TABLE statements ADD COLUMN cancelled TEXT")
    db.execute("ALTER TABLE session_jobs ADD COLUMN cancelled TEXT")
    db.execute("ALTER TABLE drivers ADD COLUMN replaced INTEGER NOT NULL DEFAULT 0")


@dataclass(frozen=True)
class Lifetime:
    """What the expiry of one live session depends on. `has_jobs`: some are queued or run."""

    session: Session
    activity: datetime
    has_jobs: bool = False


class SessionStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    def add(
        self, request: SessionRequest, driver: Driver, uuid: str, owner: str | None, now: datetime, limit: int
    ) -> Session:
        """Store a session with the claim on its driver.

        Raises AlreadyExists (`uuid`), DuplicateName, or LimitReached at `limit` live ones.
        """
        db = self._db
        with db.transaction():
            if self.number_of(uuid) is not None:
                raise AlreadyExists("session", uuid)
            if db.value("SELECT count(*) FROM sessions WHERE state <> 'dead'") >= limit:
                raise LimitReached("too many sessions are being created!", limit)
            self._add_driver(driver)
            number = next_id(db, "session")
            try:
                db.run(
                    "INSERT INTO sessions (id, uuid, name, owner, proxy_user, kind, state, options, heartbeat_seconds,"
                    " ttl, idle_timeout, permanent, driver, next_statement, created, heartbeat, activity)"
                    " VALUES (:id, :uuid, :name, :owner, :proxy_user, :kind, 'starting', :options, :heartbeat_seconds,"
                    " :ttl, :idle_timeout, :permanent, :driver, 0, :now, :now, :now)",
                    {
                        "id": number,
                        "uuid": uuid,
                        "name": request.options.name,
                        "owner": owner,
                        "proxy_user": request.options.proxy_user,
                        "kind": request.kind.value,
                        "options": json.dumps(request.options.as_dict()),
                        "heartbeat_seconds": request.heartbeat_timeout and request.heartbeat_timeout.total_seconds(),
                        "ttl": request.ttl,
                        "idle_timeout": request.idle_timeout,
                        "permanent": int(request.permanent),
                        "driver": driver.id,
                        "now": to_text(now),
                    },
                )
            except sqlite3.IntegrityError as error:
                raise DuplicateName("session", request.options.name or "") from error
            events.record(db, now, "session", number, "starting", driver=driver.id, kind=request.kind.value)
            db.run("DELETE FROM ended_permanent_sessions WHERE uuid = :uuid", {"uuid": uuid})
            added = self.find(number)
        assert added is not None
        return added

    def find(self, ref: int | str) -> Session | None:
        """By id (int) or name (str)."""
        column = "id" if isinstance(ref, int) else "name"
        row = self._db.row(f"{_SESSION} WHERE sessions.{column} = :ref", {"ref": ref})
        return None if row is None else Session.of(row)

    def number_of(self, uuid: str) -> int | None:
        found = self._db.value("SELECT id FROM sessions WHERE uuid = :uuid", {"uuid": uuid})
        return None if found is None else int(found)

    def page(self, start: int, size: int, *, newest_first: bool = False) -> tuple[int, list[Session]]:
        """How many there are, and those from position `start` on, by rising id unless `newest_first`."""
        rows = self._db.rows(
            f"{_SESSION} ORDER BY sessions.id {'DESC' if newest_first else 'ASC'} LIMIT :size OFFSET :start",
            {"size": size, "start": start},
        )
        return int(self._db.value("SELECT count(*) FROM sessions")), [Session.of(row) for row in rows]

    def live(self) -> list[Lifetime]:
        """The live sessions that may expire."""
        rows = self._db.rows(f"{_SESSION} WHERE sessions.state <> 'dead' AND sessions.permanent = 0")
        working = jobs.sessions_with_jobs(self._db)
        return [Lifetime(Session.of(row), from_text(row["activity"]), row["id"] in working) for row in rows]

    def touch(self, session: int, now: datetime, *, activity: bool) -> None:
        """The client lives (heartbeat); with `activity` it also does something with the session."""
        also = ", activity = :now" if activity else ""
        self._db.run(f"UPDATE sessions SET heartbeat = :now{also} WHERE id = :id", {"id": session, "now": to_text(now)})

    def work_goes_on(self, session: int, now: datetime) -> None:
        """Something runs in the session, which says nothing of its client."""
        self._db.run("UPDATE sessions SET activity = :now WHERE id = :id", {"id": session, "now": to_text(now)})

    def become_idle(self, now: datetime) -> list[int]:
        """Move every starting session whose driver is ready; their ids."""
        with self._db.transaction():
            rows = self._db.rows(
                "UPDATE sessions SET state = 'idle', activity = :now WHERE state = 'starting' AND driver IN"
                " (SELECT id FROM drivers WHERE state = 'ready' AND target = 'ready') RETURNING id",
                {"now": to_text(now)},
            )
            for row in rows:
                events.record(self._db, now, "session", row["id"], "idle")
        return [row["id"] for row in rows]

    def without_driver(self) -> list[tuple[int, str]]:
        """(id, why the driver went) of every session that ends with its driver and whose driver is gone."""
        rows = self._db.rows(
            "SELECT sessions.id, drivers.reason FROM sessions JOIN drivers ON drivers.id = sessions.driver"
            f" WHERE sessions.state <> 'dead' AND NOT {_RESTARTS} AND drivers.state = 'gone'"
        )
        return [(row["id"], row["reason"] or "the driver was stopped") for row in rows]

    def to_restart(self) -> list[tuple[Session, Driver]]:
        """Every session whose driver is gone and is to have another one, with that driver."""
        rows = self._db.rows(f"{_SESSION} WHERE sessions.state <> 'dead' AND {_RESTARTS} AND drivers.state = 'gone'")
        pairs = [(session, driver_of(self._db, session.id)) for session in map(Session.of, rows)]
        return [(session, driver) for session, driver in pairs if driver is not None]

    def restart(self, session: Session, driver: Driver, reason: str, short_lives: int, now: datetime) -> bool:
        """Give a session a new driver; what ran has failed, what waits will run. False: it has ended."""
        with self._db.transaction():
            self._add_driver(driver)
            moved = self._db.run(
                "UPDATE sessions SET state = 'starting', driver = :new, short_lives = :short_lives"
                " WHERE id = :id AND driver = :old AND state <> 'dead'",
                {"id": session.id, "old": session.driver, "new": driver.id, "short_lives": short_lives},
            )
            if not moved:
                self._db.run("DELETE FROM drivers WHERE id = :id", {"id": driver.id})
                return False
            statements.finish_all(self._db, session.id, statements.RUNNING, reason, now)
            jobs.finish_all(self._db, session.id, reason, now)
            events.record(self._db, now, "session", session.id, "starting", driver=driver.id, reason=reason)
        return True

    def end(self, session: int, reason: str, now: datetime) -> bool:
        """Move to dead, finish what was unfinished, give up the claim on the driver. False if it was dead already."""
        with self._db.transaction():
            ended = self._db.row(
                "UPDATE sessions SET state = 'dead', ended = :now WHERE id = :id AND state <> 'dead' RETURNING driver",
                {"id": session, "now": to_text(now)},
            )
            if ended is None:
                return False
            statements.finish_all(self._db, session, statements.UNFINISHED, reason, now)
            jobs.finish_all(self._db, session, reason, now)
            self._release(ended["driver"])
            events.record(self._db, now, "session", session, "dead", reason=reason)
        return True

    def remove(self, session: int, reason: str, now: datetime) -> str | None:
        """Forget a session with all its statements and give up its driver; the driver's id, None if it was gone."""
        with self._db.transaction():
            statements.remove_all(self._db, session)
            jobs.remove_all(self._db, session)
            row = self._db.row("DELETE FROM sessions WHERE id = :id RETURNING driver, uuid, permanent", {"id": session})
            if row is None:
                return None
            if row["permanent"]:
                self._db.run("INSERT INTO ended_permanent_sessions (uuid) VALUES (:uuid)", {"uuid": row["uuid"]})
            self._release(row["driver"])
            events.record(self._db, now, "session", session, "deleted", reason=reason)
        return str(row["driver"])

    def ended_before(self, moment: datetime) -> list[int]:
        rows = self._db.rows(
            "SELECT id FROM sessions WHERE state = 'dead' AND ended < :moment", {"moment": to_text(moment)}
        )
        return [row["id"] for row in rows]

    def was_ended(self, uuid: str) -> bool:
        """Whether a permanent session of this id was deleted, and none has had it since."""
        return self._db.value("SELECT 1 FROM ended_permanent_sessions WHERE uuid = :uuid", {"uuid": uuid}) is not None

    def forget_ended_but(self, kept: Container[str]) -> None:
        """Forget which permanent sessions were deleted, but for these ids."""
        for row in self._db.rows("SELECT uuid FROM ended_permanent_sessions"):
            if row["uuid"] not in kept:
                self._db.run("DELETE FROM ended_permanent_sessions WHERE uuid = :uuid", row)

    def _add_driver(self, driver: Driver) -> None:
        self._db.run(
            "INSERT INTO drivers (id, state, target, folder, options, created, not_before)"
            " VALUES (:id, :state, :target, :folder, :options, :created, :not_before)",
            {
                "id": driver.id,
                "state": driver.state.value,
                "target": driver.target.value,
                "folder": str(driver.folder),
                "options": json.dumps(driver.options.as_dict()),
                "created": to_text(driver.created),
                "not_before": driver.not_before and to_text(driver.not_before),
            },
        )

    def _release(self, driver: str) -> None:
        self._db.run("UPDATE drivers SET target = 'gone' WHERE id = :id", {"id": driver})
