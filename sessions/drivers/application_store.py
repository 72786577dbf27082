"""Shared applications in the store: which one a session joins, and which one nobody needs any more.

An application is a driver of no session; its seats are drivers too, each of one session, which name it.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime

from gateway.core.clock import to_text
from gateway.core.errors import InvalidRequest, LimitReached
from gateway.core.events import Belonging
from gateway.core.faults import Fault
from gateway.core.options import SparkOptions
from gateway.core.store.database import Database, Migrations
from sessions.drivers.models import Driver
from sessions.drivers.sharing import Sharing, differences
from sessions.drivers.store import HERE, DriverStore

migrations = Migrations("applications")

# The words of the indexes' own conditions: a query has to repeat them to be served by an index.
_APPLICATION = "drivers.shared IS NOT NULL AND drivers.application IS NULL AND drivers.state <> 'gone'"
_SEAT = "seats.application IS NOT NULL AND seats.state <> 'gone'"


@migrations()
def first_columns(db: Database) -> None:
    """`application` is whose seat a driver is, `shared` the name of that; `seats` how many an application has given.

    `emptied` is when the last of its seats went.
    """
    db.run("ALTER TABLE drivers ADD COLUMN shared TEXT")
    db.run("ALTER TABLE drivers ADD COLUMN application TEXT")
    db.run("ALTER TABLE drivers ADD COLUMN seat INTEGER NOT NULL DEFAULT 0")
    db.run("ALTER TABLE drivers ADD COLUMN seats INTEGER NOT NULL DEFAULT 0")
    db.run("ALTER TABLE drivers ADD COLUMN emptied TEXT")
    db.run(
        "CREATE INDEX drivers_shared ON drivers (shared, created, id)"
        " WHERE shared IS NOT NULL AND application IS NULL AND state <> 'gone'"
    )
    db.run("CREATE INDEX drivers_seats ON drivers (application) WHERE application IS NOT NULL AND state <> 'gone'")


class ApplicationStore:
    def __init__(self, db: Database, drivers: DriverStore) -> None:
        self._db, self._drivers = db, drivers

    def join(self, sharing: Sharing, driver: Driver, whose: Belonging, *, asked: SparkOptions | None) -> Driver | None:
        """Store `driver` as a seat of the application, and the application too where there is none; the seat.

        Call it in the transaction of the claim. `asked` is what of Spark the session asks for; None: it is to have a
        seat whatever that is. None, and nothing is done, when a session that has not named the application does not
        fit. Raises InvalidRequest with what does not, or LimitReached.
        """
        application = self._find(sharing, whose)
        if application is None:
            application = sharing.application
            self._drivers.add(application, whose)
        elif asked is not None and (refusal := self._refusal(sharing, application, asked)):
            if sharing.is_default:
                return None
            raise refusal
        number = self._db.value(
            "UPDATE drivers SET seats = seats + 1 WHERE id = :id RETURNING seats", {"id": application.id}
        )
        seat = dataclasses.replace(
            driver,
            shared=sharing.name,
            application=application.id,
            seat=int(number),
            host=application.host,
            folder=application.folder.parent / driver.id,
        )
        self._drivers.add(seat, whose)
        return seat

    def _find(self, sharing: Sharing, whose: Belonging) -> Driver | None:
        rows = self._db.rows(
            f"SELECT * FROM drivers WHERE {_APPLICATION} AND target = 'ready' AND shared = :name"
            " AND coalesce(owner, '') = :owner AND project = :project ORDER BY created, id",
            {"name": sharing.name, "owner": whose.owner or "", "project": whose.project},
        )
        return next((driver for driver in map(Driver.of, rows) if sharing.fits(driver)), None)

    def _refusal(self, sharing: Sharing, application: Driver, asked: SparkOptions) -> InvalidRequest | None:
        if faults := tuple[Fault, ...](differences(application.options, asked, sharing.here)):
            return InvalidRequest(*faults)
        taken = self._db.value(
            f"SELECT count(*) FROM drivers AS seats WHERE {_SEAT} AND seats.application = :id", {"id": application.id}
        )
        if taken < sharing.most:
            return None
        return LimitReached(
            f"the application {sharing.name} has {taken} sessions, as many as may share one (setting"
            " shared_application_sessions): end one, or name another application"
        )

    def seats(self, application: str) -> list[Driver]:
        """The drivers that are its seats and not gone."""
        rows = self._db.rows(
            f"SELECT * FROM drivers AS seats WHERE {_SEAT} AND seats.application = :id", {"id": application}
        )
        return [Driver.of(row) for row in rows]

    def counts(self) -> tuple[int, int]:
        """How many applications there are on this host, and how many seats they have."""
        values = {"host": self._drivers.host}
        applications = self._db.value(f"SELECT count(*) FROM drivers WHERE {_APPLICATION} AND {HERE}", values)
        seats = f"SELECT count(*) FROM drivers AS seats WHERE {_SEAT} AND coalesce(seats.host, :host) = :host"
        return int(applications), int(self._db.value(seats, values))

    def end_unused(self, moment: datetime) -> list[str]:
        """Want those gone that have had no seat since `moment`; their ids."""
        rows = self._db.rows(
            f"UPDATE drivers SET target = 'gone' WHERE {_APPLICATION} AND target = 'ready'"
            " AND coalesce(emptied, created) <= :moment"
            f" AND NOT EXISTS (SELECT 1 FROM drivers AS seats WHERE {_SEAT} AND seats.application = drivers.id)"
            " RETURNING id",
            {"moment": to_text(moment)},
        )
        return [row["id"] for row in rows]
