"""`serve`: the web server and the supervisor as two children of one small process. A composition root.

The supervisor is a sibling of the web server, not its child: gunicorn collects every child as if it were a
worker. A child that dies is started again; both end with their parent.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from types import FrameType

from gateway.core import processes
from gateway.core.settings import Settings

log = logging.getLogger(__name__)

_PATIENCE = 10.0  # seconds for a child to end before it is killed
_SHORTEST_LIFE = 1.0  # seconds; a child that lives shorter is started again only after this long


def web_command(settings: Settings) -> list[str]:
    """The gunicorn call that serves the web application."""
    options = {
        "bind": settings.authority,
        "worker-class": "gateway.web.front.worker.Worker",
        "workers": settings.web_workers,
        "keep-alive": 75,
        "graceful-timeout": 5,
        "log-level": "warning",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-m", "gunicorn", "gateway.app:create_front()", "--preload", "--no-control-socket", *words]


def share_metrics(settings: Settings) -> None:
    """Have the children count into files of one folder, from nought. See `gateway/core/metrics.py`."""
    folder = settings.data_dir / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


class Children:
    """Keeps the named commands running until told to stop."""

    def __init__(self, commands: dict[str, list[str]]) -> None:
        self._commands = commands
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._begun: dict[str, float] = {}
        self._stopping = False

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        for name in self._commands:
            self._start(name)
        while not self._stopping:
            pid, _ = os.wait()
            for name, child in list(self._running.items()):
                if child.pid == pid and not self._stopping:
                    log.warning("%s ended; starting it again", name)
                    time.sleep(max(0.0, self._begun[name] + _SHORTEST_LIFE - time.monotonic()))
                    self._start(name)
        self._stop_all()

    def _start(self, name: str) -> None:
        if not self._stopping:
            self._begun[name] = time.monotonic()
            bound = partial(processes.end_with_parent, os.getpid())
            self._running[name] = subprocess.Popen(self._commands[name], preexec_fn=bound)  # noqa: PLW1509 (there is one thread)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        for child in self._running.values():
            child.send_signal(signal.SIGTERM)

    def _stop_all(self) -> None:
        end = time.monotonic() + _PATIENCE
        for child in self._running.values():
            child.send_signal(signal.SIGTERM)  # again: one that was being started was not told yet
            try:
                child.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
