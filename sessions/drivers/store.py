"""Drivers in the store: their table and every SQL of theirs. Decides races by one conditional write each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from gateway.core import events, records
from gateway.core.clock import to_text
from gateway.core.events import Belonging
from gateway.core.store.database import Database, Migrations, Row, keepable
from sessions.drivers.models import Driver
from sessions.drivers.states import DriverState

migrations = Migrations("drivers")

# The words of an index's own condition: a query has to repeat them to be served by the index.
_ALIVE = "state <> 'gone'"
_MOVING = "state <> target"
_UNCLAIMED = "claimed = 0"


@migrations(was="sessions.first_tables")
def first_table(db: Database) -> None:
    db.run(
        "CREATE TABLE drivers (id TEXT PRIMARY KEY, state TEXT NOT NULL, target TEXT NOT NULL, folder TEXT NOT NULL,"
        " options TEXT NOT NULL, app_id TEXT, ui_url TEXT, reason TEXT, created TEXT NOT NULL, launched TEXT,"
        " ended TEXT)"
    )
    db.run("CREATE INDEX drivers_alive ON drivers (state) WHERE state <> 'gone'")


@migrations(was="sessions.permanent_sessions")
def pauses(db: Database) -> None:
    db.run("ALTER TABLE drivers ADD COLUMN not_before TEXT")


@migrations()
def owners(db: Database) -> None:
    db.run("ALTER TABLE drivers ADD COLUMN owner TEXT")
    db.run("ALTER TABLE drivers ADD COLUMN project TEXT NOT NULL DEFAULT 'default'")


@migrations()
def replacements(db: Database) -> None:
    db.run("ALTER TABLE drivers ADD COLUMN replaced INTEGER NOT NULL DEFAULT 0")


@migrations()
def hosts(db: Database) -> None:
    db.run("ALTER TABLE drivers ADD COLUMN host TEXT")


@migrations()
def rounds(db: Database) -> None:
    """`claimed` is 0 once no session refers to the driver any more, not even an ended one."""
    db.run("ALTER TABLE drivers ADD COLUMN claimed INTEGER NOT NULL DEFAULT 1")
    db.run(f"CREATE INDEX drivers_moving ON drivers (created, id) WHERE {_MOVING}")
    db.run(f"CREATE INDEX drivers_unclaimed ON drivers (state) WHERE {_UNCLAIMED}")


@migrations()
def profiles(db: Database) -> None:
    db.run("ALTER TABLE drivers ADD COLUMN profile TEXT")


# What is on no host yet belongs to whoever comes first. So does what runs since before hosts had names: it is on the
# one host that such a store has.
HERE = "(drivers.host IS NULL OR drivers.host = :host)"
# Takes work: one that is to go would take it with it.
READY = "drivers.state = 'ready' AND drivers.target = 'ready'"


def _is_of_many(driver: Driver) -> bool:
    return driver.shared is not None and driver.application is None


class DriverStore:
    """As one host sees it, which gets none to act on that are on others."""

    def __init__(self, db: Database, host: str) -> None:
        self._db, self.host = db, host

    def add(self, driver: Driver, whose: Belonging) -> None:
        """Ask for a driver. Call it in the transaction of the claim on it, unless it is to be WARM."""
        self._db.run(
            "INSERT INTO drivers (id, state, target, host, folder, options, created, not_before, profile, claimed,"
            " shared, application, seat, owner, project) VALUES (:id, :state, :target, :host, :folder, :options,"
            " :created, :not_before, :profile, :claimed, :shared, :application, :seat, :owner, :project)",
            {
                "id": driver.id,
                "state": driver.state.value,
                "target": driver.target.value,
                "host": driver.host,
                "folder": str(driver.folder),
                "options": records.to_json(driver.options),
                "created": to_text(driver.created),
                "not_before": driver.not_before and to_text(driver.not_before),
                "profile": driver.profile,
                "claimed": int(driver.target is not DriverState.WARM and not _is_of_many(driver)),
                "shared": driver.shared,
                "application": driver.application,
                "seat": driver.seat,
                "owner": whose.owner,
                "project": whose.project,
            },
        )
        events.record(self._db, driver.created, whose, "driver", driver.id, driver.state.value)

    def release(self, driver: str) -> None:
        """Want it gone: nobody uses it any more."""
        self._db.run("UPDATE drivers SET target = 'gone' WHERE id = :id", {"id": driver})
        self._db.ring_on_commit()

    def abandon(self, driver: str) -> None:
        """Want it gone and then forgotten: no session refers to it any more. Call it in the transaction of that."""
        self._db.run("UPDATE drivers SET target = 'gone', claimed = 0 WHERE id = :id", {"id": driver})
        self._db.ring_on_commit()

    def moving(self) -> list[Driver]:
        """Drivers of this host, or of none yet, that are not where they are wanted yet, oldest first."""
        return self._select(f"{_MOVING} AND {HERE} ORDER BY created, id")

    def running(self) -> list[Driver]:
        """Those of this host in which Spark is up, and which are to stay."""
        return self._select(f"{_ALIVE} AND state IN ('warm', 'ready') AND target <> 'gone' AND {HERE}")

    def find_all(self, ids: Iterable[str]) -> list[Driver]:
        """Those of these drivers that are on this host, or on none yet, and not gone."""
        wanted = f"state <> 'gone' AND id = :id AND {HERE}"
        return [driver for one in ids for driver in self._select(wanted, {"id": one})]

    def not_gone(self) -> list[tuple[int | None, bool, Driver]]:
        """(its session, whether that is permanent, driver) of every driver here; None: its session is deleted."""
        rows = self._db.rows(
            "SELECT drivers.*, sessions.id AS session, sessions.permanent FROM drivers"
            f" LEFT JOIN sessions ON sessions.driver = drivers.id WHERE drivers.state <> 'gone' AND {HERE}"
            " ORDER BY sessions.id",
            {"host": self.host},
        )
        return [(row["session"], bool(row["permanent"]), Driver.of(row)) for row in rows]

    def find(self, driver: str) -> Driver | None:
        """The driver, gone or not; None when it is forgotten."""
        found = self._select("id = :id", {"id": driver})
        return found[0] if found else None

    def is_forgotten(self, driver: str) -> bool:
        """Whether there is no such driver, not even a gone one."""
        return self._db.value("SELECT 1 FROM drivers WHERE id = :id", {"id": driver}) is None

    def is_gone(self, driver: str) -> bool:
        """Whether nothing of it runs any more."""
        state = self._db.value("SELECT state FROM drivers WHERE id = :id", {"id": driver})
        return state in (None, "gone")

    def place(self, driver: str, folder: Path) -> bool:
        """Have it run on this host, in `folder` unless that was said before. False: it is on another host, or gone."""
        with self._db.transaction():
            application = self._db.value("SELECT application FROM drivers WHERE id = :id", {"id": driver})
            if application is not None and not self.place(application, folder.with_name(application)):
                return False
            self._db.run(
                "UPDATE drivers SET host = :host, folder = :folder"
                " WHERE id = :id AND host IS NULL AND state = 'requested'",
                {"id": driver, "host": self.host, "folder": str(folder)},
            )
            return bool(self.find_all([driver]))

    def launch(self, driver: str, folder: Path, now: datetime) -> bool:
        """Place it and have it launched. False: it is on another host, was launched, or is not wanted any more."""
        with self._db.transaction():
            placed = self.place(driver, folder)
            return placed and self._move(driver, "requested", "launching", now, "launched")

    def ready(self, driver: str, app_id: str | None, ui_url: str | None, now: datetime) -> bool:
        return self._is_up(driver, "ready", app_id, ui_url, now)

    def warm(self, driver: str, app_id: str | None, ui_url: str | None, now: datetime) -> bool:
        """As `ready`, of one that was started ahead: whoever claims it, or has, is not known to it yet."""
        return self._is_up(driver, "warm", app_id, ui_url, now)

    def _is_up(self, driver: str, state: str, app_id: str | None, ui_url: str | None, now: datetime) -> bool:
        with self._db.transaction():
            moved = self._move(driver, "launching", state, now)
            if moved:
                self.is_application(driver, app_id, ui_url)
        return moved

    def settled(self, driver: str, now: datetime) -> bool:
        """It knows whose it is: from now on it goes with that session, as one that was started for it."""
        with self._db.transaction():
            moved = self._move(driver, "warm", "ready", now)
            if moved:
                self._db.run("UPDATE drivers SET replaced = 0 WHERE id = :id", {"id": driver})
        return moved

    def is_application(self, driver: str, app_id: str | None, ui_url: str | None) -> None:
        """From now on it is this application, which started with it, or which user code has started anew."""
        self._db.run(
            "UPDATE drivers SET app_id = :app_id, ui_url = :ui_url WHERE id = :id",
            {"id": driver, "app_id": keepable(app_id), "ui_url": keepable(ui_url)},
        )

    def give_up(self, driver: str, reason: str, *, replace: bool | None = None) -> bool:
        """Want it gone, because of `reason`. False: it goes.

        `replace`: whether its session is to have another one; None: if it has never known of that session.
        """
        given_up = self._db.run(
            "UPDATE drivers SET target = 'gone', reason = coalesce(reason, :reason),"
            " replaced = coalesce(:replace, replaced) WHERE id = :id AND target <> 'gone'",
            {"id": driver, "reason": keepable(reason), "replace": None if replace is None else int(replace)},
        )
        return bool(given_up)

    def gone(self, driver: str, reason: str | None, now: datetime) -> bool:
        with self._db.transaction():
            row = self._db.row(
                "UPDATE drivers SET state = 'gone', target = 'gone', reason = coalesce(reason, :reason), ended = :now"
                " WHERE id = :id AND state <> 'gone' RETURNING reason, owner, project, shared, application",
                {"id": driver, "reason": keepable(reason), "now": to_text(now)},
            )
            if row is not None:
                self._part(driver, row, now)
                events.record(self._db, now, Belonging.of(row), "driver", driver, "gone", reason=row["reason"])
        return row is not None

    def _part(self, driver: str, row: Row, now: datetime) -> None:
        """A seat that goes is one less in its application; an application that goes takes its seats with it."""
        if row["application"] is not None:
            self._db.run(
                "UPDATE drivers SET emptied = :now WHERE id = :id", {"id": row["application"], "now": to_text(now)}
            )
        elif row["shared"] is not None:
            why = row["reason"] or "it was stopped"
            self._db.run(
                "UPDATE drivers SET target = 'gone', reason = coalesce(reason, :reason)"
                " WHERE application IS NOT NULL AND state <> 'gone' AND application = :id",
                {"id": driver, "reason": f"the shared Spark application {row['shared']} ended: {why}"},
            )

    def unclaimed(self) -> list[Driver]:
        """Gone drivers of this host, or of none, that no session refers to any more."""
        return self._select(f"{_UNCLAIMED} AND state = 'gone' AND {HERE}")

    def remove(self, driver: str) -> None:
        self._db.run("DELETE FROM drivers WHERE id = :id AND state = 'gone'", {"id": driver})

    def _select(self, where: str, values: Mapping[str, str] | None = None) -> list[Driver]:
        rows = self._db.rows(f"SELECT * FROM drivers WHERE {where}", {"host": self.host, **(values or {})})
        return [Driver.of(row) for row in rows]

    def _move(self, driver: str, before: str, after: str, now: datetime, stamp: str | None = None) -> bool:
        also = f", {stamp} = :now" if stamp else ""
        wanted = "target = 'ready'" if after == "ready" else "target <> 'gone'"
        with self._db.transaction():
            row = self._db.row(
                f"UPDATE drivers SET state = :after{also} WHERE id = :id AND state = :before AND {wanted}"
                " RETURNING owner, project",
                {"id": driver, "before": before, "after": after, "now": to_text(now)},
            )
            if row is not None:
                events.record(self._db, now, Belonging.of(row), "driver", driver, after)
        return row is not None
