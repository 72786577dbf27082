"""What one must be allowed to do to be answered, and how much one may send: each route declares it beside itself.

    @bp.get("/sessions", scope=JOBS_READ)

The declaration is a part of the route's rule, so Flask's own blueprints take it as well. Nothing else grants anything:
whose records one sees is the services' matter.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule

from gateway.core.errors import Forbidden, Misconfigured
from gateway.web.identity import principal

PUBLIC = "public"  # for everybody, also without a credential
JOBS_READ, JOBS_EXECUTE, JOBS_TERMINATE = "jobs:read", "jobs:execute", "jobs:terminate"
DATASETS_READ = "datasets:read"
MONITORING_READ = "monitoring:read"


class ScopedRule(Rule):
    """A rule that knows its scope; None: it was not declared. `largest`: of how many bytes a body may be, if not the
    usual ones.
    """

    def __init__(self, *args: Any, scope: str | None = None, largest: int | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.scope, self.largest = scope, largest


def register(app: Flask) -> None:
    """Have routes of this application declare scopes, and requests checked by them before their view runs."""
    app.url_rule_class = ScopedRule

    @app.before_request
    def check() -> None:
        request.max_content_length = getattr(request.url_rule, "largest", None) or app.config["MAX_CONTENT_LENGTH"]
        scope = getattr(request.url_rule, "scope", PUBLIC)  # no rule: there is nothing to be allowed
        if scope != PUBLIC and not principal().may(scope):
            raise Forbidden(f"scope {scope} is needed for this: ask an administrator of the gateway for it")


def largest(app: Flask, method: str, path: str) -> int:
    """How many bytes the body of such a request may have."""
    try:
        rule, _ = app.url_map.bind("").match(path, method, return_rule=True)
    except HTTPException:
        rule = None
    return getattr(rule, "largest", None) or int(app.config["MAX_CONTENT_LENGTH"])


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
