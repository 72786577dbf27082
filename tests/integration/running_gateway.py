"""A real gateway for tests: supervisor and web server as processes of their own on a data folder of the test's.

Everything it starts is gone after `close`. It waits on conditions with deadlines; `wait_until` is the one place that
sleeps.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg
import requests

from gateway.core import processes
from gateway.core.settings import reading
from gateway.server import web_command

T = TypeVar("T")
Document = dict[str, Any]

ROOT = Path(__file__).parents[2]
START = 90.0  # seconds a session may take to start on a busy machine
SOON = 20.0  # seconds for what needs no new process
ENDED = ("available", "cancelled")

# Small and quiet: several drivers share the machine.
DEFAULTS: Document = {
    "master": "local[2]",
    "web_workers": 1,
    "max_warm_drivers": 0,
    "spark_conf": {"spark.ui.showConsoleProgress": "false", "spark.sql.shuffle.partitions": "2"},
}


def wait_until(check: Callable[[], T | None], seconds: float, what: str) -> T:
    """The first true answer of `check`; fails the test with `what` when there is none in time.

    It asks ever less often: what is waited for long, such as Spark, needs the cores more than who waits.
    """
    end, pause = time.monotonic() + seconds, 0.02
    while True:
        if found := check():
            return found
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(pause)
        pause = min(0.15, pause * 1.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Gateway:
    """Web server and supervisor on one data folder. `changed` are settings that differ from the tests' own."""

    def __init__(self, home: Path, **changed: Any) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.data = home / "data"
        self._home = home
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        file = home / "gateway.toml"
        file.write_text(_toml({**DEFAULTS, "data_dir": str(self.data), "port": port, **changed}), "utf-8")
        # The cache is the one thing worth sharing: the class archive in it makes drivers start sooner.
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(reading.PREFIX) or name == f"{reading.PREFIX}CACHE_DIR"
        }
        self.environ = {**kept, reading.FILE_VARIABLE: str(file)}
        self.settings = reading.load(self.environ)
        self.http = requests.Session()
        self.http.trust_env = False
        self.supervisor: subprocess.Popen[bytes] | None = None
        self._web: subprocess.Popen[bytes] | None = None

    # ------------------------------------------------------------ its processes

    def open(self) -> Gateway:
        self.start_supervisor()
        self._web = self._start("web", web_command(self.settings))
        wait_until(self._answers, START, f"the web server answers; its log: {self.output('web')}")
        return self

    def start_supervisor(self) -> None:
        self.supervisor = self._start("supervisor", [sys.executable, "-m", "gateway", "supervise"])

    def kill_supervisor(self) -> None:
        """As the machine does when it runs out of memory: without a word."""
        assert self.supervisor is not None
        self.supervisor.kill()
        self.supervisor.wait()

    def kill(self) -> None:
        """Web server and supervisor at once, without a word; what they had started goes on."""
        assert self._web is not None
        workers = psutil.Process(self._web.pid).children()
        for worker in workers:
            worker.kill()
        self._web.kill()
        self._web.wait()
        self.kill_supervisor()
        psutil.wait_procs(workers, SOON)

    def close(self) -> None:
        """End the gateway's processes, then those that it had started, which would outlive it."""
        for process in (self._web, self.supervisor):
            if process is not None:
                stop_process(process)
        self.http.close()
        for started in self.started_processes():
            try:
                started.kill()
            except psutil.Error:
                continue
        wait_until(lambda: not self.started_processes(), SOON, "drivers and batches are gone")

    def started_processes(self) -> list[psutil.Process]:
        """All live processes of drivers and batches."""
        found = []
        for process in psutil.process_iter():
            try:
                owner = process.environ().get(processes.OWNER_VARIABLE, "")
                if owner.startswith(f"{self.data}/") and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def output(self, name: str) -> str:
        """What the supervisor or the web server has written to the terminal."""
        file = self._home / f"{name}.out"
        return file.read_text("utf-8", "replace") if file.exists() else ""

    def _start(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        with open(self._home / f"{name}.out", "ab") as output:
            return subprocess.Popen(
                command, cwd=ROOT, env=self.environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def _answers(self) -> bool:
        try:
            return self.http.get(f"{self.url}/version", timeout=5).ok
        except requests.ConnectionError:
            return False

    # ------------------------------------------------------------ its HTTP

    def call(self, method: str, path: str, body: object = None) -> requests.Response:
        data = None if body is None else json.dumps(body)
        return self.http.request(method, self.url + path, data=data, timeout=60)

    def get(self, path: str) -> Document:
        answer = self.call("GET", path)
        assert answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text}"
        return dict(answer.json())

    def post(self, path: str, body: object = None) -> Document:
        answer = self.call("POST", path, body)
        assert answer.status_code in (200, 201), f"POST {path}: {answer.status_code} {answer.text}"
        return dict(answer.json())

    def new_session(self, **asked: Any) -> Session:
        return Session(self, self.post("/sessions", asked)["id"])

    def new_batch(self, file: Path, **asked: Any) -> Batch:
        return Batch(self, self.post("/batches", {"file": str(file), **asked})["id"])

    # ------------------------------------------------------------ its store

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        if self.settings.store:
            with psycopg.connect(self.settings.store) as connected:
                return connected.execute(sql.replace("?", "%s").encode(), values).fetchall()
        connection = sqlite3.connect(self.settings.store_path, timeout=15)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()


@dataclass(frozen=True)
class Session:
    """An interactive session, over HTTP."""

    gateway: Gateway
    id: int

    @property
    def path(self) -> str:
        return f"/sessions/{self.id}"

    @property
    def document(self) -> Document:
        return self.gateway.get(self.path)

    @property
    def state(self) -> str:
        return str(self.gateway.get(f"{self.path}/state")["state"])

    @property
    def folder(self) -> Path:
        """The work folder of its driver."""
        found = self.gateway.query(
            "SELECT folder FROM drivers JOIN sessions ON sessions.driver = drivers.id WHERE sessions.id = ?", self.id
        )
        return Path(found[0][0])

    @property
    def log(self) -> str:
        return "\n".join(self.gateway.get(f"{self.path}/log?size=-1")["log"])

    def exists(self) -> bool:
        return self.gateway.call("GET", f"{self.path}/state").status_code == 200

    def wait_for(self, *states: str, seconds: float = START) -> Session:
        """Until it is in one of `states`; fails at once, with its log, when it died instead."""
        state = wait_until(
            lambda: seen if (seen := self.state) in (*states, "dead") else None,
            seconds,
            f"session {self.id} is {states}",
        )
        assert state in states, f"session {self.id} is {state}; its log ends:\n{self.log[-3000:]}"
        return self

    def submit(self, code: str, kind: str | None = "pyspark") -> Statement:
        asked = {"code": code} if kind is None else {"code": code, "kind": kind}
        return Statement(self, self.gateway.post(f"{self.path}/statements", asked)["id"])

    def run(self, code: str, kind: str | None = "pyspark", seconds: float = 60) -> Document:
        """Run code to its end; the output document."""
        return dict(self.submit(code, kind).wait(seconds)["output"])

    def value(self, code: str, kind: str | None = "pyspark") -> Any:
        """What an expression of Python literals shows, read back."""
        return json.loads(self.text(f"import json; print(json.dumps({code}))", kind))

    def text(self, code: str, kind: str | None = "pyspark") -> str:
        output = self.run(code, kind)
        assert output["status"] == "ok", output
        return str(output["data"]["text/plain"])

    def ui(self, path: str) -> Any:
        """A document of Spark's own REST API, from the UI that the session names."""
        document = self.document
        url = f"{document['appInfo']['sparkUiUrl']}/api/v1/applications/{document['appId']}{path}"
        answer = self.gateway.http.get(url, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def delete(self) -> None:
        answer = self.gateway.call("DELETE", self.path)
        assert answer.json() == {"msg": "deleted"}, answer.text


@dataclass(frozen=True)
class Statement:
    session: Session
    id: int

    @property
    def path(self) -> str:
        return f"{self.session.path}/statements/{self.id}"

    @property
    def document(self) -> Document:
        return self.session.gateway.get(self.path)

    def wait(self, seconds: float = 60) -> Document:
        """The document once it has ended."""
        return wait_until(
            lambda: document if (document := self.document)["state"] in ENDED else None,
            seconds,
            f"statement {self.id} of session {self.session.id} ends",
        )

    def wait_running(self) -> Statement:
        wait_until(lambda: self.document["state"] == "running", SOON, f"statement {self.id} runs")
        return self

    def cancel(self) -> Document:
        """Cancel it; the document once it has ended."""
        assert self.session.gateway.post(f"{self.path}/cancel") == {"msg": "canceled"}
        return self.wait(SOON)


@dataclass(frozen=True)
class Batch:
    """A batch, over HTTP."""

    gateway: Gateway
    id: int

    @property
    def path(self) -> str:
        return f"/batches/{self.id}"

    @property
    def document(self) -> Document:
        return self.gateway.get(self.path)

    @property
    def state(self) -> str:
        return str(self.gateway.get(f"{self.path}/state")["state"])

    @property
    def folder(self) -> Path:
        return Path(self.gateway.query("SELECT folder FROM batches WHERE id = ?", self.id)[0][0])

    @property
    def exit_code(self) -> int | None:
        code: int | None = self.gateway.query("SELECT exit_code FROM batches WHERE id = ?", self.id)[0][0]
        return code

    @property
    def log(self) -> list[str]:
        """Its whole log, without Livy's two markers."""
        return list(self.gateway.get(f"{self.path}/log?size=-1")["log"])[1:-1]

    def wait_for(self, *states: str, seconds: float = START) -> Batch:
        """Until it is in one of `states`; fails at once, with its log, when it ended otherwise."""
        state = wait_until(
            lambda: seen if (seen := self.state) in (*states, "success", "dead", "killed") else None,
            seconds,
            f"batch {self.id} is {states}",
        )
        assert state in states, f"batch {self.id} is {state}; its log ends {self.log[-30:]}"
        return self

    def wait_for_line(self, start: str, seconds: float = START) -> str:
        """The first line of its log that starts so."""
        found = wait_until(
            lambda: [line for line in self.log if line.startswith(start)], seconds, f"a log line {start}…"
        )
        return found[0]

    def delete(self) -> None:
        answer = self.gateway.call("DELETE", self.path)
        assert answer.json() == {"msg": "deleted"}, answer.text


def processor_seconds(pids: Iterable[int]) -> float:
    """CPU time that these processes have used so far."""
    total = 0.0
    for pid in pids:
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
    return total


def processor_share(pids: Iterable[int], seconds: float) -> float:
    """The share of one core that these processes use over the next `seconds`."""
    chosen = list(pids)
    begun, used = time.monotonic(), processor_seconds(chosen)
    wait_until(lambda: time.monotonic() - begun >= seconds, seconds + 5, "the time to measure in")
    return (processor_seconds(chosen) - used) / (time.monotonic() - begun)


def stop_process(process: subprocess.Popen[bytes]) -> None:
    """End a process that the test started; by force when it does not go."""
    process.terminate()
    try:
        process.wait(SOON)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _toml(values: Document) -> str:
    return "".join(f"{name} = {_toml_value(value)}\n" for name, value in values.items())


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml_value(item)}" for key, item in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
