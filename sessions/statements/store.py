"""Statements in the store: their table and every SQL of theirs.

No row back from a write means that somebody else was first; that is an answer, not an error.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from gateway.core import events
from gateway.core.clock import from_text, to_text
from gateway.core.errors import LimitReached
from gateway.core.events import Belonging
from gateway.core.identity import Principal, visible_to
from gateway.core.store.database import Database, Migrations, Row
from sessions.drivers.claims import Claim, claim_of
from sessions.drivers.store import HERE, READY
from sessions.models import Heartbeat
from sessions.statements.models import Seen, Statement, error_output
from sessions.statements.states import UNFINISHED, StatementState
from sessions.states import SessionState
from sessions.store import belonging_of

migrations = Migrations("statements")

# The words of an index's own condition: a query has to repeat them to be served by the index.
_UNFINISHED = "('waiting', 'running', 'cancelling')"
_RUNNING = "('running', 'cancelling')"
_ALL = 2**62  # as a limit: PostgreSQL refuses one below 0


@migrations(was="sessions.first_tables")
def first_table(db: Database) -> None:
    db.run(
        "CREATE TABLE statements (session INTEGER NOT NULL REFERENCES sessions (id), id INTEGER NOT NULL,"
        " code TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, output TEXT, progress REAL NOT NULL,"
        " created TEXT NOT NULL, started TEXT, completed TEXT, PRIMARY KEY (session, id))"
    )
    db.run(f"CREATE INDEX statements_unfinished ON statements (session) WHERE state IN {_UNFINISHED}")
    db.run(f"CREATE UNIQUE INDEX statements_one_runs ON statements (session) WHERE state IN {_RUNNING}")


@migrations()
def cancels(db: Database) -> None:
    db.run("ALTER TABLE statements ADD COLUMN cancelled TEXT")


@migrations()
def pieces(db: Database) -> None:
    db.run("ALTER TABLE statements ADD COLUMN pieces INTEGER NOT NULL DEFAULT 0")
    db.run(
        "CREATE TABLE statement_pieces (session INTEGER NOT NULL, statement INTEGER NOT NULL, number INTEGER NOT NULL,"
        " text TEXT NOT NULL, PRIMARY KEY (session, statement, number),"
        " FOREIGN KEY (session, statement) REFERENCES statements (session, id) ON DELETE CASCADE)"
    )


class StatementStore:
    """As one host sees it, which runs those of sessions whose driver is there."""

    def __init__(self, db: Database, host: str) -> None:
        self._db, self._host = db, host

    def submit(
        self, session: int, code: str, kind: str, now: datetime, *, most_unfinished: int, retained: int
    ) -> Statement | None:
        """Queue a statement under the session's next id; None if the session takes none. Raises LimitReached."""
        db = self._db
        with db.transaction():
            taken = db.row(
                "UPDATE sessions SET next_statement = next_statement + 1, activity = :now, heartbeat = :now"
                " WHERE id = :id AND state <> 'dead' RETURNING next_statement - 1 AS id,"
                " owner, project",
                {"id": session, "now": to_text(now)},
            )
            if taken is None:
                return None
            waiting = db.value(
                f"SELECT count(*) FROM statements WHERE session = :id AND state IN {_UNFINISHED}", {"id": session}
            )
            if waiting >= most_unfinished:
                raise LimitReached(f"the session has {waiting} unfinished statements; wait for some or cancel them")
            row = db.row(
                "INSERT INTO statements (session, id, code, kind, state, progress, created)"
                " VALUES (:session, :id, :code, :kind, 'waiting', 0.0, :now) RETURNING *",
                {"session": session, "id": taken["id"], "code": code, "kind": kind, "now": to_text(now)},
            )
            db.run(
                f"DELETE FROM statements WHERE session = :id AND id <= :last AND state NOT IN {_UNFINISHED}",
                {"id": session, "last": taken["id"] - retained},
            )
            assert row is not None
            _record(db, now, Belonging.of(taken), row)
            return Statement.of(row)

    def find(self, session: int, number: int) -> Statement | None:
        row = self._db.row(
            "SELECT * FROM statements WHERE session = :session AND id = :id", {"session": session, "id": number}
        )
        return None if row is None else Statement.of(row)

    def see(self, principal: Principal, ref: int | str, number: int) -> Seen | None:
        """One statement with what a poll needs to know of its session, by the session's id or name; in one query."""
        sql, values = _seen(principal, "id" if isinstance(ref, int) else "name")
        rows = self._db.polled(sql, {**values, "ref": ref, "number": number})
        if not rows:
            return None
        row = rows[0]
        seconds = row["heartbeat_seconds"]
        timeout = timedelta(seconds=seconds) if seconds else None
        return Seen(
            statement=None if row["id"] is None else Statement.of(row),
            is_idle=row["session_state"] == SessionState.IDLE.value,
            heartbeat=Heartbeat(row["of_session"], timeout, from_text(row["heartbeat"])),
        )

    def counts(self, principal: Principal) -> dict[str, int]:
        """How many have not ended, by state."""
        visible, values = visible_to(principal, "sessions")
        sql = (
            "SELECT statements.state AS state, count(*) AS number FROM statements"
            # CROSS: SQLite then begins with the few statements, not with all sessions that one sees.
            " CROSS JOIN sessions WHERE sessions.id = statements.session"
            f" AND statements.state IN {_UNFINISHED} AND {visible}"
            " GROUP BY statements.state"
        )
        none = dict.fromkeys((state.value for state in UNFINISHED), 0)
        return none | {row["state"]: row["number"] for row in self._db.rows(sql, values)}

    def page(
        self, session: int, start: int, size: int, *, newest_first: bool, output_limit: int | None = None
    ) -> tuple[int, list[Statement]]:
        """How many are kept, and those from position `start` on; `size` below 0 means all of them.

        Of each output no more than `output_limit` characters are read.
        """
        output = "output" if output_limit is None else "substr(output, 1, :output_limit) AS output"
        rows = self._db.rows(
            f"SELECT session, id, code, kind, state, {output}, progress, created, started, completed, cancelled, pieces"
            " FROM statements"
            f" WHERE session = :session ORDER BY id {'DESC' if newest_first else 'ASC'} LIMIT :size OFFSET :start",
            {"session": session, "size": size if size >= 0 else _ALL, "start": start, "output_limit": output_limit},
        )
        total = self._db.value("SELECT count(*) FROM statements WHERE session = :session", {"session": session})
        return int(total), [Statement.of(row) for row in rows]

    def cancel(self, session: int, number: int, now: datetime) -> StatementState | None:
        """Waiting becomes cancelled, running becomes cancelling; None when there was nothing to cancel."""
        with self._db.transaction():
            row = self._db.row(
                "UPDATE statements SET completed = CASE state WHEN 'waiting' THEN :now ELSE completed END,"
                " progress = CASE state WHEN 'waiting' THEN 1.0 ELSE progress END, cancelled = :now,"
                " state = CASE state WHEN 'waiting' THEN 'cancelled' ELSE 'cancelling' END"
                " WHERE session = :session AND id = :id AND state IN ('waiting', 'running')"
                " RETURNING session, id, state",
                {"session": session, "id": number, "now": to_text(now)},
            )
            if row is None:
                return None
            _record(self._db, now, belonging_of(self._db, session), row)
        return StatementState(row["state"])

    def claim(self, now: datetime) -> list[Statement]:
        """Move the first waiting statement of every idle session here in which none runs to running; those."""
        with self._db.transaction():
            rows = self._claim(now)
            for row in rows:
                _record(self._db, now, belonging_of(self._db, row["session"]), row)
        return [Statement.of(row) for row in rows]

    def _claim(self, now: datetime) -> list[Row]:
        return self._db.rows(
            "UPDATE statements SET state = 'running', started = :now WHERE state = 'waiting' AND (session, id) IN ("
            " SELECT waiting.session, min(waiting.id) FROM statements AS waiting"
            " JOIN sessions ON sessions.id = waiting.session AND sessions.state = 'idle'"
            f" JOIN drivers ON drivers.id = sessions.driver AND {READY} AND {HERE}"
            f" WHERE waiting.state IN {_UNFINISHED} AND waiting.state = 'waiting'"
            " AND NOT EXISTS (SELECT 1 FROM statements AS other"
            " WHERE other.session = waiting.session AND other.state IN ('running', 'cancelling'))"
            " GROUP BY waiting.session) RETURNING *",
            {"now": to_text(now), "host": self._host},
        )

    def has_waiting(self) -> bool:
        return bool(
            self._db.value(
                f"SELECT EXISTS (SELECT 1 FROM statements WHERE state IN {_UNFINISHED} AND state = 'waiting')"
            )
        )

    def running(self) -> list[tuple[Statement, Claim]]:
        """Every statement that runs or is being cancelled here, with the claim of its session."""
        rows = self._db.rows("SELECT * FROM statements WHERE state IN ('running', 'cancelling')")
        pairs = [(Statement.of(row), claim_of(self._db, row["session"])) for row in rows]
        return [(statement, claim) for statement, claim in pairs if claim and claim.driver.may_be_on(self._host)]

    def set_progress(self, session: int, number: int, progress: float) -> None:
        self._db.run(
            "UPDATE statements SET progress = :progress"
            " WHERE session = :session AND id = :id AND state IN ('running', 'cancelling')",
            {"session": session, "id": number, "progress": progress},
        )

    def finish(self, session: int, number: int, output: str, started: datetime, completed: datetime) -> bool:
        """Store the interpreter's answer: running becomes available, cancelling becomes cancelled."""
        with self._db.transaction():
            return _finish(self._db, session, number, output, 0, started, completed, f"state IN {_RUNNING}")

    def keep(self, session: int, number: int, place: int, text: str) -> bool:
        """Store a piece of the answer of a statement that runs, before it is finished; False: it runs no more.

        The first piece, at place 0, takes the place of all that were kept before.
        """
        key = {"session": session, "id": number}
        with self._db.transaction():
            running = f"SELECT 1 FROM statements WHERE session = :session AND id = :id AND state IN {_RUNNING}"
            if self._db.value(running, key) is None:
                return False
            if place == 0:
                _drop_pieces(self._db, session, number)
            self._db.run(
                "INSERT INTO statement_pieces (session, statement, number, text) VALUES (:session, :id, :place, :text)",
                {**key, "place": place, "text": text},
            )
        return True

    def finish_kept(self, session: int, number: int, pieces: int, started: datetime, completed: datetime) -> bool:
        """As `finish`, with the pieces that were kept as the answer."""
        with self._db.transaction():
            return _finish(self._db, session, number, None, pieces, started, completed, f"state IN {_RUNNING}")

    def piece(self, session: int, number: int, place: int) -> str | None:
        """One piece of a large output, from place 0 on; None: it is there no more."""
        text: str | None = self._db.value(
            "SELECT text FROM statement_pieces WHERE session = :session AND statement = :id AND number = :place",
            {"session": session, "id": number, "place": place},
        )
        return text

    # ------------------------------------------------------------ as a part of its session

    def lose_driver(self, session: int, reason: str, now: datetime) -> None:
        """What ran has failed; what waits will run."""
        self._fail(session, _RUNNING, reason, now)

    def end(self, session: int, reason: str, now: datetime) -> None:
        self._fail(session, _UNFINISHED, reason, now)

    def remove(self, session: int) -> None:
        self._db.run("DELETE FROM statements WHERE session = :id", {"id": session})

    def _fail(self, session: int, states: str, reason: str, now: datetime) -> None:
        found = self._db.rows(
            f"SELECT id, state FROM statements WHERE session = :id AND state IN {states}", {"id": session}
        )
        for row in found:
            said = (
                f"Session ended before this statement ran:\n{reason}"
                if row["state"] == StatementState.WAITING.value
                else f"Interpreter died:\n{reason}"
            )
            output = json.dumps(error_output(row["id"], "Error", said))
            _drop_pieces(self._db, session, row["id"])
            _finish(self._db, session, row["id"], output, 0, None, now, f"state IN {_UNFINISHED}")


def _drop_pieces(db: Database, session: int, number: int) -> None:
    """Of an answer that was not stored as a whole."""
    db.run(
        "DELETE FROM statement_pieces WHERE session = :session AND statement = :id", {"session": session, "id": number}
    )


@lru_cache(256)
def _seen(principal: Principal, column: str) -> tuple[str, dict[str, Any]]:
    """The query of one statement and its session, and its values but for `ref` and `number`."""
    visible, values = visible_to(principal, "sessions")
    return (
        "SELECT statements.*, sessions.id AS of_session, sessions.state AS session_state,"
        " sessions.heartbeat_seconds, sessions.heartbeat FROM sessions"
        " LEFT JOIN statements ON statements.session = sessions.id AND statements.id = :number"
        f" WHERE sessions.{column} = :ref AND {visible}"
    ), values


def _finish(
    db: Database,
    session: int,
    number: int,
    output: str | None,
    pieces: int,
    started: datetime | None,
    completed: datetime,
    where: str,
) -> bool:
    row = db.row(
        "UPDATE statements SET state = CASE state WHEN 'cancelling' THEN 'cancelled' ELSE 'available' END,"
        " output = :output, pieces = :pieces, progress = 1.0, started = coalesce(:started, started),"
        " completed = :completed"
        f" WHERE session = :session AND id = :id AND {where} RETURNING session, id, state",
        {
            "session": session,
            "id": number,
            "output": output,
            "pieces": pieces,
            "started": started and to_text(started),
            "completed": to_text(completed),
        },
    )
    if row is None:
        return False
    db.run(
        "UPDATE sessions SET activity = :now WHERE id = :id AND activity < :now",
        {"id": session, "now": to_text(completed)},
    )
    _record(db, completed, belonging_of(db, session), row)
    return True


def _record(db: Database, now: datetime, whose: Belonging, statement: Row) -> None:
    events.record(db, now, whose, "statement", f"{statement['session']}/{statement['id']}", statement["state"])
