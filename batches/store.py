"""Batches in the store: their table and every SQL of theirs. Decides races by one conditional write each."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from uuid import UUID

from batches.models import Batch, BatchRequest
from batches.states import BatchState
from gateway.core import events
from gateway.core.clock import to_text
from gateway.core.errors import DuplicateName, LimitReached
from gateway.core.events import Belonging
from gateway.core.identity import Principal, visible_to
from gateway.core.options import redact, redact_args
from gateway.core.store.database import Conflict, Database, Migrations, next_id

migrations = Migrations("batches")

# A batch that is being deleted is no longer seen by anybody but the supervisor, and its name is free.
_LISTED = "target <> 'deleted'"


@migrations()
def first_table(db: Database) -> None:
    db.run(
        "CREATE TABLE batches (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT, owner TEXT,"
        " proxy_user TEXT, project TEXT, state TEXT NOT NULL, target TEXT NOT NULL, request TEXT NOT NULL,"
        " folder TEXT NOT NULL, app_id TEXT, ui_url TEXT, exit_code INTEGER, created TEXT NOT NULL, started TEXT,"
        " ended TEXT)"
    )
    db.run(f"CREATE UNIQUE INDEX batches_by_name ON batches (name) WHERE {_LISTED}")
    db.run("CREATE INDEX batches_by_state ON batches (state)")
    db.run("CREATE INDEX batches_by_target ON batches (target)")


@migrations()
def reasons(db: Database) -> None:
    db.run("ALTER TABLE batches ADD COLUMN reason TEXT")
    db.run("UPDATE batches SET project = 'default' WHERE project IS NULL")


class BatchStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    def add(
        self, principal: Principal, request: BatchRequest, folder: Path, uuid: str, now: datetime, most_waiting: int
    ) -> Batch:
        """Queue a batch. Raises DuplicateName, or LimitReached when `most_waiting` wait already."""
        db, whose = self._db, Belonging(principal.user, principal.project)
        with db.transaction():
            if db.value("SELECT count(*) FROM batches WHERE state = 'starting'") >= most_waiting:
                raise LimitReached("too many batches are waiting to run; try again later")
            try:
                row = db.row(
                    "INSERT INTO batches (id, uuid, name, owner, project, proxy_user, state, target, request, folder,"
                    " created) VALUES (:id, :uuid, :name, :owner, :project, :proxy_user, 'starting', 'finished',"
                    " :request, :folder, :now) RETURNING *",
                    {
                        "id": next_id(db, "batch"),
                        "uuid": uuid,
                        "name": request.options.name,
                        "owner": whose.owner,
                        "project": whose.project,
                        "proxy_user": request.options.proxy_user,
                        "request": json.dumps(dataclasses.asdict(request)),
                        "folder": str(folder),
                        "now": to_text(now),
                    },
                )
            except Conflict as error:
                raise DuplicateName("batch", request.options.name or "") from error
            assert row is not None
            events.record(db, now, whose, "batch", row["id"], "starting")
        return Batch.of(row)

    def find(self, principal: Principal, ref: int | str) -> Batch | None:
        """By id (int) or name (str); None for one that is being deleted."""
        visible, values = visible_to(principal, "batches")
        column = "id" if isinstance(ref, int) else "name"
        found = self._select(f"{column} = :ref AND {_LISTED} AND {visible}", {"ref": ref, **values})
        return found[0] if found else None

    def page(self, principal: Principal, start: int, size: int) -> tuple[int, list[Batch]]:
        """How many there are, and those from position `start` on, by rising id."""
        visible, values = visible_to(principal, "batches")
        total = self._db.value(f"SELECT count(*) FROM batches WHERE {_LISTED} AND {visible}", values)
        return int(total), self._select(
            f"{_LISTED} AND {visible} ORDER BY id LIMIT :size OFFSET :start", {"size": size, "start": start, **values}
        )

    def number_of(self, principal: Principal, uuid: str) -> int | None:
        visible, values = visible_to(principal, "batches")
        found = self._db.value(
            f"SELECT id FROM batches WHERE uuid = :uuid AND {_LISTED} AND {visible}", {"uuid": uuid, **values}
        )
        return None if found is None else int(found)

    def search(
        self, principal: Principal, states: Iterable[BatchState], text: str, start: int, size: int
    ) -> tuple[int, list[Batch]]:
        """How many there are in these states whose UUID or request holds `text`, and a page of those, newest first.

        In `text` SQL's wildcards % and _ hold; an empty one is in every request. What is hidden is not found.
        """
        listed = ", ".join(f"'{state.value}'" for state in states) or "''"
        visible, values = visible_to(principal, "batches")
        where = f"{_LISTED} AND {visible} AND state IN ({listed}) AND lower(uuid || request) LIKE lower(:pattern)"
        found = self._select(f"{where} ORDER BY id DESC", {"pattern": f"%{_in_json(text)}%", **values})
        shown = [batch for batch in found if not text or _shows(batch, text)]
        return len(shown), shown[start : start + size]

    def delete(self, batch: int) -> None:
        """Want it killed and forgotten; from now on nobody sees it."""
        self._db.run("UPDATE batches SET target = 'deleted' WHERE id = :id", {"id": batch})
        self._db.ring_on_commit()

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
            row = self._db.row(
                "UPDATE batches SET state = 'running', started = :now"
                " WHERE id = :id AND state = 'starting' AND target = 'finished' RETURNING owner, project",
                {"id": batch, "now": to_text(now)},
            )
            if row is not None:
                events.record(self._db, now, Belonging.of(row), "batch", batch, "running")
        return row is not None

    def set_app(self, batch: int, app_id: str, ui_url: str | None) -> None:
        self._db.run(
            "UPDATE batches SET app_id = :app_id, ui_url = :ui_url WHERE id = :id",
            {"id": batch, "app_id": app_id, "ui_url": ui_url},
        )

    def end(self, batch: int, state: BatchState, code: int | None, reason: str | None, now: datetime) -> bool:
        with self._db.transaction():
            row = self._db.row(
                "UPDATE batches SET state = :state, exit_code = :code, reason = :reason, ended = :now"
                " WHERE id = :id AND (state = 'running' OR (state = 'starting' AND :state <> 'success'))"
                " RETURNING owner, project",
                {"id": batch, "state": state.value, "code": code, "reason": reason, "now": to_text(now)},
            )
            if row is not None:
                whose = Belonging.of(row)
                events.record(self._db, now, whose, "batch", batch, state.value, exit_code=code, reason=reason)
        return row is not None

    def exists(self, batch: int) -> bool:
        return self._db.value("SELECT 1 FROM batches WHERE id = :id", {"id": batch}) is not None

    def remove(self, batch: int, now: datetime) -> None:
        with self._db.transaction():
            row = self._db.row("DELETE FROM batches WHERE id = :id RETURNING owner, project", {"id": batch})
            if row is not None:
                events.record(self._db, now, Belonging.of(row), "batch", batch, "deleted")

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
