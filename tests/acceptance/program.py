"""The real program, started as a user starts it, with a port and a data folder of its own, and followed to its end.

Knows processes and folders, nothing of what is asked over HTTP (see `livy`).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil
import requests

ROOT = Path(__file__).parents[2]
_PREFIX = "SPARK_GATEWAY_"
_ENDED = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)

Found = TypeVar("Found")


def eventually(check: Callable[[], Found], *, within: float, what: str) -> Found:
    """What `check` answers once that is true; a gateway that cannot be reached has no answer yet."""
    end = time.monotonic() + within
    while True:
        try:
            found = check()
        except requests.ConnectionError as error:
            last: object = error
        else:
            if found:
                return found
            last = found
        assert time.monotonic() < end, f"not within {within:g} s: {what}; last seen: {last!r}"
        time.sleep(0.05)


class Program:
    """`python -m gateway serve`; its own kill, restart and clean end. It keeps drivers warm if `warm` says so."""

    def __init__(self, folder: Path, store: str = "", *, warm: bool = False) -> None:
        self.folder, self.data, self._store, self._warm = folder, folder / "data", store, warm
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / "program.log"
        self._serve: subprocess.Popen[bytes] | None = None

    # ------------------------------------------------------------ life

    def start(self) -> None:
        """Start it, again too; returns when it answers."""
        folder = self.folder
        environ = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}
        environ |= {f"{_PREFIX}PORT": str(self.port), f"{_PREFIX}DATA_DIR": str(self.data)}
        environ |= {f"{_PREFIX}STORE": self._store, **({} if self._warm else {f"{_PREFIX}MAX_WARM_DRIVERS": "0"})}
        environ |= {"XDG_CONFIG_HOME": str(folder / "config")}  # no settings file of whoever runs the tests
        if cache := os.environ.get(f"{_PREFIX}CACHE_DIR"):
            environ[f"{_PREFIX}CACHE_DIR"] = cache
        with open(self._log, "ab") as log:
            self._serve = subprocess.Popen(
                [sys.executable, "-m", "gateway", "serve"],
                cwd=ROOT,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self.wait_until_serving()
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from None

    def wait_until_serving(self) -> None:
        """Until it answers and all its processes are there."""
        eventually(self._serves, within=30, what=f"{self.url} answers")
        eventually(self.supervisor, within=10, what="a supervisor runs")
        eventually(self.web_workers, within=10, what="web workers run")

    def stop(self) -> None:
        """End it as Ctrl-C does; what it started and left running is an error of its."""
        assert self._serve is not None
        tree = self.tree()
        if self._serve.poll() is None:
            self._serve.send_signal(signal.SIGINT)
        self._serve.wait(20)
        _, alive = psutil.wait_procs(tree, timeout=5)
        assert not alive, f"still there after the program's end: {alive}"

    def reap(self) -> None:
        """Kill whatever is left of it and its drivers, whatever happened before."""
        left = {*self.tree(), *self.drivers(), *self._ours()}
        for process in left:
            try:
                process.kill()
            except psutil.Error:
                continue
        if self._serve is not None:
            self._serve.wait(10)
        psutil.wait_procs(left, timeout=10)

    # ------------------------------------------------------------ processes

    def tree(self) -> list[psutil.Process]:
        """serve, the supervisor, the web server and its workers; not the drivers."""
        if self._serve is None or self._serve.poll() is not None:
            return []
        serve = psutil.Process(self._serve.pid)
        return [serve, *(one for one in serve.children(recursive=True) if _word(one) in ("supervise", "gunicorn"))]

    def supervisor(self) -> psutil.Process | None:
        return next((one for one in self.tree() if _word(one) == "supervise"), None)

    def web_server(self) -> psutil.Process:
        return next(one for one in self.tree() if _word(one) == "gunicorn")

    def web_workers(self) -> list[psutil.Process]:
        return [one for one in self.tree() if _word(one) == "gunicorn"][1:]

    def drivers(self) -> list[psutil.Process]:
        """All processes of all sessions and batches: they know their folder by their environment."""
        return self.family(self.data)

    def family(self, folder: Path) -> list[psutil.Process]:
        """The processes of the session or batch that works in this folder."""
        return [one for one in psutil.process_iter() if _is_below(_variable(one, f"{_PREFIX}OWNER"), folder)]

    def folder_of(self, pid: int) -> Path:
        """The folder of the driver that has this process."""
        return Path(_variable(psutil.Process(pid), f"{_PREFIX}OWNER"))

    def kill(self, *processes: psutil.Process | None) -> None:
        """kill -9, and wait for the end."""
        named = [one for one in processes if one is not None]
        assert len(named) == len(processes), "a process to kill was not there"
        for process in named:
            process.kill()
        if self._serve is not None and self._serve.pid in [one.pid for one in named]:
            self._serve.wait(10)  # before anybody else collects it
        psutil.wait_procs(named, timeout=10)

    def kill_tree(self) -> None:
        """kill -9 of all but the drivers."""
        self.kill(*self.tree())

    def _ours(self) -> list[psutil.Process]:
        data = str(self.data)
        return [one for one in psutil.process_iter() if _variable(one, f"{_PREFIX}DATA_DIR") == data]

    # ------------------------------------------------------------ what it says

    def log(self) -> str:
        """The newest of what it wrote on its terminal."""
        return self._log.read_text("utf-8", "replace")[-8000:] if self._log.exists() else ""

    def driver_logs(self) -> dict[str, str]:
        """The newest lines of the newest logs of sessions and batches."""
        found = sorted(self.data.glob("*/*/log"), key=lambda log: log.stat().st_mtime)[-3:]
        return {str(log): log.read_text("utf-8", "replace")[-3000:] for log in found}

    def _serves(self) -> bool:
        assert self._serve is not None
        assert self._serve.poll() is None, f"the program ended with code {self._serve.returncode}"
        return requests.get(f"{self.url}/version", timeout=10).status_code == 200


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _word(process: psutil.Process) -> str:
    """What of the program it is: the word after `-m`, or after `-m gateway`."""
    try:
        words = process.cmdline() if process.status() not in _ENDED else []
    except psutil.Error:
        return ""
    return next((word for word in ("supervise", "gunicorn") if word in words), "")


def _variable(process: psutil.Process, name: str) -> str:
    """A variable of its environment; empty when it has ended or is somebody else's."""
    try:
        return process.environ().get(name, "") if process.status() not in _ENDED else ""
    except (psutil.Error, OSError):
        return ""


def _is_below(path: str, folder: Path) -> bool:
    return path == str(folder) or path.startswith(f"{folder}/")
