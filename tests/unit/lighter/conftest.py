"""Lighter's protocol through Flask's test client; the test plays the supervisor, as for Livy's."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.unit.livy.conftest import Gateway, gateway, make_gateway

__all__ = ["gateway", "make_gateway"]

API = "/lighter/api"
SPARKMAGIC = {"X-Compatibility-Mode": "sparkmagic"}


class Lighter:
    """A client of Lighter's; `headers` go with every request."""

    def __init__(self, gateway: Gateway, headers: dict[str, str]) -> None:
        self.gateway, self._headers = gateway, headers

    def send(self, method: str, path: str, body: Any = None) -> TestResponse:
        return self.gateway.send(method, API + path, body, headers=self._headers)

    def get(self, path: str) -> Any:
        return self._json(self.send("GET", path), 200)

    def open(self, **asked: Any) -> Any:
        """A session, starting."""
        return self._json(self.send("POST", "/sessions", asked), 201)

    def open_idle(self, **asked: Any) -> Any:
        """The id of a session."""
        opened = self.open(**asked)["id"]
        self.gateway.make_idle()
        return opened

    def run(self, session: object, code: str = "1+1", **asked: Any) -> Any:
        return self._json(self.send("POST", f"/sessions/{session}/statements", {"code": code, **asked}), 201)

    def submit(self, **asked: Any) -> Any:
        return self._json(self.send("POST", "/batches", {"file": "/bin/true", **asked}), 200)

    def _json(self, response: TestResponse, status: int) -> Any:
        assert response.status_code == status, response.text
        return response.json


@pytest.fixture
def lighter(gateway: Gateway) -> Lighter:
    return Lighter(gateway, {})


@pytest.fixture
def sparkmagic(gateway: Gateway) -> Lighter:
    """A client that sends sparkmagic's header."""
    return Lighter(gateway, SPARKMAGIC)
