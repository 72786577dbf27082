"""The store with the tables of every feature, in the order they are made. A composition root."""

from __future__ import annotations

from batches.store import BatchStore
from batches.store import migrations as batches
from gateway.core.counts import migrations as counts
from gateway.core.events import migrations as events
from gateway.core.places.local import host_name
from gateway.core.settings import Settings
from gateway.core.store.database import Database
from gateway.core.store.database import migrations as core
from gateway.core.store.sqlite import SqliteDatabase
from gateway.platform.runs.store import RunStore
from gateway.platform.runs.store import migrations as runs
from sessions.drivers.application_store import ApplicationStore
from sessions.drivers.application_store import migrations as applications
from sessions.drivers.pool_store import PoolStore
from sessions.drivers.pool_store import migrations as pool
from sessions.drivers.store import DriverStore
from sessions.drivers.store import migrations as drivers
from sessions.jobs.store import JobStore
from sessions.jobs.store import migrations as jobs
from sessions.statements.store import StatementStore
from sessions.statements.store import migrations as statements
from sessions.store import SessionStore
from sessions.store import migrations as sessions

MIGRATIONS = (core, events, counts, drivers, sessions, statements, jobs, batches, runs, pool, applications)


def open_store(settings: Settings) -> Database:
    """The store that the settings name, as it is. Raises Misconfigured when the setting is no address of one."""
    if not settings.store:
        return SqliteDatabase(settings.store_path)
    from gateway.core.store.postgres import PostgresDatabase  # its library costs a start on SQLite nothing

    return PostgresDatabase(settings.store)


def open_and_migrate(settings: Settings) -> Database:
    """The store, brought up to date. Safe to call from several processes at once."""
    db = open_store(settings)
    db.migrate(MIGRATIONS)
    return db


def supervisor_lease(settings: Settings) -> str:
    """The lease of the one process that supervises this host."""
    return f"supervisor@{host_name(settings)}" if settings.store else "supervisor"


def is_supervised(settings: Settings) -> bool:
    """Whether a supervisor of this host runs."""
    return open_store(settings).is_leased(supervisor_lease(settings))


class Stores:
    """Every store over one database, as the host of this name sees it."""

    def __init__(self, db: Database, host: str) -> None:
        self.drivers, self.statements, self.jobs = DriverStore(db, host), StatementStore(db, host), JobStore(db, host)
        self.pool = PoolStore(db, host)
        self.applications = ApplicationStore(db, self.drivers)
        parts = (self.statements, self.jobs)
        self.sessions = SessionStore(db, self.drivers, self.pool, self.applications, parts)
        self.batches = BatchStore(db, host)
        self.runs = RunStore(db, host)
