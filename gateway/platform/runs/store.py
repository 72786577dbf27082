"""Runs in the store: their table, every SQL of theirs, and how far the outbox was followed.

What is written because of an event is written with the cursor behind that event, in one transaction.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import datetime

from gateway.core import events
from gateway.core.clock import to_text
from gateway.core.events import Belonging, Event
from gateway.core.identity import ANONYMOUS, Principal, visible_to
from gateway.core.store.database import Database, Migrations
from gateway.platform.runs.failures import RunError
from gateway.platform.runs.models import Run
from gateway.platform.runs.reading import Reading
from gateway.platform.runs.states import RunState

migrations = Migrations("runs")

_EVENTS_A_LOOK = 500


@migrations()
def first_tables(db: Database) -> None:
    """Batches that were submitted before have no run: their Spark wrote no event log."""
    db.run(
        "CREATE TABLE runs (batch INTEGER PRIMARY KEY, owner TEXT, project TEXT NOT NULL, state TEXT NOT NULL,"
        " progress INTEGER NOT NULL, looks INTEGER NOT NULL, reading TEXT NOT NULL, told TEXT NOT NULL, told_at TEXT,"
        " error TEXT, created TEXT NOT NULL, ended TEXT)"
    )
    db.run("CREATE INDEX runs_that_run ON runs (batch) WHERE state = 'running'")
    db.run("CREATE TABLE runs_cursor (event INTEGER NOT NULL)")
    db.run("INSERT INTO runs_cursor (event) SELECT coalesce(max(id), -1) FROM events")


class RunStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    # ------------------------------------------------------------ the outbox

    def cursor(self) -> int:
        """The id of the last event that was followed."""
        return int(self._db.value("SELECT event FROM runs_cursor"))

    def happened(self, cursor: int) -> list[Event]:
        """The first events after the cursor, whatever they are of."""
        return events.after(self._db, ANONYMOUS, cursor, _EVENTS_A_LOOK)

    def follow(self, happened: Sequence[Event]) -> None:
        """Begin a run for each batch that began, forget those of batches that are gone; then move the cursor."""
        with self._db.transaction():
            for event in happened:
                if event.subject == "batch" and event.name == "deleted":
                    self._db.run("DELETE FROM runs WHERE batch = :batch", {"batch": int(event.subject_id)})
                elif event.subject == "batch" and event.name != "starting":
                    self._begin(event)
            self._db.run("UPDATE runs_cursor SET event = :event", {"event": happened[-1].id})

    def _begin(self, event: Event) -> None:
        """Also for a batch that ended without having run: why it did not is told by its run."""
        begun = self._db.run(
            "INSERT INTO runs (batch, owner, project, state, progress, looks, reading, told, created)"
            " VALUES (:batch, :owner, :project, 'running', 0, 0, :reading, '{}', :at) ON CONFLICT (batch) DO NOTHING",
            {
                "batch": int(event.subject_id),
                "owner": event.owner,
                "project": event.project,
                "reading": Reading().as_text(),
                "at": to_text(event.at),
            },
        )
        if begun:
            whose = Belonging(event.owner, event.project)
            events.record(self._db, event.at, whose, "run", event.subject_id, "running")

    # ------------------------------------------------------------ reads

    def find(self, principal: Principal, batch: int) -> Run | None:
        visible, values = visible_to(principal, "runs")
        found = self._select(f"batch = :batch AND {visible}", {"batch": batch, **values})
        return found[0] if found else None

    def between(self, principal: Principal, first: int, last: int) -> list[Run]:
        """The runs of the batches with these ids and those between."""
        visible, values = visible_to(principal, "runs")
        return self._select(f"batch BETWEEN :first AND :last AND {visible}", {"first": first, "last": last, **values})

    def running(self) -> list[Run]:
        return self._select("state = 'running' ORDER BY batch")

    def _select(self, where: str, values: dict[str, object] | None = None) -> list[Run]:
        return [Run.of(row) for row in self._db.rows(f"SELECT * FROM runs WHERE {where}", values or {})]

    # ------------------------------------------------------------ moves

    def advance(self, run: Run, reading: Reading, progress: int, now: datetime, told: str | None) -> bool:
        """Store what was read, and with `told` (an object of JSON) tell of it. False: it ended or was read further."""
        also = ", told = :told, told_at = :now" if told else ""
        with self._db.transaction():
            moved = self._db.run(
                f"UPDATE runs SET looks = looks + 1, reading = :reading, progress = :progress{also}"
                " WHERE batch = :batch AND state = 'running' AND looks = :looks",
                {
                    "batch": run.batch,
                    "reading": reading.as_text(),
                    "progress": progress,
                    "looks": run.looks,
                    "told": told,
                    "now": to_text(now),
                },
            )
            if moved and told:
                whose = Belonging(run.owner, run.project)
                events.record(self._db, now, whose, "run", run.batch, "progress", **json.loads(told))
        return bool(moved)

    def end(self, batch: int, state: RunState, error: RunError | None, now: datetime) -> bool:
        """False: it had ended already."""
        with self._db.transaction():
            row = self._db.row(
                "UPDATE runs SET state = :state, error = :error, ended = :now,"
                " progress = CASE WHEN :state = 'succeeded' THEN 100 ELSE progress END"
                " WHERE batch = :batch AND state = 'running' RETURNING owner, project",
                {
                    "batch": batch,
                    "state": state.value,
                    "error": json.dumps(dataclasses.asdict(error)) if error else None,
                    "now": to_text(now),
                },
            )
            if row is not None:
                code = error.code if error else None
                events.record(self._db, now, Belonging.of(row), "run", batch, state.value, code=code)
        return row is not None
