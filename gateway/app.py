"""The web process: everything put together behind one application. A composition root; holds no state."""

from __future__ import annotations

import os
from functools import partial
from importlib.resources import files
from typing import Any

from flask import Flask, Response, abort, request, send_from_directory

import gateway
from batches.service import BatchService
from compat.lighter.dialect import lighter
from compat.livy.dialect import livy
from gateway import stores
from gateway.console.routes import console
from gateway.core.clock import utc_now
from gateway.core.places.local import host_name
from gateway.core.settings import Settings, reading
from gateway.core.store.database import Database
from gateway.core.waiting import Waiting
from gateway.platform.queries.catalog import CatalogService
from gateway.platform.queries.service import QueryService
from gateway.platform.runs.service import RunService
from gateway.web import headers, metrics, middleware, scopes
from gateway.web.api import Api, JsonProvider
from gateway.web.dialects import Dialect
from gateway.web.front.application import Application
from gateway.web.front.polls import Polls
from gateway.web.middleware import Front
from sessions import permanent
from sessions.drivers.service import PoolService
from sessions.jobs.service import JobService
from sessions.service import SessionService
from sessions.statements.service import StatementService

# The OpenAPI pages bring inline styles and images of their own; no other page is let off the strict policy.
_DOCS_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; worker-src 'self' blob:; font-src 'self' data:"
)

# the names that the pages ask for, and the files of the package
_DOCS_ASSETS = {
    "swagger-ui.css": "swagger_style.css",
    "swagger-ui-bundle.js": "swagger_bundle.js",
    "swagger-ui-standalone-preset.js": "swagger_preset.js",
    "redoc.js": "redoc.js",
}


def create_app(settings: Settings | None = None) -> Flask:
    """The WSGI application; settings from the environment unless given."""
    return create_front(settings).flask


def create_front(settings: Settings | None = None) -> Application:
    """The ASGI application that answers polls itself, before the WSGI application; settings as for that."""
    settings = settings or reading.load(os.environ)
    db = stores.open_and_migrate(settings)
    dialects = _dialects(db, settings)
    app = _assemble(settings, dialects)
    polls = Polls(poll for dialect in dialects for poll in dialect.polls)
    return Application(app, polls, partial(_largest, app), db, settings)


def _largest(app: Flask, environ: dict[str, Any]) -> int:
    """How many bytes the body of a request may have."""
    asked = dict(environ)
    assert isinstance(app.wsgi_app, Front)
    app.wsgi_app.settle(asked)
    return scopes.largest(app, asked["REQUEST_METHOD"], asked["PATH_INFO"])


def _dialects(db: Database, settings: Settings) -> list[Dialect]:
    store, waiting = stores.Stores(db, host_name(settings)), Waiting(settings.web_threads, db.listen)
    sessions = SessionService(store.sessions, store.drivers, settings, utc_now, waiting)
    statements = StatementService(store.statements, sessions, store.drivers, settings, utc_now, waiting)
    jobs = JobService(store.jobs, sessions, settings, utc_now, waiting)
    batches = BatchService(store.batches, settings, utc_now, waiting)
    pool = PoolService(store.pool)
    queries = QueryService(sessions, jobs, settings, utc_now)

    return [
        livy(sessions, statements, jobs, batches, pool, settings),
        lighter(sessions, statements, batches, settings, permanent.declared(settings)),
        console(
            sessions,
            statements,
            batches,
            RunService(store.runs),
            pool,
            CatalogService(queries, settings.default_cluster),
        ),
    ]


def _assemble(settings: Settings, dialects: list[Dialect]) -> Flask:
    """Raises Misconfigured when dialects get into each other's way, or a route declares no scope."""
    app = Flask(__name__, static_folder=None)
    app.json = JsonProvider(app)
    app.config.from_mapping(_config(settings))
    app.url_map.merge_slashes = False
    metrics.register(app)
    headers.register(app, settings)
    scopes.register(app)
    middleware.register(app)
    api = Api(app)
    for dialect in dialects:
        api.mount(dialect)
    _serve_api_docs(app)
    scopes.require_all(app)
    slashes = [path for dialect in dialects for path in dialect.slashes]
    app.wsgi_app = Front(app.wsgi_app, settings.url_prefix, slashes)  # type: ignore[method-assign]
    return app


def _config(settings: Settings) -> dict[str, Any]:
    return {
        "MAX_CONTENT_LENGTH": settings.request_limit,
        "PROVIDE_AUTOMATIC_OPTIONS": False,
        "API_TITLE": "Spark Gateway",
        "API_VERSION": gateway.__version__,
        "OPENAPI_VERSION": "3.0.3",
        "OPENAPI_URL_PREFIX": "/",
        "OPENAPI_SWAGGER_UI_PATH": "/docs",
        "OPENAPI_SWAGGER_UI_URL": f"{settings.url_prefix}/docs/assets/",
        "OPENAPI_REDOC_PATH": "/redoc",
        "OPENAPI_REDOC_URL": f"{settings.url_prefix}/docs/assets/redoc.js",
    }


def _serve_api_docs(app: Flask) -> None:
    """Swagger UI's and ReDoc's scripts, from the package that holds them: nothing is loaded from elsewhere."""
    package = str(files("offapi"))
    scopes.declare(app, "api-docs", scopes.PUBLIC)

    @app.get("/docs/assets/<name>", scope=scopes.PUBLIC)
    def docs_asset(name: str) -> Response:
        if name not in _DOCS_ASSETS:
            abort(404)
        return send_from_directory(package, _DOCS_ASSETS[name], max_age=86400)

    @app.after_request
    def relax(response: Response) -> Response:
        if request.path in ("/docs", "/redoc"):
            response.headers["Content-Security-Policy"] = _DOCS_POLICY
        return response
