"""How much memory this host, or the container in it, has left for further processes."""

from __future__ import annotations

from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")
_LEAST_RESERVE = 1 << 30  # bytes


def available() -> int:
    """Bytes that further processes can have without anybody's being taken away."""
    free = psutil.virtual_memory().available
    allowed, taken = _number("memory.max"), _number("memory.current")
    return free if allowed is None or taken is None else max(0, min(free, allowed - taken + _cache()))


def reserve() -> int:
    """Bytes that are to stay free for what users run."""
    total = psutil.virtual_memory().total
    return max(_LEAST_RESERVE, min(total, _number("memory.max") or total) // 10)


def is_short() -> bool:
    """Whether what could be done without should be given up."""
    return available() < reserve() // 2


def _cache() -> int:
    """What the container holds of files that can be read again."""
    try:
        pairs = [line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines()]
        return int(dict(pairs).get("inactive_file", 0))
    except (OSError, ValueError):
        return 0


def _number(name: str) -> int | None:
    """A number of the container's; None when there is no container, or no limit."""
    try:
        return int((_CGROUP / name).read_text())
    except (OSError, ValueError):
        return None
