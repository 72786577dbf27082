"""A client on the wire of Livy's Python client: what that posts, and how it reads what comes back (contract §8.3)."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import requests

HEADERS = {"X-Requested-By": "livy", "Content-Type": "application/json", "Accept": "application/json"}
FINAL = ("SUCCEEDED", "FAILED", "CANCELLED")
KNOWN = (*FINAL, "QUEUED", "STARTED")

Function = Callable[[Any], Any]


class JobClient:
    """A session of its own, opened as that client opens one: with a doubled slash and its own address in the conf."""

    def __init__(self, url: str) -> None:
        self.http = requests.Session()
        self.http.trust_env = False
        self._base = f"{url}//sessions"
        asked = {"kind": "pyspark", "conf": {"livy.uri": url, "spark.app.name": "jobs"}}
        self.session = int(self._ask("POST", "/", 201, json=asked).json()["id"])

    def submit(self, function: Function, route: str = "submit-job") -> int:
        """Send a job; its id."""
        job = base64.b64encode(cloudpickle.dumps(function)).decode()
        status = self._ask("POST", f"/{self.session}/{route}", 201, json={"job": job, "jobType": "pyspark"}).json()
        assert set(status) == {"id", "state", "result", "error"}
        return int(status["id"])

    def poll(self, job: int) -> dict[str, Any]:
        status = dict(self._ask("GET", f"/{self.session}/jobs/{job}", 200).json())
        assert status["state"] in KNOWN, status
        return status

    def end(self, job: int, seconds: float = 60) -> dict[str, Any]:
        """The job's status once it has ended."""
        deadline, pause = time.monotonic() + seconds, 0.01
        while (status := self.poll(job))["state"] not in FINAL:
            assert time.monotonic() < deadline, status
            time.sleep(pause)
            pause = min(pause * 2, 0.5)
        return status

    def run(self, function: Function, route: str = "submit-job", seconds: float = 60) -> Any:
        """The function's value in the session."""
        return value(self.end(self.submit(function, route), seconds))

    def cancel(self, job: int) -> None:
        assert self._ask("POST", f"/{self.session}/jobs/{job}/cancel", 200).content == b""

    def add(self, kind: str, uri: object) -> None:
        assert self._ask("POST", f"/{self.session}/add-{kind}", 200, json={"uri": str(uri)}).content == b""

    def upload(self, kind: str, path: Path) -> None:
        part = "jar" if kind == "jar" else "file"
        with open(path, "rb") as file:
            answer = self.http.post(
                f"{self._base}/{self.session}/upload-{kind}",
                files={part: file},
                headers={"X-Requested-By": "livy"},
                timeout=10,
            )
        assert (answer.status_code, answer.content) == (200, b""), answer.text

    def close(self) -> None:
        self._ask("DELETE", f"/{self.session}", 200)
        self.http.close()

    def _ask(self, method: str, path: str, status: int, **more: Any) -> requests.Response:
        answer = self.http.request(method, self._base + path, headers=HEADERS, timeout=10, **more)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer


def value(status: dict[str, Any]) -> Any:
    """What that client makes of a job that has ended."""
    assert status["state"] == "SUCCEEDED" and status["error"] is None, status
    return cloudpickle.loads(base64.b64decode(base64.b64decode(status["result"])))
