"""A newcomer's first minutes with curl, in the README's order."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.program import Program, eventually
from tests.acceptance.rest import START

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")


class Curl:
    """curl as one types it; answers the status and the parsed body."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __call__(self, path: str, *words: str, status: int = 200) -> Any:
        command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--write-out", "\n%{http_code}"]
        ran = subprocess.run([*command, *words, f"{self._url}{path}"], capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr
        body, _, code = ran.stdout.rpartition("\n")
        assert int(code) == status, f"{path}: {code} {body}"
        return json.loads(body)

    def post(self, path: str, **document: Any) -> Any:
        return self(path, "-d", json.dumps(document), status=201)  # as the README does, without a content type

    def delete(self, path: str, status: int = 200) -> Any:
        return self(path, "-X", "DELETE", status=status)


@pytest.fixture(scope="module")
def curl(program: Program) -> Curl:
    return Curl(program.url)


@pytest.fixture(scope="module")
def session(curl: Curl) -> Iterator[str]:
    """The path of a session that was polled to idle."""
    created = curl.post("/sessions", kind="pyspark")
    assert created["state"] == "starting"
    path = f"/sessions/{created['id']}"
    seen = set()

    def is_idle() -> bool:
        seen.add(curl(path)["state"])
        return "idle" in seen

    eventually(is_idle, within=START, what="the session is idle")
    assert seen <= {"starting", "idle"}
    yield path
    assert curl.delete(path) == {"msg": "deleted"}
    assert curl(path, status=404) == {"msg": f"Session '{created['id']}' not found."}


def test_a_statement_shows_its_result(curl: Curl, session: str) -> None:
    created = curl.post(f"{session}/statements", code="print('hello'); spark.range(10).count()")
    path = f"{session}/statements/{created['id']}"
    eventually(lambda: curl(path)["state"] == "available", within=60, what="the statement ends")
    statement = curl(path)
    assert statement["output"]["data"] == {"text/plain": "hello\n10"}
    assert statement["progress"] == 1.0
    assert statement["completed"] >= statement["started"] > 0
    assert curl(session)["state"] == "idle"


def test_a_mistake_shows_python_s_words(curl: Curl, session: str) -> None:
    path = f"{session}/statements/{curl.post(f'{session}/statements', code='1 / 0')['id']}"
    eventually(lambda: curl(path)["state"] == "available", within=60, what="the statement ends")
    output = curl(path)["output"]
    assert (output["status"], output["ename"], output["evalue"]) == ("error", "ZeroDivisionError", "division by zero")
    header, frame, last = output["traceback"]
    assert (header, last) == ("Traceback (most recent call last):\n", "ZeroDivisionError: division by zero\n")
    assert frame.startswith(f'  File "<cell {output["execution_count"]}>", line 1, in <module>\n    1 / 0\n')


def test_the_log_of_a_session_is_what_spark_says(curl: Curl, session: str) -> None:
    log = curl(f"{session}/log?from=0&size=-1")
    assert log["from"] == 0
    assert log["total"] == len(log["log"]) > 1
    assert log["log"][0] == "stdout: "


def test_the_session_is_listed_with_its_application_and_spark_ui(curl: Curl, session: str) -> None:
    listed = [one for one in curl("/sessions")["sessions"] if session == f"/sessions/{one['id']}"]
    assert [one["appId"].startswith("local-") for one in listed] == [True]
    assert listed[0]["appInfo"]["sparkUiUrl"].startswith("http://")


def test_pi_as_a_batch(curl: Curl) -> None:
    created = curl.post("/batches", file=str(example("pi.py")), args=[2], name="pi")
    path = f"/batches/{created['id']}"

    def ended() -> str:
        state = str(curl(path)["state"])
        return "" if state in ("starting", "running") else state

    assert eventually(ended, within=START, what="the batch ends") == "success"
    assert any(line.startswith("Pi is roughly 3.") for line in curl(f"{path}/log?from=0&size=-1")["log"])
    assert curl(path)["appId"].startswith("local-")
    assert curl.delete(path) == {"msg": "deleted"}
    assert curl(path, status=404) == {"msg": f"Session '{created['id']}' not found."}


def example(name: str) -> Path:
    """An example that comes with pyspark."""
    spec = importlib.util.find_spec("pyspark")
    assert spec and spec.origin
    return Path(spec.origin).parent / "examples" / "src" / "main" / "python" / name
