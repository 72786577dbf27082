"""Livy's routes: schema in, one service call, schema out. Source: contract §1."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import flask
from flask import Response, request, url_for

from batches.service import BatchService
from compat.livy import schemas
from compat.livy import translate as livy
from gateway.web.api import Blueprint, json_response
from gateway.web.fields import whole_in_url
from gateway.web.headers import site
from gateway.web.identity import principal
from gateway.web.scopes import JOBS_EXECUTE, JOBS_READ, JOBS_TERMINATE, PUBLIC
from sessions.service import SessionService
from sessions.statements.models import Statement
from sessions.statements.service import StatementService

VERSION = "0.9.0-incubating"  # the Livy whose protocol this is; clients compare it part by part, as text

Document = dict[str, Any]
Created = tuple[Document, int, dict[str, str]]


def record_blueprints(sessions: SessionService, statements: StatementService, batches: BatchService) -> list[Blueprint]:
    """The blueprints of sessions, statements and batches over these services."""
    return [_session_routes(sessions), _statement_routes(statements), _batch_routes(batches)]


def version_blueprint() -> Blueprint:
    bp = Blueprint("version", __name__, description="Which Livy this speaks like")

    @bp.get("/version", scope=PUBLIC)
    @bp.response(200, schemas.VersionAnswer)
    def get_version() -> Document:
        """The version of the protocol, in the form Livy's clients compare"""
        return {
            "version": VERSION,
            "user": "spark-gateway",
            "revision": "0",
            "branch": "main",
            "date": "2026-01-01T00:00:00Z",
            "url": "spark-gateway",
        }

    return bp


def root_blueprint() -> flask.Blueprint:
    """The way from the root to the console's pages, as to Livy's own (contract §1.10)."""
    bp = flask.Blueprint("root", __name__)

    @bp.get("/", scope=PUBLIC)
    def root() -> Response:
        return Response(status=302, headers={"Location": site(request) + url_for("console.overview")})

    return bp


def _session_routes(service: SessionService) -> Blueprint:
    bp = Blueprint("sessions", __name__, description="Interactive sessions, as Livy serves them")

    @bp.get("/sessions", scope=JOBS_READ)
    @bp.arguments(schemas.PageQuery, location="query")
    @bp.response(200, schemas.SessionsAnswer)
    def list_sessions(query: Document) -> Document:
        """All sessions, by rising id"""
        return _listing(query, service.page, livy.session_document)

    @bp.post("/sessions", scope=JOBS_EXECUTE)
    @bp.arguments(schemas.CreateSession)
    @bp.response(201, schemas.SessionAnswer)
    def create_session(asked: Document) -> Created:
        """Open a session: answers at once, Spark starts behind it"""
        session = service.open(principal(), livy.to_session_request(asked))
        return (livy.session_document(session), 201, {"Location": f"/sessions/{session.id}"})

    @bp.get("/sessions/<ref>", scope=JOBS_READ)
    @bp.response(200, schemas.SessionAnswer)
    def get_session(ref: str) -> Document:
        """One session, by id or name"""
        return livy.session_document(service.find(principal(), ref))

    @bp.delete("/sessions/<ref>", scope=JOBS_TERMINATE)
    @bp.response(200, schemas.Message)
    def delete_session(ref: str) -> Document:
        """End a session and forget it"""
        service.delete(principal(), ref)
        return {"msg": "deleted"}

    @bp.get("/sessions/<ref>/state", scope=JOBS_READ)
    @bp.response(200, schemas.StateAnswer)
    def get_session_state(ref: str) -> Document:
        """The state alone"""
        session = service.find(principal(), ref)
        return {"id": session.id, "state": session.state.value}

    @bp.get("/sessions/<ref>/log", scope=JOBS_READ)
    @bp.arguments(schemas.LogQuery, location="query")
    @bp.response(200, schemas.LogAnswer)
    def get_session_log(query: Document, ref: str) -> Document:
        """Lines of the driver's log"""
        return livy.log_document(service.find(principal(), ref), query["start"], query["size"])

    @bp.post("/sessions/<ref>/stop", scope=JOBS_TERMINATE)
    @bp.response(204)
    def stop_session(ref: str) -> None:
        """End a session; it stays listed as dead"""
        service.stop(principal(), ref)

    @bp.post("/sessions/<ref>/interrupt", scope=JOBS_TERMINATE)
    @bp.response(200, schemas.Message)
    def interrupt_session(ref: str) -> Document:
        """The same as stop, whatever its name says"""
        service.stop(principal(), ref)
        return {"msg": "interrupted"}

    @bp.post("/sessions/<ref>/connect", scope=JOBS_EXECUTE)
    @bp.response(200, schemas.SessionAnswer)
    def connect_session(ref: str) -> Document:
        """One session; counts as activity"""
        return livy.session_document(service.connect(principal(), ref))

    return bp


def _statement_routes(service: StatementService) -> Blueprint:
    bp = Blueprint("statements", __name__, description="Statements of a session, as Livy serves them")

    def text(statement: Statement) -> str | Iterator[str]:
        if statement.pieces:
            return livy.statement_pieces(statement, service.output(principal(), statement))
        return livy.statement_text(statement)

    @bp.get("/sessions/<ref>/statements", scope=JOBS_READ)
    @bp.arguments(schemas.StatementsQuery, location="query")
    @bp.response(200, schemas.StatementsAnswer)
    def list_statements(query: Document, ref: str) -> Response:
        """The statements kept of a session"""
        newest_first = query["order"].strip().lower() == "desc"
        start, size = query["start"], query["size"]
        first, length = (max(0, start), -1) if size is None else livy.slice_of(start, size)
        total, found = service.page(principal(), ref, first, length, newest_first=newest_first)
        pieces = livy.statements_pieces(total, [text(one) for one in found])
        return json_response(pieces if any(one.pieces for one in found) else "".join(pieces))

    @bp.post("/sessions/<ref>/statements", scope=JOBS_EXECUTE)
    @bp.arguments(schemas.CreateStatement)
    @bp.response(201, schemas.StatementAnswer)
    def create_statement(asked: Document, ref: str) -> tuple[Response, int, dict[str, str]]:
        """Run code in a session"""
        statement = service.submit(principal(), ref, asked["code"], asked["kind"])
        place = f"/sessions/{statement.session}/statements/{statement.id}"
        return json_response(livy.statement_text(statement)), 201, {"Location": place}

    @bp.get("/sessions/<ref>/statements/<number>", scope=JOBS_READ)
    @bp.response(200, schemas.StatementAnswer)
    def get_statement(ref: str, number: str) -> Response:
        """One statement, with its output once it has ended"""
        return json_response(text(service.find(principal(), ref, whole_in_url(number))))

    @bp.post("/sessions/<ref>/statements/<number>/cancel", scope=JOBS_TERMINATE)
    @bp.response(200, schemas.Message)
    def cancel_statement(ref: str, number: str) -> Document:
        """Stop a statement; nothing happens when it has ended"""
        service.cancel(principal(), ref, whole_in_url(number))
        return {"msg": "canceled"}

    @bp.post("/sessions/<ref>/completion", scope=JOBS_EXECUTE)
    @bp.arguments(schemas.CreateCompletion)
    @bp.response(200, schemas.CompletionAnswer)
    def complete(asked: Document, ref: str) -> Document:
        """What could stand at the cursor: bare names; runs beside the statements"""
        return {"candidates": service.complete(principal(), ref, asked["code"], asked["kind"], asked["cursor"])}

    return bp


def _batch_routes(service: BatchService) -> Blueprint:
    bp = Blueprint("batches", __name__, description="Batches, as Livy serves them")

    @bp.get("/batches", scope=JOBS_READ)
    @bp.arguments(schemas.PageQuery, location="query")
    @bp.response(200, schemas.BatchesAnswer)
    def list_batches(query: Document) -> Document:
        """All batches, by rising id"""
        return _listing(query, service.page, livy.batch_document)

    @bp.post("/batches", scope=JOBS_EXECUTE)
    @bp.arguments(schemas.CreateBatch)
    @bp.response(201, schemas.BatchAnswer)
    def create_batch(asked: Document) -> Created:
        """Submit a Spark application"""
        batch = service.submit(principal(), livy.to_batch_request(asked))
        return livy.batch_document(batch), 201, {"Location": f"/batches/{batch.id}"}

    @bp.get("/batches/<ref>", scope=JOBS_READ)
    @bp.response(200, schemas.BatchAnswer)
    def get_batch(ref: str) -> Document:
        """One batch, by id or name"""
        return livy.batch_document(service.find(principal(), ref))

    @bp.get("/batches/<ref>/state", scope=JOBS_READ)
    @bp.response(200, schemas.StateAnswer)
    def get_batch_state(ref: str) -> Document:
        """The state alone"""
        batch = service.find(principal(), ref)
        return {"id": batch.id, "state": batch.state.value}

    @bp.get("/batches/<ref>/log", scope=JOBS_READ)
    @bp.arguments(schemas.LogQuery, location="query")
    @bp.response(200, schemas.LogAnswer)
    def get_batch_log(query: Document, ref: str) -> Document:
        """Lines of the batch's log"""
        return livy.log_document(service.find(principal(), ref), query["start"], query["size"])

    @bp.delete("/batches/<ref>", scope=JOBS_TERMINATE)
    @bp.response(200, schemas.Message)
    def delete_batch(ref: str) -> Document:
        """Kill a batch if it runs, and forget it"""
        service.delete(principal(), ref)
        return {"msg": "deleted"}

    return bp


def _listing(query: Document, page: Callable[..., Any], document: Callable[[Any], Document]) -> Document:
    total, found = page(principal(), *livy.slice_of(query["start"], query["size"]))
    return {"start": query["start"], "total": total, "sessions": [document(one) for one in found]}
