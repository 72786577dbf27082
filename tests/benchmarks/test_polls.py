"""What a poll costs, and what clients that stall or wait cost the others."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.benchmarks.baselines import POLL_SECONDS, family, poll, polls_per_cpu_second, served
from tests.benchmarks.conftest import Compare
from tests.integration.running_gateway import Gateway, Session

GROUP = "Polls"
MANY = 1000
FEW = 4  # pollers beside those that stall
HALF_A_HEAD = b"GET /version HTTP/1.1\r\nHost: 127."
ROUTES = {
    "GET statement": "{session}/statements/{statement}",
    "GET session": "{session}",
    "GET state": "{session}/state",
    "GET log": "{session}/log",
    "GET sessions": "/sessions",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("one_row")
    with sqlite3.connect(made / "one.db") as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE statements (id INTEGER PRIMARY KEY, state TEXT, output TEXT)")
        db.execute("INSERT INTO statements VALUES (0, 'available', '2')")
    return made


@pytest.mark.parametrize("what", ROUTES)
def test_polls(what: str, session: Session, folder: Path, compare: Compare) -> None:
    statement = session.submit("1 + 1")  # the first ones may not be kept any more
    statement.wait()
    url = session.gateway.url + ROUTES[what].format(session=session.path, statement=statement.id)
    web = _web(session.gateway)
    for baseline, application, words in (
        ("one row by Flask under gunicorn's threads", "flask", ["-k", "gthread", "--threads", "16"]),
        ("one row by nothing under uvicorn", "plain", ["-k", "uvicorn_worker.UvicornWorker"]),
    ):
        with served(folder, application, *words) as (row, processes):
            compare(
                GROUP,
                f"{what}, against {baseline}",
                "per CPU-second",
                lambda: polls_per_cpu_second(url, web),
                baseline,
                lambda row=row, processes=processes: polls_per_cpu_second(row, processes()),
            )


@pytest.mark.parametrize("sent", [b"", HALF_A_HEAD], ids=["nothing sent", "half a head sent"])
def test_beside_clients_that_stall(sent: bytes, session: Session, compare: Compare) -> None:
    url = f"{session.gateway.url}{session.path}/state"

    def beside() -> float:
        with _connections(session.gateway, MANY, sent):
            return 1000 * float(poll(url, FEW, POLL_SECONDS)["p95"])

    def alone() -> float:
        return 1000 * float(poll(url, FEW, POLL_SECONDS)["p95"])

    what = f"p95 of a poll beside {MANY} connections with {'half a head' if sent else 'nothing'} sent"
    compare(GROUP, what, "ms", beside, "without them", alone, bar="1.2")


@contextmanager
def _connections(gateway: Gateway, number: int, sent: bytes) -> Iterator[None]:
    parts = urlsplit(gateway.url)
    with ExitStack() as stack:
        for _ in range(number):
            stack.enter_context(socket.create_connection((parts.hostname, parts.port), timeout=10)).sendall(sent)
        yield


def _web(gateway: Gateway) -> list[int]:
    port = urlsplit(gateway.url).port
    (server,) = {
        one.pid for one in psutil.Process().children() if any(word.endswith(f":{port}") for word in one.cmdline())
    }
    return family(server)
