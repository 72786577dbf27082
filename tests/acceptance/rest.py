"""Sessions, statements and batches as plain HTTP requests: what the tests say to the program. Hides no answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from tests.acceptance.program import Program, eventually

Document = dict[str, Any]

START = 120.0  # seconds a session or batch may take to start on a machine that is busy
FINISHED = ("available", "error", "cancelled")


class Rest:
    """JSON in, JSON out; an unexpected status is an error that shows the body."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._http = requests.Session()
        self._http.trust_env = False  # no proxy between the tests and this machine

    def get(self, path: str, status: int = 200) -> Any:
        return self._ask("GET", path, status)

    def post(self, path: str, document: Document | None = None, status: int = 201) -> Any:
        return self._ask("POST", path, status, document or {})

    def delete(self, path: str, status: int = 200) -> Any:
        return self._ask("DELETE", path, status)

    def _ask(self, method: str, path: str, status: int, document: Document | None = None) -> Any:
        answer = self._http.request(method, f"{self.program.url}{path}", json=document, timeout=60)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text[:2000]}"
        return answer.json()

    def open(self, **asked: Any) -> Session:
        """A session that is idle."""
        session = Session(self, self.post("/sessions", {"kind": "pyspark", **asked})["id"])
        session.wait("idle")
        return session

    def batch(self, file: object, *args: object, **asked: Any) -> int:
        """The id of a new batch."""
        document = {"file": str(file), "args": [str(one) for one in args], **asked}
        return int(self.post("/batches", document)["id"])

    def batch_ends(self, number: int, within: float = START) -> str:
        """The state in which a batch ends."""

        def state() -> str:
            now = str(self.get(f"/batches/{number}")["state"])
            return "" if now in ("starting", "running") else now

        return eventually(state, within=within, what=f"batch {number} ends")

    def log(self, path: str) -> str:
        """The whole log of a session or batch."""
        return "\n".join(self.get(f"{path}/log?from=0&size=-1")["log"])

    def delete_everything(self) -> None:
        for kind in ("sessions", "batches"):
            for one in self.get(f"/{kind}?size=1000")["sessions"]:
                self.delete(f"/{kind}/{one['id']}")


class Session:
    def __init__(self, rest: Rest, number: int) -> None:
        self._rest, self.id = rest, number
        self.path = f"/sessions/{number}"

    def document(self) -> Document:
        return dict(self._rest.get(self.path))

    def wait(self, state: str, within: float = START) -> None:
        def arrived() -> bool:
            now = self.document()["state"]
            assert now in (state, "starting", "idle", "busy"), f"session {self.id} is {now}: {self.log()[-2000:]}"
            return bool(now == state)

        eventually(arrived, within=within, what=f"session {self.id} is {state}")

    def log(self) -> str:
        return self._rest.log(self.path)

    def submit(self, code: str) -> int:
        return int(self._rest.post(f"{self.path}/statements", {"code": code})["id"])

    def statement(self, number: int) -> Document:
        return dict(self._rest.get(f"{self.path}/statements/{number}"))

    def result(self, number: int, within: float = 60) -> Document:
        """The statement once it has ended."""

        def ended() -> Document | None:
            now = self.statement(number)
            return now if now["state"] in FINISHED else None

        return eventually(ended, within=within, what=f"statement {number} of session {self.id} ends") or {}

    def run(self, code: str, within: float = 60) -> str:
        """The text that the code shows; code that fails is an error."""
        output = self.result(self.submit(code), within)["output"]
        assert output["status"] == "ok", output
        return str(output["data"]["text/plain"])

    def delete(self) -> None:
        self._rest.delete(self.path)


def running(folder: Path, store: str = "") -> Iterator[Program]:
    """A program that serves, and the check that nothing is left of it when it is not needed any more."""
    program = Program(folder, store)
    try:
        program.start()
        yield program
        Rest(program).delete_everything()
        eventually(lambda: not program.drivers(), within=15, what="all drivers are gone")
        program.stop()
    finally:
        program.reap()
