"""Batches in the store: every SQL of theirs. Decides races by one conditional write each."""

from __future__ import annotations

import dataclasses
import json
import re
import sqlite3
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from uuid import UUID

import sqlite_utils
from sqlite_utils import Migrations

from batches.models import Batch, BatchRequest
from batches.states import BatchState
from gateway.core import events
from gateway.core.clock import to_text
from gateway.core.database import Database, next_id
from gateway.core.errors import DuplicateName, LimitReached
from gateway.core.spark import redact, redact_args

migrations = Migrations("batches")

# A batch that is being deleted is no longer seen by anybody but the supervisor, and its name is free.
_LISTED = "target <> 'deleted'"


@migrations()
def first_table(db: sqlite_utils.Database) -> None:
    db.execute(
        "CREATE TABLE batches (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT, owner TEXT,"
        " proxy_user TEXT, project TEXT, state TEXT NOT NULL, target TEXT NOT NULL, request TEXT NOT NULL,"
        " folder TEXT NOT NULL, app_id TEXT, ui_url TEXT, exit_code INTEGER, created TEXT NOT NULL, started TEXT,"
        " ended TEXT)"
    )
    db.execute(f"CREATE UNIQUE INDEX batches_by_name ON batches (name) WHERE {_LISTED}")
    db.execute("CREATE INDEX batches_by_state ON batches (state)")
    db.execute("CREATE INDEX batches_by_target ON batches (target)")


class BatchStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    def add(
        self, request: BatchRequest, folder: Path, uuid: str, owner: str | None, now: datetime, most_waiting: int
    ) -> Batch:
        """Queue a batch. Raises DuplicateName, or LimitReached when `most_waiting` wait already."""
        db = self._db
        with db.transaction():
            if db.value("SELECT count(*) FROM batches WHERE state = 'starting'") >= most_waiting:
                raise LimitReached("too many batches are waiting to run; try again later")
            try:
                row = db.row(
                    "INSERT INTO batches (id, uuid, name, owner, proxy_user, state, target, request, folder, created)"
                    " VALUES (:id, :uuid, :name, :owner, :proxy_user, 'starting', 'finished', :request, :folder, :now)"
                    " RETURNING *",
                    {
                        "id": next_id(db, "batch"),
                        "uuid": uuid,
                        "name": request.options.name,
                        "owner": owner,
                        "proxy_user": request.options.proxy_user,
                        "request": json.dumps(dataclasses.asdict(request)),
                        "folder": str(folder),
                        "now": to_text(now),
                    },
                )
            except sqlite3.IntegrityError as error:
                raise DuplicateName("session", request.options.name or "") from error
            assert row is not None
            events.record(db, now, "batch", row["id"], "starting")
        return Batch.of(row)

    def find(self, ref: int | str) -> Batch | None:
        """By id (int) or name (str); None for one that is being deleted."""
        column = "id" if isinstance(ref, int) else "name"
        found = self._select(f"{column} = :ref AND {_LISTED}", {"ref": ref})
        return found[0] if found else None

    def page(self, start: int, size: int) -> tuple[int, list[Batch]]:
        """How many there are, and those from position `start` on, by rising id."""
        total = self._db.value(f"SELECT count(*) FROM batches WHERE {_LISTED}")
        return int(total), self._select(
            f"{_LISTED} ORDER BY id LIMIT :size OFFSET :start", {"size": size, "start": start}
        )

    def number_of(self, uuid: str) -> int | None:
        found = self._db.value(f"SELECT id FROM batches WHERE uuid = :uuid AND {_LISTED}", {"uuid": uuid})
        return None if found is None else int(found)

    def search(self, states: Iterable[BatchState], text: str, start: int, size: int) -> tuple[int, list[Batch]]:
        """How many there are in these states whose UUID or request holds `text`, and a page of those, newest first.

        In `text` SQL's wildcards % and _ hold; an empty one is in every request. What is hidden is not found.
        """
        listed = ", ".join(f"'{state.value}'" for state in states) or "''"
        where = f"{_LISTED} AND state IN ({listed}) AND lower(uuid || request) LIKE lower(:pattern)"
        pattern = f"%{_in_json(text)}%"
        found = self._select(f"{where} ORDER BY id DESC", {"pattern": pattern})
        shown = [batch for batch in found if not text or _shows(batch, text)]
        return len(shown), shown[start : start + size]

    def delete(self, batch: int) -> None:
        """Want it killed and forgotten; from now on nobody sees it."""
        self._db.run("UPDATE batches SET target = 'deleted' WHERE id = :id", {"id": batch})

    def next(self, most_running: int) -> list[Batch]:
        """The waiting batches that may start now, in order, when `most_running` may run at the same time."""
        free = most_running - int(self._db.value("SELECT count(*) FROM batches WHERE state = 'running'"))
        return self._select(
            "state = 'starting' AND target = 'finished' ORDER BY id LIMIT :free", {"free": max(0, free)}
        )

    def not_ended(self) -> list[Batch]:
        return self._select("state IN ('starting', 'running') ORDER BY id")

    def running(self) -> list[Batch]:
        return self._select("state = 'running' ORDER BY id")

    def with_folders(self, names: Iterable[str]) -> list[Batch]:
        """The running batches with these folder names."""
        return [
            batch
            for name in names
            for batch in self._select("state = 'running' AND uuid = :uuid", {"uuid": str(UUID(name))})
        ]

    def without_app(self) -> list[Batch]:
        """Running batches whose Spark application is not known yet."""
        return self._select("state = 'running' AND app_id IS NULL")

    def unwanted(self) -> list[Batch]:
        """Deleted batches, to be killed and forgotten."""
        return self._select("target = 'deleted'")

    def start(self, batch: int, now: datetime) -> bool:
        with self._db.transaction():
            moved = self._db.run(
                "UPDATE batches SET state = 'running', started = :now"
                " WHERE id = :id AND state = 'starting' AND target = 'finished'",
                {"id": batch, "now": to_text(now)},
            )
            if moved:
                events.record(self._db, now, "batch", batch, "running")
        return bool(moved)

    def set_app(self, batch: int, app_id: str, ui_url: str | None) -> None:
        self._db.run(
            "UPDATE batches SET app_id = :app_id, ui_url = :ui_url WHERE id = :id",
            {"id": batch, "app_id": app_id, "ui_url": ui_url},
        )

    def end(self, batch: int, state: BatchState, code: int | None, reason: str | None, now: datetime) -> bool:
        with self._db.transaction():
            moved = self._db.run(
                "UPDATE batches SET state = :state, exit_code = :code, ended = :now"
                " WHERE id = :id AND (state = 'running' OR (state = 'starting' AND :state <> 'success'))",
                {"id": batch, "state": state.value, "code": code, "now": to_text(now)},
            )
            if moved:
                events.record(self._db, now, "batch", batch, state.value, exit_code=code, reason=reason)
        return bool(moved)

    def exists(self, batch: int) -> bool:
        return self._db.value("SELECT 1 FROM batches WHERE id = :id", {"id": batch}) is not None

    def remove(self, batch: int, now: datetime) -> None:
        with self._db.transaction():
            if self._db.run("DELETE FROM batches WHERE id = :id", {"id": batch}):
                events.record(self._db, now, "batch", batch, "deleted")

    def expire(self, moment: datetime) -> int:
        """Mark for deletion what ended before `moment`; how many."""
        return self._db.run(
            "UPDATE batches SET target = 'deleted' WHERE ended < :moment AND target <> 'deleted'",
            {"moment": to_text(moment)},
        )

    def _select(self, where: str, values: dict[str, object] | None = None) -> list[Batch]:
        return [Batch.of(row) for row in self._db.rows(f"SELECT * FROM batches WHERE {where}", values or {})]


def _in_json(text: str) -> str:
    """As it stands in a request, which is stored as JSON text with its escapes."""
    return json.dumps(text)[1:-1]


def _shows(batch: Batch, text: str) -> bool:
    """Whether the text is in what may be shown of the batch: a search must not give away secrets piece by piece."""
    options = dataclasses.replace(batch.request.options, conf=redact(batch.request.options.conf))
    args = redact_args(batch.request.args)
    request = dataclasses.asdict(dataclasses.replace(batch.request, options=options, args=args))
    shown, at = batch.uuid + json.dumps(request), 0
    for part in _in_json(text).split("%"):
        found = re.compile(re.escape(part).replace("_", "."), re.IGNORECASE).search(shown, at)
        if found is None:
            return False
        at = found.end()
    return True
