"""Lighter's routes: schema in, one service call, schema out. Source: contract §3, §5; the seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import flask
from flask import Response, redirect, request, url_for
from werkzeug.wrappers import Response as Redirect

from batches.service import BatchService
from compat.lighter import schemas
from compat.lighter import translate as lighter
from gateway.core.settings import Settings
from gateway.web.api import Blueprint, json_response
from gateway.web.identity import principal
from gateway.web.scopes import JOBS_EXECUTE, JOBS_READ, JOBS_TERMINATE, PUBLIC
from sessions.models import Kind, Session, SessionRequest
from sessions.service import SessionService
from sessions.statements.models import Statement
from sessions.statements.service import StatementService
from sessions.statements.states import UNFINISHED

PREFIX, HEALTH = "/lighter", "/health"
API = f"{PREFIX}/api"

Document = dict[str, Any]


def lighter_blueprints(
    sessions: SessionService,
    statements: StatementService,
    batches: BatchService,
    settings: Settings,
    declared: Mapping[str, SessionRequest],
) -> list[Blueprint]:
    """The blueprints of Lighter's API over these services; `declared` are the settings' permanent sessions."""
    return [
        _session_routes(sessions, settings),
        _statement_routes(sessions, statements),
        _batch_routes(batches, settings),
        _configuration_routes(settings, declared),
        _health_routes(sessions),
    ]


def lighter_pages(sessions: SessionService, batches: BatchService) -> flask.Blueprint:
    """Where Lighter has its pages, the way to the console's."""
    bp = flask.Blueprint("pages", __name__, url_prefix=PREFIX)

    @bp.get("", scope=JOBS_READ)
    @bp.get("/", scope=JOBS_READ)
    @bp.get("/batches", scope=JOBS_READ)
    @bp.get("/sessions", scope=JOBS_READ)
    def overview() -> Redirect:
        return redirect(url_for("console.overview"))

    @bp.get("/sessions/<ref>", scope=JOBS_READ)
    def session(ref: str) -> Redirect:
        return redirect(url_for("console.session", ref=sessions.reference(principal(), ref)))

    @bp.get("/batches/<ref>", scope=JOBS_READ)
    def batch(ref: str) -> Redirect:
        return redirect(url_for("console.batch_log", ref=batches.reference(principal(), ref)))

    return bp


def _session_routes(service: SessionService, settings: Settings) -> Blueprint:
    bp = Blueprint("sessions", __name__, url_prefix=API, description="Sessions, as Lighter serves them")

    def open_session(asked: Document, chosen: str) -> Document:
        session = service.open(principal(), lighter.to_session_request(asked, chosen, settings), chosen)
        return lighter.session_document(session, sparkmagic=_for_sparkmagic())

    def one_session(ref: str) -> Document:
        return lighter.session_document(_find(service, ref), sparkmagic=_for_sparkmagic())

    @bp.get("/sessions", scope=JOBS_READ)
    @bp.arguments(schemas.ListQuery, location="query")
    @bp.response(200, schemas.SessionApplications)
    def list_sessions(query: Document) -> Document:
        """All sessions, newest first"""
        sparkmagic = _for_sparkmagic()
        total, found = service.page(principal(), *_page(query), newest_first=True)
        documents = [lighter.session_document(one, sparkmagic=sparkmagic) for one in found]
        return {"start": query["start"], "total": total, "sessions" if sparkmagic else "applications": documents}

    @bp.post("/sessions", scope=JOBS_EXECUTE)
    @bp.arguments(schemas.SubmitSession)
    @bp.response(201, schemas.Application)
    def create_session(asked: Document) -> Document:
        """Open a session: answers at once, Spark starts behind it"""
        return open_session(asked, str(uuid4()))

    @bp.put("/sessions/<ref>", scope=JOBS_EXECUTE)
    @bp.arguments(schemas.SubmitSession)
    @bp.response(201, schemas.Application)
    def put_session(asked: Document, ref: str) -> Document:
        """Open a session under an id of one's own choice"""
        return open_session(asked, ref)

    @bp.get("/sessions/<ref>", scope=JOBS_READ)
    @bp.response(200, schemas.Application)
    def get_session(ref: str) -> Document:
        """One session"""
        return one_session(ref)

    @bp.get("/sessions/<ref>/state", scope=JOBS_READ)
    @bp.response(200, schemas.Application)
    def get_session_state(ref: str) -> Document:
        """The same as the session itself"""
        return one_session(ref)

    @bp.get("/sessions/<ref>/log", scope=JOBS_READ)
    @bp.response(200, schemas.ApplicationLog)
    def get_session_log(ref: str) -> Document:
        """The newest lines of the driver's log"""
        return lighter.log_document(_find(service, ref), sparkmagic=_for_sparkmagic())

    @bp.delete("/sessions/<ref>", scope=JOBS_TERMINATE)
    @bp.response(200)
    def delete_session(ref: str) -> Response:
        """End a session, a permanent one too, and forget it"""
        service.delete(principal(), _reference(service, ref))
        return json_response("")

    return bp


def _statement_routes(sessions: SessionService, service: StatementService) -> Blueprint:
    bp = Blueprint(
        "statements", __name__, url_prefix=API, description="Statements of a session, as Lighter serves them"
    )

    def text(session: Session, statement: Statement) -> str | Iterator[str]:
        sparkmagic = _for_sparkmagic()
        if statement.pieces:
            output = service.output(principal(), statement)
            return lighter.statement_pieces(session, statement, output, sparkmagic=sparkmagic)
        return lighter.statement_text(session, statement, sparkmagic=sparkmagic)

    @bp.get("/sessions/<ref>/statements", scope=JOBS_READ)
    @bp.arguments(schemas.ListQuery, location="query")
    @bp.response(200, schemas.ApplicationStatements)
    def list_statements(query: Document, ref: str) -> Response:
        """The statements kept of a session, newest first"""
        session = _find(sessions, ref)
        _, found = service.page(principal(), str(session.id), *_page(query), newest_first=True)
        pieces = lighter.statements_pieces(query["start"], [text(session, one) for one in found])
        return json_response(pieces if any(one.pieces for one in found) else "".join(pieces))

    @bp.post("/sessions/<ref>/statements", scope=JOBS_EXECUTE)
    @bp.arguments(schemas.SubmitStatement)
    @bp.response(201, schemas.ApplicationStatement)
    def create_statement(asked: Document, ref: str) -> tuple[Response, int]:
        """Run code in a session, in its language"""
        session = _find(sessions, ref)
        language = Kind.PYSPARK if session.kind is Kind.SHARED else session.kind
        statement = service.submit(principal(), str(session.id), asked["code"], language)
        return json_response(text(session, statement)), 201

    @bp.get("/sessions/<ref>/statements/<number>", scope=JOBS_READ)
    @bp.response(200, schemas.ApplicationStatement)
    def get_statement(ref: str, number: str) -> Response:
        """One statement, with its output once it has ended"""
        session = _find(sessions, ref)
        statement = service.find(principal(), str(session.id), _number(session, number))
        return json_response(text(session, statement))

    @bp.post("/sessions/<ref>/statements/<number>/cancel", scope=JOBS_TERMINATE)
    @bp.response(201, schemas.ApplicationStatement)
    @bp.alt_response(200, schema=schemas.ApplicationStatement, description="For sparkmagic.")
    def cancel_statement(ref: str, number: str) -> tuple[Response, int]:
        """Stop a statement; nothing happens when it has ended"""
        session = _find(sessions, ref)
        statement = service.look(principal(), str(session.id), _number(session, number))
        if statement.state in UNFINISHED:
            service.cancel(principal(), str(session.id), statement.id)
            statement = service.look(principal(), str(session.id), statement.id)
        return json_response(text(session, statement)), 200 if _for_sparkmagic() else 201

    return bp


def _batch_routes(service: BatchService, settings: Settings) -> Blueprint:
    bp = Blueprint("batches", __name__, url_prefix=API, description="Batches, as Lighter serves them")

    def one_batch(ref: str) -> Document:
        return lighter.batch_document(service.find(principal(), service.reference(principal(), ref)))

    @bp.get("/batches", scope=JOBS_READ)
    @bp.arguments(schemas.BatchListQuery, location="query")
    @bp.response(200, schemas.Applications)
    def list_batches(query: Document) -> Document:
        """All batches, newest first; those in a state, those that a text is found in"""
        states = lighter.to_batch_states(query["state"])
        total, found = service.search(principal(), states, query["search"].strip(), *_page(query))
        return {"start": query["start"], "total": total, "applications": list(map(lighter.batch_document, found))}

    @bp.post("/batches", scope=JOBS_EXECUTE)
    @bp.arguments(schemas.SubmitBatch)
    @bp.response(200, schemas.Application)
    def create_batch(asked: Document) -> Document:
        """Submit a Spark application"""
        return lighter.batch_document(service.submit(principal(), lighter.to_batch_request(asked, settings)))

    @bp.get("/batches/<ref>", scope=JOBS_READ)
    @bp.response(200, schemas.Application)
    def get_batch(ref: str) -> Document:
        """One batch"""
        return one_batch(ref)

    @bp.get("/batches/<ref>/state", scope=JOBS_READ)
    @bp.response(200, schemas.Application)
    def get_batch_state(ref: str) -> Document:
        """The same as the batch itself"""
        return one_batch(ref)

    @bp.get("/batches/<ref>/log", scope=JOBS_READ)
    @bp.response(200, schemas.ApplicationLog)
    def get_batch_log(ref: str) -> Document:
        """The newest lines of the batch's log"""
        return lighter.log_document(service.find(principal(), service.reference(principal(), ref)), sparkmagic=False)

    @bp.delete("/batches/<ref>", scope=JOBS_TERMINATE)
    @bp.response(200)
    def delete_batch(ref: str) -> Response:
        """Kill a batch if it runs, and forget it"""
        service.delete(principal(), service.reference(principal(), ref))
        return json_response("")

    return bp


def _configuration_routes(settings: Settings, declared: Mapping[str, SessionRequest]) -> Blueprint:
    bp = Blueprint("configuration", __name__, url_prefix=API, description="Settings that clients may know")

    @bp.get("/configuration", scope=JOBS_READ)
    @bp.response(200, schemas.Configuration)
    def get_configuration() -> Document:
        """What clients may know of the settings"""
        return lighter.configuration_document(settings, declared)

    return bp


def _health_routes(sessions: SessionService) -> Blueprint:
    bp = Blueprint("health", __name__, url_prefix=HEALTH, description="Probes")

    @bp.get("/liveness", scope=PUBLIC)
    @bp.response(200, schemas.Health)
    def liveness() -> Document:
        """Whether it answers"""
        return {"status": "UP"}

    @bp.get("/readiness", scope=PUBLIC)
    @bp.response(200, schemas.Health)
    def readiness() -> Document:
        """Whether it answers and its store does"""
        sessions.page(principal(), 0, 0)
        return {"status": "UP"}

    return bp


def _for_sparkmagic() -> bool:
    return request.headers.get("X-Compatibility-Mode") == "sparkmagic"


def _reference(service: SessionService, ref: str) -> str:
    """What the service takes; sparkmagic was told numbers, and may still come with an id."""
    return ref if _for_sparkmagic() and lighter.is_number(ref) else service.reference(principal(), ref)


def _find(service: SessionService, ref: str) -> Session:
    return service.find(principal(), _reference(service, ref))


def _number(session: Session, ref: str) -> int:
    return int(ref) if _for_sparkmagic() and lighter.is_number(ref) else lighter.number_of(session, ref)


def _page(query: Document) -> tuple[int, int]:
    return max(0, query["start"]), max(0, query["size"])
