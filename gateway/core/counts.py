"""How many records there are, by state, without counting a long history.

The numbers of ended records are kept, and move in the transaction of the record's own move. What lives is bounded by
the settings, and is counted when somebody asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.core.events import Belonging
from gateway.core.identity import Principal, visible_to
from gateway.core.store.database import Database, Migrations

migrations = Migrations("counts")


@migrations()
def first_table(db: Database) -> None:
    db.run(
        "CREATE TABLE counts (subject TEXT NOT NULL, owner TEXT, project TEXT NOT NULL, state TEXT NOT NULL,"
        " number INTEGER NOT NULL)"
    )
    db.run("CREATE UNIQUE INDEX counts_of_what ON counts (subject, coalesce(owner, ''), project, state)")


@dataclass(frozen=True)
class Counted:
    """A kind of record and its table; in SQL the condition for live rows, as their index has it, and their state.

    Of the live ones those count for which `listed` holds too.
    """

    subject: str
    table: str
    live: str
    state: str
    listed: str = "TRUE"


def change(db: Database, subject: str, whose: Belonging, state: str, by: int) -> None:
    """So many more ended records are in this state; less when negative. Call it in the transaction of their move."""
    db.run(
        "INSERT INTO counts (subject, owner, project, state, number) VALUES (:subject, :owner, :project, :state, :by)"
        " ON CONFLICT (subject, coalesce(owner, ''), project, state) DO UPDATE SET number = counts.number + :by",
        {"subject": subject, "owner": whose.owner, "project": whose.project, "state": state, "by": by},
    )


def by_state(db: Database, principal: Principal, counted: Counted) -> dict[str, int]:
    """How many records the principal sees in each state that one is in."""
    ended, live, values = _both(principal, counted)
    rows = db.rows(
        f"SELECT state, sum(number) AS number FROM (SELECT state, number {ended}"
        f" UNION ALL SELECT {counted.state} AS state, 1 AS number {live}) AS counted GROUP BY state"
        " HAVING sum(number) > 0",
        values,
    )
    return {row["state"]: int(row["number"]) for row in rows}


def total(db: Database, principal: Principal, counted: Counted) -> tuple[int, int]:
    """How many records the principal sees, and an id above which there was none when they were counted."""
    number, values = total_of(principal, counted)
    row = db.row(f"SELECT {number} AS total, (SELECT max(id) FROM {counted.table}) AS newest", values)
    assert row is not None
    return int(row["total"]), int(row["newest"] or 0)


def total_of(principal: Principal, counted: Counted) -> tuple[str, dict[str, Any]]:
    """SQL that says how many records the principal sees, for a query that asks for more; and its values."""
    ended, live, values = _both(principal, counted)
    return f"((SELECT coalesce(sum(number), 0) {ended}) + (SELECT count(*) {live}))", values


def _both(principal: Principal, counted: Counted) -> tuple[str, str, dict[str, Any]]:
    """From where to take the numbers of ended records, from where live ones, and the values of both."""
    table = counted.table
    kept, _ = visible_to(principal, "counts")
    seen, values = visible_to(principal, table)
    ended = f"FROM counts WHERE subject = :subject AND {kept}"
    # MATERIALIZED: the live rows first, and not all that the principal sees
    first = f"WITH live AS MATERIALIZED (SELECT * FROM {table} WHERE {counted.live}) SELECT * FROM live"
    live = f"FROM ({first}) AS {table} WHERE {counted.listed} AND {seen}"
    return ended, live, {"subject": counted.subject, **values}
