"""Lighter as one of the gateway's dialects: what it owns, and how it says what is wrong (contract §2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Response, request

from batches.service import BatchService
from compat.lighter.polls import lighter_polls
from compat.lighter.routes import API, HEALTH, PREFIX, lighter_blueprints, lighter_pages
from gateway.core.errors import AlreadyExists, GatewayError, InvalidRequest, LimitReached, SessionEnded
from gateway.core.faults import Code, Fault
from gateway.core.settings import Settings
from gateway.web.api import json_response
from gateway.web.dialects import Dialect
from sessions.models import SessionRequest
from sessions.service import SessionService
from sessions.statements.service import StatementService

Document = dict[str, Any]

_ERROR_SCHEMA: Document = {
    "type": "object",
    "properties": {
        "message": {"type": "string"},
        "path": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["message", "path", "errors"],
}


def lighter(
    sessions: SessionService,
    statements: StatementService,
    batches: BatchService,
    settings: Settings,
    declared: Mapping[str, SessionRequest],
) -> Dialect:
    """Lighter's API over these services; `declared` are the settings' permanent sessions."""
    return Dialect(
        name="lighter",
        paths=(PREFIX, HEALTH),
        blueprints=(
            *lighter_blueprints(sessions, statements, batches, settings, declared),
            lighter_pages(sessions, batches),
        ),
        answer=_answer,
        refuse=_refuse,
        error_schema=_ERROR_SCHEMA,
        polls=tuple(lighter_polls(API, sessions, statements, batches)),
    )


def _answer(error: GatewayError) -> Response:
    """The error in the status, shape and words that Lighter's clients know."""
    if isinstance(error, SessionEnded):
        return _refuse(400, f"Invalid session state: {error.state.upper()}", {"sessionState": error.state})
    if isinstance(error, LimitReached) and error.limit is not None:
        said = f"Maximum number of running sessions ({error.limit}) has been reached"
        return _refuse(400, said, {"maxRunning": error.limit})
    if isinstance(error, AlreadyExists):
        return _refuse(409, "Application already exists", {"sessionId": error.ref})
    if isinstance(error, InvalidRequest):
        return _envelope(error.status, [_said(_words(fault)) for fault in error.faults])
    return _refuse(error.status, str(error))


def _words(fault: Fault) -> str:
    """A number in a query is told in Java's words, as Lighter does."""
    return f'For input string: "{fault.value}"' if fault.code is Code.NOT_WHOLE else str(fault)


def _refuse(status: int, message: str, details: Document | None = None) -> Response:
    return _envelope(status, [_said(message, details)])


def _said(message: str, details: Document | None = None) -> Document:
    return {"message": message, "path": None, "title": None, **({} if details is None else {"details": details})}


def _envelope(status: int, errors: list[Document]) -> Response:
    """Of every error, also of those that no route has raised."""
    query = request.query_string.decode("utf-8", "replace")
    path = request.script_root + request.path + (f"?{query}" if query else "")
    document = {"message": HTTPStatus(status).phrase, "path": path, "errors": errors}
    return json_response(json.dumps(document, separators=(",", ":")), status)
