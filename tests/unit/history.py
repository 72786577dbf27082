"""A store with much history: what an earlier version left behind, many times over, and then brought up to date."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gateway import stores
from gateway.core.store.sqlite import SqliteDatabase

EARLIER = Path(__file__).parent / "core" / "earlier_store.sql"
STATEMENTS = 10  # of each session

# Every table's rows but for the ended session and the ended batch that all others are copies of.
_EMPTIED = """
DELETE FROM session_jobs; DELETE FROM session_additions; DELETE FROM statements WHERE session <> 0 OR id <> 0;
DELETE FROM sessions WHERE id <> 0; DELETE FROM drivers WHERE id NOT IN (SELECT driver FROM sessions);
DELETE FROM batches WHERE id <> 0; DELETE FROM events WHERE subject_id NOT IN ('0', '0/0')
  AND subject_id NOT IN (SELECT id FROM drivers);
UPDATE sessions SET name = NULL, ended = '2999-01-01'; UPDATE batches SET name = NULL, ended = '2999-01-01';
UPDATE events SET at = '2999-01-01';
"""
_NUMBERS = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :many - 1)"
_COPIED = f"""
{_NUMBERS}
INSERT INTO drivers (id, state, target, folder, options, app_id, created, launched)
SELECT lower(hex(randomblob(16))), state, target, folder || '-' || n, options, app_id, created, launched
FROM drivers, numbers;

-- each driver but the first is the next session's
INSERT INTO sessions (id, uuid, kind, state, options, driver, next_statement, created, heartbeat, activity, ended)
SELECT row_number() OVER (), lower(hex(randomblob(16))), kind, sessions.state, sessions.options, drivers.id,
  next_statement, sessions.created, heartbeat, activity, sessions.ended
FROM sessions, drivers WHERE drivers.id <> sessions.driver;

WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < :statements - 1)
INSERT OR IGNORE INTO statements
SELECT sessions.id, n, code, statements.kind, statements.state, output, progress, statements.created, started, completed
FROM statements, sessions, numbers;

{_NUMBERS}
INSERT INTO batches (id, uuid, state, target, request, folder, app_id, created, started, ended)
SELECT n, lower(hex(randomblob(16))), state, target, replace(request, '2026-01-01', 'day ' || n || 'ly'),
  folder || '-' || n, app_id, created, started, ended
FROM batches, numbers;

{_NUMBERS}
INSERT INTO events (at, subject, subject_id, name, data)
SELECT at, subject, n, name, data FROM events, numbers WHERE name IN ('dead', 'success');

UPDATE ids SET next = :many
"""


# each ended batch's run
_RUNS = """
INSERT INTO runs (batch, host, owner, project, state, progress, looks, reading, created, ended)
SELECT id, 'here', owner, project, 'succeeded', 100, 9, '{}', created, ended FROM batches
"""


def store_with(path: Path, many: int, statements: int = STATEMENTS) -> SqliteDatabase:
    """A store of so many ended sessions, with so many statements each, and as many ended batches."""
    with sqlite3.connect(path) as db:
        db.executescript(EARLIER.read_text("utf-8"))
        db.executescript(_EMPTIED)
        for sql in _COPIED.split(";"):
            db.execute(sql, {"many": many, "statements": statements})
    db.close()
    made = SqliteDatabase(path)
    made.migrate(stores.MIGRATIONS)
    made.run(_RUNS)
    return made
