"""The console's pages. Each is rendered on the server and refreshes itself; none changes anything."""

from __future__ import annotations

from flask import Blueprint, Response, redirect
from werkzeug.wrappers import Response as AnyResponse

from batches.service import BatchService
from sessions.service import SessionService


def console_blueprint(sessions: SessionService, batches: BatchService) -> Blueprint:
    bp = Blueprint("console", __name__, template_folder="templates")

    @bp.get("/")
    def root() -> AnyResponse:
        return redirect("/ui")

    @bp.get("/ui")
    def overview() -> Response:
        return Response("ui")

    return bp
