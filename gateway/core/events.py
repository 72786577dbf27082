"""The outbox: what happened to whom, written in the transaction of the change itself.

Consumers (console, alerts, message brokers) read this table; it is also the answer to "why is my session dead?".
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from gateway.core.clock import to_text
from gateway.core.database import Database


def record(db: Database, at: datetime, subject: str, subject_id: object, name: str, **data: Any) -> None:
    """Write one event. `subject` is a kind of record (session, statement, batch, driver), `name` what happened."""
    db.run(
        "INSERT INTO events (at, subject, subject_id, name, data) VALUES (:at, :subject, :subject_id, :name, :data)",
        {"at": to_text(at), "subject": subject, "subject_id": str(subject_id), "name": name, "data": json.dumps(data)},
    )


def forget_before(db: Database, moment: datetime) -> int:
    """Drop events older than this; how many there were."""
    return db.run("DELETE FROM events WHERE at < :moment", {"moment": to_text(moment)})
