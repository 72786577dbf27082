"""Logs in Livy's layout: two markers, which its clients parse, are lines of the log and count as such (contract §1.4).

Processes write both streams into one file, so the second section is always empty. Knows no file: lines are read by
`gateway.core.logs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.core import logs

STDOUT, STDERR = "stdout: ", "\nstderr: "


@dataclass(frozen=True)
class Page:
    """`start` is where `lines` begin in a log of `total` lines, markers counted."""

    start: int
    total: int
    lines: list[str]


def page(path: Path, start: int, size: int, elsewhere: str | None = None) -> Page:
    """A page of the log, which may be on another host; `start` below 0: the last `size` lines; `size` below 0: all."""
    instead = logs.elsewhere(elsewhere)
    in_file = len(instead) or logs.count(path)
    total = in_file + 2
    size = total if size < 0 else size
    start = max(0, total - size) if start < 0 else start
    stop = min(total, start + size)
    lines = [STDOUT] if start == 0 and stop > 0 else []
    first, end = max(0, start - 1), max(0, min(stop - 1, in_file))
    lines += instead[first:end] or logs.read(path, first, end)
    if start < total == stop:
        lines.append(STDERR)
    return Page(start, total, lines)


def newest(path: Path, size: int, elsewhere: str | None = None) -> list[str]:
    """The last `size` lines of the log, which may be on another host, without counting the rest."""
    lines = logs.elsewhere(elsewhere) or logs.tail(path, size)
    return [*([STDOUT] if len(lines) < size else []), *lines, STDERR][-size:]
