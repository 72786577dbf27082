"""Drivers in the store: every SQL of theirs but the insert and the release, which belong to a session's own writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from gateway.core import events
from gateway.core.clock import to_text
from gateway.core.database import Database
from sessions.models import Driver


class DriverStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    def moving(self) -> list[Driver]:
        """Drivers that are not where they are wanted yet, oldest first."""
        return self._select("state <> 'gone' AND NOT (state = 'ready' AND target = 'ready') ORDER BY created, id")

    def ready_ones(self) -> list[Driver]:
        return self._select("state = 'ready' AND target = 'ready'")

    def find_all(self, ids: Iterable[str]) -> list[Driver]:
        """Those of these drivers that are not gone."""
        return [driver for one in ids for driver in self._select("state <> 'gone' AND id = :id", {"id": one})]

    def not_gone(self) -> list[tuple[int | None, bool, Driver]]:
        """(its session, whether that is permanent, driver) of every driver; None: the session is deleted already."""
        rows = self._db.rows(
            "SELECT drivers.*, sessions.id AS session, sessions.permanent FROM drivers"
            " LEFT JOIN sessions ON sessions.driver = drivers.id WHERE drivers.state <> 'gone' ORDER BY sessions.id"
        )
        return [(row["session"], bool(row["permanent"]), Driver.of(row)) for row in rows]

    def ids(self) -> set[str]:
        """All drivers there are, gone ones too."""
        return {row["id"] for row in self._db.rows("SELECT id FROM drivers")}

    def is_gone(self, driver: str) -> bool:
        """Whether nothing of it runs any more."""
        state = self._db.value("SELECT state FROM drivers WHERE id = :id", {"id": driver})
        return state in (None, "gone")

    def launch(self, driver: str, now: datetime) -> bool:
        return self._move(driver, "requested", "launching", now, "launched")

    def ready(self, driver: str, app_id: str | None, ui_url: str | None, now: datetime) -> bool:
        with self._db.transaction():
            moved = self._move(driver, "launching", "ready", now)
            if moved:
                self._db.run(
                    "UPDATE drivers SET app_id = :app_id, ui_url = :ui_url WHERE id = :id",
                    {"id": driver, "app_id": app_id, "ui_url": ui_url},
                )
        return moved

    def give_up(self, driver: str, reason: str) -> None:
        """Want it gone, because of `reason`."""
        self._db.run(
            "UPDATE drivers SET target = 'gone', reason = coalesce(reason, :reason) WHERE id = :id",
            {"id": driver, "reason": reason},
        )

    def gone(self, driver: str, reason: str | None, now: datetime) -> bool:
        with self._db.transaction():
            row = self._db.row(
                "UPDATE drivers SET state = 'gone', target = 'gone', reason = coalesce(reason, :reason), ended = :now"
                " WHERE id = :id AND state <> 'gone' RETURNING reason",
                {"id": driver, "reason": reason, "now": to_text(now)},
            )
            if row is not None:
                events.record(self._db, now, "driver", driver, "gone", reason=row["reason"])
        return row is not None

    def unclaimed(self) -> list[Driver]:
        """Gone drivers that no session refers to any more."""
        return self._select("state = 'gone' AND NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.driver = drivers.id)")

    def remove(self, driver: str) -> None:
        self._db.run("DELETE FROM drivers WHERE id = :id AND state = 'gone'", {"id": driver})

    def _select(self, where: str, values: Mapping[str, str] | None = None) -> list[Driver]:
        return [Driver.of(row) for row in self._db.rows(f"SELECT * FROM drivers WHERE {where}", values or {})]

    def _move(self, driver: str, before: str, after: str, now: datetime, stamp: str | None = None) -> bool:
        also = f", {stamp} = :now" if stamp else ""
        with self._db.transaction():
            moved = self._db.run(
                f"UPDATE drivers SET state = :after{also} WHERE id = :id AND state = :before AND target = 'ready'",
                {"id": driver, "before": before, "after": after, "now": to_text(now)},
            )
            if moved:
                events.record(self._db, now, "driver", driver, after)
        return bool(moved)


def driver_of(db: Database, session: int) -> Driver | None:
    """The driver that a session has now; None when the session was deleted a moment ago."""
    row = db.row(
        "SELECT drivers.* FROM drivers JOIN sessions ON sessions.driver = drivers.id WHERE sessions.id = :id",
        {"id": session},
    )
    return None if row is None else Driver.of(row)
