"""Every verb of every service is asked in somebody's name, and does nothing with records that this one does not see."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable
from typing import Any

import pytest

from batches.models import BatchRequest
from batches.service import BatchService
from gateway.core import events
from gateway.core.errors import InvalidRequest, NotFound
from gateway.core.identity import ANONYMOUS, GATEWAY, Principal
from gateway.core.settings import Settings
from gateway.core.waiting import Waiting
from gateway.platform.queries.catalog import CatalogService
from gateway.platform.queries.service import QueryService
from gateway.platform.runs.service import RunService
from gateway.stores import Stores
from sessions.jobs.service import JobService
from sessions.models import Kind, SessionRequest
from sessions.service import SessionService
from sessions.statements.service import StatementService
from tests.unit.walk import ALICE, BOB

SERVICES = [SessionService, StatementService, JobService, BatchService, RunService, QueryService, CatalogService]
VERBS = [
    (service, name)
    for service in SERVICES
    for name, _ in inspect.getmembers(service, inspect.isfunction)
    if not name.startswith("_")
]
OF_ONE = [
    (service, name)
    for service, name in VERBS
    if {"ref", "uuid"} & {*inspect.signature(getattr(service, name)).parameters}
]
GIVEN: dict[str, Any] = {
    "number": 0, "start": 0, "size": 9, "newest_first": True, "output_limit": 9, "code": "1", "cursor": 1,
    "kind": Kind.PYSPARK, "language": Kind.PYSPARK, "payload": "cGF5", "sql": "select 1", "rows": 9, "most_bytes": 999,
    "patience": 0.0, "seconds": 9.0, "uri": "/etc/hostname", "name": "x.py",
}  # fmt: skip

Services = dict[type, Any]


@pytest.fixture
def services(all_stores: Stores, settings: Settings, clock) -> Services:
    waiting = Waiting(settings.web_threads)
    sessions = SessionService(all_stores.sessions, all_stores.drivers, settings, clock, waiting)
    return {
        SessionService: sessions,
        StatementService: StatementService(
            all_stores.statements, sessions, all_stores.drivers, settings, clock, waiting
        ),
        JobService: JobService(all_stores.jobs, sessions, settings, clock, waiting),
        BatchService: BatchService(all_stores.batches, settings, clock, waiting),
        RunService: RunService(all_stores.runs),
    }


@pytest.mark.parametrize(("service", "verb"), VERBS)
def test_the_principal_is_the_first_argument_of_every_verb(service: type, verb: str) -> None:
    first = list(inspect.signature(getattr(service, verb)).parameters.values())[1]
    assert (first.name, first.annotation, first.default) == ("principal", "Principal", first.empty)


@pytest.mark.parametrize(("owner", "asker"), [(ALICE, BOB), (GATEWAY, ANONYMOUS)], ids=["bob", "administrator"])
@pytest.mark.parametrize(("service", "verb"), OF_ONE)
def test_what_one_does_not_see_is_not_there(
    service: type, verb: str, services: Services, db, owner: Principal, asker: Principal
) -> None:
    session = services[SessionService].open(owner, SessionRequest(Kind.PYSPARK))
    batch = services[BatchService].submit(owner, BatchRequest("/bin/true"))
    one = batch if service is BatchService else session
    before = db.rows("SELECT * FROM sessions"), db.rows("SELECT * FROM batches"), db.rows("SELECT * FROM events")
    with pytest.raises(NotFound):
        ask(services[service], verb, asker, ref=str(one.id), uuid=one.uuid)
    assert before == (
        db.rows("SELECT * FROM sessions"), db.rows("SELECT * FROM batches"), db.rows("SELECT * FROM events")
    )  # fmt: skip


def ask(service: Any, verb: str, principal: Principal, **named: str) -> object:
    wanted: Callable[..., object] = getattr(service, verb)
    given = {**GIVEN, **named, "sent": io.BytesIO(b"x")}
    return wanted(principal, **{name: given[name] for name in list(inspect.signature(wanted).parameters)[1:]})


@pytest.mark.both_stores
def test_lists_numbers_and_events_tell_of_nothing_that_the_gateway_has_for_itself(services: Services, db) -> None:
    sessions, batches, statements = (services[one] for one in (SessionService, BatchService, StatementService))
    own = sessions.open(GATEWAY, SessionRequest(Kind.PYSPARK))
    ended = sessions.open(GATEWAY, SessionRequest(Kind.PYSPARK))
    batches.submit(GATEWAY, BatchRequest("/bin/true")), statements.submit(GATEWAY, str(own.id), "1", None)
    services[SessionService].stop(GATEWAY, str(ended.id))
    for who in (ANONYMOUS, ALICE):
        assert sessions.page(who, 0, 9) == batches.page(who, 0, 9) == batches.search(who, None, "bin", 0, 9) == (0, [])
        assert sessions.counts(who) == batches.counts(who) == {}
        assert set(statements.counts(who).values()) == {0}
        assert events.after(db, who, 0, 99) == []
    assert sessions.page(GATEWAY, 0, 9)[0] == sum(sessions.counts(GATEWAY).values()) == 2


def test_no_client_can_choose_the_id_of_what_the_gateway_has_for_itself(services: Services) -> None:
    sessions = services[SessionService]
    with pytest.raises(InvalidRequest, match="without a slash"):
        sessions.open(ANONYMOUS, SessionRequest(Kind.SQL), "queries/default")
    assert sessions.open(GATEWAY, SessionRequest(Kind.SQL), "queries/default").uuid == "queries/default"


def test_lists_and_numbers_are_of_what_one_sees(services: Services) -> None:
    sessions, batches = services[SessionService], services[BatchService]
    sessions.open(ALICE, SessionRequest(Kind.PYSPARK)), batches.submit(ALICE, BatchRequest("/bin/true"))
    for who, many in ((ALICE, 1), (BOB, 0)):
        assert sessions.page(who, 0, 9)[0] == len(sessions.page(who, 0, 9)[1]) == many
        assert batches.page(who, 0, 9)[0] == len(batches.page(who, 0, 9)[1]) == many
        assert batches.search(who, None, "bin", 0, 9)[0] == sum(batches.counts(who).values()) == many
        assert sum(sessions.counts(who).values()) == many


def test_runs_are_of_batches_that_one_sees(services: Services, all_stores: Stores, clock) -> None:
    all_stores.runs.begin()
    batch = services[BatchService].submit(ALICE, BatchRequest("/bin/true"))
    assert all_stores.batches.start(batch.id, batch.folder, clock()) and all_stores.runs.follow()
    assert [*services[RunService].of(ALICE, [batch.id, 99])] == [batch.id]
    assert services[RunService].of(BOB, [batch.id]) == services[RunService].of(ALICE, []) == {}
