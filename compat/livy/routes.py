"""Livy's routes: schema in, one service call, schema out. Source: contract §1."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from flask import Response, request

from batches.service import BatchService
from compat.livy import schemas
from compat.livy import translate as livy
from compat.livy.job_routes import job_blueprints
from gateway.core.errors import GatewayError
from gateway.web.api import Blueprint, json_response
from gateway.web.identity import principal
from sessions.jobs.service import JobService
from sessions.service import SessionService
from sessions.statements.service import StatementService

VERSION = "0.9.0-incubating"  # the Livy whose protocol this is; clients compare it part by part, as text

Document = dict[str, Any]
Created = tuple[Document, int, dict[str, str]]


def livy_blueprints(
    sessions: SessionService,
    statements: StatementService,
    jobs: JobService,
    batches: BatchService,
    upload_limit: int,
) -> list[Blueprint]:
    """The blueprints of Livy's API over these services; `upload_limit` in bytes."""
    blueprints = [_session_routes(sessions), _statement_routes(statements), *job_blueprints(jobs, upload_limit)]
    blueprints += [_batch_routes(batches), _version_route()]
    for blueprint in blueprints:
        blueprint.register_error_handler(GatewayError, livy.answer)
    for blueprint in blueprints[:-1]:
        blueprint.before_request(_negotiate)
    return blueprints


def _session_routes(service: SessionService) -> Blueprint:
    bp = Blueprint("sessions", __name__, description="Interactive sessions, as Livy serves them")

    @bp.get("/sessions")
    @bp.arguments(schemas.PageQuery, location="query")
    @bp.response(200, schemas.SessionsAnswer)
    def list_sessions(query: Document) -> Document:
        """All sessions, by rising id"""
        return _listing(query, service.page, livy.session_document)

    @bp.post("/sessions")
    @bp.arguments(schemas.CreateSession)
    @bp.response(201, schemas.SessionAnswer)
    def create_session(asked: Document) -> Created:
        """Open a session: answers at once, Spark starts behind it"""
        session = service.open(principal(), livy.to_session_request(asked))
        return (livy.session_document(session), 201, {"Location": f"/sessions/{session.id}"})

    @bp.get("/sessions/<ref>")
    @bp.response(200, schemas.SessionAnswer)
    def get_session(ref: str) -> Document:
        """One session, by id or name"""
        return livy.session_document(service.find(principal(), ref))

    @bp.delete("/sessions/<ref>")
    @bp.response(200, schemas.Message)
    def delete_session(ref: str) -> Document:
        """End a session and forget it"""
        service.delete(principal(), ref)
        return {"msg": "deleted"}

    @bp.get("/sessions/<ref>/state")
    @bp.response(200, schemas.StateAnswer)
    def get_session_state(ref: str) -> Document:
        """The state alone"""
        session = service.find(principal(), ref)
        return {"id": session.id, "state": session.state.value}

    @bp.get("/sessions/<ref>/log")
    @bp.arguments(schemas.LogQuery, location="query")
    @bp.response(200, schemas.LogAnswer)
    def get_session_log(query: Document, ref: str) -> Document:
        """Lines of the driver's log"""
        return livy.log_document(service.find(principal(), ref), query["start"], query["size"])

    @bp.post("/sessions/<ref>/stop")
    @bp.response(204)
    def stop_session(ref: str) -> None:
        """End a session; it stays listed as dead"""
        service.stop(principal(), ref)

    @bp.post("/sessions/<ref>/interrupt")
    @bp.response(200, schemas.Message)
    def interrupt_session(ref: str) -> Document:
        """The same as stop, whatever its name says"""
        service.stop(principal(), ref)
        return {"msg": "interrupted"}

    @bp.post("/sessions/<ref>/connect")
    @bp.response(200, schemas.SessionAnswer)
    def connect_session(ref: str) -> Document:
        """One session; counts as activity"""
        return livy.session_document(service.connect(principal(), ref))

    return bp


def _statement_routes(service: StatementService) -> Blueprint:
    bp = Blueprint("statements", __name__, description="Statements of a session, as Livy serves them")

    @bp.get("/sessions/<ref>/statements")
    @bp.arguments(schemas.StatementsQuery, location="query")
    @bp.response(200, schemas.StatementsAnswer)
    def list_statements(query: Document, ref: str) -> Response:
        """The statements kept of a session"""
        newest_first = query["order"].strip().lower() == "desc"
        start, size = query["start"], query["size"]
        first, length = (max(0, start), -1) if size is None else livy.slice_of(start, size)
        total, found = service.page(principal(), ref, first, length, newest_first=newest_first)
        return json_response(livy.statements_text(total, found))

    @bp.post("/sessions/<ref>/statements")
    @bp.arguments(schemas.CreateStatement)
    @bp.response(201, schemas.StatementAnswer)
    def create_statement(asked: Document, ref: str) -> tuple[Response, int, dict[str, str]]:
        """Run code in a session"""
        statement = service.submit(principal(), ref, asked["code"], asked["kind"])
        place = f"/sessions/{statement.session}/statements/{statement.id}"
        return json_response(livy.statement_text(statement)), 201, {"Location": place}

    @bp.get("/sessions/<ref>/statements/<number>")
    @bp.response(200, schemas.StatementAnswer)
    def get_statement(ref: str, number: str) -> Response:
        """One statement, with its output once it has ended"""
        return json_response(livy.statement_text(service.find(principal(), ref, schemas.whole_in_path(number))))

    @bp.post("/sessions/<ref>/statements/<number>/cancel")
    @bp.response(200, schemas.Message)
    def cancel_statement(ref: str, number: str) -> Document:
        """Stop a statement; nothing happens when it has ended"""
        service.cancel(principal(), ref, schemas.whole_in_path(number))
        return {"msg": "canceled"}

    @bp.post("/sessions/<ref>/completion")
    @bp.arguments(schemas.CreateCompletion)
    @bp.response(200, schemas.CompletionAnswer)
    def complete(asked: Document, ref: str) -> Document:
        """What could stand at the cursor: bare names; runs beside the statements"""
        return {"candidates": service.complete(principal(), ref, asked["code"], asked["kind"], asked["cursor"])}

    return bp


def _batch_routes(service: BatchService) -> Blueprint:
    bp = Blueprint("batches", __name__, description="Batches, as Livy serves them")

    @bp.get("/batches")
    @bp.arguments(schemas.PageQuery, location="query")
    @bp.response(200, schemas.BatchesAnswer)
    def list_batches(query: Document) -> Document:
        """All batches, by rising id"""
        return _listing(query, service.page, livy.batch_document)

    @bp.post("/batches")
    @bp.arguments(schemas.CreateBatch)
    @bp.response(201, schemas.BatchAnswer)
    def create_batch(asked: Document) -> Created:
        """Submit a Spark application"""
        batch = service.submit(principal(), livy.to_batch_request(asked))
        return livy.batch_document(batch), 201, {"Location": f"/batches/{batch.id}"}

    @bp.get("/batches/<ref>")
    @bp.response(200, schemas.BatchAnswer)
    def get_batch(ref: str) -> Document:
        """One batch, by id or name"""
        return livy.batch_document(service.find(principal(), ref))

    @bp.get("/batches/<ref>/state")
    @bp.response(200, schemas.StateAnswer)
    def get_batch_state(ref: str) -> Document:
        """The state alone"""
        batch = service.find(principal(), ref)
        return {"id": batch.id, "state": batch.state.value}

    @bp.get("/batches/<ref>/log")
    @bp.arguments(schemas.LogQuery, location="query")
    @bp.response(200, schemas.LogAnswer)
    def get_batch_log(query: Document, ref: str) -> Document:
        """Lines of the batch's log"""
        return livy.log_document(service.find(principal(), ref), query["start"], query["size"])

    @bp.delete("/batches/<ref>")
    @bp.response(200, schemas.Message)
    def delete_batch(ref: str) -> Document:
        """Kill a batch if it runs, and forget it"""
        service.delete(principal(), ref)
        return {"msg": "deleted"}

    return bp


def _version_route() -> Blueprint:
    bp = Blueprint("version", __name__, description="Which Livy this speaks like")

    @bp.get("/version")
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


def _listing(query: Document, page: Callable[..., Any], document: Callable[[Any], Document]) -> Document:
    total, found = page(principal(), *livy.slice_of(query["start"], query["size"]))
    return {"start": query["start"], "total": total, "sessions": [document(one) for one in found]}


def _negotiate() -> None:
    """Refuse other versions of Livy's media type with 406 (contract §0.4)."""
    asked = re.search(r"application/vnd\.livy\.v([^+,;\s]*)", request.headers.get("Accept", ""))
    if asked and asked[1] != "0.1":
        raise UnsupportedVersion(f"No value found for '{asked[1]}'")


class UnsupportedVersion(GatewayError):
    status = 406
