"""Collects what the benchmarks measure and prints it as one table. Nothing here asserts a time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Record = Callable[[str, float, str, str, float], None]

_rows = pytest.StashKey[list[tuple[str, str, str, str]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_rows] = []


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Notes one figure: what, its value, its unit, the baseline measured beside it, and the baseline's value."""
    rows = request.config.stash[_rows]

    def note(what: str, value: float, unit: str, baseline: str, base: float) -> None:
        rows.append((what, f"{value:.4g} {unit}", f"{baseline}: {base:.4g} {unit}", f"{value / base:.2f}"))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = [("figure", "here", "baseline in the same run", "ratio"), *config.stash[_rows]]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    terminalreporter.section("benchmarks")
    for row in rows:
        terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
