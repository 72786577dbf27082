"""A standalone Spark cluster for tests: a master and one worker, processes of their own, by Spark's own scripts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from gateway.core import java
from tests.integration.running_gateway import START, free_port, stop_process, wait_until

CORES, MEMORY = 4, 2048


@dataclass(frozen=True)
class Cluster:
    """`state` is the master's own account of itself."""

    url: str
    web: str

    @property
    def state(self) -> dict[str, Any]:
        try:
            return dict(requests.get(f"{self.web}/json/", timeout=10).json())
        except (requests.ConnectionError, ValueError):  # for a moment it answers with a page of its own
            return {}

    @property
    def applications(self) -> dict[str, dict[str, Any]]:
        return {one["id"]: one for one in self.state["activeapps"]}


@contextmanager
def standalone(home: Path, folder: Path) -> Iterator[Cluster]:
    """A cluster of the Spark installation `home`, with its files in `folder`, for as long as the block runs."""
    port, web = free_port(), free_port()
    cluster = Cluster(f"spark://127.0.0.1:{port}", f"http://127.0.0.1:{web}")
    loopback = ["--host", "127.0.0.1"]
    started: list[subprocess.Popen[bytes]] = []
    try:
        started.append(_daemon(home, folder, "master.Master", *loopback, "--port", str(port), "--webui-port", str(web)))
        wait_until(lambda: cluster.state.get("status") == "ALIVE", START, "the master is up")
        size = ["-c", str(CORES), "-m", f"{MEMORY}m", "--webui-port", "0", "-d", str(folder)]
        started.append(_daemon(home, folder, "worker.Worker", *loopback, *size, cluster.url))
        wait_until(lambda: cluster.state.get("aliveworkers") == 1, START, "the worker has joined")
        yield cluster
    finally:
        for process in reversed(started):
            stop_process(process)


def _daemon(home: Path, folder: Path, name: str, *arguments: str) -> subprocess.Popen[bytes]:
    environ = {**os.environ, "SPARK_HOME": str(home), "JAVA_HOME": str(java.find().home), "SPARK_LOCAL_IP": "127.0.0.1"}
    with open(folder / f"{name}.log", "ab") as log:
        return subprocess.Popen(
            [home / "bin" / "spark-class", f"org.apache.spark.deploy.{name}", *arguments],
            cwd=folder,
            env={**environ, "SPARK_DAEMON_MEMORY": "256m"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
