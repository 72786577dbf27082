"""Whatever is sent by Lighter's protocol, the answer is one of the contract's: never an unexpected failure."""

from __future__ import annotations

import pytest

from tests.unit.lighter.conftest import API, SPARKMAGIC
from tests.unit.livy.test_livy_fuzz import Nonsense

ROUNDS = 120

ROUTES = [
    ("POST", "/sessions"),
    ("PUT", "/sessions/{ref}"),
    ("POST", "/batches"),
    ("POST", "/sessions/KNOWN/statements"),
    ("POST", "/sessions/{ref}/statements/{ref}/cancel"),
    ("POST", "/sessions/KNOWN/statements/{ref}/cancel"),
    ("GET", "/sessions{query}"),
    ("GET", "/batches{query}"),
    ("GET", "/sessions/{ref}"),
    ("GET", "/sessions/{ref}/log{query}"),
    ("GET", "/sessions/KNOWN/statements{query}"),
    ("GET", "/sessions/KNOWN/statements/{ref}"),
    ("GET", "/batches/{ref}/log"),
    ("DELETE", "/sessions/{ref}"),
    ("DELETE", "/batches/{ref}"),
    ("GET", "/configuration{query}"),
]
# the members of Livy's that nonsense is made of, under the names that Lighter has for something like them
NAMES = {b'"className"': b'"mainClass"', b'"ttl"': b'"permanent"', b'"queue"': b'"master"'}


@pytest.mark.parametrize(("method", "template"), ROUTES, ids=str)
def test_lighter_nonsense_never_makes_an_unexpected_failure(method: str, template: str, lighter, gateway) -> None:
    gateway.client.application.config["PROPAGATE_EXCEPTIONS"] = False
    lighter.send("PUT", "/sessions/KNOWN", {})
    gateway.make_idle()
    lighter.run("KNOWN"), lighter.submit()
    nonsense = Nonsense(seed=ROUTES.index((method, template)))
    for number in range(ROUNDS):
        path, body, headers = nonsense.path(template), nonsense.body(), dict(nonsense.headers())
        for livys, lighters in NAMES.items():
            body = body.replace(livys, lighters)
        headers |= SPARKMAGIC if number % 2 else {}
        response = gateway.send(method, API + path, body, headers=headers)
        assert response.status_code < 500, (method, path, body, headers, response.text)
        if response.status_code >= 400 and method != "HEAD":
            assert set(response.json or {}) == {"message", "path", "errors"}, (path, body, headers, response.text)
    listed = lighter.get("/sessions?size=1000")
    assert len(listed["applications"]) == listed["total"]
    listed = lighter.get("/batches?size=1000")
    assert len(listed["applications"]) == listed["total"]
