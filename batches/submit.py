"""A batch as something that runs: started, and its Spark application found. Knows no store."""

from __future__ import annotations

import json
import re
import socket
import sys
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from batches.models import Batch, BatchKind
from gateway.core import applications, logs, private_files, submit
from gateway.core.clusters import Clusters
from gateway.core.places.place import Place
from gateway.core.settings import Settings

_LOG_HEAD = 1 << 20  # bytes of the beginning of a log, in which the application's id is looked for
_APPLICATION = re.compile(r"(?:app ID|Submitted application) (app-\d+-\d+|application_\d+_\d+)")
_UI_ADDRESS = "ui_address"  # file in a batch's folder: the host of its Spark UI, and the port that tries first
_UI_PORT_TRIES = 16  # how many ports further Spark goes when that one is taken (spark.port.maxRetries)
_PROBE_PATIENCE = 1.0  # seconds for an answer of what may be a Spark UI
_OWN_EVENT_LOG = ("spark.eventLog.enabled", "spark.eventLog.dir")  # who names one of them decides of the whole log


@dataclass(frozen=True)
class Application:
    id: str
    ui_url: str | None


class Submitter:
    """Starts batches at a place, each on its cluster."""

    def __init__(self, clusters: Clusters, place: Place, settings: Settings) -> None:
        self._clusters, self._place, self._settings = clusters, place, settings

    def start(self, batch: Batch) -> None:
        """Start the batch, unless it was started already. Raises OSError, Misconfigured."""
        if self._place.find(batch.folder):
            return
        batch.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if batch.request.kind is BatchKind.PYTHON:
            self._start_program(batch)
        else:
            self._start_application(batch)

    def _start_program(self, batch: Batch) -> None:
        """With the gateway's own Python: no JVM, and no conf of Spark."""
        temporary = batch.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        environ = submit.plain_environ() | {"TMPDIR": str(temporary)}
        self._place.start(batch.folder, [sys.executable, batch.request.file, *batch.request.args], environ)

    def _start_application(self, batch: Batch) -> None:
        request, folder = batch.request, batch.folder
        cluster = self._clusters.of(request.options)
        here = cluster.settings
        # A port of its own, so that the application's UI is known from other servers in its processes.
        conf = submit.conf_of(request.options, here, folder, {"spark.ui.port": str(_free_port())})
        if here.deploy_mode == "client" and not any(key in conf for key in _OWN_EVENT_LOG):
            batch.spark_events.mkdir(exist_ok=True)
            conf |= _event_log(batch.spark_events)
        private_files.write_private(folder / _UI_ADDRESS, f"{here.driver_host} {conf['spark.ui.port']}")
        application = applications.Application(
            folder,
            conf,
            request.file,
            request.args,
            class_name=request.class_name,
            proxy_user=request.options.proxy_user,
            deploy_mode=here.deploy_mode,
        )
        applications.start(application, cluster, self._settings, self._place)


def _event_log(folder: Path) -> dict[str, str]:
    """Spark's event log as it can be read while it grows: Spark keeps back what fits its buffer, and may compress."""
    return {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": folder.as_uri(),
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "true",
        "spark.eventLog.rolling.maxFileSize": "128m",
        "spark.eventLog.buffer.kb": "8k",
        "spark.eventLog.logStageExecutorMetrics": "true",
    }


def find_application(batch: Batch, place: Place) -> Application | None:
    """The Spark application of a running batch, asked from the Spark UI that it serves. Takes a while."""
    try:
        host, text = (batch.folder / _UI_ADDRESS).read_text("utf-8").split()
        first = int(text)
    except (OSError, ValueError):
        return None
    for port in place.ports(batch.folder):
        if first <= port <= first + _UI_PORT_TRIES:
            return _ask(f"http://{host}:{port}")
    return None


def _ask(url: str) -> Application | None:
    try:
        with urllib.request.urlopen(f"{url}/api/v1/applications", timeout=_PROBE_PATIENCE) as answer:  # noqa: S310
            found = json.load(answer)[0]["id"]
            return Application(found, url) if isinstance(found, str) else None
    except (OSError, HTTPException, ValueError, LookupError, TypeError):
        return None  # not up yet; it is asked again


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def application_in_log(batch: Batch) -> Application | None:
    """The application that a cluster manager named in the log; for one that ended before its UI was asked."""
    for line in logs.head(batch.log, _LOG_HEAD):
        if "app" in line and (found := _APPLICATION.search(line)):  # the former takes no time
            return Application(found[1], None)
    return None
