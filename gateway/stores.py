"""The store with the tables of every feature: the one list of migrations, in the order they are applied."""

from __future__ import annotations

from batches.store import migrations as batch_migrations
from gateway.core.database import Database
from gateway.core.database import migrations as core_migrations
from gateway.core.settings import Settings
from sessions.store import migrations as session_migrations

MIGRATIONS = (core_migrations, session_migrations, batch_migrations)


def open_and_migrate(settings: Settings) -> Database:
    """The store, brought up to date. Safe to call from several processes at once."""
    db = Database(settings.store_path)
    db.migrate(MIGRATIONS)
    return db
