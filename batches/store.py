"""Batches in the store: their table and every SQL of theirs. Decides races by one conditional write each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from batches.models import Batch, BatchRequest
from batches.states import ENDED, BatchState, Target
from batches.texts import BatchTexts, is_indexed, pattern_of
from gateway.core import counts, events, records
from gateway.core.clock import to_text
from gateway.core.counts import Counted
from gateway.core.errors import DuplicateName, LimitReached
from gateway.core.events import Belonging
from gateway.core.identity import Principal, visible_parts, visible_to
from gateway.core.store import pages
from gateway.core.store.database import Conflict, Database, Migrations, keepable, next_id

migrations = Migrations("batches")

# A batch that is being deleted is no longer seen by anybody but the supervisor, and its name is free.
_LISTED = "target <> 'deleted'"

# The words of an index's own condition: a query has to repeat them to be served by the index.
_LIVE = "state IN ('starting', 'running')"
_UNWANTED = "target = 'deleted'"

_COUNTED = Counted("batch", "batches", _LIVE, "state", _LISTED)
SOUGHT = 1000  # newest batches in which a text is sought that no index serves; and found ones that are counted
_AT_ONCE = 1000  # batches whose texts a migration reads
_REMOVED_AT_ONCE = 50  # ended batches: what is done with them holds up everything else
_EXPIRED_AT_ONCE = 200


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


@migrations()
def hosts(db: Database) -> None:
    db.run("ALTER TABLE batches ADD COLUMN host TEXT")


@migrations()
def history(db: Database) -> None:
    db.run("DROP INDEX batches_by_state")
    db.run("DROP INDEX batches_by_target")
    db.run(f"CREATE INDEX batches_live ON batches (state, id) WHERE {_LIVE}")
    db.run(f"CREATE INDEX batches_unwanted ON batches (id) WHERE {_UNWANTED}")
    db.run(f"CREATE INDEX batches_ended ON batches (ended) WHERE {_LISTED}")
    db.run(f"CREATE INDEX batches_of_state ON batches (state, id) WHERE {_LISTED}")
    db.run(f"CREATE INDEX batches_of_owner ON batches (owner, state, id) WHERE {_LISTED}")
    db.run(f"CREATE INDEX batches_of_project ON batches (project, state, id) WHERE {_LISTED}")
    db.run(
        "INSERT INTO counts (subject, owner, project, state, number) SELECT 'batch', owner, project, state, count(*)"
        f" FROM batches WHERE {_LISTED} AND NOT {_LIVE} GROUP BY owner, project, state"
    )


@migrations()
def texts(db: Database) -> None:
    db.create_texts("batch_texts")
    last = -1
    columns = "SELECT id, uuid, request FROM batches"
    while some := db.rows(f"{columns} WHERE id > :last ORDER BY id LIMIT :n", {"last": last, "n": _AT_ONCE}):
        for row in some:
            BatchTexts(db).add(row["id"], row["uuid"], records.from_json(BatchRequest, row["request"]))
            last = row["id"]


# What is on no host yet belongs to whoever comes first. So does what runs since before hosts had names: it is on the
# one host that such a store has.
_HERE = "(host IS NULL OR host = :host)"


class BatchStore:
    """As one host sees it, which gets none to act on that are on others."""

    def __init__(self, db: Database, host: str) -> None:
        self._db, self._host, self._texts = db, host, BatchTexts(db)

    def add(
        self, principal: Principal, request: BatchRequest, folder: Path, uuid: str, now: datetime, most_waiting: int
    ) -> Batch:
        """Queue a batch. Raises DuplicateName, or LimitReached when `most_waiting` wait already."""
        db, whose = self._db, Belonging(principal.user, principal.project)
        with db.transaction():
            if db.value(f"SELECT count(*) FROM batches WHERE {_LIVE} AND state = 'starting'") >= most_waiting:
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
                        "request": records.to_json(request),
                        "folder": str(folder),
                        "now": to_text(now),
                    },
                )
            except Conflict as error:
                raise DuplicateName("batch", request.options.name or "") from error
            assert row is not None
            batch = Batch.of(row, self._host)
            self._texts.add(batch.id, batch.uuid, batch.request)
            events.record(db, now, whose, "batch", batch.id, "starting")
        return batch

    def find(self, principal: Principal, ref: int | str) -> Batch | None:
        """By id (int) or name (str); None for one that is being deleted."""
        visible, values = visible_to(principal, "batches")
        column = "id" if isinstance(ref, int) else "name"
        found = self._select(f"{column} = :ref AND {_LISTED} AND {visible}", {"ref": ref, **values})
        return found[0] if found else None

    def page(self, principal: Principal, start: int, size: int) -> tuple[int, list[Batch]]:
        """How many there are, and those from position `start` on, by rising id."""
        return self._page(principal, list(BatchState), start, size, newest_first=False)

    def counts(self, principal: Principal) -> dict[BatchState, int]:
        """How many there are in each state that one is in."""
        return {BatchState(state): n for state, n in counts.by_state(self._db, principal, _COUNTED).items()}

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

        In `text` SQL's wildcards % and _ hold; an empty one is in every request. What is hidden is not found. With a
        text, no more than 1000 beyond the page are counted; one without three characters in a row that are no wildcards
        is sought in the newest 1000 of these states.
        """
        listed, pattern = list(states), pattern_of(text)
        if not text.strip("%"):
            return self._page(principal, listed, start, size, newest_first=True)
        numbers = counts.by_state(self._db, principal, _COUNTED)
        few = sum(numbers.get(state.value, 0) for state in listed) <= SOUGHT
        if few or not is_indexed(pattern):
            parts, values = _parts(principal, listed)
            newest = pages.ids("batches", parts, newest_first=True)
            found = self._texts.search_few(pattern, newest, {**pages.place(0, SOUGHT), **values})
        else:
            visible, values = visible_to(principal, "batches")
            where = f"{_LISTED} AND {visible} AND state IN ({', '.join(_quoted(state) for state in listed)})"
            found = self._texts.search(pattern, where, values, start + size + SOUGHT)
        return len(found), self._numbered(found[start : start + size])

    def _page(
        self, principal: Principal, states: list[BatchState], start: int, size: int, *, newest_first: bool
    ) -> tuple[int, list[Batch]]:
        parts, values = _parts(principal, states)
        total, newest = counts.total(self._db, principal, _COUNTED)
        if len(states) < len(BatchState):
            numbers = counts.by_state(self._db, principal, _COUNTED)
            total = sum(numbers.get(state.value, 0) for state in states)
        start, size, from_newest = pages.from_nearer_end(total, start, size, newest_first=newest_first)
        found = pages.ids("batches", [f"{part} AND id <= :newest" for part in parts], newest_first=from_newest)
        return total, self._select(
            f"id IN ({found}) ORDER BY id {'DESC' if newest_first else 'ASC'}",
            {"newest": newest, **pages.place(start, size), **values},
        )

    def _numbered(self, ids: Sequence[int]) -> list[Batch]:
        """The batches with these ids, newest first."""
        return self._select(f"id IN ({', '.join(map(str, ids))}) ORDER BY id DESC") if ids else []

    def delete(self, batch: int) -> None:
        """Want it killed and forgotten; from now on nobody sees it."""
        self._unlist("id = :id", {"id": batch})
        self._db.ring_on_commit()

    def next(self, most_running: int) -> list[Batch]:
        """The waiting batches that may start now, in order, when `most_running` may run on this host at a time."""
        running = self._db.value(
            f"SELECT count(*) FROM batches WHERE {_LIVE} AND state = 'running' AND {_HERE}", {"host": self._host}
        )
        return self._select(
            f"{_LIVE} AND state = 'starting' AND target = 'finished' ORDER BY id LIMIT :free",
            {"free": max(0, most_running - int(running))},
        )

    def not_ended(self) -> list[Batch]:
        """Of this host, or of none yet."""
        return self._select(f"state IN ('starting', 'running') AND {_HERE} ORDER BY id")

    def running(self) -> list[Batch]:
        """On this host."""
        return self._select(f"{_LIVE} AND state = 'running' AND {_HERE} ORDER BY id")

    def with_folders(self, names: Iterable[str]) -> list[Batch]:
        """The running batches with these folder names."""
        return [
            batch
            for name in names
            for batch in self._select("state = 'running' AND uuid = :uuid", {"uuid": str(UUID(name))})
        ]

    def without_app(self) -> list[Batch]:
        """Running batches of this host whose Spark application is not known yet."""
        return self._select(f"{_LIVE} AND state = 'running' AND app_id IS NULL AND {_HERE}")

    def unwanted(self) -> list[Batch]:
        """Deleted batches of this host, or of none, to be killed and forgotten; of ended ones some at a time, last."""
        unwanted = f"{_UNWANTED} AND {_HERE}"
        return [
            *self._select(f"{unwanted} AND {_LIVE} ORDER BY id"),
            *self._select(f"{unwanted} AND NOT {_LIVE} ORDER BY id LIMIT {_REMOVED_AT_ONCE}"),
        ]

    def start(self, batch: int, folder: Path, now: datetime) -> bool:
        """Take it to this host, to run in `folder`. False: it was taken, or is not wanted any more."""
        with self._db.transaction():
            row = self._db.row(
                "UPDATE batches SET state = 'running', host = :host, folder = :folder, started = :now"
                " WHERE id = :id AND state = 'starting' AND target = 'finished' RETURNING owner, project",
                {"id": batch, "host": self._host, "folder": str(folder), "now": to_text(now)},
            )
            if row is not None:
                events.record(self._db, now, Belonging.of(row), "batch", batch, "running", host=self._host)
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
                " RETURNING owner, project, target",
                {"id": batch, "state": state.value, "code": code, "reason": keepable(reason), "now": to_text(now)},
            )
            if row is not None:
                whose = Belonging.of(row)
                if row["target"] != Target.DELETED.value:
                    counts.change(self._db, "batch", whose, state.value, +1)
                events.record(self._db, now, whose, "batch", batch, state.value, exit_code=code, reason=reason)
        return row is not None

    def exists(self, batch: int) -> bool:
        return self._db.value("SELECT 1 FROM batches WHERE id = :id", {"id": batch}) is not None

    def remove(self, batch: int, now: datetime) -> None:
        with self._db.transaction():
            self._unlist("id = :id", {"id": batch})
            row = self._db.row("DELETE FROM batches WHERE id = :id RETURNING owner, project", {"id": batch})
            if row is not None:
                self._texts.remove(batch)
                events.record(self._db, now, Belonging.of(row), "batch", batch, "deleted")

    def expire(self, moment: datetime) -> int:
        """Mark for deletion what ended before `moment`, the earliest first and some at a time; how many."""
        some = f"SELECT id FROM batches WHERE ended < :moment AND {_LISTED} ORDER BY ended LIMIT {_EXPIRED_AT_ONCE}"
        return self._unlist(f"id IN ({some})", {"moment": to_text(moment)})

    def _unlist(self, where: str, values: Mapping[str, object]) -> int:
        """Let nobody see these any more; how many were seen."""
        with self._db.transaction():
            rows = self._db.rows(
                f"UPDATE batches SET target = 'deleted' WHERE {where} AND {_LISTED} RETURNING state, owner, project",
                values,
            )
            gone = Counter((Belonging.of(row), row["state"]) for row in rows if BatchState(row["state"]) in ENDED)
            for (whose, state), number in gone.items():
                counts.change(self._db, "batch", whose, state, -number)
        return len(rows)

    def _select(self, where: str, values: Mapping[str, object] | None = None) -> list[Batch]:
        rows = self._db.rows(f"SELECT * FROM batches WHERE {where}", {"host": self._host, **(values or {})})
        return [Batch.of(row, self._host) for row in rows]


def _parts(principal: Principal, states: list[BatchState]) -> tuple[list[str], dict[str, Any]]:
    """Conditions for what the principal sees in these states, any of which has to hold; and their values."""
    seen, values = visible_parts(principal, "batches")
    if principal.administrator and len(states) == len(BatchState):
        return [f"{part} AND {_LISTED}" for part in seen], values
    return [f"{part} AND {_LISTED} AND state = {_quoted(state)}" for part in seen for state in states], values


def _quoted(state: BatchState) -> str:
    return f"'{state.value}'"
