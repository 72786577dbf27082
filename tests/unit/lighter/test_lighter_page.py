"""docs/lighter.md says nothing that no test stands for and leaves nothing out; only compat/ knows Lighter."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.unit.livy.test_livy_page import names_of_all_tests

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "lighter.md").read_text("utf-8")
NAMED = set(re.findall(r"`(test_\w+)`", PAGE))


def section(title: str) -> str:
    """The text below a heading, up to the next one of its level."""
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_every_test_the_page_names_exists() -> None:
    assert len(NAMED) > 80
    assert NAMED - names_of_all_tests() == set()


def test_every_quirk_is_on_the_page_once_and_in_order() -> None:
    numbers = re.findall(r"^\| (\d+) \|", section("The numbered quirks"), re.MULTILINE)
    assert numbers == [str(number) for number in range(1, 38)]


def test_every_test_of_lighters_is_on_the_page() -> None:
    fuzz = {"test_lighter_nonsense_never_makes_an_unexpected_failure"}
    assert {name for name in names_of_all_tests() if name.startswith("test_lighter_")} - NAMED == fuzz


def test_every_route_on_the_page_is_served_and_every_served_one_is_there(gateway) -> None:
    rules = gateway.client.application.url_map.iter_rules()
    served = {
        (method, re.sub(r"<(\w+:)?\w+>", "*", rule.rule).rstrip("/"))
        for rule in rules
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.endpoint.startswith("lighter_")
    }
    listed = {
        (method, re.sub(r"\{\w+\}", "*", path))
        for method, path in re.findall(r"^\| `(GET|POST|PUT|DELETE) (/\S*)` \|", section("Routes"), re.MULTILINE)
    }
    assert listed == served


def test_no_file_outside_of_its_folder_names_lighter_but_the_wiring() -> None:
    folders = ["gateway", "sessions", "batches", "wsgi.py", "compat/livy"]
    found = subprocess.run(
        ["grep", "-rliw", "--include=*.py", "--include=*.html", "--include=*.js", "lighter", *folders],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.split() == ["gateway/app.py"]
