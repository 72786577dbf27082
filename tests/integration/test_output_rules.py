"""The tables of output rules in docs/livy.md: our answer to every rule beside Livy's.

It is this test that writes them: `WRITE_DOCS=1` puts what the gateway answers into the page; without it the page must
say that already.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessions.repl.r import RInterpreter
from tests.integration.output_rules import RULES, Rule, Server, recorded, shown
from tests.integration.running_gateway import ROOT, Gateway

PAGE = ROOT / "docs" / "livy.md"
NO_R = pytest.mark.skipif(shutil.which("R") is None, reason="R is not installed (Debian: r-base-core)")
KINDS = ["pyspark", "spark", "sql", pytest.param("sparkr", marks=NO_R)]
OUTPUT_LIMIT = 1_000_000  # bytes


def row(rule: Rule, livy: str, ours: str) -> str:
    """A line of the table; where the answers are the same, the second says so."""
    answer = "the same" if ours == livy else f"{code(ours)}<br>{rule.why}"
    return f"| {code(rule.code or ' ')} | {code(livy)} | {answer} |"


def code(text: str) -> str:
    """Text of one or more lines as code in a cell."""
    return "<br>".join(f"<code>{_escaped(line)}</code>" for line in text.split("\n"))


def _escaped(text: str) -> str:
    for sign, name in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("|", "&#124;"),
        ("`", "&#96;"),
        ("*", "&#42;"),
        ("[", "&#91;"),
        ("]", "&#93;"),
    ):
        text = text.replace(sign, name)
    return text.replace(" ", "&nbsp;") if not text.strip() or text.startswith(" ") else text


@pytest.fixture
def server(gateway: Gateway) -> Iterator[Server]:
    asked = Server(gateway.url)
    try:
        yield asked
    finally:
        asked.close()


@pytest.fixture
def r(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RInterpreter]:
    """The driver's R, on its own: none of the rules needs SparkR."""
    monkeypatch.chdir(tmp_path)
    interpreter = RInterpreter(None, OUTPUT_LIMIT)
    yield interpreter
    interpreter.execute("tools::pskill(Sys.getpid(), 9)", 0, "group")


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_says_what_the_gateway_answers(kind: str, request: pytest.FixtureRequest) -> None:
    rules = [rule for rule in RULES if rule.kind == kind]
    if kind == "sparkr":
        interpreter: RInterpreter = request.getfixturevalue("r")
        ours = {rule: shown(interpreter.execute(rule.code, 0, "group")) for rule in rules}
    else:
        server: Server = request.getfixturevalue("server")
        ours = {rule: shown(server.answer(rule)) for rule in rules}
    livy = recorded()
    assert {rule for rule in rules if ours[rule] != livy[rule.key]} == {rule for rule in rules if rule.why}
    written = page_with(kind, [row(rule, livy[rule.key], ours[rule]) for rule in rules])
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(written, "utf-8")
    assert written == PAGE.read_text("utf-8")


def page_with(kind: str, rows: list[str]) -> str:
    """The page with these rows in the table of `kind`."""
    begin, end = f"<!-- written by a test: {kind} -->\n", f"<!-- end of {kind} -->\n"
    before, found, rest = PAGE.read_text("utf-8").partition(begin)
    assert found, f"{PAGE} has no place for the rules of {kind}"
    table = "\n".join(["| code | Livy | gateway |", "|---|---|---|", *rows])
    return f"{before}{begin}\n{table}\n\n{end}{rest.partition(end)[2]}"
