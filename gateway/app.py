"""The web process: everything put together behind one WSGI application. A composition root; holds no state."""

from __future__ import annotations

import json
import logging
import os
from functools import partial
from importlib.resources import files
from typing import Any

from flask import Flask, Response, abort, request, send_from_directory
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import HTTPException

import gateway
from batches.service import BatchService
from compat.lighter.routes import PREFIX as LIGHTER
from compat.lighter.routes import lighter_blueprints, lighter_pages
from compat.lighter.translate import refusal as lighter_refusal
from compat.livy.routes import livy_blueprints
from gateway import stores
from gateway.console.routes import console_blueprint
from gateway.core.clock import utc_now
from gateway.core.errors import GatewayError
from gateway.core.settings import Settings, reading
from gateway.web import headers
from gateway.web.api import Api, JsonProvider, Unreadable, json_response
from gateway.web.middleware import Front
from sessions import permanent
from sessions.jobs.service import JobService
from sessions.service import SessionService
from sessions.statements.service import StatementService

log = logging.getLogger(__name__)

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
    settings = settings or reading.load(os.environ)
    store = stores.Stores(stores.open_and_migrate(settings))
    sessions = SessionService(store.sessions, store.drivers, settings, utc_now)
    statements = StatementService(store.statements, sessions, store.drivers, settings, utc_now)
    jobs = JobService(store.jobs, sessions, settings, utc_now)
    batches = BatchService(store.batches, settings, utc_now)

    app = Flask(__name__, static_folder=None)
    app.json = JsonProvider(app)
    app.config.from_mapping(_config(settings))
    app.url_map.merge_slashes = False
    headers.register(app, settings)
    api = Api(app)
    app.register_error_handler(GatewayError, partial(_answer, api))
    app.register_error_handler(ParseException, partial(_broken_off, api))
    app.register_error_handler(Exception, partial(_unexpected, api))
    declared = permanent.declared(settings)
    blueprints = livy_blueprints(sessions, statements, jobs, batches, settings.upload_limit)
    for blueprint in blueprints + lighter_blueprints(sessions, statements, batches, settings, declared):
        api.register_blueprint(blueprint)
    api.shape_errors(LIGHTER, lighter_refusal)
    app.register_blueprint(lighter_pages(sessions, batches))
    app.register_blueprint(console_blueprint(sessions, statements, batches))
    _serve_api_docs(app)
    app.wsgi_app = Front(app.wsgi_app, settings.url_prefix)  # type: ignore[method-assign]
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
        "OPENAPI_SWAGGER_UI_URL": "/docs/assets/",
        "OPENAPI_REDOC_PATH": "/redoc",
        "OPENAPI_REDOC_URL": "/docs/assets/redoc.js",
    }


def _answer(api: Api, error: GatewayError) -> Response:
    """For errors raised outside any protocol's routes."""
    said = str(error)
    return api.shaped(error.status, said) or json_response(json.dumps({"msg": said}), error.status)


def _broken_off(api: Api, error: ParseException) -> Response:
    """The server finds out only while the body is read that its chunks are none."""
    return _answer(api, Unreadable(f"the body is not sent in chunks, as its Transfer-Encoding says: {error}"))


def _unexpected(api: Api, error: Exception) -> Response:
    """A defect of ours: the log has the story, the client a JSON string (Livy's shape) without our insides."""
    if isinstance(error, HTTPException):
        raise error
    log.error("unexpected failure", exc_info=error)
    said = "Internal error: the gateway's log says what happened."
    return api.shaped(500, said) or json_response(json.dumps(said), 500)


def _serve_api_docs(app: Flask) -> None:
    """Swagger UI's and ReDoc's scripts, from the package that holds them: nothing is loaded from elsewhere."""
    package = str(files("offapi"))

    @app.get("/docs/assets/<name>")
    def docs_asset(name: str) -> Response:
        if name not in _DOCS_ASSETS:
            abort(404)
        return send_from_directory(package, _DOCS_ASSETS[name], max_age=86400)

    @app.after_request
    def relax(response: Response) -> Response:
        if request.path in ("/docs", "/redoc"):
            response.headers["Content-Security-Policy"] = _DOCS_POLICY
        return response
