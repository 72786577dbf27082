"""A session that the gateway has for itself: no path of any protocol and no page leads to it, and nothing counts it."""

from __future__ import annotations

import io
import re
import uuid
from typing import Any

import pytest

from gateway.core.clock import utc_now
from gateway.core.identity import GATEWAY
from gateway.core.options import SparkOptions
from sessions.drivers.models import Driver
from sessions.models import Kind, Session, SessionRequest
from tests.unit.livy.conftest import Gateway

NAME = "its-name"
BODIES: dict[str, Any] = {
    "statements": {"code": "1"},
    "completion": {"code": "1", "kind": "pyspark", "cursor": 1},
    "submit-job": {"job": "cGF5", "jobType": "pyspark"},
    "run-job": {"job": "cGF5", "jobType": "pyspark"},
    **{f"add-{kind}": {"uri": "/etc/hostname"} for kind in ("jar", "file", "pyfile")},
}


@pytest.fixture
def own(gateway: Gateway) -> Session:
    options = SparkOptions(name=NAME)
    driver, request = Driver.wanted(gateway.settings.data_dir, options, utc_now()), SessionRequest(Kind.SQL, options)
    made = gateway.sessions.add(GATEWAY, request, driver, str(uuid.uuid4()), utc_now(), 9)
    gateway.make_idle()
    return made


def paths(gateway: Gateway) -> list[tuple[str, str]]:
    """Each way to one session, with a place for it."""
    rules = gateway.client.application.url_map.iter_rules()
    return [
        (method, rule.rule.replace("<ref>", "{ref}").replace("<number>", "0").replace("<int:number>", "0"))
        for rule in rules
        if "session" in rule.rule and "<ref>" in rule.rule
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def test_every_path_answers_that_it_is_not_there(gateway: Gateway, own: Session) -> None:
    ways = paths(gateway)
    assert len(ways) > 30
    for method, path in ways:
        for ref in (str(own.id), NAME, own.uuid):
            if (method, ref) in (("PUT", str(own.id)), ("PUT", NAME)):
                continue  # that asks for a new one with this id
            wanted = 409 if method == "PUT" else 404
            assert send(gateway, method, path.format(ref=ref)) == wanted, (method, path, ref)
    found = gateway.sessions.find(GATEWAY, own.id)
    assert found is not None and found.state.value == "idle"


def send(gateway: Gateway, method: str, path: str) -> int:
    if "/upload-" in path:
        field = path.rpartition("-")[2].replace("pyfile", "file")
        sent = {field: (io.BytesIO(b"x"), "x.py")}
        return gateway.client.post(path, data=sent).status_code
    return gateway.send(method, path, BODIES.get(path.rpartition("/")[2], {}) if method != "GET" else None).status_code


@pytest.mark.parametrize(
    "path",
    ["/sessions", "/lighter/api/sessions", "/lighter/api/sessions/permanent", "/lighter/api/configuration", "/ui"],
)
def test_every_list_stays_as_it_was(path: str, gateway: Gateway, request: pytest.FixtureRequest) -> None:
    gateway.open_idle()
    before = told_at(gateway, path)
    request.getfixturevalue("own")
    assert told_at(gateway, path) == before


def told_at(gateway: Gateway, path: str) -> str:
    return re.sub(r"T[\d:.]+", "T", gateway.send("GET", path).text)  # some times are those of the request


def test_metrics_count_the_sessions_of_users_alone(gateway: Gateway, own: Session) -> None:
    told = gateway.send("GET", "/metrics", headers={"Accept": "text/plain"}).text
    assert {line for line in told.splitlines() if line.startswith("spark_gateway_sessions{")} == {
        f'spark_gateway_sessions{{state="{state}"}} 0.0' for state in ("starting", "idle", "busy", "dead")
    }
