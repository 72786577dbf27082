"""Processes that outlive the gateway: started once, found again, watched, and ended with all they started.

Each runs under a small shell in a session (process group) of its own, with a work folder that holds `pid`
(written first, by the shell itself, exclusively: a second start in the same folder does nothing) and, at the
end, `exit` with the exit code. So the folder alone tells a restarted gateway what it has to know.
Linux only: it waits on pidfds.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import psutil

OWNER_VARIABLE = "SPARK_GATEWAY_OWNER"
_SWEEPS = 10  # of all processes at most, to tell a family that forks while it is told
_ENDED = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)

# $0 is the folder. noclobber makes `>` an exclusive create. The code is renamed into place: never half there.
_SHELL = """
set -C; { echo $$ > "$0/pid"; } 2>/dev/null || exit 0; set +C
"$@"
code=$?
echo $code > "$0/exit.part" && mv "$0/exit.part" "$0/exit"
exit $code
"""


@dataclass(frozen=True)
class Process:
    """A started process: `folder` names it for ever, `pid` is its shell's and its process group's id."""

    folder: Path
    pid: int


def start(folder: Path, command: Sequence[str], environ: Mapping[str, str]) -> Process:
    """Start `command` in `folder` (which must exist), its output appended to `folder`/log.

    Starting twice is harmless: the second process ends at once. Raises OSError if none can be started at all.
    """
    with open(os.open(folder / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab") as log:
        child = subprocess.Popen(
            ["/bin/sh", "-c", _SHELL, str(folder), *command],
            cwd=folder,
            env={**environ, OWNER_VARIABLE: str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    child.returncode = 0  # its end is read from its folder and it is collected by `reap`; Popen need not
    _wait_for_command_line(child.pid)
    return Process(folder, child.pid)


def _wait_for_command_line(pid: int) -> None:
    """Popen returns in the middle of exec, a moment before the command line, which `is_alive` looks at, is there."""
    try:
        process = psutil.Process(pid)
        while not process.cmdline() and process.status() not in _ENDED:
            os.sched_yield()
    except psutil.Error:
        pass  # it has ended already


def find(folder: Path) -> Process | None:
    """The process started in this folder, alive or not; None when none has got as far as writing its pid."""
    try:
        return Process(folder, int((folder / "pid").read_text()))
    except (OSError, ValueError):
        return None


def exit_code(folder: Path) -> int | None:
    """The code it ended with (128 + n for signal n); None while it runs, and when its shell was killed too."""
    try:
        return int((folder / "exit").read_text())
    except (OSError, ValueError):
        return None


def is_alive(process: Process) -> bool:
    """Whether its shell runs. The folder in the command line guards against a pid given to somebody else.

    After a reboot that may be a thread of the kernel, which has no command line at all.
    """
    try:
        shell = psutil.Process(process.pid)
        return shell.status() not in _ENDED and str(process.folder) in shell.cmdline()
    except psutil.Error:
        return False


def watch(process: Process) -> int | None:
    """A descriptor that becomes readable when the process ends (the caller closes it); None if it has ended."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return None
    if is_alive(process):
        return descriptor
    os.close(descriptor)
    return None


class Watcher:
    """Tells when processes end, at no cost while they run. Lives in the event loop that is running when it is used."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._descriptors: dict[Path, int] = {}
        self._ended: set[Path] = set()

    def add(self, process: Process) -> None:
        """Watch it from now on; again is harmless."""
        if process.folder in self._descriptors or process.folder in self._ended:
            return
        descriptor = watch(process)
        if descriptor is None:
            self._ended.add(process.folder)
            self._wake()
        else:
            self._descriptors[process.folder] = descriptor
            asyncio.get_running_loop().add_reader(descriptor, self._on_end, process.folder)

    def ended_in(self, parent: Path) -> list[str]:
        """The folder names below `parent` whose process has ended, until they are forgotten."""
        return [folder.name for folder in self._ended if folder.parent == parent]

    def renew(self, folder: Path) -> bool:
        """Whether the process of an ended folder does run: what ended was a second start of it. Then watch it."""
        process = find(folder)
        if process is None or not is_alive(process):
            return False
        self._ended.discard(folder)
        self.add(process)
        return True

    def forget(self, folder: Path) -> None:
        self._ended.discard(folder)
        self._close(folder)

    def _on_end(self, folder: Path) -> None:
        self._close(folder)
        self._ended.add(folder)
        self._wake()

    def _close(self, folder: Path) -> None:
        descriptor = self._descriptors.pop(folder, None)
        if descriptor is not None:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)


class Ladder:
    """Ends all that was started in a folder, a step at a time: (signal, patience) pairs, the last one again and again.

    Where a folder stands is not kept beyond this process: a successor begins at the first step.
    """

    def __init__(self, *steps: tuple[signal.Signals, timedelta]) -> None:
        self._steps = steps
        self._standing: dict[Path, tuple[int, datetime]] = {}  # the step last taken, and when

    @property
    def busy(self) -> bool:
        return bool(self._standing)

    def has_ended(self, folder: Path, now: datetime) -> bool:
        """Whether nothing of the folder runs any more; if something does, take the next step when it is due."""
        if not family(folder):
            self._standing.pop(folder, None)
            return True
        step, since = self._standing.get(folder, (-1, now))
        if step < 0 or abs(now - since) > self._steps[step][1]:  # a clock that was set back must not stay it
            step = min(step + 1, len(self._steps) - 1)
            signal_all(folder, self._steps[step][0])
            self._standing[folder] = (step, now)
        return False


def signal_all(folder: Path, number: signal.Signals) -> None:
    """Send a signal to everything that was started in `folder`, also to what was forked while we looked."""
    told: set[psutil.Process] = set()
    for _ in range(_SWEEPS):
        found = set(family(folder)) - told
        if not found:
            return
        for process in found:
            try:
                process.send_signal(number)
            except psutil.Error:
                continue
        told |= found


def family(folder: Path) -> list[psutil.Process]:
    """All processes started in `folder`, however far down and in whatever group: known by their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(OWNER_VARIABLE) == str(folder) and process.status() not in _ENDED:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def listening_ports(folder: Path) -> list[int]:
    """TCP ports that processes started in `folder` listen on, lowest first."""
    ports = set()
    for process in family(folder):
        try:
            connections = process.net_connections("tcp")
        except psutil.Error:
            continue
        ports |= {one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN}
    return sorted(ports)


def reap() -> None:
    """Collect ended children, so that they do not stay as zombies. For the process that calls `start`."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
