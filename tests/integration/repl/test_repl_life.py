"""How a driver fails to start, and how it ends. Each test has a driver of its own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.integration.repl.driver_process import Client, DriverProcess, wait_until

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning", "default::DeprecationWarning")


def test_a_spark_that_cannot_start_says_why(tmp_path: Path) -> None:
    driver = DriverProcess(tmp_path, "spark.executor.heartbeatInterval=1000s")
    try:
        assert "heartbeatInterval" in driver.ready()["error"]
        assert driver.process.wait(30) != 0
        assert "Traceback" in driver.log()
    finally:
        driver.close()


def test_sigterm_ends_a_busy_driver_in_time(tmp_path: Path) -> None:
    driver = DriverProcess(tmp_path)
    try:
        pid = driver.ready()["pid"]
        client = Client(driver.connection_file)
        client.send(0, "while True:\n  try:\n    while True: pass\n  except BaseException: pass")
        client.ask("kernel_info_request")
        client.close()
        os.kill(pid, signal.SIGTERM)
        driver.process.wait(15)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 5)
    finally:
        driver.close()


def test_the_driver_goes_when_its_jvm_is_gone(tmp_path: Path) -> None:
    driver = DriverProcess(tmp_path)
    try:
        pid = driver.ready()["pid"]
        os.kill(driver.process.pid, signal.SIGKILL)
        driver.process.wait(15)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 10)
    finally:
        driver.close()
