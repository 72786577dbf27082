"""What one must be allowed to do to be answered: each route declares its scope beside itself.

    @bp.get("/sessions", scope=JOBS_READ)

The declaration is a part of the route's rule, so Flask's own blueprints take it as well. Nothing else grants anything:
whose records one sees is the services' matter.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, request
from werkzeug.routing import Rule

from gateway.core.errors import Forbidden, Misconfigured
from gateway.web.identity import principal

PUBLIC = "public"  # for everybody, also without a credential
JOBS_READ, JOBS_EXECUTE, JOBS_TERMINATE = "jobs:read", "jobs:execute", "jobs:terminate"
DATASETS_READ = "datasets:read"
MONITORING_READ = "monitoring:read"


class ScopedRule(Rule):
    """A rule that knows its scope; None: it was not declared."""

    def __init__(self, *args: Any, scope: str | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.scope = scope


def register(app: Flask) -> None:
    """Have routes of this application declare scopes, and requests checked by them before their view runs."""
    app.url_rule_class = ScopedRule

    @app.before_request
    def check() -> None:
        scope = getattr(request.url_rule, "scope", PUBLIC)  # no rule: there is nothing to be allowed
        if scope != PUBLIC and not principal().may(scope):
            raise Forbidden(f"scope {scope} is needed for this: ask an administrator of the gateway for it")


def declare(app: Flask, blueprint: str, scope: str) -> None:
    """The scope of routes that a library has made, by the name of its blueprint."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith(f"{blueprint}.") and isinstance(rule, ScopedRule):
            rule.scope = scope


def require_all(app: Flask) -> None:
    """Raises Misconfigured, naming the route, when one has not declared its scope."""
    for rule in app.url_map.iter_rules():
        if getattr(rule, "scope", None) is None:
            methods = ", ".join(sorted(rule.methods or ()))
            raise Misconfigured(f"route {methods} {rule.rule} declares no scope: give it one where it is made")
