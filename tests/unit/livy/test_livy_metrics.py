"""Livy's pages for whoever watches it, and what Prometheus reads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gateway.core import identity
from gateway.core.identity import Principal
from sessions.drivers.models import Got

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
TEXT = "text/plain;version=0.0.4"
ROOT = Path(__file__).parents[3]


def sample(families, name: str, **labels: str) -> float | None:
    for family in families:
        for one in family.samples:
            if one.name == name and labels.items() <= one.labels.items():
                return float(one.value)
    return None


def scraped(gateway) -> list[Metric]:
    answer = gateway.send("GET", "/metrics", headers={"Accept": TEXT})
    assert answer.status_code == 200 and answer.mimetype == "text/plain"
    return list(parse_text(answer.text))


@pytest.mark.parametrize("kind", ["application/openmetrics-text", "text/plain"])
def test_metrics_of_a_version_that_is_none_are_the_plain_ones(kind: str, gateway) -> None:
    answer = gateway.send("GET", "/metrics", headers={"Accept": f"{kind}; version=abc"})
    assert answer.status_code == 200 and answer.content_type.startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize(
    ("path", "status", "mimetype", "body"),
    [
        ("/metrics/ping", 200, "text/plain", "pong\n"),
        ("/metrics/healthcheck", 501, "application/json", "{}"),
        ("/metrics/metrics", 200, "application/json",
         '{"version":"3.1.3","gauges":{},"counters":{},"histograms":{},"meters":{},"timers":{}}'),
    ],
)  # fmt: skip
def test_livys_metrics_answer_as_livys(path: str, status: int, mimetype: str, body: str, gateway) -> None:
    answer = gateway.send("GET", path)
    assert (answer.status_code, answer.mimetype, answer.text) == (status, mimetype, body)
    assert answer.headers["Cache-Control"] == "must-revalidate,no-cache,no-store"


def test_metrics_may_be_asked_for_on_several_lines(gateway) -> None:
    pretty = gateway.send("GET", "/metrics/metrics?pretty=true")
    assert pretty.json == gateway.get("/metrics/metrics") and pretty.text.count("\n") > 5


def test_threads_are_shown_with_where_they_are(gateway) -> None:
    assert "MainThread" in gateway.send("GET", "/metrics/threads").text


@pytest.mark.parametrize("path", ["/metrics", "/metrics/"])
@pytest.mark.parametrize("accept", [None, "*/*", "text/html,application/xhtml+xml,*/*;q=0.8", "text/html, text/plain"])
def test_a_browser_gets_the_menu(path: str, accept: str | None, make_gateway) -> None:
    gateway = make_gateway(url_prefix="/livy")
    answer = gateway.send("GET", f"/livy{path}", headers={"Accept": accept} if accept else {})
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    for name in ("metrics", "ping", "threads", "healthcheck"):
        assert f'href="/livy/metrics/{name}"' in answer.text


def test_prometheus_reads_the_states_of_sessions_batches_and_statements(gateway) -> None:
    assert sample(scraped(gateway), "spark_gateway_sessions", state="idle") == 0
    gateway.open_idle(), gateway.open()
    gateway.run(0), gateway.run(0)
    gateway.submit(), gateway.submit()
    gateway.end_batch(0, "dead")
    found = scraped(gateway)
    assert [sample(found, "spark_gateway_sessions", state=state) for state in ("starting", "busy", "dead")] == [1, 1, 0]
    assert [sample(found, "spark_gateway_batches", state=state) for state in ("starting", "dead")] == [1, 1]
    assert sample(found, "spark_gateway_statements", state="waiting") == 2


def test_prometheus_reads_what_became_of_drivers_that_were_started_ahead(gateway) -> None:
    gateway.open(), gateway.open(jars=["hdfs://h/a.jar"])
    found = scraped(gateway)
    given = [sample(found, "spark_gateway_driver_claims", state=got.value) for got in Got]
    assert dict(zip(Got, given)) == {Got.WARM: 0, Got.STARTING: 0, Got.COLD: 1, Got.UNLIKE: 1}
    assert sample(found, "spark_gateway_drivers_ahead", state="warm") == 0


def test_prometheus_gets_openmetrics_when_it_asks_for_that(gateway) -> None:
    answer = gateway.send("GET", "/metrics", headers={"Accept": PROMETHEUS})
    assert answer.mimetype == "application/openmetrics-text" and answer.text.endswith("# EOF\n")
    families = {family.name for family in parse_openmetrics(answer.text)}
    assert {"spark_gateway_sessions", "spark_gateway_request_seconds", "spark_gateway_store_seconds"} <= families


def test_polls_are_counted_by_their_routes_too(gateway) -> None:
    counted = "spark_gateway_request_seconds_count"
    route = {"method": "GET", "route": "/sessions/<ref>/state", "status": "200"}
    gateway.open()
    before = sample(scraped(gateway), counted, **route) or 0
    assert gateway.at_front.send("GET", "/sessions/0/state").status == 200
    assert sample(scraped(gateway), counted, **route) == before + 1


def test_requests_are_counted_by_their_routes(gateway) -> None:
    polls = {"method": "GET", "route": "/sessions/<ref>/statements/<number>", "status": "404"}
    before = sample(scraped(gateway), "spark_gateway_request_seconds_count", **polls) or 0
    gateway.open()
    for number in range(3):
        gateway.at_front.send("GET", f"/sessions/0/statements/{number}")
    gateway.send("BREW", "/made/up")
    found = scraped(gateway)
    assert sample(found, "spark_gateway_request_seconds_count", **polls) == before + 3
    assert sample(found, "spark_gateway_request_seconds_count", method="BREW") is None
    assert (sample(found, "spark_gateway_store_seconds_count") or 0) > 0


def test_processes_count_into_one_folder(tmp_path: Path) -> None:
    """Two processes count and end, a third tells of both."""
    count = "from gateway.core import metrics; metrics.STORE.observe(1)"
    name = "spark_gateway_store_seconds_count"
    tell = f"from gateway.core import metrics; print(metrics.counted().get_sample_value('{name}'))"
    environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for code in (count, count):
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environ, check=True)
    told = subprocess.run(
        [sys.executable, "-c", tell], cwd=ROOT, env=environ, check=True, capture_output=True, text=True
    )
    assert told.stdout.strip() == "2.0"


def test_who_may_not_watch_gets_a_pong_alone(gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "ANONYMOUS", Principal(user="eve"))
    paths = ("/metrics/ping", "/metrics", "/metrics/metrics", "/metrics/threads", "/metrics/healthcheck")
    assert [gateway.send("GET", path).status_code for path in paths] == [200, 403, 403, 403, 403]
