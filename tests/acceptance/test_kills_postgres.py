"""kill -9 of whatever one likes, the database server included, when the store is PostgreSQL: as on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.program import Program, eventually
from tests.acceptance.rest import Rest, Session, running
from tests.acceptance.test_kills import KILLS, begin
from tests.postgres_server import PostgresServer


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Program]:
    """A program to be killed."""
    yield from running(tmp_path_factory.mktemp("victim"), postgres.url(postgres.create()))


@pytest.fixture(scope="module")
def session(victim: Program) -> Session:
    """A session that outlives all kills of this module."""
    return Rest(victim).open()


@pytest.mark.parametrize("what", ["the supervisor", "a web worker and the supervisor"])
def test_running_work_is_not_touched(what: str, session: Session, victim: Program, tmp_path: Path) -> None:
    work = begin(session, victim, tmp_path)
    KILLS[what](victim)
    work.may_end()
    victim.wait_until_serving()
    work.check()


def test_what_ends_while_nothing_of_the_gateway_runs_is_taken_up(
    session: Session, victim: Program, tmp_path: Path
) -> None:
    work = begin(session, victim, tmp_path)
    victim.kill_tree()
    work.may_end()
    eventually(work.statement_has_ended, within=30, what="the statement ends by itself")
    eventually(lambda: not victim.family(victim.data / "batches"), within=30, what="the batch ends by itself")
    victim.start()
    work.check()


def test_the_database_server_restarts_and_the_gateway_does_not(
    session: Session, victim: Program, postgres: PostgresServer, tmp_path: Path
) -> None:
    work, serve = begin(session, victim, tmp_path), victim.tree()[0]
    postgres.stop()
    said = Rest(victim).get(session.path, status=503)
    assert "see that it runs" in said["msg"], said
    postgres.start()
    work.may_end()
    work.check()
    assert victim.tree()[0] == serve
