"""Livy's routes for whoever watches it (contract §1.10), and Prometheus' text where its Accept asks for that."""

from __future__ import annotations

import json
import sys
import threading
import traceback
from collections.abc import Mapping
from typing import TypeVar

from flask import Blueprint, Response, request

from batches.service import BatchService
from batches.states import BatchState
from gateway.web import metrics
from gateway.web.api import json_response
from gateway.web.identity import principal
from gateway.web.scopes import MONITORING_READ, PUBLIC
from sessions.drivers.service import PoolService
from sessions.service import SessionService
from sessions.statements.service import StatementService
from sessions.states import SessionState

State = TypeVar("State", SessionState, BatchState)

_GIVEN = (
    "Sessions by the driver they were given: one started ahead, up (warm) or not yet (starting), or one of their own:"
    " there was no other (cold), or could be none (unlike)."
)
_UNCACHED = "must-revalidate,no-cache,no-store"
_MENU = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Metrics</title></head>
<body><h1>Operational Menu</h1><ul>
<li><a href="{base}/metrics">Metrics</a></li><li><a href="{base}/ping">Ping</a></li>
<li><a href="{base}/threads">Threads</a></li><li><a href="{base}/healthcheck">Healthcheck</a></li>
</ul></body></html>
"""
# Livy registers none; what there is to know is in Prometheus' text.
_NONE = {"version": "3.1.3", "gauges": {}, "counters": {}, "histograms": {}, "meters": {}, "timers": {}}


def metrics_blueprint(
    sessions: SessionService, statements: StatementService, batches: BatchService, pool: PoolService
) -> Blueprint:
    bp = Blueprint("metrics", __name__)

    @bp.after_request
    def keep_fresh(response: Response) -> Response:
        response.headers["Cache-Control"] = _UNCACHED
        return response

    @bp.get("/metrics", scope=MONITORING_READ)
    def menu() -> Response:
        accept = request.headers.get("Accept", "")
        if not metrics.is_asked_for(accept):
            return Response(_MENU.format(base=f"{request.script_root}/metrics"), mimetype="text/html")
        asker = principal()
        ahead = pool.look(asker)
        counts = {
            "spark_gateway_sessions": ("Sessions by state.", _by_word(SessionState, sessions.counts(asker))),
            "spark_gateway_statements": ("Statements that have not ended, by state.", statements.counts(asker)),
            "spark_gateway_batches": (
                "Batches by state; starting ones wait for their turn.",
                _by_word(BatchState, batches.counts(asker)),
            ),
            "spark_gateway_drivers_ahead": (
                "Drivers that are started ahead and nobody's yet.",
                {"warm": ahead.warm, "starting": ahead.starting},
            ),
            "spark_gateway_driver_claims": (
                _GIVEN,
                {got.value: number for got, number in ahead.given.items()},
            ),
        }
        return metrics.exposition(accept, counts)

    @bp.get("/metrics/ping", scope=PUBLIC)
    def ping() -> Response:
        return Response("pong\n", mimetype="text/plain")

    @bp.get("/metrics/metrics", scope=MONITORING_READ)
    def all_metrics() -> Response:
        pretty = request.args.get("pretty") == "true"
        return json_response(json.dumps(_NONE, indent=2) if pretty else json.dumps(_NONE, separators=(",", ":")))

    @bp.get("/metrics/threads", scope=MONITORING_READ)
    def threads() -> Response:
        return Response(_dump(), mimetype="text/plain")

    @bp.get("/metrics/healthcheck", scope=MONITORING_READ)
    def healthcheck() -> Response:
        """501, since no check is registered; /health/readiness says whether the store answers"""
        return json_response("{}", 501)

    return bp


def _by_word(states: type[State], counts: Mapping[State, int]) -> dict[str, int]:
    """The counts of all states there are."""
    return {state.value: counts.get(state, 0) for state in states}


def _dump() -> str:
    """The threads of the web process that answers, each with where it is."""
    frames = sys._current_frames()
    told = []
    for thread in threading.enumerate():
        if thread.ident in frames:
            where = "".join(traceback.format_stack(frames[thread.ident]))
            told.append(f'"{thread.name}" id={thread.ident}{" daemon" if thread.daemon else ""}\n{where}')
    return "\n".join(told)
