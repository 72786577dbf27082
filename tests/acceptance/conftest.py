"""One running program for the whole folder, real clients in their own environment, and nothing left behind."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.program import ROOT, Program
from tests.acceptance.rest import Rest, running


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program that all tests share. Not to be killed: `test_kills` has one of its own."""
    yield from running(tmp_path_factory.mktemp("gateway"))


@pytest.fixture(scope="session")
def rest(program: Program) -> Rest:
    return Rest(program)


@pytest.fixture(scope="session")
def clients_python() -> Path:
    """The Python that has the real clients: `make clients` makes it, TEST_CLIENTS_PYTHON names another."""
    python = Path(os.environ.get("TEST_CLIENTS_PYTHON") or ROOT / ".venv-clients" / "bin" / "python")
    assert python.exists(), f"{python} is missing: run `make clients`"
    return python


@pytest.fixture(scope="session")
def clients_environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a client: an empty home, no proxy in front of this machine, nothing of the gateway's."""
    home = tmp_path_factory.mktemp("home")
    kept = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "NO_PROXY": "*", "HOME": str(home)}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "JUPYTER_PLATFORM_DIRS": "1"}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Show the program's log and its drivers' below a failure."""
    report = yield
    if report.failed:
        for program in getattr(item, "funcargs", {}).values():
            if isinstance(program, Program):
                report.sections.append((f"log of {program.url}", program.log()))
                report.sections.extend(program.driver_logs().items())
    return report
