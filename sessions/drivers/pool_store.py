"""Warm drivers in the store, which nobody has claimed yet, and the demand for them. Every SQL of the pool's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.core import records
from gateway.core.clock import from_text, to_text
from gateway.core.events import Belonging
from gateway.core.identity import Principal, visible_to
from gateway.core.options import SparkOptions
from gateway.core.store.database import Database, Migrations
from sessions.drivers.models import Driver, Got
from sessions.drivers.profiles import Profile
from sessions.drivers.states import DriverState
from sessions.drivers.store import HERE

migrations = Migrations("pool")

# The words of an index's own condition: a query has to repeat them to be served by the index.
_UNCLAIMED = "drivers.target = 'warm'"

HALF_LIFE = timedelta(minutes=10)  # what is asked for twice within it is wanted
_REMEMBERED = 12 * HALF_LIFE
_MOST = 100  # profiles whose demand is looked at


@migrations()
def first_tables(db: Database) -> None:
    db.run(
        "CREATE TABLE driver_profiles (profile TEXT PRIMARY KEY, options TEXT NOT NULL, owner TEXT,"
        " project TEXT NOT NULL, demand REAL NOT NULL, asked TEXT NOT NULL)"
    )
    db.run("CREATE INDEX driver_profiles_by_time ON driver_profiles (asked)")
    db.run(
        "CREATE TABLE driver_claims (host TEXT NOT NULL, got TEXT NOT NULL, number INTEGER NOT NULL,"
        " newest TEXT NOT NULL, PRIMARY KEY (host, got))"
    )
    db.run(f"CREATE INDEX drivers_to_claim ON drivers (profile) WHERE {_UNCLAIMED.removeprefix('drivers.')}")


@dataclass(frozen=True)
class Demand:
    """How often drivers of a profile were asked for lately: each time counts one, and half of that HALF_LIFE later."""

    profile: str
    options: SparkOptions
    owner: str | None
    project: str
    demand: float
    asked: datetime

    def at(self, now: datetime) -> float:
        """The demand at a later moment."""
        return faded(self.demand, now - self.asked)

    @property
    def whose(self) -> Belonging:
        return Belonging(self.owner, self.project)


class PoolStore:
    """As one host sees it: a driver is claimed by sessions that are opened on its host."""

    def __init__(self, db: Database, host: str) -> None:
        self._db, self._host = db, host

    def claim(self, profile: Profile, options: SparkOptions, whose: Belonging, now: datetime) -> Driver | None:
        """Take a driver that was started ahead for a session with these options, which it is still to be told.

        One whose Spark is up, or one that starts. Call it in the transaction of the session. Until the driver has been
        told, its session is given another one if it goes.
        """
        if not profile.key:
            self._count(Got.UNLIKE, now)
            return None
        row = self._db.row(
            "UPDATE drivers SET target = 'ready', claimed = 1, replaced = 1, options = :options WHERE id = ("
            f" SELECT id FROM drivers WHERE {_UNCLAIMED} AND drivers.profile = :profile AND {HERE}"
            " AND drivers.state IN ('warm', 'launching')"
            " ORDER BY CASE drivers.state WHEN 'warm' THEN 0 ELSE 1 END, drivers.created, drivers.id LIMIT 1)"
            " AND target = 'warm' RETURNING *",
            {"profile": profile.key, "options": records.to_json(options), "host": self._host},
        )
        self._ask(profile, whose, now)
        driver = None if row is None else Driver.of(row)
        up = driver is not None and driver.state is DriverState.WARM
        self._count(Got.COLD if driver is None else Got.WARM if up else Got.STARTING, now)
        return driver

    def _ask(self, profile: Profile, whose: Belonging, now: datetime) -> None:
        known = self._db.row("SELECT demand, asked FROM driver_profiles WHERE profile = :key", {"key": profile.key})
        demand = 1.0 + (faded(known["demand"], now - from_text(known["asked"])) if known else 0.0)
        self._db.run(
            "INSERT INTO driver_profiles (profile, options, owner, project, demand, asked)"
            " VALUES (:key, :options, :owner, :project, :demand, :now)"
            " ON CONFLICT (profile) DO UPDATE SET demand = :demand, asked = :now",
            {
                "key": profile.key,
                "options": records.to_json(profile.options),
                "owner": whose.owner,
                "project": whose.project,
                "demand": demand,
                "now": to_text(now),
            },
        )

    def _count(self, got: Got, now: datetime) -> None:
        self._db.run(
            "INSERT INTO driver_claims (host, got, number, newest) VALUES (:host, :got, 1, :now)"
            " ON CONFLICT (host, got) DO UPDATE SET number = driver_claims.number + 1, newest = :now",
            {"host": self._host, "got": got.value, "now": to_text(now)},
        )

    def claims(self) -> dict[Got, int]:
        """How many sessions were given what, since the store is there."""
        rows = self._db.rows("SELECT got, number FROM driver_claims")
        return {got: sum(row["number"] for row in rows if row["got"] == got.value) for got in Got}

    def newest_claim(self) -> datetime | None:
        """When a session on this host was given a driver that was started ahead."""
        found = self._db.value(
            "SELECT max(newest) FROM driver_claims WHERE host = :host AND got IN ('warm', 'starting')",
            {"host": self._host},
        )
        return None if found is None else from_text(found)

    def demands(self, now: datetime) -> list[Demand]:
        """Those that were asked for lately, the newest first."""
        rows = self._db.rows(
            f"SELECT * FROM driver_profiles WHERE asked > :moment ORDER BY asked DESC LIMIT {_MOST}",
            {"moment": to_text(now - _REMEMBERED)},
        )
        return [records.read(Demand, row) for row in rows]

    def forget_demands(self, now: datetime) -> None:
        """Forget those that count for nothing any more."""
        self._db.run("DELETE FROM driver_profiles WHERE asked <= :moment", {"moment": to_text(now - _REMEMBERED)})

    def unclaimed(self) -> list[Driver]:
        """Drivers of this host, or of none yet, that nobody has claimed, oldest first."""
        return self._select(f"{_UNCLAIMED} AND {HERE} ORDER BY drivers.created, drivers.id")

    def waiting(self, principal: Principal) -> tuple[int, int]:
        """How many drivers of this host wait for a session, and how many are on their way to."""
        visible, values = visible_to(principal, "drivers")
        rows = self._db.rows(
            f"SELECT drivers.state FROM drivers WHERE {_UNCLAIMED} AND {HERE} AND {visible}",
            {"host": self._host, **values},
        )
        warm = sum(row["state"] == DriverState.WARM.value for row in rows)
        return warm, len(rows) - warm

    def release(self, driver: str) -> bool:
        """Want it gone and then forgotten. False: somebody has claimed it, or it goes already."""
        return bool(
            self._db.run(
                f"UPDATE drivers SET target = 'gone' WHERE id = :id AND {_UNCLAIMED.removeprefix('drivers.')}",
                {"id": driver},
            )
        )

    def claimed(self) -> list[Driver]:
        """Drivers here that were claimed and whose Spark is up, and which do not know it yet."""
        return self._select(f"state <> target AND state = 'warm' AND target = 'ready' AND {HERE}")

    def _select(self, where: str) -> list[Driver]:
        return [Driver.of(row) for row in self._db.rows(f"SELECT * FROM drivers WHERE {where}", {"host": self._host})]


def faded(demand: float, after: timedelta) -> float:
    """What is left of a demand so much later."""
    return float(demand * 0.5 ** (max(timedelta(0), after) / HALF_LIFE))
