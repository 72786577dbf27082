"""What the gateway's processes count of their own work, for Prometheus. What is in the store is counted there.

All processes that `serve` starts write into files of one folder (prometheus-client's multiprocess mode), so that each
can tell of all, and nothing is lost with a process. They begin at nought when `serve` does, as Prometheus expects.
https://prometheus.github.io/client_python/multiprocess/
"""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the variable that names the folder, from the start of a process on

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # seconds
_SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)

_own = CollectorRegistry()

REQUESTS = Histogram(
    "spark_gateway_request_seconds",
    "Time to answer requests; polls are those of the route of one statement.",
    ["method", "route", "status"],
    registry=_own,
    buckets=_FAST,
)
STORE = Histogram("spark_gateway_store_seconds", "Time of reads and writes in the store.", registry=_own, buckets=_FAST)
STARTS = Histogram(
    "spark_gateway_driver_start_seconds", "From a driver's launch until Spark is up.", registry=_own, buckets=_SLOW
)
STATEMENTS = Histogram(
    "spark_gateway_statement_seconds",
    "From a statement's arrival to its result, waiting included.",
    ["kind"],
    registry=_own,
    buckets=_SLOW,
)


def counted() -> CollectorRegistry:
    """What all processes have counted; without the shared folder, what this one has."""
    if not os.environ.get(FOLDER):
        return _own
    shared = CollectorRegistry()
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    return shared
