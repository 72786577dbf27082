"""The console's pages. Each is rendered on the server and refreshes itself while it may change; none changes anything
of anybody's. The pages of tables start the session of the gateway's own that they ask.

Looking at a page counts as nothing: a session is looked up without the heartbeat that a client's question is.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import Blueprint, Response, abort, render_template, request, send_from_directory

from batches.service import BatchService
from gateway.console import outputs, views
from gateway.core.clock import utc_now
from gateway.core.errors import GatewayError, InvalidRequest
from gateway.platform.queries.catalog import CatalogService
from gateway.platform.runs.models import Run
from gateway.platform.runs.service import RunService
from gateway.web.bodies import Unreadable
from gateway.web.dialects import Dialect
from gateway.web.headers import refuse_links_of_other_sites, site
from gateway.web.identity import principal
from gateway.web.scopes import DATASETS_READ, JOBS_READ, PUBLIC
from sessions.drivers.service import PoolService
from sessions.models import Session
from sessions.service import SessionService
from sessions.statements.models import Statement
from sessions.statements.service import StatementService

# Stricter than the rest of the gateway: these pages show what users wrote, and need no inline script.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


_FAILED = "That did not work"


def console(
    sessions: SessionService,
    statements: StatementService,
    batches: BatchService,
    runs: RunService,
    pool: PoolService,
    catalog: CatalogService,
) -> Dialect:
    """The pages at and below `/ui`, as a dialect whose errors are pages too."""
    return Dialect(
        name="console",
        paths=("/ui",),
        blueprints=(_blueprint(sessions, statements, batches, runs, pool, catalog),),
        answer=_answer,
        refuse=_refuse,
        error_schema={"type": "string"},
        slashes=("/ui",),
    )


def _blueprint(
    sessions: SessionService,
    statements: StatementService,
    batches: BatchService,
    runs: RunService,
    pool: PoolService,
    catalog: CatalogService,
) -> Blueprint:
    bp = Blueprint("console", __name__, template_folder="templates")
    bp.after_request(_finish)
    bp.add_app_template_filter(views.duration_text, "duration")
    _overview_routes(bp, sessions, batches, runs, pool)
    _session_routes(bp, sessions, statements)
    _batch_routes(bp, batches, runs)
    _table_routes(bp, catalog)

    @bp.get("/ui/static/<path:filename>", scope=PUBLIC)
    def static(filename: str) -> Response:
        return send_from_directory(f"{bp.root_path}/static", filename)

    @bp.get("/ui/<path:rest>", scope=PUBLIC)
    def no_such_page(rest: str) -> str:
        abort(404)

    return bp


def _overview_routes(
    bp: Blueprint, sessions: SessionService, batches: BatchService, runs: RunService, pool: PoolService
) -> None:
    @bp.get("/ui/", scope=JOBS_READ)
    @bp.get("/ui", scope=JOBS_READ)
    def overview() -> str:
        """Sessions and batches, newest first"""
        who = principal()
        newest_sessions = partial(sessions.page, who, newest_first=True)
        newest_batches = partial(batches.search, who, None, "")
        all_sessions = views.newest(newest_sessions, sessions.counts(who), _number("page") or 1)
        all_batches = views.newest(newest_batches, batches.counts(who), _number("batch_page") or 1)
        all_runs = runs.of(who, [batch.id for batch in all_batches.records])
        nothing = not all_sessions.total and not all_batches.total
        return _page(
            "overview",
            live=nothing or all_sessions.live or all_batches.live or any(map(views.is_running, all_runs.values())),
            sessions=all_sessions,
            batches=all_batches,
            runs=all_runs,
            pool=views.pool_text(pool.look(who)),
            site=site(request) + request.script_root,
        )


def _session_routes(bp: Blueprint, sessions: SessionService, service: StatementService) -> None:
    @bp.get("/ui/session/<ref>", scope=JOBS_READ)
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

    @bp.get("/ui/session/<ref>/log", scope=JOBS_READ)
    def session_log(ref: str) -> str:
        """What the session's driver wrote"""
        return _log_page("session", sessions.look(principal(), ref))

    @bp.get("/ui/session/<ref>/statement/<int:number>/image.png", scope=JOBS_READ)
    def picture(ref: str, number: int) -> Response:
        """The picture a statement drew, which the policy does not let a page carry within itself"""
        statement = service.begun(principal(), service.look(principal(), ref, number), outputs.LARGEST_PICTURE)
        data = outputs.picture_of(statement.output) if statement.output else None
        if data is None:
            abort(404)
        return Response(data, mimetype="image/png")


def _batch_routes(bp: Blueprint, batches: BatchService, runs: RunService) -> None:
    @bp.get("/ui/batch/<ref>/log", scope=JOBS_READ)
    def batch_log(ref: str) -> str:
        """What a batch wrote, below what it is, how far it is and why it failed"""
        batch = batches.find(principal(), ref)
        return _log_page("batch", batch, runs.of(principal(), [batch.id]).get(batch.id))


def _table_routes(bp: Blueprint, catalog: CatalogService) -> None:
    @bp.get("/ui/tables", scope=DATASETS_READ)
    def tables() -> str:
        """The databases of the default cluster, and the tables of one of them"""
        refuse_links_of_other_sites(request)
        contents = catalog.contents(principal(), request.args.get("database"))
        return _page("tables", live=contents is None, contents=contents)

    @bp.get("/ui/tables/<database>/<name>", scope=DATASETS_READ)
    def table(database: str, name: str) -> str:
        """The first rows of a table"""
        refuse_links_of_other_sites(request)
        answer = catalog.preview(principal(), database, name)
        shown = answer and outputs.table_of({"schema": answer.schema, "data": answer.rows})
        return _page("table", live=answer is None, database=database, title=name, answer=answer, table=shown)


# ---------------------------------------------------------------- parts of pages


def _statements(service: StatementService, session: Session, asked: int) -> tuple[int, list[Statement], views.Pager]:
    """A page of statements, newest first: how many there are, those, and which page it is."""
    first, limit = (asked - 1) * views.STATEMENTS, outputs.LONGEST_PARSED + 1
    total, found = service.look_at_page(principal(), str(session.id), first, views.STATEMENTS, limit)
    place = views.pager(asked, total, views.STATEMENTS)
    if place.number != asked:
        return _statements(service, session, place.number)
    return total, found, place


def _log_page(noun: str, record: Any, run: Run | None = None) -> str:
    asked = _number("from")
    log = views.log_view(record.log, asked, record.elsewhere)
    live = (views.is_live(record) or views.is_running(run)) and log.at_end
    return _page("log", live=live, follow=live and asked is None, noun=noun, record=record, run=run, log=log)


def _page(name: str, **shown: Any) -> str:
    return render_template(f"console/{name}.html", views=views, **shown)


def _answer(error: GatewayError) -> Response:
    """A number that no id can be is as unknown as one that none is."""
    unknown = isinstance(error, InvalidRequest) and not isinstance(error, Unreadable)
    status = 404 if unknown else error.status
    said = "There is no such session or batch." if unknown else str(error)
    title = "Not found" if status == 404 else _FAILED
    return Response(_page("error", live=False, gone=status == 404, title=title, said=said), status)


def _refuse(status: int, why: str) -> Response:
    title, said = ("No such page", f"Nothing is served at {request.path}.") if status == 404 else (_FAILED, why)
    return Response(_page("error", live=False, title=title, said=said), status)


def _finish(response: Response) -> Response:
    """Pages are asked for again and again: one that has not changed is answered without its body."""
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    if response.status_code == 200 and not response.is_streamed:
        response.headers["Cache-Control"] = "private, no-cache"
        response.add_etag()
        response.make_conditional(request)
    return response


def _number(parameter: str) -> int | None:
    """A query parameter as a whole number from 0 up; None when it is missing or something else."""
    text = request.args.get(parameter, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
