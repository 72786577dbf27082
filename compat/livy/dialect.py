"""Livy as one of the gateway's dialects: what it owns, and how it says what is wrong (contract §0.5, §1.5)."""

from __future__ import annotations

import json
import re
from typing import Any

from flask import Response, request

from batches.service import BatchService
from compat.livy.job_routes import job_blueprints
from compat.livy.metrics_routes import metrics_blueprint
from compat.livy.polls import record_polls
from compat.livy.routes import record_blueprints, root_blueprint, version_blueprint
from gateway.core.errors import GatewayError, InvalidRequest, LimitReached, NotFound, SessionEnded
from gateway.core.faults import Code, Fault
from gateway.core.settings import Settings
from gateway.web.api import json_response
from gateway.web.bodies import Unreadable
from gateway.web.dialects import Dialect
from sessions.drivers.service import PoolService
from sessions.jobs.service import JobService
from sessions.service import SessionService
from sessions.statements.service import StatementService

# a message, or for some a bare string (contract §0.5, shapes A and B)
_ERROR_SCHEMA: dict[str, Any] = {
    "oneOf": [
        {"type": "object", "properties": {"msg": {"type": "string"}}, "required": ["msg"]},
        {"type": "string"},
    ]
}

# The texts of Livy, and of the Java below it, that its users search for.
_WORDS = {
    Code.EMPTY: "No content to map due to end-of-input: send a JSON object, at least {{}}",
    Code.UNMARKED: "Missing Required Header for CSRF protection.",
    Code.UNKNOWN: 'Unrecognized field "{field}", not marked as ignorable: leave it out',
    Code.NOT_WHOLE: 'For input string: "{value}"',
    Code.NAME: "Invalid session name: {value}",
    Code.TAKEN: "Duplicate session name: {value}",
    Code.SETTING: "Blacklisted configuration values in session config: {value}",
    Code.RELATIVE: "requirement failed: Path '{value}' is not absolute.",
    Code.OUTSIDE: "requirement failed: Local path {value} cannot be added to user sessions.",
    Code.LANGUAGE: "Code type should be specified if session kind is shared: give kind, such as pyspark",
}
_MISSING = {"file": "requirement failed: File is required.", "job": "requirement failed: no job provided."}
_TOO_MANY_SESSIONS = "too many sessions are being created!"


def livy(
    sessions: SessionService,
    statements: StatementService,
    jobs: JobService,
    batches: BatchService,
    pool: PoolService,
    settings: Settings,
) -> Dialect:
    """Livy's API over these services. It has the root: what no other dialect owns is Livy's to refuse."""
    of_jobs = job_blueprints(jobs, settings.upload_limit)
    for blueprint in of_jobs:
        blueprint.register_error_handler(SessionEnded, _not_active)
    of_records = [*record_blueprints(sessions, statements, batches), *of_jobs]
    for blueprint in of_records:
        blueprint.before_request(_negotiate)
    return Dialect(
        name="livy",
        paths=("/",),
        blueprints=(
            *of_records,
            version_blueprint(),
            metrics_blueprint(sessions, statements, batches, pool),
            root_blueprint(),
        ),
        answer=_answer,
        refuse=_refuse,
        error_schema=_ERROR_SCHEMA,
        slashes=("/sessions", "/batches", "/version", "/metrics"),
        polls=tuple(record_polls(sessions, statements, batches)),
    )


def _negotiate() -> None:
    """Refuse other versions of Livy's media type with 406 (contract §0.4)."""
    asked = re.search(r"application/vnd\.livy\.v([^+,;\s]*)", request.headers.get("Accept", ""))
    if asked and asked[1] != "0.1":
        raise UnsupportedVersion(f"No value found for '{asked[1]}'")


class UnsupportedVersion(GatewayError):
    status = 406


def _answer(error: GatewayError) -> Response:
    """The error in the status, shape and words that Livy's clients know (rules 17 to 19)."""
    if isinstance(error, NotFound):
        if error.subject == "job":
            return _as_message(str(error), 404)
        if error.subject == "statement":
            return _as_string("Statement not found", 404)
        return _as_message(f"Session '{error.ref}' not found.", 404)
    if isinstance(error, SessionEnded):
        return _as_string(f"java.lang.IllegalStateException: Session is in state {error.state}", 500)
    if isinstance(error, InvalidRequest):
        rejected = _creates() and not isinstance(error, Unreadable)
        return _as_message(_rejection(error) if rejected else _words(error.faults[0]), 400)
    return _as_message(str(error), error.status)


def _not_active(error: SessionEnded) -> Response:
    """What the routes of jobs answer for an ended session (contract §1.8)."""
    return _as_message("requirement failed: Session isn't active.", 400)


def _refuse(status: int, why: str) -> Response:
    """Nothing for what is not there (shape D), a bare string for a defect of ours."""
    if status in (404, 405):
        return json_response("", status)
    return _as_string(why, status) if status == 500 else _as_message(why, status)


def _creates() -> bool:
    return request.method == "POST" and request.path.strip("/") in ("sessions", "batches")


def _rejection(error: InvalidRequest) -> str:
    if isinstance(error, LimitReached):
        return f"Rejected, {_words(error.faults[0]) if error.limit is None else _TOO_MANY_SESSIONS}"
    return f"Rejected, Reason: {_words(error.faults[0])}"


def _words(fault: Fault) -> str:
    if fault.code is Code.MISSING and fault.field in _MISSING:
        return _MISSING[fault.field]
    words = _WORDS.get(fault.code)
    return str(fault) if words is None else words.format(field=fault.field, value=fault.value)


def _as_message(text: str, status: int) -> Response:
    return json_response(json.dumps({"msg": text}, separators=(",", ":")), status)


def _as_string(text: str, status: int) -> Response:
    return json_response(json.dumps(text), status)
