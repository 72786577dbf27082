"""How much memory this host, or the container in it, has left for further processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

_LEAST_RESERVE = 1 << 30  # bytes
_PROC, _CGROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60  # what the first version of control groups says when there is no limit is larger


def available() -> int:
    """Bytes that further processes can have without anybody's being taken away."""
    rooms = (max(0, limit - taken) for limit, taken in _limits())
    return min([psutil.virtual_memory().available, *rooms])


def reserve() -> int:
    """Bytes that are to stay free for what users run."""
    total = min([psutil.virtual_memory().total, *(limit for limit, _ in _limits())])
    return max(_LEAST_RESERVE, total // 10)


def is_short() -> bool:
    """Whether what could be done without should be given up."""
    return available() < reserve() // 2


def _limits() -> Iterator[tuple[int, int]]:
    """Of each control group that we are in and that has a limit: that, and what is taken of it for good.

    https://docs.kernel.org/admin-guide/cgroup-v2.html#memory, https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
    """
    try:
        lines = [line.split(":", 2) for line in _PROC.read_text().splitlines()]
    except OSError:
        return
    for _, controllers, path in (line for line in lines if len(line) == 3):
        if controllers == "":
            yield from _of_all(_CGROUPS, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _of_all(_CGROUPS / "memory", path, *names)


def _of_all(root: Path, path: str, limit: str, usage: str, cache: str) -> Iterator[tuple[int, int]]:
    """Of the group at `path` and those it is in. A container may see its own as the root."""
    folder = root / path.lstrip("/")
    for group in (folder, *folder.parents):
        if not group.is_relative_to(root):
            return
        allowed, taken = _number(group / limit), _number(group / usage)
        if allowed is not None and taken is not None and allowed < _UNLIMITED:
            yield allowed, taken - _cached(group / "memory.stat", cache)


def _cached(file: Path, name: str) -> int:
    """What the group holds of files that can be read again."""
    try:
        return int(dict(line.split() for line in file.read_text().splitlines()).get(name, 0))
    except (OSError, ValueError):
        return 0


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
