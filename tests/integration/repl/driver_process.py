"""A real driver under spark-submit, and a client on its kernel, for tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty
from typing import Any

import pyspark
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

from gateway.core import pythons
from gateway.core.settings import DEFAULT_CLUSTER, Settings
from sessions.repl import launch

LAUNCH = launch.__file__
PATIENCE = 60.0


def wait_until(condition: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """The first true value of `condition`; fails when there is none in time."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not in {patience} s: {condition}")


class DriverProcess:
    """One driver with its folder; `close` leaves no process behind."""

    def __init__(self, folder: Path, *conf: str, **options: Any) -> None:
        self.folder = folder
        self.connection_file = folder / "kernel.json"
        write_connection_file(
            str(self.connection_file), ip=str(folder / "s"), transport="ipc", key=b"key",
            shell_port=1, iopub_port=2, stdin_port=3, hb_port=4, control_port=5,
        )  # fmt: skip
        said = {
            "connection_file": "kernel.json",
            "ready_file": str(folder / "ready.json"),
            "kernel_path": [entry for entry in sys.path if entry.endswith("site-packages")],
            "kernel_abi": sysconfig.get_config_var("SOABI"),
        }
        (folder / "options.json").write_text(json.dumps({**said, **options}))
        submit = Path(pyspark.__file__).parent / "bin" / "spark-submit"
        command = [str(submit), "--master", "local[2]", "--driver-memory", "512m"]
        for setting in ("spark.ui.showConsoleProgress=false", *conf):
            command += ["--conf", setting]
        python = pythons.default(Settings().on(DEFAULT_CLUSTER))
        with open(folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                [*command, LAUNCH, str(folder / "options.json")],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "PYSPARK_PYTHON": python, "SPARK_LOCAL_IP": "127.0.0.1"},
            )  # fmt: skip

    def ready(self) -> dict[str, Any]:
        """What the ready file says, once it is there."""
        wait_until(lambda: (self.folder / "ready.json").exists() or self.process.poll() is not None)
        said: dict[str, Any] = json.loads((self.folder / "ready.json").read_text())
        return said

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)


class Client:
    """A gateway's view of the kernel: shell and control channels only."""

    def __init__(self, connection_file: Path) -> None:
        self._client = BlockingKernelClient()
        self._client.load_connection_file(str(connection_file))
        self._client.start_channels(shell=True, control=True, iopub=False, stdin=False, hb=False)

    def close(self) -> None:
        self._client.stop_channels()
        self._client.context.destroy(linger=0)

    def send(self, statement: int, code: str, kind: str = "pyspark") -> str:
        """Send an execute_request; its message id."""
        metadata = {"statement": statement, "kind": kind}
        message = self._client.session.msg("execute_request", {"code": code, "silent": False}, metadata=metadata)
        self._client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def reply(self, message_id: str, patience: float = PATIENCE) -> dict[str, Any] | None:
        """The reply's content, None when it does not come in time."""
        try:
            while True:
                message = self._client.get_shell_msg(timeout=patience)
                if message["parent_header"]["msg_id"] == message_id:
                    return dict(message["content"])
        except Empty:
            return None

    def run(self, statement: int, code: str, kind: str = "pyspark") -> dict[str, Any]:
        """Run and wait for the reply's content."""
        reply = self.reply(self.send(statement, code, kind))
        assert reply is not None
        return reply

    def ask(self, kind: str, /, **content: Any) -> dict[str, Any]:
        """One request on the control channel."""
        return self.request(kind, content)

    def request(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """One request on the control channel, whatever its content's members are called."""
        message = self._client.session.msg(kind, content)
        self._client.control_channel.send(message)
        while True:
            answer = self._client.get_control_msg(timeout=10)
            if answer["parent_header"]["msg_id"] == message["header"]["msg_id"]:
                return dict(answer["content"])
