"""The claim of a session: a seat of a driver, which is an interpreter of its own in a Spark application.

A driver of one session has the seat 0; in a shared application each interpreter is a driver of its own, with a number
that no other there has. Whoever speaks to a driver names the seat that it means.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.store.database import Database
from sessions.drivers.models import Driver


@dataclass(frozen=True)
class Claim:
    driver: Driver
    seat: int


def claim_of(db: Database, session: int) -> Claim | None:
    """What a session has now; None when it was deleted a moment ago."""
    row = db.row(
        "SELECT drivers.*, sessions.seat FROM drivers JOIN sessions ON sessions.driver = drivers.id"
        " WHERE sessions.id = :id",
        {"id": session},
    )
    return None if row is None else Claim(Driver.of(row), row["seat"])
