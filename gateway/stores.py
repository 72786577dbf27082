"""The store with the tables of every feature, in the order they are made. A composition root."""

from __future__ import annotations

from batches.store import BatchStore
from batches.store import migrations as batches
from gateway.core.events import migrations as events
from gateway.core.settings import Settings
from gateway.core.store.database import Database
from gateway.core.store.database import migrations as core
from gateway.core.store.sqlite import SqliteDatabase
from gateway.platform.runs.store import RunStore
from gateway.platform.runs.store import migrations as runs
from sessions.drivers.store import DriverStore
from sessions.drivers.store import migrations as drivers
from sessions.jobs.store import JobStore
from sessions.jobs.store import migrations as jobs
from sessions.statements.store import StatementStore
from sessions.statements.store import migrations as statements
from sessions.store import SessionStore
from sessions.store import migrations as sessions

SUPERVISOR = "supervisor"  # the lease of the one process that supervises
MIGRATIONS = (core, events, drivers, sessions, statements, jobs, batches, runs)


def open_store(settings: Settings) -> Database:
    """The store that the settings name, as it is."""
    return SqliteDatabase(settings.store_path)


def open_and_migrate(settings: Settings) -> Database:
    """The store, brought up to date. Safe to call from several processes at once."""
    db = open_store(settings)
    db.migrate(MIGRATIONS)
    return db


class Stores:
    """Every store over one database."""

    def __init__(self, db: Database) -> None:
        self.drivers, self.statements, self.jobs = DriverStore(db), StatementStore(db), JobStore(db)
        self.sessions = SessionStore(db, self.drivers, (self.statements, self.jobs))
        self.batches = BatchStore(db)
        self.runs = RunStore(db)
