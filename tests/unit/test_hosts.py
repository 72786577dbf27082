"""Several hosts over one store: each acts on its own and on what is on none yet, and says of the rest where it is."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batches.models import Batch
from compat.lighter import translate as lighter
from compat.livy import translate as livy
from gateway.console import views
from gateway.core.errors import InvalidRequest
from gateway.core.identity import ANONYMOUS
from gateway.core.settings import Settings
from gateway.core.store.database import Database
from gateway.core.waiting import Waiting
from gateway.stores import Stores
from sessions.jobs import uploads
from sessions.jobs.service import JobService
from sessions.models import Kind, Session
from sessions.service import SessionService

pytestmark = pytest.mark.both_stores

ELSEWHERE = "spark-gateway: this log is on the host there: ask the gateway there"


@pytest.fixture
def here(all_stores: Stores) -> Stores:
    return all_stores


@pytest.fixture
def there(db: Database) -> Stores:
    return Stores(db, "there")


@pytest.fixture
def away(there: Stores, add_session: Callable[..., Session], clock) -> Callable[..., Session]:
    """Adds a session whose driver is ready on the other host."""

    def add(**asked: Any) -> Session:
        session = add_session(**asked)
        assert there.drivers.launch(session.driver, Path("/there") / session.driver, clock())
        assert there.drivers.ready(session.driver, "local-1", None, clock())
        assert there.sessions.become_idle(clock()) == [session.id]
        found = there.sessions.find(ANONYMOUS, session.id)
        assert found is not None
        return found

    return add


def test_a_driver_that_waits_is_anybody_s_until_one_takes_it(here: Stores, there: Stores, add_session, clock) -> None:
    session = add_session()
    assert [driver.id for driver in here.drivers.moving()] == [driver.id for driver in there.drivers.moving()]
    assert there.drivers.launch(session.driver, Path("/there/1"), clock())
    assert not here.drivers.launch(session.driver, Path("/here/1"), clock())
    assert here.drivers.moving() == [] and here.drivers.find_all([session.driver]) == []
    (driver,) = there.drivers.moving()
    assert (driver.host, driver.folder) == ("there", Path("/there/1"))


def test_a_ready_driver_is_its_host_s_also_when_it_is_to_go(here: Stores, there: Stores, away, clock) -> None:
    session = away()
    assert here.drivers.running() == [] and here.drivers.not_gone() == []
    assert len(there.drivers.running()) == len(there.drivers.not_gone()) == 1
    here.sessions.remove(session.id, "deleted", clock())
    assert here.drivers.moving() == [] and len(there.drivers.moving()) == 1
    there.drivers.gone(session.driver, None, clock())
    assert here.drivers.unclaimed() == [] and len(there.drivers.unclaimed()) == 1


def test_a_driver_that_never_ran_is_ended_and_forgotten_by_anybody(here: Stores, there: Stores, add_session, clock):
    session = add_session()
    here.sessions.remove(session.id, "deleted", clock())
    assert len(there.drivers.moving()) == 1
    there.drivers.gone(session.driver, None, clock())
    assert len(there.drivers.unclaimed()) == len(here.drivers.unclaimed()) == 1


def test_statements_and_jobs_run_beside_their_driver(here: Stores, there: Stores, away, clock) -> None:
    session = away()
    limits = {"most_unfinished": 9, "retained": 9}
    here.statements.submit(session.id, "1", "sql", clock(), **limits)
    here.jobs.submit(session.id, Kind.PYSPARK, "", clock(), **limits)
    assert here.statements.claim(clock()) == [] and here.jobs.claim(clock(), 9) == 0
    assert len(there.statements.claim(clock())) == 1 and there.jobs.claim(clock(), 9) == 1
    assert here.statements.running() == [] and here.jobs.running() == []
    assert len(there.statements.running()) == len(there.jobs.running()) == 1
    here.jobs.add(session.id, "file", "/a", clock(), most_waiting=9, retained=9)
    assert here.jobs.next_additions() == [] and len(there.jobs.next_additions()) == 1


def test_a_permanent_session_gets_its_next_driver_on_the_same_host(here: Stores, there: Stores, away, clock) -> None:
    session = away(permanent=True)
    there.drivers.gone(session.driver, "killed", clock())
    assert here.sessions.to_restart() == []
    ((restarted, lost),) = there.sessions.to_restart()
    assert (restarted.id, lost.host) == (session.id, "there")


def test_a_batch_that_waits_is_anybody_s_until_one_takes_it(here: Stores, there: Stores, add_batch, clock) -> None:
    batches: list[Batch] = [add_batch() for _ in range(3)]
    assert there.batches.start(0, Path("/there/0"), clock()) and not here.batches.start(0, Path("/here/0"), clock())
    assert [batch.id for batch in there.batches.next(2)] == [1], "one runs there already"
    assert [batch.id for batch in here.batches.next(2)] == [1, 2]
    assert here.batches.running() == here.batches.without_app() == []
    (running,) = there.batches.running()
    assert running.folder == Path("/there/0") and there.batches.without_app() == [running]
    assert [batch.id for batch in here.batches.not_ended()] == [1, 2]
    for batch in batches:
        here.batches.delete(batch.id)
    assert [batch.id for batch in here.batches.unwanted()] == [1, 2]
    assert [batch.id for batch in there.batches.unwanted()] == [0, 1, 2]


def test_what_runs_since_before_hosts_had_names_is_this_one_s(here: Stores, db: Database, away, add_batch, clock):
    away()
    add_batch()
    here.batches.start(0, Path("/here/0"), clock())
    db.run("UPDATE drivers SET host = NULL")
    db.run("UPDATE batches SET host = NULL")
    assert len(here.drivers.running()) == len(here.batches.running()) == 1


def test_a_log_on_another_host_says_so(here: Stores, there: Stores, away, add_batch, clock) -> None:
    session = here.sessions.find(ANONYMOUS, away().id)
    add_batch()
    there.batches.start(0, Path("/there/0"), clock())
    batch = here.batches.find(ANONYMOUS, 0)
    assert session is not None and batch is not None
    for record in (session, batch):
        assert livy.log_document(record, 0, 100) | {"id": 0} == {
            "id": 0,
            "start": 0,
            "total": 3,
            "log": ["stdout: ", ELSEWHERE, "\nstderr: "],
        }
        assert livy.log_document(record, 1, 1)["log"] == [ELSEWHERE]
        assert livy.log_document(record, 2, 1)["log"] == ["\nstderr: "]
        assert lighter.log_document(record, sparkmagic=False)["log"] == ELSEWHERE
        assert ELSEWHERE in views.log_view(record.log, None, record.elsewhere).chunks[0].text
    assert ELSEWHERE in livy.session_document(session)["log"] and ELSEWHERE in livy.batch_document(batch)["log"]
    assert session.elsewhere == batch.elsewhere == "there"
    own = there.sessions.find(ANONYMOUS, session.id)
    assert own is not None and own.elsewhere is None


def test_an_upload_takes_its_session_to_the_host_that_got_it(
    here: Stores, there: Stores, settings: Settings, add_session, away, clock
) -> None:
    waiting = Waiting(1)
    sessions = SessionService(here.sessions, here.drivers, settings, clock, waiting)
    jobs = JobService(here.jobs, sessions, settings, clock, waiting)
    starting = add_session()
    jobs.upload(ANONYMOUS, str(starting.id), "file", "a.txt", io.BytesIO(b"a"))
    assert there.drivers.moving() == [] and [driver.host for driver in here.drivers.moving()] == ["here"]
    far = away()
    with pytest.raises(InvalidRequest, match="runs on the host there, and this is here: send the file to the gateway"):
        jobs.upload(ANONYMOUS, str(far.id), "file", "a.txt", io.BytesIO(b"a"))
    assert not uploads.folder_of(settings, far.id).exists()


def test_a_reason_with_a_nul_is_kept(here: Stores, away, clock) -> None:
    session = away()
    here.drivers.gone(session.driver, "it said a\0b", clock())
    assert here.sessions.without_driver() == [(session.id, "it said a\N{SYMBOL FOR NULL}b")]
