"""The web application through Flask's test client; the test plays the supervisor, through the stores."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from batches.states import BatchState
from gateway import stores
from gateway.app import create_front
from gateway.core.clock import utc_now
from gateway.core.identity import ANONYMOUS
from gateway.core.places.local import host_name
from gateway.core.settings import Settings
from gateway.stores import Stores
from gateway.web.front.application import Application
from tests.unit.conftest import Bell
from tests.unit.front_client import FrontClient


class Gateway:
    """A client and a supervisor that does what it is told; what is to go it lets go when the bell rings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.db = stores.open_store(settings)
        store = Stores(self.db, host_name(settings))
        self.sessions, self.drivers, self.batches = store.sessions, store.drivers, store.batches
        self.jobs, self.statements = store.jobs, store.statements
        self.addition_error: str | None = None  # why what is added to a session cannot be
        self.front: Application
        self.client: FlaskClient

    # the client's side

    def send(self, method: str, path: str, body: Any = None, **more: Any) -> TestResponse:
        data = body if isinstance(body, (str, bytes, type(None))) else json.dumps(body)
        response = self.client.open(path, method=method, data=data, **more)
        if method == "GET" and data is None:
            self._compare(more.get("headers"), response)
        return response

    def _compare(self, headers: Any, response: TestResponse) -> None:
        """Polls are answered without Flask, and as it does: whatever a test asks for is asked for in both ways."""
        target = response.request.environ["REQUEST_URI"]
        if self.front.polls.at(target.partition("?")[0].encode()) is None:
            return
        answer = self.at_front.send("GET", target, dict(headers or {}))
        assert (answer.status, answer.headers) == (response.status_code, list(response.headers))
        assert _timeless(answer.body) == _timeless(response.data)

    @cached_property
    def at_front(self) -> FrontClient:
        return FrontClient(self.front)

    def close(self) -> None:
        if "at_front" in self.__dict__:
            self.at_front.close()

    def get(self, path: str, **more: Any) -> Any:
        response = self.send("GET", path, **more)
        assert response.status_code == 200, response.text
        return response.json

    def open(self, **asked: Any) -> dict[str, Any]:
        """A session, starting."""
        response = self.send("POST", "/sessions", {"kind": "pyspark", **asked})
        assert response.status_code == 201, response.text
        return dict(response.json or {})

    def open_idle(self, **asked: Any) -> int:
        number = int(self.open(**asked)["id"])
        self.make_idle()
        return number

    def run(self, session: int, code: str = "1+1", **asked: Any) -> dict[str, Any]:
        response = self.send("POST", f"/sessions/{session}/statements", {"code": code, **asked})
        assert response.status_code == 201, response.text
        return dict(response.json or {})

    def submit(self, **asked: Any) -> dict[str, Any]:
        response = self.send("POST", "/batches", {"file": "/bin/true", **asked})
        assert response.status_code == 201, response.text
        return dict(response.json or {})

    # the supervisor's side

    def act(self) -> None:
        for driver in self.drivers.moving():
            if driver.target.value == "gone":
                self.drivers.gone(driver.id, None, utc_now())
        for addition, _ in self.jobs.next_additions():
            self.jobs.settle(addition, self.addition_error, utc_now())
        for batch in self.batches.unwanted():
            self.batches.remove(batch.id, utc_now())

    def make_idle(self) -> None:
        for driver in self.drivers.moving():
            self.drivers.launch(driver.id, driver.folder, utc_now())
            self.drivers.ready(driver.id, "local-1795225518313", "http://127.0.0.1:4040", utc_now())
        self.sessions.become_idle(utc_now())

    def answer(self, session: int, **output: Any) -> int:
        """Run the next statement of a session to its end; its number."""
        (statement,) = (one for one in self.statements.claim(utc_now()) if one.session == session)
        good = {} if output.get("status") == "error" else {"data": {"text/plain": "2"}}
        envelope = {"status": "ok", "execution_count": statement.id, **good, **output}
        text = json.dumps(envelope, separators=(",", ":"))
        self.statements.finish(session, statement.id, text, utc_now(), utc_now())
        return statement.id

    def lose_driver(self, session: int, reason: str = "the machine ran out of memory") -> None:
        found = self.sessions.find(ANONYMOUS, session)
        assert found is not None
        self.drivers.gone(found.driver, reason, utc_now())
        for number, why in self.sessions.without_driver():
            self.sessions.end(number, why, utc_now())

    def log_of(self, session: int, text: str) -> None:
        found = self.sessions.find(ANONYMOUS, session)
        assert found is not None
        found.log.parent.mkdir(parents=True, exist_ok=True)
        found.log.write_text(text)

    def start_batch(self, batch: int) -> None:
        self.batches.start(batch, self.settings.data_dir / "batches" / str(batch), utc_now())

    def end_batch(self, batch: int, state: str) -> None:
        self.start_batch(batch)
        self.batches.end(batch, BatchState(state), 0, None, utc_now())


def _timeless(body: bytes) -> bytes:
    """Without the moment of the answer, which Lighter tells."""
    return re.sub(rb'"contactedAt":"[^"]*"', b'"contactedAt":""', body)


MakeGateway = Callable[..., Gateway]


@pytest.fixture
def make_gateway(settings: Settings, bell: Bell) -> Iterator[MakeGateway]:
    """A gateway with these settings changed."""
    made: list[Gateway] = []

    def make(**changes: Any) -> Gateway:
        changed = dataclasses.replace(settings, **changes)
        gateway = Gateway(changed)
        bell.then = gateway.act
        gateway.front = create_front(changed)
        gateway.client = gateway.front.flask.test_client()
        made.append(gateway)
        return gateway

    yield make
    for gateway in made:
        gateway.close()


@pytest.fixture
def gateway(make_gateway: MakeGateway) -> Gateway:
    return make_gateway()
