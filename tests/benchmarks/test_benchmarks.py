"""What the gateway adds to what it is made of: each figure stands beside the bare thing, measured in the same run."""

from __future__ import annotations

import http.client
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import pytest
from jupyter_client.manager import start_new_kernel

from gateway.core import java
from tests.benchmarks.conftest import Record
from tests.integration.crowd import crowd
from tests.integration.running_gateway import (
    SOON,
    Gateway,
    Session,
    free_port,
    processor_share,
    stop_process,
    wait_until,
)

STARTS = 3
STATEMENTS = 100
POLL_SECONDS = 4.0
POLLERS = 8
IDLE_SESSIONS = 200
IDLE_SECONDS = 20.0

SPARK_SESSION = """
from pyspark.sql import SparkSession
SparkSession.builder.master("local[2]").config("spark.ui.port", "0").getOrCreate()
"""

ONE_ROW_APP = """
import sqlite3, threading
from flask import Flask, jsonify

app = Flask(__name__)
local = threading.local()

def connection():
    if not hasattr(local, "db"):
        local.db = sqlite3.connect("one.db")
    return local.db

@app.get("/row")
def row():
    found = connection().execute("SELECT id, state, output FROM statements WHERE id = 0").fetchone()
    return jsonify(id=found[0], state=found[1], output=found[2])
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = Gateway(tmp_path_factory.mktemp("gateway"), web_workers=2)
    try:
        yield running.open()
    finally:
        running.close()


@pytest.fixture(scope="module")
def session(gateway: Gateway) -> Session:
    return gateway.new_session(kind="pyspark").wait_for("idle")


def test_cold_session(gateway: Gateway, record: Record) -> None:
    def bare() -> None:
        environ = {**os.environ, "JAVA_HOME": str(java.find().home), "SPARK_LOCAL_IP": "127.0.0.1"}
        subprocess.run([sys.executable, "-c", SPARK_SESSION], env=environ, check=True, capture_output=True)

    def through_the_gateway() -> None:
        opened.append(gateway.new_session(kind="pyspark").wait_for("idle"))

    opened: list[Session] = []
    here, base = [], []
    for _ in range(STARTS):
        base.append(_seconds(bare))
        here.append(_seconds(through_the_gateway))
        opened.pop().delete()
    record("cold session, create to idle", median(here), "s", "SparkSession in plain Python", median(base))


def test_statement_round_trip(session: Session, record: Record) -> None:
    def through_the_gateway() -> None:
        statement = session.submit("1 + 1")
        while statement.document["state"] != "available":
            pass

    manager, client = start_new_kernel(kernel_name="python3")
    try:
        base = _median_milliseconds(
            lambda: client.execute_interactive("1 + 1", timeout=SOON, output_hook=lambda _: None)
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    here = _median_milliseconds(through_the_gateway)
    record("1 + 1, POST to available, p50", here, "ms", "bare Jupyter kernel", base)


def test_polls(session: Session, record: Record, tmp_path: Path) -> None:
    statement = session.submit("1 + 1")
    statement.wait()
    here = _polls_per_second(session.gateway.url + statement.path)
    (tmp_path / "one_row.py").write_text(ONE_ROW_APP, "utf-8")
    _make_row(tmp_path / "one.db")
    port = free_port()
    serving = ["--bind", f"127.0.0.1:{port}", "--worker-class", "gthread", "--workers", "2", "--threads", "16"]
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "one_row:app",
        *serving,
        "--log-level",
        "warning",
        "--no-control-socket",
    ]
    server = subprocess.Popen(command, cwd=tmp_path)
    try:
        wait_until(lambda: _answers(port), SOON, "the one-row application answers")
        base = _polls_per_second(f"http://127.0.0.1:{port}/row")
    finally:
        stop_process(server)
    record(f"polls of a statement, {POLLERS} clients", here, "per s", "Flask application of one row", base)


def test_idle_sessions(record: Record, tmp_path: Path) -> None:
    """The supervisor's CPU time with many idle sessions; what it takes with one is its clockwork alone."""

    def share(many: int) -> float:
        with crowd(tmp_path / str(many), many) as gateway:
            assert gateway.supervisor is not None
            return 100 * processor_share([gateway.supervisor.pid], IDLE_SECONDS)

    base = share(1)
    record(f"supervisor of {IDLE_SESSIONS} idle sessions", share(IDLE_SESSIONS), "% of a core", "of one", base)


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _median_milliseconds(work: Callable[[], object]) -> float:
    for _ in range(10):
        work()
    return 1000 * median(_seconds(work) for _ in range(STATEMENTS))


def _polls_per_second(url: str) -> float:
    parts = urlsplit(url)
    end = time.perf_counter() + POLL_SECONDS

    def poll(_: int) -> int:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=SOON)
        count = 0
        while time.perf_counter() < end:
            connection.request("GET", parts.path)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            count += 1
        connection.close()
        return count

    with ThreadPoolExecutor(POLLERS) as pool:
        return sum(pool.map(poll, range(POLLERS))) / POLL_SECONDS


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/row")
        return True
    except ConnectionError:
        return False
    finally:
        connection.close()


def _make_row(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE statements (id INTEGER PRIMARY KEY, state TEXT, output TEXT)")
        db.execute("INSERT INTO statements VALUES (0, 'available', '2')")
