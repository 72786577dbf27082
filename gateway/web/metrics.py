"""The gateway in Prometheus' words: what its processes count, and the counts of the store at this moment."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from gateway.core import metrics

Counts = Mapping[str, tuple[str, Mapping[str, int]]]  # by metric: what it counts, and how many by state


def register(app: Flask) -> None:
    """Have requests to this application counted, by their routes."""

    @app.before_request
    def begin() -> None:
        g.begun = time.perf_counter()

    @app.after_request
    def count(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "none"
        known = request.method if request.url_rule else "any"  # a client may make up any method
        taken = time.perf_counter() - g.get("begun", time.perf_counter())
        metrics.REQUESTS.labels(known, route, response.status_code).observe(taken)
        return response


def is_asked_for(accept: str) -> bool:
    """Whether Prometheus asks, or somebody who wants what it gets, and no browser."""
    return "text/html" not in accept and any(kind in accept for kind in ("text/plain", "application/openmetrics-text"))


def exposition(accept: str, counts: Counts) -> Response:
    """In OpenMetrics or in the text format of Prometheus, as is asked for."""
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # it names a version that is none
        encode, content_type = choose_encoder("")
    return Response(encode(_Everything(counts)), content_type=content_type)


class _Everything(CollectorRegistry):
    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        yield from metrics.counted().collect()
        for name, (told, by_state) in self._counts.items():
            family = GaugeMetricFamily(name, told, labels=["state"])
            for state, number in by_state.items():
                family.add_metric([state], number)
            yield family
