"""Every route declares what one must be allowed to do, and nobody else is answered."""

from __future__ import annotations

import flask
import pytest

from gateway import app as app_module
from gateway.core import identity
from gateway.core.errors import Misconfigured
from gateway.core.identity import Principal
from gateway.web.scopes import JOBS_READ, PUBLIC


def test_a_route_without_a_scope_refuses_the_start(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = app_module.console

    def console(*services):
        dialect = whole(*services)
        dialect.blueprints[0].add_url_rule("/ui/forgotten", "forgotten", lambda: "")
        return dialect

    monkeypatch.setattr(app_module, "console", console)
    with pytest.raises(Misconfigured, match="GET, HEAD.* /ui/forgotten declares no scope"):
        app_module.create_app(settings)


@pytest.mark.parametrize(
    ("method", "path", "shape"),
    [
        ("GET", "/sessions", {"msg"}),
        ("POST", "/sessions", {"msg"}),
        ("DELETE", "/sessions/0", {"msg"}),
        ("POST", "/sessions/0/add-jar", {"msg"}),
        ("GET", "/batches/0/log", {"msg"}),
        ("GET", "/lighter/api/batches", {"message", "path", "errors"}),
        ("PUT", "/lighter/api/sessions/x", {"message", "path", "errors"}),
        ("GET", "/lighter/batches", {"message", "path", "errors"}),
    ],
)
def test_who_has_no_scope_is_refused_in_the_dialects_shape(
    method: str, path: str, shape: set[str], gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "ANONYMOUS", Principal(user="eve"))
    answer = gateway.send(method, path, {})
    assert (answer.status_code, set(answer.json)) == (403, shape)
    assert "scope jobs:" in answer.text


def test_who_has_no_scope_sees_no_page(gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "ANONYMOUS", Principal(user="eve"))
    answer = gateway.send("GET", "/ui")
    assert (answer.status_code, answer.mimetype) == (403, "text/html") and "scope jobs:read" in answer.text


@pytest.mark.parametrize(
    "path", ["/", "/version", "/health/readiness", "/docs", "/redoc", "/openapi.json", "/docs/assets/redoc.js",
             "/ui/static/console.css"],
)  # fmt: skip
def test_what_is_public_needs_no_scope(path: str, gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "ANONYMOUS", Principal(user="eve"))
    with gateway.send("GET", path) as answer:
        assert answer.status_code in (200, 302)


def test_one_scope_opens_what_declares_it_and_nothing_else(gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway.open()
    monkeypatch.setattr(
        identity, "ANONYMOUS", Principal(user="eve", projects=frozenset({"default"}), scopes=frozenset({JOBS_READ}))
    )
    statuses = [gateway.send(method, "/sessions/0").status_code for method in ("GET", "DELETE")]
    assert statuses == [200, 403]


def test_tables_need_a_scope_of_their_own(gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "ANONYMOUS", Principal(user="eve", scopes=frozenset({JOBS_READ})))
    for path in ("/ui/tables", "/ui/tables/default/orders"):
        answer = gateway.send("GET", path)
        assert answer.status_code == 403 and "scope datasets:read" in answer.text
    assert gateway.send("GET", "/ui").status_code == 200


def test_what_is_not_there_is_not_there_for_anybody(gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "ANONYMOUS", Principal(user="eve"))
    assert [gateway.send("GET", "/nowhere").status_code, gateway.send("PUT", "/sessions").status_code] == [404, 405]


def test_a_plain_blueprint_declares_scopes_too(gateway) -> None:
    assert isinstance(gateway.client.application.blueprints["console"], flask.Blueprint)
    scopes = {rule.endpoint: rule.scope for rule in gateway.client.application.url_map.iter_rules()}
    assert scopes["console.overview"] == JOBS_READ and scopes["console.static"] == PUBLIC
