"""Livy's routes of jobs and of what they need: schema in, one service call, schema out. Source: contract §1.8."""

from __future__ import annotations

from typing import Any

from flask import Response

from compat.livy import schemas
from compat.livy import translate as livy
from gateway.core.errors import InvalidRequest
from gateway.core.faults import Code, Fault
from gateway.web.api import Blueprint, json_response
from gateway.web.fields import whole_in_url
from gateway.web.identity import principal
from gateway.web.scopes import JOBS_EXECUTE, JOBS_READ, JOBS_TERMINATE
from sessions.jobs.service import JobService

_FRAME = 64 * 1024  # bytes of a multipart body beside the file itself

Document = dict[str, Any]


def job_blueprints(service: JobService, upload_limit: int) -> list[Blueprint]:
    """The blueprints of jobs, of additions and of uploads of at most `upload_limit` bytes."""
    return [_job_routes(service), _addition_routes(service), _upload_routes(service, upload_limit)]


def _job_routes(service: JobService) -> Blueprint:
    bp = Blueprint("jobs", __name__, description="Jobs of a session: serialised functions, as Livy's clients send them")

    @bp.post("/sessions/<ref>/submit-job", scope=JOBS_EXECUTE)
    @bp.arguments(schemas.CreateJob)
    @bp.response(201, schemas.JobAnswer)
    def submit_job(asked: Document, ref: str) -> Document:
        """Run a job beside the session's statements"""
        return _sent(service, ref, asked)

    @bp.post("/sessions/<ref>/run-job", scope=JOBS_EXECUTE)
    @bp.arguments(schemas.CreateJob)
    @bp.response(201, schemas.JobAnswer)
    def run_job(asked: Document, ref: str) -> Document:
        """The same as submit-job"""
        return _sent(service, ref, asked)

    @bp.get("/sessions/<ref>/jobs/<number>", scope=JOBS_READ)
    @bp.response(200, schemas.JobAnswer)
    def get_job(ref: str, number: str) -> Document:
        """One job, with its result or error once it has ended"""
        return livy.job_document(service.find(principal(), ref, whole_in_url(number)))

    @bp.post("/sessions/<ref>/jobs/<number>/cancel", scope=JOBS_TERMINATE)
    @bp.response(200)
    def cancel_job(ref: str, number: str) -> Response:
        """Stop a job; nothing happens when there is none or it has ended"""
        service.cancel(principal(), ref, whole_in_url(number))
        return json_response("")

    return bp


def _addition_routes(service: JobService) -> Blueprint:
    bp = Blueprint("additions", __name__, description="Jars, Python modules and files for a session that runs")

    def route(kind: str) -> None:
        @bp.post(f"/sessions/<ref>/add-{kind}", endpoint=f"add_{kind}", scope=JOBS_EXECUTE)
        @bp.arguments(schemas.AddResource)
        @bp.response(200)
        @bp.doc(summary=f"Add a {kind} by its path or URL")
        def add(asked: Document, ref: str) -> Response:
            service.add(principal(), ref, kind, asked["uri"])
            return json_response("")

    for kind in ("jar", "pyfile", "file"):
        route(kind)
    return bp


def _upload_routes(service: JobService, limit: int) -> Blueprint:
    bp = Blueprint("uploads", __name__, description="The same, sent as multipart/form-data")

    def route(kind: str, part: str, schema: type[schemas.Schema]) -> None:
        @bp.post(
            f"/sessions/<ref>/upload-{kind}", endpoint=f"upload_{kind}", scope=JOBS_EXECUTE, largest=limit + _FRAME
        )
        @bp.arguments(schema, location="files")
        @bp.response(200)
        @bp.doc(summary=f"Add a {kind} that is sent in the part named {part}")
        def upload(sent: Document, ref: str) -> Response:
            if part not in sent:
                said = f"No {part} sent! Send multipart/form-data with the file in a part named {part}."
                raise InvalidRequest(Fault(part, Code.UNREADABLE, said))
            service.upload(principal(), ref, kind, sent[part].filename or "", sent[part].stream)
            return json_response("")

    route("jar", "jar", schemas.JarUpload)
    route("pyfile", "file", schemas.FileUpload)
    route("file", "file", schemas.FileUpload)
    return bp


def _sent(service: JobService, ref: str, asked: Document) -> Document:
    """Livy's word for a job that was just taken, whatever has become of it since."""
    return {**livy.job_document(service.submit(principal(), ref, asked["jobType"], asked["job"])), "state": "SENT"}
