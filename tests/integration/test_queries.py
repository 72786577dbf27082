"""Questions of the gateway's own on real Spark: the pages of tables, the limits of an answer, and who may see it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from gateway import stores
from gateway.core import processes
from gateway.core.clock import utc_now
from gateway.core.errors import QueryFailed, TookTooLong
from gateway.core.identity import ANONYMOUS, GATEWAY
from gateway.core.places.local import host_name
from gateway.core.waiting import Waiting
from gateway.platform.queries.models import Answer, Limits
from gateway.platform.queries.service import QueryService
from sessions.jobs.service import JobService
from sessions.models import Session
from sessions.service import SessionService
from sessions.states import SessionState
from tests.integration.running_gateway import SOON, START, Gateway, wait_until

FOR_EVER = "SELECT count(*) FROM range(0, 1000000000000000, 1, 1)"  # on one of the two cores


@dataclass(frozen=True)
class Asker:
    """Asks as a further web process of the gateway does."""

    gateway: Gateway
    queries: QueryService
    sessions: SessionService

    def ask(self, sql: str, **limits: Any) -> Answer:
        """The answer, once Spark is up."""
        asked = Limits(**{"seconds": 60, **limits})
        return wait_until(lambda: self.queries.ask(ANONYMOUS, "default", sql, asked), START, "Spark answers")

    def session(self) -> Session:
        (found,) = self.sessions.page(GATEWAY, 0, 9)[1]
        return found

    def running_jobs(self) -> list[Any]:
        """Of Spark, in the service session."""
        session = self.session()
        url = f"{session.ui_url}/api/v1/applications/{session.app_id}/jobs?status=running"
        return list(self.gateway.http.get(url, timeout=30).json())

    def page(self, path: str, status: int = 200) -> str:
        answer = self.gateway.http.get(self.gateway.url + path, timeout=60)
        assert answer.status_code == status, answer.text
        return answer.text


def cells(answer: Answer) -> list[list[str]]:
    """The rows as text: a number has all its digits."""
    return [[str(cell) for cell in row] for row in answer.rows]


@pytest.fixture(scope="module")
def asker(gateway: Gateway) -> Iterator[Asker]:
    """It ends the service session when the tests are over."""
    settings, waiting = gateway.settings, Waiting(64)
    store = stores.Stores(stores.open_and_migrate(settings), host_name(settings))
    sessions = SessionService(store.sessions, store.drivers, settings, utc_now, waiting)
    jobs = JobService(store.jobs, sessions, settings, utc_now, waiting)
    yield Asker(gateway, QueryService(sessions, jobs, settings, utc_now), sessions)
    for session in sessions.page(GATEWAY, 0, 9)[1]:
        sessions.delete(GATEWAY, str(session.id))


@pytest.fixture(scope="module")
def orders(asker: Asker, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A table of 300 rows in the service session's own catalog, the one that the pages show."""
    folder: Path = tmp_path_factory.mktemp("orders")
    asker.ask(
        f"CREATE TABLE orders USING parquet LOCATION '{folder}' AS SELECT id, id % 7 AS `a b`, concat('<', id) AS text"
        " FROM range(0, 300, 1, 1)"
    )
    return "orders"


def test_the_first_look_starts_spark_and_an_empty_catalog_says_why(asker: Asker) -> None:
    before = asker.gateway.get("/sessions")["total"]
    assert "data-live" in asker.page("/ui/tables")
    page = wait_until(lambda: page if "data-live" not in (page := asker.page("/ui/tables")) else "", START, "a list")
    assert "in the memory of each Spark application" in page
    assert asker.gateway.get("/sessions")["total"] == before
    own = asker.session()
    for path in (f"/sessions/{own.id}", f"/sessions/{own.id}/log", f"/lighter/api/sessions/{own.uuid}"):
        assert asker.gateway.call("GET", path).status_code == 404


def test_pages_show_tables_and_the_first_rows_of_one(asker: Asker, orders: str) -> None:
    assert f'href="/ui/tables/default/{orders}"' in asker.page("/ui/tables")
    page = asker.page(f"/ui/tables/default/{orders}")
    assert page.count("<tr>") == 101 and "The first 100 rows; there are more." in page
    assert '<td class="number">0</td><td class="number">0</td><td>&lt;0</td>' in page


@pytest.mark.parametrize(
    "name", ["nowhere", "orders` LIMIT 1; DROP TABLE `orders", "orders` UNION SELECT 1, 2, '`", "a`.`b", "orders -- "]
)
def test_a_name_is_never_read_as_anything_else(name: str, asker: Asker, orders: str) -> None:
    page = asker.page(f"/ui/tables/default/{name}", status=422)
    assert "TABLE_OR_VIEW_NOT_FOUND" in page or "INVALID_NAME" in page or "cannot be found" in page
    assert f"/ui/tables/default/{orders}" in asker.page("/ui/tables")


def test_each_question_has_a_spark_session_of_its_own(asker: Asker) -> None:
    asker.ask("CREATE TEMPORARY VIEW mine AS SELECT 1")
    asker.ask("SET spark.sql.ansi.enabled = false")
    with pytest.raises(QueryFailed, match="TABLE_OR_VIEW_NOT_FOUND"):
        asker.ask("SELECT * FROM mine")
    assert asker.ask("SET spark.sql.ansi.enabled").rows != [["spark.sql.ansi.enabled", "false"]]


def test_an_answer_has_no_more_rows_and_bytes_than_asked_for(asker: Asker) -> None:
    few = asker.ask("SELECT id FROM range(50)", rows=50)
    assert (len(few.rows), few.cut) == (50, False)
    cut = asker.ask("SELECT id FROM range(50)", rows=49)
    assert (len(cut.rows), cut.cut) == (49, True)
    short = asker.ask("SELECT repeat('ä', 1000) AS text FROM range(50)", bytes=10_000)
    assert (len(short.rows), short.cut) == (4, True)


def test_a_question_that_takes_too_long_is_cancelled_while_others_are_answered(asker: Asker) -> None:
    asker.ask("SELECT 1")
    assert asker.running_jobs() == []  # Spark's REST takes a while to come up, too
    with ThreadPoolExecutor(1) as beside:
        late = beside.submit(asker.ask, FOR_EVER, seconds=8)
        wait_until(asker.running_jobs, SOON, "the long query runs")
        assert cells(asker.ask("SELECT 1 AS one")) == [["1"]]
        assert not late.done()
        with pytest.raises(TookTooLong, match="no answer within 8 s"):
            late.result()
    wait_until(lambda: not asker.running_jobs(), SOON, "its cores are free")
    assert cells(asker.ask("SELECT sum(id) FROM range(0, 100, 1, 2)", seconds=SOON)) == [["4950"]]


def test_a_service_session_whose_driver_was_killed_is_started_again(asker: Asker) -> None:
    asker.ask("SELECT 1")
    lost = asker.session()
    for process in processes_of(asker.gateway, lost.folder):
        process.kill()
    wait_until(lambda: asker.session().state is SessionState.DEAD, SOON, "its end is noticed")
    assert cells(asker.ask("SELECT 2 AS two")) == [["2"]]
    assert asker.session().id != lost.id


def processes_of(gateway: Gateway, folder: Path) -> list[psutil.Process]:
    found = gateway.started_processes()
    return [one for one in found if one.environ().get(processes.OWNER_VARIABLE, "").startswith(str(folder))]
