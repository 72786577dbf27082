"""The OpenAPI description is what the server does: requests made up from it never break the server, answers fit it.

Bounded on purpose: few examples for each operation, and hardly anything may start.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.integration.running_gateway import Gateway

EXAMPLES = 12
KEPT = "kept"
LIGHTER = "/lighter/api/sessions"
KEPT_AT = {"/sessions/": KEPT}  # where the session that lasts is, and what it is called there
ENDS = re.compile("/(stop|interrupt)$")
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that can run next to nothing, with one session that lasts."""
    few = {"max_sessions": 2, "max_starting_drivers": 1, "max_batches_running": 1, "max_batches_waiting": 1}
    running = Gateway(tmp_path_factory.mktemp("narrow"), any_local_path=False, **few)
    try:
        running.open().new_session(kind="pyspark", name=KEPT).run("1 + 1", seconds=90)
        KEPT_AT[f"{LIGHTER}/"] = running.get(LIGHTER)["applications"][0]["id"]
        yield running
    finally:
        running.close()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "not fitting"])
def test_requests_made_up_from_the_description(narrow: Gateway, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{narrow.url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    wrong = {operation.label: _examine(operation, mode) for operation in operations if not operation.path.endswith("/")}
    assert {label: said for label, said in wrong.items() if said} == {}


def _examine(operation: Any, mode: GenerationMode) -> str:
    """What is wrong with the answers to made-up requests of one operation; empty when nothing is."""

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def probe(case: Any) -> None:
        _aim_at_what_exists(case)
        answer = case.call(timeout=30)
        if answer.status_code == 500 and "Session is in state" in answer.text:
            return  # the contract's own word for a session that takes no more work
        if answer.status_code == 414:
            return  # gunicorn's own, before any application
        case.validate_response(answer, checks=[not_a_server_error, *CHECKS])

    try:
        probe()
    except Unsatisfiable:
        pass  # such a request cannot be made up: there is nothing that does not fit
    except FailureGroup as found:
        return str(found)
    return ""


def _aim_at_what_exists(case: Any) -> None:
    """Made-up names hit nothing. Short ones stand for the session that lasts, unless the call would end it."""
    parameters = case.path_parameters or {}
    kept = next((ref for place, ref in KEPT_AT.items() if case.path.startswith(place)), None)
    if kept is None or len(str(parameters.get("ref", "long name"))) >= 4:
        return
    ends = case.method == "DELETE" or ENDS.search(case.path)
    parameters["ref"] = "nobody" if ends else kept
    if "number" in parameters:
        parameters["number"] = "0"


def test_session_that_lasts_has_survived(narrow: Gateway) -> None:
    assert narrow.get(f"/sessions/{KEPT}")["state"] in ("idle", "busy")


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_pages_load_nothing_from_elsewhere(gateway: Gateway, page: str) -> None:
    answer = gateway.call("GET", page)
    assert answer.status_code == 200
    links = re.findall(r"""(?:src|href|spec-url)="([^"]+)"|url: "([^"]+)\"""", answer.text)
    loaded = [one or other for one, other in links]
    assert "/openapi.json" in loaded and len(loaded) > 1
    for link in loaded:
        assert link.startswith("/"), link
        asset = gateway.call("GET", link)
        assert asset.status_code == 200 and len(asset.content) > 1000, link
    assert "http://" not in answer.text and "https://" not in answer.text


def test_every_route_is_described(gateway: Gateway) -> None:
    described = gateway.get("/openapi.json")["paths"]
    assert {"/sessions", "/sessions/{ref}", "/sessions/{ref}/statements", "/batches", "/version"} <= set(described)
