"""The outbox: what happened to whom, written in the transaction of the change itself.

Who listens (console, alerts, message brokers, a followed session) reads it from a cursor on, and is woken by the
store's bell. It is also the answer to "why is my session dead?". Order of ids is order of commits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.core import records
from gateway.core.clock import to_text
from gateway.core.identity import Principal, visible_parts
from gateway.core.store import pages
from gateway.core.store.database import Database, Migrations, Row, next_id

migrations = Migrations("events")


@migrations(was="core.ids_and_events")
def first_table(db: Database) -> None:
    db.run(
        "CREATE TABLE events (id INTEGER PRIMARY KEY, at TEXT NOT NULL, subject TEXT NOT NULL,"
        " subject_id TEXT NOT NULL, name TEXT NOT NULL, data TEXT NOT NULL)"
    )
    db.run("CREATE INDEX events_by_subject ON events (subject, subject_id)")
    db.run("CREATE INDEX events_by_time ON events (at)")


@migrations()
def owners(db: Database) -> None:
    db.run("ALTER TABLE events ADD COLUMN owner TEXT")
    db.run("ALTER TABLE events ADD COLUMN project TEXT NOT NULL DEFAULT 'default'")
    db.run("DROP INDEX events_by_subject")
    db.run("CREATE INDEX events_of_subject ON events (subject, subject_id, id)")
    db.run("INSERT INTO ids (subject, next) SELECT 'event', coalesce(max(id), 0) + 1 FROM events")


@migrations()
def followers(db: Database) -> None:
    db.run("CREATE INDEX events_of_kind ON events (subject, id)")
    db.run("CREATE INDEX events_of_owner ON events (owner, id) WHERE owner IS NOT NULL")
    db.run("CREATE INDEX events_of_project ON events (project, id)")


@dataclass(frozen=True)
class Event:
    """`name` is what happened to the record `subject_id` of the kind `subject`.

    Kinds: session, statement (`3/0`: session and number), job, addition (likewise), driver, batch.
    """

    id: int
    at: datetime
    subject: str
    subject_id: str
    name: str
    owner: str | None
    project: str
    data: dict[str, Any]

    @classmethod
    def of(cls, row: Row) -> Event:
        return records.read(cls, {**row, "data": json.loads(row["data"])})


@dataclass(frozen=True)
class Belonging:
    """Whose record an event is about."""

    owner: str | None
    project: str

    @classmethod
    def of(cls, row: Row) -> Belonging:
        """From a row with the columns `owner` and `project`."""
        return cls(row["owner"], row["project"])


def record(
    db: Database, at: datetime, whose: Belonging, subject: str, subject_id: object, name: str, **data: Any
) -> None:
    """Write one event, and ring the bell once it can be seen. Call it inside the transaction of the change."""
    db.run(
        "INSERT INTO events (id, at, subject, subject_id, name, owner, project, data)"
        " VALUES (:id, :at, :subject, :subject_id, :name, :owner, :project, :data)",
        {
            "id": next_id(db, "event"),
            "at": to_text(at),
            "subject": subject,
            "subject_id": str(subject_id),
            "name": name,
            "owner": whose.owner,
            "project": whose.project,
            "data": json.dumps(data),
        },
    )
    db.ring_on_commit()


def after(
    db: Database,
    principal: Principal,
    cursor: int,
    limit: int,
    *,
    subject: str | None = None,
    subject_ids: Sequence[str] = (),
) -> list[Event]:
    """The first `limit` events with an id above `cursor` that the principal sees, oldest first.

    Of this kind of record only, or of these records only.
    """
    visible, values = visible_parts(principal, "events")
    filters, asked = _filters(subject, subject_ids)
    found = pages.ids("events", [f"{seen} AND {about} AND id > :cursor" for seen in visible for about in filters])
    rows = db.rows(
        f"SELECT * FROM events WHERE id IN ({found}) ORDER BY id",
        {"cursor": cursor, **pages.place(0, limit), **values, **asked},
    )
    return [Event.of(row) for row in rows]


def _filters(subject: str | None, subject_ids: Sequence[str]) -> tuple[list[str], Mapping[str, str]]:
    """Conditions of which any has to hold, and their values."""
    if subject is None:
        return ["TRUE"], {}
    if not subject_ids:
        return ["subject = :subject"], {"subject": subject}
    asked = {f"subject_{at}": one for at, one in enumerate(subject_ids)}
    return [f"subject = :subject AND subject_id = :{name}" for name in asked], {"subject": subject, **asked}


def moved_after(db: Database, cursor: int, limit: int) -> list[tuple[int, tuple[str, str]]]:
    """The first `limit` events with an id above `cursor`, whoever may see them: the id, and whose move it was."""
    sql = "SELECT id, subject, subject_id FROM events WHERE id > :cursor ORDER BY id LIMIT :limit"
    rows = db.rows(sql, {"cursor": cursor, "limit": limit})
    return [(row["id"], (row["subject"], row["subject_id"])) for row in rows]


def newest(db: Database) -> int:
    """The id of the newest event: the cursor of who wants to hear only of what is to come. 0: there was none."""
    return int(db.value("SELECT max(id) FROM events") or 0)


def forget_before(db: Database, moment: datetime) -> int:
    """Drop events older than this; how many there were."""
    return db.run("DELETE FROM events WHERE at < :moment", {"moment": to_text(moment)})
