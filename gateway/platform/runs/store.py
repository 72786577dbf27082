"""Runs in the store: their table, every SQL of theirs, and how far the outbox was followed.

What is written because of an event is written with the cursor behind that event, in one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gateway.core import events, records
from gateway.core.clock import to_text
from gateway.core.events import Belonging, Event
from gateway.core.identity import ANONYMOUS, Principal, visible_to
from gateway.core.store.database import Database, Migrations, Row
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
        "CREATE TABLE runs (batch INTEGER PRIMARY KEY, host TEXT NOT NULL, owner TEXT, project TEXT NOT NULL,"
        " state TEXT NOT NULL, progress INTEGER NOT NULL, looks INTEGER NOT NULL, reading TEXT NOT NULL, error TEXT,"
        " created TEXT NOT NULL, ended TEXT)"
    )
    db.run("CREATE INDEX runs_that_run ON runs (host, batch) WHERE state = 'running'")
    db.run("CREATE TABLE runs_cursors (host TEXT PRIMARY KEY, event INTEGER NOT NULL)")


class RunStore:
    """As one host sees it: what a run writes is on the host of its batch, whose supervisor alone reads it."""

    def __init__(self, db: Database, host: str) -> None:
        self._db, self._host = db, host

    # ------------------------------------------------------------ the outbox

    def begin(self) -> None:
        """Follow the outbox from now on, unless this host did before."""
        self._db.run(
            "INSERT INTO runs_cursors (host, event) VALUES (:host, :event) ON CONFLICT (host) DO NOTHING",
            {"host": self._host, "event": events.newest(self._db)},
        )

    def follow(self) -> list[int]:
        """Begin a run for each batch that has begun on this host, end and forget those that were killed and are gone.

        The batches of which anything has happened since the last time.
        """
        cursor = self._db.value("SELECT event FROM runs_cursors WHERE host = :host", {"host": self._host})
        happened = events.after(self._db, ANONYMOUS, int(cursor), _EVENTS_A_LOOK, subject="batch")
        if not happened:
            return []
        with self._db.transaction():
            moved = self._db.run(
                "UPDATE runs_cursors SET event = :event WHERE host = :host AND event = :cursor",
                {"host": self._host, "event": happened[-1].id, "cursor": cursor},
            )
            for event in happened if moved else []:  # else another supervisor was first
                self._take(event)
        return [int(event.subject_id) for event in happened]

    def _take(self, event: Event) -> None:
        batch = int(event.subject_id)
        if event.name == "running" and event.data.get("host") == self._host:
            self._begin(batch, event)
        elif event.name == "killed":
            self.end(batch, RunState.TERMINATED, None, event.at)
        elif event.name == "deleted":
            self._db.run("DELETE FROM runs WHERE batch = :batch AND host = :host", {"batch": batch, "host": self._host})

    def _begin(self, batch: int, event: Event) -> None:
        self._db.run(
            "INSERT INTO runs (batch, host, owner, project, state, progress, looks, reading, created)"
            " VALUES (:batch, :host, :owner, :project, 'running', 0, 0, :reading, :at)",
            {
                "batch": batch,
                "host": self._host,
                "owner": event.owner,
                "project": event.project,
                "reading": records.to_json(Reading()),
                "at": to_text(event.at),
            },
        )
        events.record(self._db, event.at, Belonging(event.owner, event.project), "run", batch, "running")

    # ------------------------------------------------------------ reads

    def find(self, principal: Principal, batches: Sequence[int]) -> list[Run]:
        """The runs of these batches, as far as there are any."""
        visible, values = visible_to(principal, "runs")
        asked = {f"batch_{at}": batch for at, batch in enumerate(batches)}
        of_these = ", ".join(f":{name}" for name in asked) or "NULL"
        return self._select(f"batch IN ({of_these}) AND {visible}", {**asked, **values})

    def running(self) -> list[Run]:
        """On this host."""
        return self._select("state = 'running' AND host = :host ORDER BY batch", {"host": self._host})

    def _select(self, where: str, values: dict[str, object]) -> list[Run]:
        return [_run(row) for row in self._db.rows(f"SELECT * FROM runs WHERE {where}", values)]

    # ------------------------------------------------------------ moves

    def advance(self, run: Run, reading: Reading, progress: int) -> bool:
        """Store what was read. False: it has ended, or was read further by somebody else."""
        moved = self._db.run(
            "UPDATE runs SET looks = looks + 1, reading = :reading, progress = :progress"
            " WHERE batch = :batch AND state = 'running' AND looks = :looks",
            {"batch": run.batch, "reading": records.to_json(reading), "progress": progress, "looks": run.looks},
        )
        return bool(moved)

    def end(self, batch: int, state: RunState, error: RunError | None, now: datetime) -> bool:
        """False: it had ended already, or is another host's."""
        with self._db.transaction():
            row = self._db.row(
                "UPDATE runs SET state = :state, error = :error, ended = :now,"
                " progress = CASE WHEN :state = 'succeeded' THEN 100 ELSE progress END"
                " WHERE batch = :batch AND state = 'running' AND host = :host RETURNING owner, project",
                {
                    "batch": batch,
                    "host": self._host,
                    "state": state.value,
                    "error": records.to_json(error) if error else None,
                    "now": to_text(now),
                },
            )
            if row is not None:
                code = error.code if error else None
                events.record(self._db, now, Belonging.of(row), "run", batch, state.value, code=code)
        return row is not None


def _run(row: Row) -> Run:
    """One whose reading is none any more, because another version wrote it, is read from the beginning of its files."""
    try:
        return Run.of(row)
    except Exception:  # noqa: BLE001 - whatever is in there: one run must not hide all the others
        return Run.of({**row, "reading": records.to_json(Reading())})
