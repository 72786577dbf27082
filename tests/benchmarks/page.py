"""`docs/performance.md`: what was measured last, as tables and a plot. Written by the benchmarks, never by hand."""

from __future__ import annotations

import json
import math
import os
import platform
from dataclasses import dataclass
from datetime import datetime, timezone
from html import escape
from pathlib import Path
from typing import Any

import psutil

DOCS = Path(__file__).parents[2] / "docs"
RESULTS, PAGE, PLOT = DOCS / "performance.json", DOCS / "performance.md", DOCS / "performance.svg"

_HEAD = """# Performance

Written by `make bench`; every figure is a median of repeats that took turns with those of its baseline, on one machine
in one run. Only ratios compare between machines. Where a bar is named, it is the goal.

![The ratio of each figure to its baseline](performance.svg)
"""
_ROW, _LABELS, _WIDTH = 22, 380, 860  # of the plot, in pixels


@dataclass(frozen=True)
class Figure:
    """`here` and `base` are medians of `rounds` measures, in `unit`. `bar`: what the ratio should be, in words."""

    group: str
    what: str
    unit: str
    here: float
    baseline: str
    base: float
    rounds: int
    bar: str = ""

    @property
    def ratio(self) -> float:
        return self.here / self.base if self.base else math.nan


def load() -> float:
    """What else keeps the machine busy, by its load average of the last minute."""
    return os.getloadavg()[0]


def conditions(load_before: float) -> dict[str, Any]:
    """What a figure was measured on."""
    return {
        "measured": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "load_before": round(load_before, 1),
    }


def read() -> dict[str, Any]:
    """All figures by their names, of this and of earlier runs."""
    return dict(json.loads(RESULTS.read_text("utf-8"))) if RESULTS.exists() else {}


def write(known: dict[str, Any]) -> None:
    """The figures, the page and its plot."""
    RESULTS.write_text(json.dumps(known, indent=1) + "\n", "utf-8")
    PAGE.write_text(_HEAD + "".join(_section(group, known) for group in _groups(known)), "utf-8")
    PLOT.write_text(_plot(list(known.values())), "utf-8")


def _groups(known: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(row["group"] for row in known.values()))


def _section(group: str, known: dict[str, Any]) -> str:
    rows = [row for row in known.values() if row["group"] == group]
    lines = [f"| {' | '.join(_cells(row))} |" for row in rows]
    head = "| figure | here | baseline | ratio | bar | measured |\n|---|---|---|---|---|---|\n"
    return f"\n## {group}\n\n{head}" + "\n".join(lines) + "\n"


def _cells(row: dict[str, Any]) -> list[str]:
    here, base = (f"{_number(row[side])} {row['unit']}" for side in ("here", "base"))
    return [row["what"], here, f"{row['baseline']}: {base}", f"{_ratio(row):.2f}", row["bar"], _conditions(row)]


def _conditions(row: dict[str, Any]) -> str:
    return (
        f"{row['measured']}, {row['rounds']} times, {row['cores']} cores, {row['memory_gib']} GiB,"
        f" load {row['load_before']:g} before"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _ratio(row: dict[str, Any]) -> float:
    return row["here"] / row["base"] if row["base"] else math.nan


def _plot(rows: list[dict[str, Any]]) -> str:
    """A bar for each figure, on a scale of powers: to the right of the line it is more than its baseline."""
    height = _ROW * (len(rows) + 1)
    middle, half = (_LABELS + _WIDTH) / 2, (_WIDTH - _LABELS) / 2 - 40
    most = max([1.0, *(abs(math.log10(_ratio(row))) for row in rows if _ratio(row) > 0)])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<line x1="{middle}" y1="0" x2="{middle}" y2="{height}" stroke="#888"/>',
    ]
    for at, row in enumerate(rows):
        ratio, top = _ratio(row), at * _ROW + 6
        length = half * math.log10(ratio) / most if ratio > 0 else 0.0
        left = min(middle, middle + length)
        parts.append(f'<text x="{_LABELS - 8}" y="{top + 12}" text-anchor="end">{escape(row["what"])}</text>')
        parts.append(f'<rect x="{left:.1f}" y="{top}" width="{abs(length):.1f}" height="15" fill="#4a7ebb"/>')
        where, anchor = (middle + length + 4, "start") if length >= 0 else (middle + length - 4, "end")
        parts.append(f'<text x="{where:.1f}" y="{top + 12}" text-anchor="{anchor}">{ratio:.2f}</text>')
    return "\n".join([*parts, "</svg>\n"])
