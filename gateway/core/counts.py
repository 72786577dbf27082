"""How many records there are, by state, without counting a long history.

The numbers of ended records are kept, and move in the transaction of the record's own move. What lives is bounded by
the settings, and is counted when somebody asks.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.events import Belonging
from gateway.core.identity import Principal, visible_to
from gateway.core.store.database import Database, Migrations

migrations = Migrations("counts")


@migrations()
def first_table(db: Database) -> None:
    db.run(
        "CREATE TABLE counts (kind TEXT NOT NULL, owner TEXT, project TEXT NOT NULL, state TEXT NOT NULL,"
        " number INTEGER NOT NULL)"
    )
    db.run("CREATE UNIQUE INDEX counts_of_what ON counts (kind, coalesce(owner, ''), project, state)")


@dataclass(frozen=True)
class Counted:
    """A kind of record: its table, and in SQL the condition for its live rows and their state as it is shown."""

    kind: str
    table: str
    live: str
    state: str


def change(db: Database, kind: str, whose: Belonging, state: str, by: int) -> None:
    """So many more ended records are in this state; less when negative. Call it in the transaction of their move."""
    db.run(
        "INSERT INTO counts (kind, owner, project, state, number) VALUES (:kind, :owner, :project, :state, :by)"
        " ON CONFLICT (kind, coalesce(owner, ''), project, state) DO UPDATE SET number = counts.number + :by",
        {"kind": kind, "owner": whose.owner, "project": whose.project, "state": state, "by": by},
    )


def by_state(db: Database, principal: Principal, counted: Counted) -> dict[str, int]:
    """How many records the principal sees in each state that one is in."""
    ended, _ = visible_to(principal, "counts")
    live, values = visible_to(principal, counted.table)
    rows = db.rows(
        "SELECT state, sum(number) AS number FROM ("
        f"SELECT state, number FROM counts WHERE kind = :kind AND {ended} UNION ALL"
        f" SELECT {counted.state} AS state, 1 AS number FROM {counted.table} WHERE {counted.live} AND {live}"
        ") AS counted GROUP BY state HAVING sum(number) > 0",
        {"kind": counted.kind, **values},
    )
    return {row["state"]: int(row["number"]) for row in rows}


def total(db: Database, principal: Principal, counted: Counted) -> tuple[int, int]:
    """How many records the principal sees, and an id above which there was none when they were counted."""
    ended, _ = visible_to(principal, "counts")
    live, values = visible_to(principal, counted.table)
    row = db.row(
        f"SELECT (SELECT coalesce(sum(number), 0) FROM counts WHERE kind = :kind AND {ended})"
        f" + (SELECT count(*) FROM {counted.table} WHERE {counted.live} AND {live}) AS total,"
        f" (SELECT max(id) FROM {counted.table}) AS newest",
        {"kind": counted.kind, **values},
    )
    assert row is not None
    return int(row["total"]), int(row["newest"] or 0)
