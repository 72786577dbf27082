"""A forked interpreter as a Unix process: its place in the family of its folder, its log, its signals.

Decides by what the gateway knows it and all that it starts, and that it never outlives whoever forked it. Linux only.
"""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress

OWNER_VARIABLE = "SPARK_GATEWAY_OWNER"  # by which the gateway knows what was started in a folder
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
_MOST_DESCRIPTORS = 1 << 16
_KILLED_FIRST = "300"  # where memory ends, one interpreter goes rather than the JVM of all


def become(folder: str, parent: int) -> None:
    """Be the process of this seat. In the fork, before anything else."""
    die_with_parent(parent)
    os.setsid()
    os.closerange(3, _MOST_DESCRIPTORS)  # the zygote's own, and the FIFOs of all other seats
    log = os.open(os.path.join(folder, "log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    _be_owned_by(folder)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(_KILLED_FIRST)


def die_with_parent(parent: int) -> None:
    """Be killed when the process `parent`, which has forked this one, ends: whatever runs here then, C too."""
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def forget_stdin() -> None:
    """Have an empty stdin instead of the parent's."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _be_owned_by(folder: str) -> None:
    """Count to the family of `folder`, with all that is started from here.

    What others see in /proc of a process's environment is the memory it began with, which a fork inherits. So the
    folder is written there. It must not be longer than the application's own; beside that one, it is as long.
    """
    os.environ[OWNER_VARIABLE] = folder
    begin, end = _environment()
    block = ctypes.string_at(begin, end - begin)
    mark = f"{OWNER_VARIABLE}=".encode()
    at = 0 if block.startswith(mark) else block.find(b"\0" + mark) + 1
    if not block.startswith(mark) and not at:
        return
    room = block.find(b"\0", at) - at - len(mark)
    name = os.fsencode(folder)
    if len(name) > room:
        raise ValueError(f"{folder} is longer than the folder of its application")
    text = name.ljust(room, b"\0")
    ctypes.memmove(begin + at + len(mark), text, len(text))


def _environment() -> tuple[int, int]:
    """Where the environment that this process, or the one it was forked from, began with is in its memory."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return int(fields[47]), int(fields[48])  # env_start and env_end of proc(5), which counts from the pid as 1
