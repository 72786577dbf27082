"""Sessions that share a Spark application: which one they join, what is refused, and how its seats come and go."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.core import clusters, logs
from gateway.core.errors import InvalidRequest, LimitReached
from gateway.core.identity import ANONYMOUS, GATEWAY, Principal
from gateway.core.options import SparkOptions
from gateway.core.settings import Settings
from gateway.core.store.database import Database
from gateway.core.waiting import Waiting
from gateway.stores import Stores
from sessions import sharing
from sessions.drivers.launch import WITHOUT_APPLICATION
from sessions.drivers.models import Driver
from sessions.drivers.states import DriverState
from sessions.models import APPLICATION as KEY
from sessions.models import Kind, Session, SessionRequest
from sessions.service import SessionService
from tests.unit.sessions.test_session_passes import HEALTHY, Supervisor, kill

ALICE = Principal("alice", "blue", frozenset({"blue"}))
Open = Callable[..., Session]


@pytest.fixture
def shared_settings(settings: Settings) -> Settings:
    return dataclasses.replace(settings, max_warm_drivers=0, shared_application_sessions=3)


@pytest.fixture
def open_session(all_stores: Stores, shared_settings: Settings, clock) -> Open:
    """Opens a session through the service; `default` is the setting, `conf` and further keywords its options."""

    def opened(
        application: str | None = "team",
        *,
        default: str = "",
        kind: Kind = Kind.PYSPARK,
        who: Principal = ANONYMOUS,
        permanent: bool = False,
        **asked: object,
    ) -> Session:
        changed = dataclasses.replace(shared_settings, shared_application=default)
        service = SessionService(all_stores.sessions, all_stores.drivers, changed, clock, Waiting(16))
        conf = {**({} if application is None else {KEY: application}), **dict(asked.pop("conf", {}))}  # type: ignore[call-overload]
        options = SparkOptions(conf=conf, **asked)  # type: ignore[arg-type]
        return service.open(who, SessionRequest(kind, options, permanent=permanent))

    return opened


@pytest.fixture
def seat_of(all_stores: Stores) -> Callable[[Session], Driver]:
    def found(session: Session) -> Driver:
        driver = all_stores.drivers.find(session.driver)
        assert driver is not None
        return driver

    return found


def start(stores: Stores, application: str | None, folder: Path, clock) -> None:
    assert application is not None
    stores.drivers.launch(application, folder, clock())
    stores.drivers.ready(application, "local-1", None, clock())


# ---------------------------------------------------------------- which one is joined


@pytest.mark.both_stores
def test_sessions_that_name_an_application_have_seats_in_one(open_session: Open, seat_of) -> None:
    first, second = seat_of(open_session()), seat_of(open_session())
    assert first.application == second.application is not None
    assert (first.seat, second.seat) == (1, 2)
    assert first.folder.parent == second.folder.parent


@pytest.mark.both_stores
def test_the_session_knows_its_seat(open_session: Open) -> None:
    assert [open_session().seat for _ in range(2)] == [1, 2]
    assert open_session(None).seat == 0


@pytest.mark.parametrize(
    "other",
    [{"application": "other"}, {"who": ALICE}, {"application": None}, {"application": ""}],
    ids=["name", "owner", "none", "empty"],
)
def test_others_have_another_application(other, open_session: Open, seat_of) -> None:
    assert seat_of(open_session()).application != seat_of(open_session(**other)).application


def test_an_application_is_of_one_cluster(open_session: Open, seat_of, all_stores, shared_settings, clock) -> None:
    many = dataclasses.replace(shared_settings, clusters={"big": {"master": "local[4]"}})
    service = SessionService(all_stores.sessions, all_stores.drivers, many, clock, Waiting(16))

    def opened(cluster: str) -> str:
        conf = {KEY: "team", clusters.KEY: cluster}
        session = service.open(ANONYMOUS, SessionRequest(Kind.SQL, SparkOptions(conf=conf)))
        return str(seat_of(session).application)

    assert opened("default") == opened("default") != opened("big") == opened("big")


def test_what_it_is_started_with_is_without_what_each_session_sets_itself(
    open_session: Open, seat_of, all_stores: Stores
) -> None:
    conf = {"spark.sql.shuffle.partitions": "3", "spark.executor.memory": "2g", "spark.app.name": "mine"}
    seat = seat_of(open_session(conf=conf, name="first", driver_memory="3g"))
    application = all_stores.drivers.find(seat.application)
    assert application is not None and application.shared == "team"
    asked = application.options
    assert (asked.name, asked.driver_memory) == ("team", "3g")
    assert asked.conf == {KEY: "team", "spark.executor.memory": "2g"}
    assert seat.options.conf["spark.sql.shuffle.partitions"] == "3"


@pytest.mark.parametrize("kind", [Kind.PYSPARK, Kind.SQL, Kind.SHARED])
def test_a_setting_shares_for_those_that_name_none(kind: Kind, open_session: Open, seat_of) -> None:
    first, second = (seat_of(open_session(None, default="all", kind=kind)) for _ in range(2))
    assert first.application == second.application is not None
    assert seat_of(open_session("", default="all", kind=kind)).application is None
    assert seat_of(open_session("team", default="all")).application != first.application


@pytest.mark.parametrize(
    "asked", [{"kind": Kind.SPARK}, {"permanent": True}, {"driver_memory": "5g"}, {"jars": [f"file:{__file__}"]}]
)
def test_the_setting_leaves_alone_what_does_not_fit(asked, open_session: Open, seat_of) -> None:
    open_session(None, default="all")
    assert seat_of(open_session(None, default="all", **asked)).application is None


def test_the_setting_is_not_for_what_the_gateway_asks_itself(open_session: Open, seat_of) -> None:
    assert seat_of(open_session(None, default="all", who=GATEWAY)).application is None


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"driver_memory": "2g"}, "driverMemory"),
        ({"conf": {"spark.driver.maxResultSize": "3g"}}, "conf.spark.driver.maxResultSize"),
        ({"queue": "fast"}, "queue"),
        ({"files": [f"file:{__file__}"]}, "files"),
        ({"conf": {"spark.jars.packages": "a:b:1"}}, "conf.spark.jars.packages"),
        ({"conf": {"spark.driver.memory": "2g"}}, "conf.spark.driver.memory"),
        ({"conf": {"spark.sql.warehouse.dir": "/x"}}, "conf.spark.sql.warehouse.dir"),
    ],
)
def test_what_an_application_cannot_be_any_more_is_told(asked, field: str, open_session: Open) -> None:
    open_session()
    with pytest.raises(InvalidRequest, match="runs already") as refused:
        open_session(**asked)
    assert [fault.field for fault in refused.value.faults] == [field]
    assert KEY in refused.value.faults[0].fix


def test_the_sizes_of_executors_count_where_there_are_some(
    all_stores: Stores, shared_settings: Settings, clock
) -> None:
    elsewhere = dataclasses.replace(shared_settings, master="spark://far:7077")
    service = SessionService(all_stores.sessions, all_stores.drivers, elsewhere, clock, Waiting(16))
    for cores in (2, None, 2):
        options = SparkOptions(executor_cores=cores, conf={KEY: "team"})
        service.open(ANONYMOUS, SessionRequest(Kind.SQL, options))
    with pytest.raises(InvalidRequest, match="executorCores is 3, and there it is 2"):
        service.open(ANONYMOUS, SessionRequest(Kind.SQL, SparkOptions(executor_cores=3, conf={KEY: "team"})))


def test_secrets_of_an_application_are_not_told(open_session: Open) -> None:
    open_session(conf={"spark.my.password": "hunter2"})
    with pytest.raises(InvalidRequest) as refused:
        open_session(conf={"spark.my.password": "guessed"})
    assert "hunter2" not in str(refused.value) and "guessed" not in str(refused.value)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"driver_memory": "1024m"},
        {"driver_memory": "1000M", "executor_cores": 2, "num_executors": 4},
        {"conf": {"spark.sql.shuffle.partitions": "9", "livy.rsc.sql.num-rows": "3"}},
        {"name": "mine", "conf": {"spark.executor.memory": "2048m", "spark.app.name": "x"}},
        {"files": [f"file:{__file__}"]},
    ],
)
def test_what_is_as_it_is_there_is_taken(asked, open_session: Open, seat_of) -> None:
    first = open_session(conf={"spark.executor.memory": "2g"}, files=[f"file:{__file__}"])
    assert seat_of(open_session(**asked)).application == seat_of(first).application


@pytest.mark.parametrize("kind", [Kind.SPARK, Kind.SPARKR])
def test_a_language_without_an_interpreter_of_its_own_is_refused(kind: Kind, open_session: Open) -> None:
    with pytest.raises(InvalidRequest, match="cannot share a Spark application") as refused:
        open_session(kind=kind)
    assert refused.value.faults[0].field == "kind"


@pytest.mark.parametrize("name", ["a\nb", "x" * 201])
def test_a_name_that_nobody_could_read_is_refused(name: str, open_session: Open) -> None:
    with pytest.raises(InvalidRequest, match="printable"):
        open_session(name)


@pytest.mark.both_stores
def test_so_many_share_one_and_nothing_is_left_of_a_refusal(
    open_session: Open, seat_of, all_stores: Stores, clock
) -> None:
    opened = [open_session() for _ in range(3)]
    with pytest.raises(LimitReached, match="shared_application_sessions"):
        open_session()
    application = seat_of(opened[0]).application
    assert len(all_stores.applications.seats(application)) == 3
    assert all_stores.applications.counts() == (1, 3)
    all_stores.drivers.gone(opened[0].driver, None, clock())
    assert seat_of(open_session()).application == application


# ---------------------------------------------------------------- its end


@pytest.mark.both_stores
def test_an_application_goes_when_it_has_had_no_seat_for_a_while(
    open_session: Open, seat_of, all_stores: Stores, clock
) -> None:
    opened = [open_session() for _ in range(2)]
    application = seat_of(opened[0]).application
    for session in opened:
        assert all_stores.applications.end_unused(clock()) == []
        all_stores.sessions.remove(session.id, "why", clock())
        all_stores.drivers.gone(session.driver, None, clock())
    assert all_stores.applications.end_unused(clock() - timedelta(seconds=1)) == []
    assert all_stores.applications.end_unused(clock()) == [application]
    assert seat_of(open_session()).application != application


@pytest.mark.both_stores
def test_an_application_that_goes_takes_its_seats_and_says_why(
    open_session: Open, seat_of, all_stores: Stores, clock
) -> None:
    first, other = open_session(), open_session("other")
    all_stores.drivers.gone(seat_of(first).application, "it was struck by lightning", clock())
    seat = seat_of(first)
    assert (seat.target, seat.reason) == (
        DriverState.GONE,
        "the shared Spark application team ended: it was struck by lightning",
    )
    assert seat_of(other).target is DriverState.READY


@pytest.mark.both_stores
def test_a_permanent_session_that_lost_its_seat_is_given_another(
    open_session: Open, seat_of, all_stores: Stores, clock
) -> None:
    session = open_session(permanent=True)
    application = seat_of(session).application
    all_stores.drivers.gone(session.driver, "why", clock())
    ((lost, driver),) = all_stores.sessions.to_restart()
    new = Driver.wanted(Path("/nowhere"), driver.options, clock())
    again = sharing.of_lost(driver, Settings(), clock())
    assert all_stores.sessions.restart(lost, new, "why", 0, clock(), again)
    found = all_stores.sessions.find(ANONYMOUS, session.id)
    assert found is not None and (found.driver, found.seat) == (new.id, 2)
    assert seat_of(found).application == application


# ---------------------------------------------------------------- hosts


@pytest.mark.both_stores
def test_a_seat_is_where_its_application_is(open_session: Open, seat_of, db: Database, all_stores, clock) -> None:
    session, there = open_session(), Stores(db, "there")
    application = seat_of(session).application
    assert there.drivers.place(application, Path("/there") / application)
    assert not all_stores.drivers.place(session.driver, Path("/here") / session.driver)
    assert there.drivers.place(session.driver, Path("/there") / session.driver)
    assert seat_of(open_session()).host == "there"


def test_what_is_sent_to_a_seat_keeps_its_application_here(open_session: Open, seat_of, all_stores: Stores) -> None:
    session = open_session()
    assert all_stores.drivers.place(session.driver, Path("/here") / session.driver)
    application = all_stores.drivers.find(seat_of(session).application)
    assert application is not None
    assert (application.host, application.folder) == ("here", Path("/here") / application.id)


# ---------------------------------------------------------------- the pass over drivers


@pytest.fixture
def supervisor(loop: asyncio.AbstractEventLoop, db: Database, shared_settings: Settings, clock) -> Supervisor:
    settings = dataclasses.replace(shared_settings, shared_application_linger=timedelta(0), max_starting_drivers=1)
    return Supervisor(loop, db, settings, clock)


@pytest.mark.usefixtures("no_process_left")
class TestPasses:
    def test_seats_start_when_their_application_is_up_and_beside_each_other(
        self, supervisor: Supervisor, open_session: Open, seat_of
    ) -> None:
        opened = [open_session() for _ in range(3)]
        application = seat_of(opened[0]).application
        supervisor.step()
        assert supervisor.launcher.launched == [application]
        supervisor.until(lambda: all(supervisor.state(session) == "idle" for session in opened))
        assert sorted(supervisor.launcher.launched[1:]) == sorted(session.driver for session in opened)

    def test_it_ends_with_its_last_session(self, supervisor: Supervisor, open_session: Open, seat_of) -> None:
        session = open_session()
        seat = seat_of(session)
        supervisor.until(lambda: supervisor.state(session) == "idle")
        supervisor.sessions.remove(session.id, "why", supervisor.clock())
        supervisor.until(lambda: supervisor.drivers.is_forgotten(seat.application))
        assert not seat.folder.with_name(seat.application).exists()

    def test_a_seat_that_ends_ends_its_session_alone(self, supervisor: Supervisor, open_session: Open, seat_of) -> None:
        first, second = open_session(), open_session()
        supervisor.until(lambda: {supervisor.state(first), supervisor.state(second)} == {"idle"})
        kill(first.folder)
        supervisor.until(lambda: supervisor.state(first) == "dead")
        supervisor.step()
        assert supervisor.state(second) == "idle"

    def test_seats_without_an_application_wait_for_its_reason(
        self, supervisor: Supervisor, open_session: Open, seat_of
    ) -> None:
        waits = f"until [ -e go ]; do sleep 0.01; done; exit {WITHOUT_APPLICATION}"
        supervisor.launcher.script = HEALTHY.replace("exec sleep 1000", waits)
        session = open_session()
        application = session.folder.with_name(seat_of(session).application)
        supervisor.until(lambda: supervisor.state(session) == "idle")
        logs.note(application / "log", "said before it went")
        (session.folder / "go").touch()
        supervisor.until((session.folder / "exit").exists)
        for _ in range(5):
            supervisor.step()
        assert supervisor.state(session) == "idle"
        kill(application)
        supervisor.until(lambda: supervisor.state(session) == "dead")
        said = "\n".join(logs.read(session.log, 0, 100))
        assert "the shared Spark application team ended: the driver's processes were killed from outside" in said
        assert "said before it went" in said
