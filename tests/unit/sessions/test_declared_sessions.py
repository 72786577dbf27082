"""The permanent sessions of the settings: what may be declared, and when one is opened."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from gateway.core.errors import Misconfigured
from gateway.core.identity import ANONYMOUS
from gateway.core.settings import Settings
from gateway.core.waiting import Waiting
from sessions.drivers.store import DriverStore
from sessions.models import Kind
from sessions.permanent import DeclaredPass, declared
from sessions.service import SessionService
from sessions.store import SessionStore


@pytest.fixture
def declare(session_store: SessionStore, driver_store: DriverStore, settings: Settings, clock):
    """The pass of a supervisor that has just started with these declarations."""

    def start(**tables: Any) -> DeclaredPass:
        changed = dataclasses.replace(settings, permanent_sessions=tables)
        service = SessionService(session_store, driver_store, changed, clock, Waiting(16))
        made = DeclaredPass(session_store, service, changed)
        made()
        return made

    return start


def ids(store: SessionStore) -> list[str]:
    return [session.uuid for session in store.page(ANONYMOUS, 0, 100)[1]]


def test_each_is_opened_once_as_declared(declare, session_store: SessionStore) -> None:
    table = {"kind": "sql", "driver_memory": "2g", "num_executors": 3, "jars": ["hdfs:///a.jar"], "conf": {"a": True}}
    declare(daily=table, other={})()
    declare(daily=table, other={})
    daily, other = session_store.page(ANONYMOUS, 0, 100)[1]
    assert (daily.uuid, daily.kind, daily.permanent) == ("daily", Kind.SQL, True)
    assert (daily.options.driver_memory, daily.options.num_executors) == ("2g", 3)
    assert (daily.options.jars, daily.options.conf) == (["hdfs:///a.jar"], {"a": "true"})
    assert (other.uuid, other.kind) == ("other", Kind.PYSPARK)


def test_one_that_was_deleted_stays_away_until_it_was_not_declared_for_a_start(
    declare, session_store: SessionStore, clock
) -> None:
    declare(daily={})
    session_store.remove(0, "deleted by its user", clock())
    declare(daily={})()
    assert ids(session_store) == []
    declare()
    declare(daily={})
    assert ids(session_store) == ["daily"]


def test_one_that_was_deleted_and_opened_anew_otherwise_does_not_come_back_as_declared(
    declare, session_store: SessionStore, add_session, clock
) -> None:
    declare(daily={})
    session_store.remove(0, "deleted by its user", clock())
    again = add_session(uuid="daily")
    session_store.remove(again.id, "its time is over", clock())
    declare(daily={})()
    assert ids(session_store) == []


def test_one_that_is_not_as_declared_is_told_once_and_stays_as_it_is(
    declare, session_store: SessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    table = {"driver_memory": "1g", "proxy_user": "ignored"}
    declare(daily=table)()
    declare(daily=table)()
    assert not caplog.records or {record.levelname for record in caplog.records} == {"INFO"}
    declare(daily={"driver_memory": "2g"})()
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said.startswith("permanent session daily keeps what it was opened with, which differs")
    assert session_store.page(ANONYMOUS, 0, 9)[1][0].options.driver_memory == "1g"


def test_one_that_cannot_be_opened_is_told_once_and_does_not_hold_up_the_others(
    declare, session_store: SessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    made = declare(bad={"driver_memory": "much"}, good={})
    made()
    assert ids(session_store) == ["good"]
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert said.startswith("permanent session bad cannot be opened: driverMemory 'much' is not a size: give a whole")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"kind": "cobol"}, "kind is 'cobol': give one of spark, pyspark"),
        ({"memory": "1g"}, "there is no field memory; the fields are kind, name, proxy_user, driver_memory"),
        ({"driver_memory": 1}, "driver_memory: give text"),
        ({"driver_cores": True}, "driver_cores: give a whole number"),
        ({"jars": "a.jar"}, "jars: give an array of texts"),
        ({"conf": {"spark": {"ui": 1}}}, "conf: give a table of single values"),
    ],
)
def test_what_does_not_fit_is_told_with_the_fix(table: dict[str, Any], said: str, settings: Settings) -> None:
    with pytest.raises(Misconfigured) as error:
        declared(dataclasses.replace(settings, permanent_sessions={"daily": table}))
    assert str(error.value).startswith(f"setting permanent_sessions.daily: {said}")


def test_an_id_must_fit_into_a_path(settings: Settings) -> None:
    with pytest.raises(Misconfigured, match="without a slash"):
        declared(dataclasses.replace(settings, permanent_sessions={"a/b": {}}))


def test_one_that_another_gateway_opens_at_the_same_time_is_no_error(
    declare, session_store: SessionStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    declare(daily={})
    monkeypatch.setattr(session_store, "number_of", lambda *_: None)
    declare(daily={})
    assert len(ids(session_store)) == 1 and caplog.messages == []
