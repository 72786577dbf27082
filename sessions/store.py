"""Sessions in the store: their tables and every SQL of theirs.

Decides races by one conditional write each. No row back from a write means that somebody else was first; that is an
answer, not an error.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from gateway.core import counts, events, records
from gateway.core.clock import from_text, to_text
from gateway.core.counts import Counted
from gateway.core.errors import AlreadyExists, DuplicateName, LimitReached
from gateway.core.events import Belonging
from gateway.core.identity import Principal, visible_parts, visible_to
from gateway.core.options import SparkOptions
from gateway.core.store import pages
from gateway.core.store.database import Conflict, Database, Migrations, Row, next_id
from sessions.drivers.application_store import ApplicationStore
from sessions.drivers.models import Driver
from sessions.drivers.pool_store import PoolStore
from sessions.drivers.profiles import Profile
from sessions.drivers.sharing import Sharing
from sessions.drivers.states import DriverState
from sessions.drivers.store import HERE, READY, DriverStore
from sessions.models import Session, SessionRequest
from sessions.parts import Part
from sessions.states import SessionState

migrations = Migrations("sessions")

# The words of the indexes' own conditions: a query has to repeat them to be served by an index.
_LIVE = "sessions.state <> 'dead'"
_HAS_STATEMENTS = (
    "EXISTS (SELECT 1 FROM statements WHERE statements.session = sessions.id"
    " AND statements.state IN ('waiting', 'running', 'cancelling'))"
)
_HAS_JOBS = (
    "EXISTS (SELECT 1 FROM session_jobs WHERE session_jobs.session = sessions.id"
    " AND session_jobs.state IN ('queued', 'started', 'cancelling'))"
)
_BUSY = f"sessions.state = 'idle' AND {_HAS_STATEMENTS}"
_SESSION = (
    f"SELECT sessions.*, ({_BUSY}) AS busy, drivers.host, drivers.folder, drivers.app_id, drivers.ui_url,"
    " drivers.reason FROM sessions JOIN drivers ON drivers.id = sessions.driver"
)
_COUNTED = Counted("session", "sessions", _LIVE, f"CASE WHEN {_BUSY} THEN 'busy' ELSE sessions.state END")

_REMOVED_AT_ONCE = 100  # ended sessions

# permanent ones, and others whose driver was ended in order to be replaced
_RESTARTS = "(sessions.permanent = 1 OR drivers.replaced = 1)"


@migrations(was="sessions.first_tables")
def first_table(db: Database) -> None:
    db.run(
        "CREATE TABLE sessions (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT UNIQUE, owner TEXT,"
        " proxy_user TEXT, project TEXT, kind TEXT NOT NULL, state TEXT NOT NULL, options TEXT NOT NULL,"
        " heartbeat_seconds REAL, ttl TEXT, idle_timeout TEXT, driver TEXT NOT NULL REFERENCES drivers (id),"
        " next_statement INTEGER NOT NULL, created TEXT NOT NULL, heartbeat TEXT NOT NULL, activity TEXT NOT NULL,"
        " ended TEXT)"
    )
    db.run("CREATE INDEX sessions_by_driver ON sessions (driver)")


@migrations(was="sessions.permanent_sessions")
def permanent_sessions(db: Database) -> None:
    db.run("ALTER TABLE sessions ADD COLUMN permanent INTEGER NOT NULL DEFAULT 0")
    db.run("ALTER TABLE sessions ADD COLUMN short_lives INTEGER NOT NULL DEFAULT 0")
    db.run("CREATE TABLE ended_permanent_sessions (uuid TEXT PRIMARY KEY)")


@migrations(was="sessions.jobs_and_additions")
def counters_of_jobs(db: Database) -> None:
    db.run("ALTER TABLE sessions ADD COLUMN next_job INTEGER NOT NULL DEFAULT 1")
    db.run("ALTER TABLE sessions ADD COLUMN next_addition INTEGER NOT NULL DEFAULT 1")


@migrations()
def claims(db: Database) -> None:
    db.run("ALTER TABLE sessions ADD COLUMN seat INTEGER NOT NULL DEFAULT 0")
    db.run("UPDATE sessions SET project = 'default' WHERE project IS NULL")


@migrations()
def history(db: Database) -> None:
    db.run("CREATE INDEX sessions_live ON sessions (state, id) WHERE state <> 'dead'")
    db.run("CREATE INDEX sessions_ended ON sessions (ended) WHERE state = 'dead'")
    db.run("CREATE INDEX sessions_of_owner ON sessions (owner, id) WHERE owner IS NOT NULL")
    db.run("CREATE INDEX sessions_of_project ON sessions (project, id)")
    db.run(
        "INSERT INTO counts (subject, owner, project, state, number) SELECT 'session', owner, project, state, count(*)"
        " FROM sessions WHERE state = 'dead' GROUP BY owner, project, state"
    )
    db.run(
        "UPDATE drivers SET claimed = 0 WHERE NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.driver = drivers.id)"
    )


@dataclass(frozen=True)
class Lifetime:
    """What the expiry of one live session depends on. `has_jobs`: some are queued or run."""

    session: Session
    activity: datetime
    has_jobs: bool = False


class SessionStore:
    """`parts` are the stores of what hangs on a session."""

    def __init__(
        self,
        db: Database,
        drivers: DriverStore,
        pool: PoolStore,
        applications: ApplicationStore,
        parts: Sequence[Part],
    ) -> None:
        self._db, self._drivers, self._pool, self._applications, self._parts = db, drivers, pool, applications, parts

    def add(
        self,
        principal: Principal,
        request: SessionRequest,
        driver: Driver,
        uuid: str,
        now: datetime,
        limit: int,
        profile: Profile | None = None,
        sharing: Sharing | None = None,
    ) -> Session:
        """Store a session with the claim on its driver: a warm one of this profile, and then it is idle, or `driver`.

        With `sharing` `driver` is a seat of the application. Raises AlreadyExists (`uuid`), DuplicateName, LimitReached
        at `limit` live ones, or what joining the application raises.
        """
        db, whose = self._db, Belonging(principal.user, principal.project)
        with db.transaction():
            if db.value("SELECT 1 FROM sessions WHERE uuid = :uuid", {"uuid": uuid}) is not None:
                raise AlreadyExists("session", uuid)
            if db.value(f"SELECT count(*) FROM sessions WHERE {_LIVE}") >= limit:
                raise LimitReached("there are as many sessions as there may be; end one, or try again later", limit)
            claim = self._join(sharing, driver, whose, request.options)
            if claim is None and profile is not None:
                claim = self._pool.claim(profile, request.options, whose, now)
            if claim is None:
                self._drivers.add(driver, whose)
                claim = driver
            number = next_id(db, "session")
            try:
                self._insert(number, uuid, request, claim, whose, now)
            except Conflict as error:
                raise DuplicateName("session", request.options.name or "") from error
            first, kind = _first_state(claim), request.kind.value
            events.record(db, now, whose, "session", number, first, driver=claim.id, kind=kind)
            if request.permanent:
                db.run("DELETE FROM ended_permanent_sessions WHERE uuid = :uuid", {"uuid": uuid})
            added = self.find(principal, number)
        assert added is not None
        return added

    def _join(
        self, sharing: Sharing | None, driver: Driver, whose: Belonging, asked: SparkOptions | None
    ) -> Driver | None:
        return None if sharing is None else self._applications.join(sharing, driver, whose, asked=asked)

    def _insert(
        self, number: int, uuid: str, request: SessionRequest, driver: Driver, whose: Belonging, now: datetime
    ) -> None:
        self._db.run(
            "INSERT INTO sessions (id, uuid, name, owner, project, proxy_user, kind, state, options,"
            " heartbeat_seconds, ttl, idle_timeout, permanent, driver, seat, next_statement, created, heartbeat,"
            " activity) VALUES (:id, :uuid, :name, :owner, :project, :proxy_user, :kind, :state, :options,"
            " :heartbeat_seconds, :ttl, :idle_timeout, :permanent, :driver, :seat, 0, :now, :now, :now)",
            {
                "id": number,
                "uuid": uuid,
                "name": request.options.name,
                "owner": whose.owner,
                "project": whose.project,
                "proxy_user": request.options.proxy_user,
                "kind": request.kind.value,
                "state": _first_state(driver),
                "options": records.to_json(request.options),
                "heartbeat_seconds": request.heartbeat_timeout and request.heartbeat_timeout.total_seconds(),
                "ttl": request.ttl,
                "idle_timeout": request.idle_timeout,
                "permanent": int(request.permanent),
                "driver": driver.id,
                "seat": driver.seat,
                "now": to_text(now),
            },
        )

    def find(self, principal: Principal, ref: int | str) -> Session | None:
        """By id (int) or name (str)."""
        sql, values = _one(principal, "id" if isinstance(ref, int) else "name")
        rows = self._db.polled(sql, {**values, "ref": ref})
        return self._session(rows[0]) if rows else None

    def number_of(self, principal: Principal, uuid: str) -> int | None:
        visible, values = visible_to(principal, "sessions")
        found = self._db.value(f"SELECT id FROM sessions WHERE uuid = :uuid AND {visible}", {"uuid": uuid, **values})
        return None if found is None else int(found)

    def page(
        self, principal: Principal, start: int, size: int, *, newest_first: bool = False
    ) -> tuple[int, list[Session]]:
        """How many there are, and those from position `start` on, by rising id unless `newest_first`."""
        if start == 0 and size > 0:
            return self._first_page(principal, size, newest_first=newest_first)
        parts, values = visible_parts(principal, "sessions")
        total, newest = counts.total(self._db, principal, _COUNTED)
        start, size, from_newest = pages.from_nearer_end(total, start, size, newest_first=newest_first)
        found = pages.ids("sessions", [f"{part} AND id <= :newest" for part in parts], newest_first=from_newest)
        rows = self._db.rows(
            f"{_SESSION} WHERE sessions.id IN ({found}) ORDER BY sessions.id {'DESC' if newest_first else 'ASC'}",
            {"newest": newest, **pages.place(start, size), **values},
        )
        return total, [self._session(row) for row in rows]

    def _first_page(self, principal: Principal, size: int, *, newest_first: bool) -> tuple[int, list[Session]]:
        """In one query: it is what clients ask for all day."""
        sql, values = _first_page(principal, newest_first=newest_first)
        rows = self._db.polled(sql, {**values, **pages.place(0, size)})
        return (int(rows[0]["total"]) if rows else 0), [self._session(row) for row in rows]

    def counts(self, principal: Principal) -> dict[SessionState, int]:
        """How many there are in each state that one is in."""
        return {SessionState(state): n for state, n in counts.by_state(self._db, principal, _COUNTED).items()}

    def live(self) -> list[Lifetime]:
        """The live sessions that may expire."""
        rows = self._db.polled(
            f"{_SESSION.replace('sessions.*', f'sessions.*, {_HAS_JOBS} AS has_jobs')}"
            f" WHERE {_LIVE} AND sessions.permanent = 0"
        )
        return [Lifetime(self._session(row), from_text(row["activity"]), bool(row["has_jobs"])) for row in rows]

    def is_live(self, session: int) -> bool:
        """Whether there is such a session and it has not ended."""
        found = self._db.value("SELECT 1 FROM sessions WHERE id = :id AND state <> 'dead'", {"id": session})
        return found is not None

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
                f"UPDATE sessions SET state = 'idle', activity = :now WHERE {_LIVE} AND state = 'starting'"
                f" AND EXISTS (SELECT 1 FROM drivers WHERE drivers.id = sessions.driver AND {READY})"
                " RETURNING id, owner, project",
                {"now": to_text(now)},
            )
            for row in rows:
                events.record(self._db, now, Belonging.of(row), "session", row["id"], "idle")
        return [row["id"] for row in rows]

    def without_driver(self) -> list[tuple[int, str]]:
        """(id, why the driver went) of every session that ends with its driver and whose driver is gone."""
        rows = self._db.rows(
            "SELECT sessions.id, drivers.reason FROM sessions JOIN drivers ON drivers.id = sessions.driver"
            f" WHERE {_LIVE} AND NOT {_RESTARTS} AND drivers.state = 'gone'"
        )
        return [(row["id"], row["reason"] or "the driver was stopped") for row in rows]

    def to_restart(self) -> list[tuple[Session, Driver]]:
        """Every session whose driver is gone from this host and is to have another one, with that driver."""
        rows = self._db.rows(
            f"{_SESSION} WHERE {_LIVE} AND {_RESTARTS} AND drivers.state = 'gone' AND {HERE}",
            {"host": self._drivers.host},
        )
        pairs = [(session, self._drivers.find(session.driver)) for session in map(self._session, rows)]
        return [(session, driver) for session, driver in pairs if driver is not None]

    def restart(
        self,
        session: Session,
        driver: Driver,
        reason: str,
        short_lives: int,
        now: datetime,
        sharing: Sharing | None = None,
    ) -> bool:
        """Give a session a new driver; what ran has failed, what waits will run. False: it has ended.

        With `sharing` the driver is a seat of the application, whatever the session has asked of that.
        """
        whose = Belonging(session.owner, session.project)
        with self._db.transaction():
            if not self._db.value(
                "SELECT 1 FROM sessions WHERE id = :id AND driver = :old AND state <> 'dead'",
                {"id": session.id, "old": session.driver},
            ):
                return False
            claim = self._join(sharing, driver, whose, None) or driver
            if claim is driver:
                self._drivers.add(driver, whose)
            self._db.run(
                "UPDATE sessions SET state = 'starting', driver = :new, seat = :seat, short_lives = :short_lives"
                " WHERE id = :id",
                {"id": session.id, "new": driver.id, "seat": claim.seat, "short_lives": short_lives},
            )
            self._drivers.abandon(session.driver)
            for part in self._parts:
                part.lose_driver(session.id, reason, now)
            events.record(self._db, now, whose, "session", session.id, "starting", driver=driver.id, reason=reason)
        return True

    def end(self, session: int, reason: str, now: datetime) -> bool:
        """Move to dead, finish what was unfinished, give up the claim on the driver. False if it was dead already."""
        with self._db.transaction():
            ended = self._db.row(
                "UPDATE sessions SET state = 'dead', ended = :now WHERE id = :id AND state <> 'dead'"
                " RETURNING driver, owner, project",
                {"id": session, "now": to_text(now)},
            )
            if ended is None:
                return False
            for part in self._parts:
                part.end(session, reason, now)
            self._drivers.release(ended["driver"])
            whose = Belonging.of(ended)
            counts.change(self._db, "session", whose, "dead", +1)
            events.record(self._db, now, whose, "session", session, "dead", reason=reason)
        return True

    def remove(self, session: int, reason: str, now: datetime, *, idle_since: datetime | None = None) -> str | None:
        """Forget a session with all its own and give up its driver; the driver's id, None if it was gone.

        None too, and nothing is done, if it has been used after `idle_since`.
        """
        with self._db.transaction():
            if idle_since is not None and self._was_used(session, idle_since):
                return None
            for part in self._parts:
                part.remove(session)
            row = self._db.row(
                "DELETE FROM sessions WHERE id = :id RETURNING driver, uuid, permanent, state, owner, project",
                {"id": session},
            )
            if row is None:
                return None
            if row["permanent"]:
                self._db.run("INSERT INTO ended_permanent_sessions (uuid) VALUES (:uuid)", {"uuid": row["uuid"]})
            self._drivers.abandon(row["driver"])
            whose = Belonging.of(row)
            if row["state"] == SessionState.DEAD.value:
                counts.change(self._db, "session", whose, row["state"], -1)
            events.record(self._db, now, whose, "session", session, "deleted", reason=reason)
        return str(row["driver"])

    def _was_used(self, session: int, idle_since: datetime) -> bool:
        sql = "SELECT 1 FROM sessions WHERE id = :id AND activity > :moment"
        return self._db.value(sql, {"id": session, "moment": to_text(idle_since)}) is not None

    def _session(self, row: Row) -> Session:
        return Session.of(row, self._drivers.host)

    def ended_before(self, moment: datetime) -> list[int]:
        """The earliest first, some at a time: their removal holds up everything else."""
        rows = self._db.rows(
            f"SELECT id FROM sessions WHERE state = 'dead' AND ended < :moment ORDER BY ended LIMIT {_REMOVED_AT_ONCE}",
            {"moment": to_text(moment)},
        )
        return [row["id"] for row in rows]

    def was_ended(self, uuid: str) -> bool:
        """Whether a permanent session of this id was deleted, and no other permanent one has had it since."""
        return self._db.value("SELECT 1 FROM ended_permanent_sessions WHERE uuid = :uuid", {"uuid": uuid}) is not None

    def forget_ended_but(self, kept: Container[str]) -> None:
        """Forget which permanent sessions were deleted, but for these ids."""
        for row in self._db.rows("SELECT uuid FROM ended_permanent_sessions"):
            if row["uuid"] not in kept:
                self._db.run("DELETE FROM ended_permanent_sessions WHERE uuid = :uuid", row)


@lru_cache(256)
def _one(principal: Principal, column: str) -> tuple[str, dict[str, Any]]:
    """The query of one session, and its values but for `ref`. Kept, because making it takes as long as asking."""
    visible, values = visible_to(principal, "sessions")
    return f"{_SESSION} WHERE sessions.{column} = :ref AND {visible}", values


@lru_cache(256)
def _first_page(principal: Principal, *, newest_first: bool) -> tuple[str, dict[str, Any]]:
    """The query of the first page and of how many there are, and its values but for the page's size."""
    parts, seen = visible_parts(principal, "sessions")
    total, counted = counts.total_of(principal, _COUNTED)
    found = pages.ids("sessions", parts, newest_first=newest_first)
    columns = _SESSION.replace("sessions.*", f"sessions.*, {total} AS total")
    order = "DESC" if newest_first else "ASC"
    return f"{columns} WHERE sessions.id IN ({found}) ORDER BY sessions.id {order}", {**seen, **counted}


def _first_state(driver: Driver) -> str:
    return SessionState.IDLE.value if driver.state is DriverState.WARM else SessionState.STARTING.value


def belonging_of(db: Database, session: int) -> Belonging:
    """Whose a session that is there is, and so all that hangs on it."""
    row = db.row("SELECT owner, project FROM sessions WHERE id = :id", {"id": session})
    assert row is not None
    return Belonging.of(row)
