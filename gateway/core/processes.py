"""Processes of this host that outlive the gateway: started once, found again, and ended with all they started.

Each runs under a small shell in a session (process group) of its own, with a work folder that holds `pid`
(written first, by the shell itself, exclusively: a second start in the same folder does nothing) and, at the
end, `exit` with the exit code. So the folder alone tells a restarted gateway what it has to know.
Linux only: it waits on pidfds.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

OWNER_VARIABLE = "SPARK_GATEWAY_OWNER"
_SWEEPS = 10  # of all processes at most, to tell a family that forks while it is told
_NONE_FREE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # descriptors, which says nothing of a process
_ENDED = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)

_C = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>: the signal that a process gets when its parent ends

# How many descriptors this process may have as it begins, and at most. What is started here gets the former.
_DESCRIPTORS, _MOST_DESCRIPTORS = resource.getrlimit(resource.RLIMIT_NOFILE)

# $0 is the folder. noclobber makes `>` an exclusive create. The code is renamed into place: never half there.
_SHELL = f"""
ulimit -S -n {"unlimited" if _DESCRIPTORS == resource.RLIM_INFINITY else _DESCRIPTORS}
set -C; {{ echo $$ > "$0/pid"; }} 2>/dev/null || exit 0; set +C
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


def allow_descriptors() -> None:
    """Let this process have as many descriptors as it may: each process that is watched takes one."""
    with suppress(OSError, ValueError):  # more than the system lets anybody have
        resource.setrlimit(resource.RLIMIT_NOFILE, (_MOST_DESCRIPTORS, _MOST_DESCRIPTORS))


def end_with_parent(parent: int) -> None:
    """Called in a new child of this process: have it end when that does, also when that is killed."""
    _C.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


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
    except (psutil.Error, OSError):
        pass  # it has ended already, or no descriptor is free to look with


def find(folder: Path) -> Process | None:
    """The process started in this folder, alive or not; None when none has got as far as writing its pid.

    Raises OSError when that cannot be told, with no descriptor free for instance.
    """
    try:
        return Process(folder, int((folder / "pid").read_text()))
    except (FileNotFoundError, NotADirectoryError, PermissionError, ValueError):
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
    """A descriptor that becomes readable when the process ends (the caller closes it); None if it has ended.

    Raises OSError when that cannot be told, with no descriptor free for instance.
    """
    descriptor = descriptor_of(process.pid)
    if descriptor is None:
        return None
    try:
        alive = is_alive(process)
    except OSError:
        os.close(descriptor)
        raise
    if alive:
        return descriptor
    os.close(descriptor)
    return None


def descriptor_of(pid: int) -> int | None:
    """As `watch`, of any process."""
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno in _NONE_FREE:
            raise
        return None  # it has ended, or the pid is a thread's by now


def signal_all(wanted: Mapping[Path, signal.Signals | None]) -> dict[Path, list[int]]:
    """Send each folder's signal to everything that was started there, also to what was forked while we looked.

    None only looks. The pids that were found in each folder, lowest first.
    """
    found: dict[Path, set[int]] = {folder: set() for folder in wanted}
    for _ in range(_SWEEPS):
        families = sweep()
        fresh = {folder: families.get(folder, set()) - pids for folder, pids in found.items()}
        for folder, pids in fresh.items():
            found[folder] |= pids
            number = wanted[folder]
            if number is not None:
                _send(folder, pids, number)
        if not any(pids for folder, pids in fresh.items() if wanted[folder] is not None):
            break
    return {folder: sorted(pids) for folder, pids in found.items()}


def _send(folder: Path, pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(OSError):
            descriptor = os.pidfd_open(pid)
            try:
                if _owner(pid) == folder:  # and not somebody else's that was given the pid meanwhile
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)


def sweep() -> dict[Path, set[int]]:
    """One look at all processes: the pids of those that were started in folders, by folder.

    They are known by their environment, however far down and in whatever group they are.
    """
    families: dict[Path, set[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (folder := _owner(int(name))) is not None:
            families.setdefault(folder, set()).add(int(name))
    return families


def _owner(pid: int) -> Path | None:
    """The folder it was started in; None for a stranger, and for the dead, who have no environment any more."""
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            environ = file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    _, mark, rest = (b"\0" + environ).partition(b"\0" + OWNER_VARIABLE.encode() + b"=")
    return Path(os.fsdecode(rest.partition(b"\0")[0])) if mark else None


def family(folder: Path) -> list[psutil.Process]:
    """All processes started in `folder`, as one sweep finds them."""
    found = []
    for pid in sweep().get(folder, ()):
        with suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(pid))
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
