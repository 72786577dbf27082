"""docs/livy.md says nothing that no test stands for, and leaves out no number."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "livy.md").read_text("utf-8")


def section(title: str) -> str:
    """The text below a heading, up to the next one of its level."""
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def numbers(table: str) -> list[int]:
    return [int(number) for number in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)]


def names_of_all_tests() -> set[str]:
    found = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(file.read_text("utf-8"))
        found |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return found


def test_every_test_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 60
    assert named - names_of_all_tests() == set()


@pytest.mark.parametrize(("title", "count"), [("The thirty rules", 30), ("The numbered quirks", 72)])
def test_every_number_is_on_the_page_once_and_in_order(title: str, count: int) -> None:
    assert numbers(section(title)) == list(range(1, count + 1))


def test_every_numbered_test_is_on_the_page() -> None:
    numbered = {name for name in names_of_all_tests() if re.match(r"test_(rule|quirk)_\d\d_", name)}
    assert numbered - set(re.findall(r"`(test_\w+)`", PAGE)) == set()


def test_every_route_on_the_page_is_served_and_every_served_one_is_there(gateway) -> None:
    rules = gateway.client.application.url_map.iter_rules()
    served = {
        (method, re.sub(r"<(\w+:)?\w+>", "*", rule.rule).rstrip("/") or "/")
        for rule in rules
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.endpoint.startswith("livy_")
    }
    listed = {
        (method, re.sub(r"\{\w+\}", "*", path))
        for method, path in re.findall(r"^\| `(GET|POST|DELETE) (/\S*)` \|", section("Routes"), re.MULTILINE)
    }
    assert listed == served
