"""Collects what the benchmarks measure, prints it as one table and writes it down: `docs/performance.json`, a page and
a plot made of it. Nothing here asserts a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from statistics import median

import pytest

from tests.benchmarks import page
from tests.benchmarks.page import Figure
from tests.integration.running_gateway import Gateway, Session

Measure = Callable[[], float]
Compare = Callable[..., None]

_figures = pytest.StashKey[list[Figure]]()
_load = pytest.StashKey[float]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_figures] = []
    config.stash[_load] = page.load()


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """As `serve` runs it, but that no driver is started ahead."""
    running = Gateway(tmp_path_factory.mktemp("gateway"), web_workers=2)
    try:
        yield running.open()
    finally:
        running.close()


@pytest.fixture(scope="session")
def session(gateway: Gateway) -> Session:
    """An idle one with a statement that has ended."""
    opened = gateway.new_session(kind="pyspark").wait_for("idle")
    opened.submit("1 + 1").wait()
    return opened


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[[Figure], None]:
    """Keeps a figure that was measured, and writes it down at once: a run may be broken off."""

    def keep(figure: Figure) -> None:
        request.config.stash[_figures].append(figure)
        known = page.read()
        known[f"{figure.group}: {figure.what}"] = {**asdict(figure), **page.conditions(request.config.stash[_load])}
        page.write(known)

    return keep


@pytest.fixture
def compare(note: Callable[[Figure], None]) -> Compare:
    """Measures a thing and its baseline in turn, `rounds` times, and notes the medians."""

    def measure(
        group: str, what: str, unit: str, here: Measure, baseline: str, base: Measure, *, rounds: int = 3, bar: str = ""
    ) -> None:
        pairs = [(here(), base()) if at % 2 else (base(), here())[::-1] for at in range(rounds)]
        ours, theirs = ([pair[side] for pair in pairs] for side in (0, 1))
        note(Figure(group, what, unit, median(ours), baseline, median(theirs), rounds, bar))

    return measure


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = [("figure", "here", "baseline in the same run", "ratio")]
    for figure in config.stash[_figures]:
        base = f"{figure.baseline}: {figure.base:.4g} {figure.unit}"
        rows.append((figure.what, f"{figure.here:.4g} {figure.unit}", base, f"{figure.ratio:.2f}"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    terminalreporter.section("benchmarks")
    for row in rows:
        terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
