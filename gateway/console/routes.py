"""The console's pages. Each is rendered on the server and refreshes itself while it may change; none changes anything.

Looking at a page counts as nothing: a session is looked up without the heartbeat that a client's question is.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import Blueprint, Response, abort, render_template, request, url_for
from werkzeug.exceptions import NotFound as NoSuchPage

from batches.service import BatchService
from gateway.console import outputs, views
from gateway.core.clock import utc_now
from gateway.core.errors import GatewayError, InvalidRequest
from gateway.web.identity import principal
from sessions.models import Session
from sessions.service import SessionService
from sessions.statements.models import Statement
from sessions.statements.service import StatementService

# Stricter than the rest of the gateway: these pages show what users wrote, and need no inline script.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


def console_blueprint(sessions: SessionService, statements: StatementService, batches: BatchService) -> Blueprint:
    """The pages at and below `/ui`, and the way there from `/`."""
    bp = Blueprint(
        "console", __name__, template_folder="templates", static_folder="static", static_url_path="/ui/static"
    )
    bp.register_error_handler(GatewayError, _refusal)
    bp.register_error_handler(NoSuchPage, _no_such_page)
    bp.after_request(_finish)
    bp.add_app_template_filter(views.duration_text, "duration")
    _overview_routes(bp, sessions, batches)
    _session_routes(bp, sessions, statements)
    _batch_routes(bp, batches)

    @bp.get("/ui/<path:rest>")
    def no_such_page(rest: str) -> str:
        abort(404)

    return bp


def _overview_routes(bp: Blueprint, sessions: SessionService, batches: BatchService) -> None:
    @bp.get("/")
    def root() -> Response:
        return Response(status=302, headers={"Location": _site() + url_for("console.overview")})

    @bp.get("/ui/")
    @bp.get("/ui")
    def overview() -> str:
        """Sessions and batches, newest first"""
        who = principal()
        newest_sessions = partial(sessions.page, who, newest_first=True)
        newest_batches = partial(batches.search, who, None, "")
        all_sessions = views.newest(newest_sessions, sessions.counts(who), _number("page") or 1)
        all_batches = views.newest(newest_batches, batches.counts(who), _number("batch_page") or 1)
        nothing = not all_sessions.total and not all_batches.total
        return _page(
            "overview",
            live=nothing or all_sessions.live or all_batches.live,
            sessions=all_sessions,
            batches=all_batches,
            site=_site() + request.script_root,
        )


def _session_routes(bp: Blueprint, sessions: SessionService, service: StatementService) -> None:
    @bp.get("/ui/session/<ref>")
    def session(ref: str) -> str:
        """One session with its statements, newest first"""
        found = sessions.look(principal(), ref)
        total, statements, place = _statements(service, found, _number("page") or 1)
        now = utc_now()
        return _page(
            "session",
            live=views.is_live(found),
            session=found,
            idle_since=views.idle_since(found, statements) if place.number == 1 else None,
            total=total,
            statements=[views.statement_view(statement, now) for statement in statements],
            pager=place,
            now=now,
        )

    @bp.get("/ui/session/<ref>/log")
    def session_log(ref: str) -> str:
        """What the session's driver wrote"""
        return _log_page("session", sessions.look(principal(), ref))

    @bp.get("/ui/session/<ref>/statement/<int:number>/image.png")
    def picture(ref: str, number: int) -> Response:
        """The picture a statement drew, which the policy does not let a page carry within itself"""
        statement = service.look(principal(), ref, number)
        data = outputs.picture_of(statement.output) if statement.output else None
        if data is None:
            abort(404)
        return Response(data, mimetype="image/png")


def _batch_routes(bp: Blueprint, batches: BatchService) -> None:
    @bp.get("/ui/batch/<ref>/log")
    def batch_log(ref: str) -> str:
        """What a batch wrote, below what it is"""
        return _log_page("batch", batches.find(principal(), ref))


# ---------------------------------------------------------------- parts of pages


def _statements(service: StatementService, session: Session, asked: int) -> tuple[int, list[Statement], views.Pager]:
    """A page of statements, newest first: how many there are, those, and which page it is."""
    first, limit = (asked - 1) * views.STATEMENTS, outputs.LONGEST_PARSED + 1
    total, found = service.look_at_page(principal(), str(session.id), first, views.STATEMENTS, limit)
    place = views.pager(asked, total, views.STATEMENTS)
    if place.number != asked:
        return _statements(service, session, place.number)
    return total, found, place


def _log_page(noun: str, record: Any) -> str:
    asked = _number("from")
    log = views.log_view(record.log, asked)
    live = views.is_live(record) and log.at_end
    return _page("log", live=live, follow=live and asked is None, noun=noun, record=record, log=log)


def _page(name: str, **shown: Any) -> str:
    return render_template(f"console/{name}.html", views=views, **shown)


def _refusal(error: GatewayError) -> tuple[str, int]:
    """A number that no id can be is as unknown as one that none is."""
    unknown = isinstance(error, InvalidRequest)
    status = 404 if unknown else error.status
    said = "There is no such session or batch." if unknown else str(error)
    title = "Not found" if status == 404 else "That did not work"
    return _page("error", live=False, gone=status == 404, title=title, said=said), status


def _no_such_page(error: NoSuchPage) -> tuple[str, int]:
    return _page("error", live=False, title="No such page", said=f"Nothing is served at {request.path}."), 404


def _finish(response: Response) -> Response:
    """Pages are asked for again and again: one that has not changed is answered without its body."""
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    if response.status_code == 200 and not response.is_streamed:
        response.headers["Cache-Control"] = "private, no-cache"
        response.add_etag()
        response.make_conditional(request)
    return response


def _site() -> str:
    """Scheme and host as the client knows them; a proxy that ends TLS says so in X-Forwarded-Proto."""
    forwarded = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
    scheme = "https" if forwarded == "https" else request.scheme
    return f"{scheme}://{request.host}"


def _number(parameter: str) -> int | None:
    """A query parameter as a whole number from 0 up; None when it is missing or something else."""
    text = request.args.get(parameter, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
