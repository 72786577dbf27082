"""The docs name nothing that is not there, and the settings page says what the settings are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.core.settings import printing

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
_PATH = re.compile(r"`((?:gateway|sessions|batches|compat|tests|docs)/[\w./-]*)`")
_LINK = re.compile(r"\]\((?!http)([^)#]+)\)")
# paths below the data folder, not of the checkout
ELSEWHERE = {"batches/ID/"}


def named(page: Path) -> set[Path]:
    text = page.read_text("utf-8")
    paths = {ROOT / name for name in _PATH.findall(text) if name not in ELSEWHERE}
    return paths | {page.parent / link for link in _LINK.findall(text)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_that_a_page_names_exist(page: Path) -> None:
    assert [str(path) for path in named(page) if not path.exists()] == []


def test_the_check_sees_paths() -> None:
    assert ROOT / "sessions" / "states.py" in named(ROOT / "docs" / "architecture.md")
    assert ROOT / "docs" / "livy.md" in named(ROOT / "README.md")


def test_the_settings_page_is_up_to_date() -> None:
    """Written by `python -m gateway settings --markdown`."""
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == printing.page() + "\n"


@pytest.mark.parametrize("target", ["run", "test", "bench", "setup"])
def test_make_has_the_targets_that_the_docs_name(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
