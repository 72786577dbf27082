"""The bare things that figures stand beside, and how both are timed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import psutil
from jupyter_client.manager import start_new_kernel

from gateway.core import java
from tests.integration.running_gateway import SOON, free_port, processor_seconds, stop_process, wait_until

HERE = Path(__file__).parent
STATEMENTS = 100
POLL_SECONDS = 4.0
POLLERS = 16

SPARK = """
import time
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[2]").config("spark.ui.port", "0").getOrCreate()
"""
FIRST_JOB = "spark.range(1000000).selectExpr('sum(id)').collect()"


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def median_milliseconds(work: Callable[[], object], times: int = STATEMENTS) -> float:
    for _ in range(min(10, times)):
        work()
    return 1000 * median(seconds(work) for _ in range(times))


def plain_python(program: str) -> str:
    """What a program of plain Python with pyspark prints."""
    environ = {**os.environ, "JAVA_HOME": str(java.find().home), "SPARK_LOCAL_IP": "127.0.0.1"}
    return subprocess.run(
        [sys.executable, "-c", program], env=environ, check=True, capture_output=True, text=True
    ).stdout


@contextmanager
def bare_kernel() -> Iterator[Callable[[], object]]:
    """A round trip of `1 + 1` to a Jupyter kernel as it comes."""
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        yield lambda: client.execute_interactive("1 + 1", timeout=SOON, output_hook=lambda _: None)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@contextmanager
def served(folder: Path, application: str, *words: str) -> Iterator[tuple[str, Callable[[], list[int]]]]:
    """An application of `one_row.py` under gunicorn with two workers: the address of a row, and its processes."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", f"one_row:{application}", "--bind", f"127.0.0.1:{port}"]
    options = ["--workers", "2", "--log-level", "warning", "--no-control-socket", *words]
    server = subprocess.Popen(
        [*command, *options], cwd=folder, env={**os.environ, "PYTHONPATH": str(HERE)}, stdin=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}/row"
    try:
        wait_until(lambda: _count(url, 1, 0.05), SOON, "the application of one row answers")
        yield url, lambda: family(server.pid)
    finally:
        stop_process(server)


def family(pid: int) -> list[int]:
    parent = psutil.Process(pid)
    return [pid, *(child.pid for child in parent.children(recursive=True))]


def polls_per_cpu_second(url: str, pids: list[int]) -> float:
    """How many polls these processes answer for a second of processor time."""
    poll(url, POLLERS, 0.5)
    used = processor_seconds(pids)
    found = poll(url, POLLERS, POLL_SECONDS)
    return float(found["count"]) / (processor_seconds(pids) - used)


def poll(url: str, connections: int, length: float) -> dict[str, Any]:
    parts = urlsplit(url)
    words = [parts.hostname or "", str(parts.port), f"{parts.path}", str(connections), str(length)]
    done = subprocess.run([sys.executable, str(HERE / "poller.py"), *words], check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def _count(url: str, connections: int, length: float) -> int:
    try:
        return int(poll(url, connections, length)["count"])
    except subprocess.CalledProcessError:
        return 0
