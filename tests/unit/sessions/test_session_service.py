"""What one may do with sessions, by the service's verbs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta

import pytest

from gateway.core.clock import Clock
from gateway.core.errors import InvalidRequest, LimitReached, NotFound, SessionEnded
from gateway.core.faults import Code
from gateway.core.identity import ANONYMOUS, Principal
from gateway.core.options import SparkOptions
from gateway.core.settings import Settings
from gateway.core.store.database import Database
from gateway.core.waiting import Waiting
from sessions import service as service_module
from sessions.drivers.store import DriverStore
from sessions.models import Kind, Session, SessionRequest
from sessions.service import SessionService
from sessions.statements.service import StatementService
from sessions.statements.states import StatementState
from sessions.states import SessionState
from sessions.store import SessionStore
from tests.unit.conftest import Bell


@pytest.fixture
def supervised(bell: Bell, driver_store: DriverStore, clock: Clock) -> Bell:
    """Lets drivers that are not wanted go as soon as the bell rings."""

    def let_go() -> None:
        for driver in driver_store.moving():
            if driver.target.value == "gone":
                driver_store.gone(driver.id, None, clock())

    bell.then = let_go
    return bell


def while_it_waits(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Have something done whenever a request waits for the next ring of the bell."""

    def ring(waiting: Waiting, heard: int, seconds: float) -> int:
        do()
        return heard

    monkeypatch.setattr(Waiting, "_wait_for_ring", ring)


@pytest.fixture
def service(session_store, driver_store, settings: Settings, clock: Clock, supervised: Bell) -> SessionService:
    return SessionService(session_store, driver_store, settings, clock, Waiting(16))


@pytest.fixture
def statements(
    statement_store, driver_store, service: SessionService, settings: Settings, clock: Clock
) -> StatementService:
    return StatementService(statement_store, service, driver_store, settings, clock, Waiting(16))


@pytest.fixture
def opened(service: SessionService) -> Session:
    return service.open(ANONYMOUS, SessionRequest(kind=Kind.PYSPARK))


def test_an_opened_session_waits_for_its_driver_and_somebody_is_told(opened: Session, supervised: Bell) -> None:
    assert opened.state is SessionState.STARTING and opened.owner is None
    assert supervised.count == 1


def test_the_owner_is_who_asked(service: SessionService) -> None:
    assert service.open(Principal("alice"), SessionRequest()).owner == "alice"


@pytest.mark.parametrize(
    "wrong",
    [
        SessionRequest(kind=Kind.SPARKR, options=SparkOptions(conf={"spark.r.shell.command": "/nowhere/R"})),
        SessionRequest(ttl="10parsec"),
        SessionRequest(idle_timeout=""),
        SessionRequest(options=SparkOptions(name="12")),
        SessionRequest(options=SparkOptions(jars=["rel.jar"])),
        SessionRequest(options=SparkOptions(conf={"spark.submit.deployMode": "cluster"})),
        SessionRequest(options=SparkOptions(driver_memory="much")),
    ],
)
def test_a_wrong_request_leaves_nothing_behind(wrong, service: SessionService, db: Database, supervised: Bell) -> None:
    with pytest.raises(InvalidRequest):
        service.open(ANONYMOUS, wrong)
    assert [
        db.value(f"SELECT count(*) FROM {table}")
        for table in ("sessions", "drivers", "events", "ids WHERE subject <> 'event'")
    ] == [0] * 4
    assert supervised.count == 0


def test_a_name_of_digits_is_refused(service: SessionService) -> None:
    with pytest.raises(InvalidRequest, match="'12' cannot be asked for"):
        service.open(ANONYMOUS, SessionRequest(options=SparkOptions(name="12")))


def test_all_faults_of_a_session_come_at_once_in_the_order_of_the_rules(service: SessionService) -> None:
    conf = {"spark.submit.deployMode": "cluster", "spark.jars.packages": "a", "spark.ui.enabled": "maybe"}
    options = SparkOptions(name="12", jars=["a.jar", "/none.jar"], driver_cores=-1, conf=conf)
    with pytest.raises(InvalidRequest) as refused:
        service.open(ANONYMOUS, SessionRequest(options=options, ttl="x", idle_timeout="y"))
    assert [(fault.field, fault.code) for fault in refused.value.faults] == [
        ("ttl", Code.MISFIT),
        ("idleTimeout", Code.MISFIT),
        ("name", Code.NAME),
        ("conf.spark.jars.packages", Code.MISFIT),
        ("conf", Code.SETTING),
        ("driverCores", Code.MISFIT),
        ("conf.spark.ui.enabled", Code.MISFIT),
        ("jars", Code.RELATIVE),
        ("jars", Code.ABSENT),
    ]


def test_what_is_wrong_whatever_the_cluster_is_told_beside_an_unknown_one(service: SessionService) -> None:
    options = SparkOptions(name="12", jars=["a.jar"], conf={"spark.gateway.cluster": "new"})
    with pytest.raises(InvalidRequest) as refused:
        service.open(ANONYMOUS, SessionRequest(options=options))
    assert [fault.field for fault in refused.value.faults] == ["name", "conf.spark.gateway.cluster"]


def test_a_proxy_user_is_dropped_without_impersonation(service: SessionService, driver_store: DriverStore) -> None:
    session = service.open(ANONYMOUS, SessionRequest(options=SparkOptions(proxy_user="bob")))
    assert session.proxy_user is None
    assert driver_store.moving()[0].options.proxy_user is None


def test_a_proxy_user_is_kept_with_impersonation(session_store, driver_store, settings, clock) -> None:
    here = dataclasses.replace(settings, impersonation=True)
    service = SessionService(session_store, driver_store, here, clock, Waiting(16))
    assert service.open(ANONYMOUS, SessionRequest(options=SparkOptions(proxy_user="bob"))).proxy_user == "bob"


def test_too_many_sessions_are_refused(
    session_store, statement_store, driver_store, settings, clock, supervised
) -> None:
    here = dataclasses.replace(settings, max_sessions=1)
    service = SessionService(session_store, driver_store, here, clock, Waiting(16))
    service.open(ANONYMOUS, SessionRequest())
    with pytest.raises(LimitReached):
        service.open(ANONYMOUS, SessionRequest())


def test_a_session_is_found_by_id_and_by_name(service: SessionService) -> None:
    session = service.open(ANONYMOUS, SessionRequest(options=SparkOptions(name="n-1")))
    assert service.find(ANONYMOUS, "0") == service.find(ANONYMOUS, "n-1") == service.find(ANONYMOUS, "000") == session


@pytest.mark.parametrize("ref", ["1", "nobody", "-1", ""])
def test_what_is_not_there_is_said_as_it_was_asked_for(ref: str, service: SessionService, opened: Session) -> None:
    with pytest.raises(NotFound, match=f"^Session '{ref}' not found.$"):
        service.find(ANONYMOUS, ref)


# ---------------------------------------------------------------- who lives


def lease(store: SessionStore):
    return store.live()[0]


@pytest.fixture
def beating(service: SessionService, clock) -> Session:
    session = service.open(ANONYMOUS, SessionRequest(kind=Kind.SQL, heartbeat_timeout=timedelta(seconds=60)))
    clock.advance(seconds=30)
    return session


@pytest.mark.parametrize(
    ("verb", "heartbeat", "activity"),
    [
        ("find", True, False),
        ("statements", True, False),
        ("look", False, False),
        ("page", False, False),
        ("connect", True, True),
        ("complete", True, True),
        ("submit", True, True),
        ("cancel", True, True),
    ],
)
def test_which_requests_are_a_heartbeat_and_which_are_activity(
    verb: str,
    heartbeat: bool,
    activity: bool,
    beating: Session,
    service: SessionService,
    session_store,
    clock,
    statements: StatementService,
) -> None:
    {
        "find": lambda: service.find(ANONYMOUS, "0"),
        "statements": lambda: statements.page(ANONYMOUS, "0", 0, 1, newest_first=False),
        "look": lambda: service.look(ANONYMOUS, "0"),
        "page": lambda: service.page(ANONYMOUS, 0, 9),
        "connect": lambda: service.connect(ANONYMOUS, "0"),
        "complete": lambda: statements.complete(ANONYMOUS, "0", "se", Kind.SQL, 2),
        "submit": lambda: statements.submit(ANONYMOUS, "0", "1", None),
        "cancel": lambda: statements.cancel(ANONYMOUS, "0", 7),
    }[verb]()
    found = lease(session_store)
    assert (found.session.heartbeat == clock()) is heartbeat
    assert (found.activity == clock()) is activity


def test_a_poll_of_a_statement_is_a_heartbeat_even_when_there_is_none(
    beating, service, session_store, clock, statements: StatementService
) -> None:
    with pytest.raises(NotFound, match="Statement '9' not found"):
        statements.find(ANONYMOUS, "0", 9)
    assert lease(session_store).session.heartbeat == clock()


def test_polls_that_follow_each_other_closely_are_written_once(beating, service, session_store, clock) -> None:
    service.find(ANONYMOUS, "0")
    first = clock()
    clock.advance(milliseconds=500)
    service.find(ANONYMOUS, "0")
    assert lease(session_store).session.heartbeat == first


# ---------------------------------------------------------------- statements


def test_a_statement_takes_the_sessions_language_unless_it_names_one(
    opened: Session, service, supervised, statements: StatementService
) -> None:
    assert statements.submit(ANONYMOUS, "0", "1", None).kind is Kind.PYSPARK
    assert statements.submit(ANONYMOUS, "0", "select 1", Kind.SQL).kind is Kind.SQL
    assert supervised.count == 3


def test_a_shared_session_wants_the_language_named(service: SessionService, statements: StatementService) -> None:
    service.open(ANONYMOUS, SessionRequest())
    for kind in (None, Kind.SHARED):
        with pytest.raises(InvalidRequest, match="give kind, such as pyspark"):
            statements.submit(ANONYMOUS, "0", "1", kind)


@pytest.mark.parametrize("kind", [Kind.SPARK, Kind.PYSPARK, Kind.SPARKR, Kind.SQL])
def test_any_session_takes_statements_in_every_language(
    kind: Kind, opened: Session, statements: StatementService
) -> None:
    assert statements.submit(ANONYMOUS, "0", "1", kind).kind is kind


def test_a_refused_statement_burns_no_number(opened: Session, statements: StatementService) -> None:
    with pytest.raises(InvalidRequest):
        statements.submit(ANONYMOUS, "0", "1", Kind.SHARED)
    assert statements.submit(ANONYMOUS, "0", "1", None).id == 0


def test_a_dead_session_says_so(opened: Session, service: SessionService, statements: StatementService) -> None:
    service.stop(ANONYMOUS, "0")
    for attempt in (lambda: statements.submit(ANONYMOUS, "0", "1", None), lambda: statements.cancel(ANONYMOUS, "0", 0),
                    lambda: statements.complete(ANONYMOUS, "0", "se", Kind.SQL, 2)):  # fmt: skip
        with pytest.raises(SessionEnded, match="^Session is in state dead$"):
            attempt()
    assert service.connect(ANONYMOUS, "0").state is SessionState.DEAD


def test_results_outlive_their_session(opened: Session, service: SessionService, statements: StatementService) -> None:
    statements.submit(ANONYMOUS, "0", "1", None)
    service.stop(ANONYMOUS, "0")
    assert statements.find(ANONYMOUS, "0", 0).state is StatementState.AVAILABLE
    assert statements.page(ANONYMOUS, "0", 0, -1, newest_first=False)[0] == 1


def test_a_first_poll_waits_a_moment_for_the_answer(
    idle_session: Session, statement_store, clock, monkeypatch: pytest.MonkeyPatch, statements: StatementService
) -> None:
    statements.submit(ANONYMOUS, "0", "1", None)

    def finish() -> None:
        statement_store.claim(clock())
        statement_store.finish(0, 0, "{}", clock(), clock())

    while_it_waits(monkeypatch, finish)
    assert statements.find(ANONYMOUS, "0", 0).state is StatementState.AVAILABLE


def test_a_poll_of_an_old_statement_does_not_wait(
    idle_session: Session, clock, monkeypatch: pytest.MonkeyPatch, statements: StatementService
) -> None:
    statements.submit(ANONYMOUS, "0", "1", None)
    clock.advance(seconds=1)
    while_it_waits(monkeypatch, lambda: pytest.fail("it waits"))
    assert statements.find(ANONYMOUS, "0", 0).state is StatementState.WAITING


def test_a_held_poll_ends_when_the_session_is_deleted(
    idle_session: Session, session_store, clock, monkeypatch: pytest.MonkeyPatch, statements: StatementService
) -> None:
    statements.submit(ANONYMOUS, "0", "1", None)
    while_it_waits(monkeypatch, lambda: session_store.remove(0, "", clock()))
    assert statements.find(ANONYMOUS, "0", 0).state is StatementState.WAITING


# ---------------------------------------------------------------- ends


def test_a_stopped_session_stays_listed(opened: Session, service: SessionService) -> None:
    service.stop(ANONYMOUS, "0")
    assert service.find(ANONYMOUS, "0").state is SessionState.DEAD
    service.stop(ANONYMOUS, "0")
    assert service.page(ANONYMOUS, 0, 9)[0] == 1


def test_a_deleted_session_is_forgotten(opened: Session, service: SessionService) -> None:
    service.delete(ANONYMOUS, "0")
    for again in (service.find, service.delete, service.stop):
        with pytest.raises(NotFound):
            again(ANONYMOUS, "0")


def test_a_delete_waits_for_the_processes_but_not_for_ever(
    opened: Session, service: SessionService, supervised: Bell, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervised.then = lambda: None
    waited: list[int] = []
    while_it_waits(monkeypatch, lambda: waited.append(1))
    monkeypatch.setattr(service_module, "_DELETE_PATIENCE", 0.05)
    service.delete(ANONYMOUS, "0")
    assert waited


def test_a_name_is_free_after_the_delete(service: SessionService) -> None:
    for expected in (0, 1):
        assert service.open(ANONYMOUS, SessionRequest(options=SparkOptions(name="n"))).id == expected
        service.delete(ANONYMOUS, "n")
