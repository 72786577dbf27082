"""A statement whose output is in pieces is answered as one whose output is held, in every protocol and on the pages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.clock import utc_now
from gateway.core.identity import ANONYMOUS
from gateway.web.front.polls import Asked
from sessions.statements.large import Torn
from tests.unit.livy.conftest import Gateway

SPARKMAGIC = {"X-Compatibility-Mode": "sparkmagic"}
LIGHTER = "/lighter/api/sessions/{uuid}/statements"
OUTPUTS = {
    "text": {"status": "ok", "execution_count": 7, "data": {"text/plain": 'é "x"\n' * 500}},
    "table": {"status": "ok", "execution_count": 7, "data": {"application/json": {"data": [[0.1, None]] * 500}}},
    "failure": {
        "status": "error", "execution_count": 7, "ename": "E", "evalue": "no", "traceback": ["a\n", "E: no\n"],
        "data": {"text/plain": "one\ntwo\n" * 500},
    },
    "silent failure": {
        "status": "error", "execution_count": 7, "ename": "E", "evalue": "no" * 900, "traceback": ["a\n"] * 900,
    },
}  # fmt: skip
OUTPUT = pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)


@pytest.fixture
def uuid(gateway: Gateway) -> str:
    """Of an idle session, whose number is 0."""
    gateway.open_idle()
    found = gateway.sessions.find(ANONYMOUS, 0)
    assert found is not None
    return found.uuid


def run_both(gateway: Gateway, output: dict[str, Any]) -> None:
    """Statement 0 has this output as it is held, statement 1 in pieces."""
    text = json.dumps(output, separators=(",", ":"))
    gateway.run(0)
    gateway.statements.claim(utc_now())
    gateway.statements.finish(0, 0, text, utc_now(), utc_now())
    gateway.run(0)
    gateway.statements.claim(utc_now())
    parts = [text[at : at + 50] for at in range(0, len(text), 50)]
    for place, part in enumerate(parts):
        assert gateway.statements.keep(0, 1, place, part)
    assert gateway.statements.finish_kept(0, 1, len(parts), utc_now(), utc_now())


def same(document: dict[str, Any]) -> dict[str, Any]:
    """Without what differs between two statements anyway."""
    return {key: value for key, value in document.items() if key not in ("id", "started", "completed", "createdAt")}


@OUTPUT
@pytest.mark.parametrize("headers", [{}, SPARKMAGIC], ids=["livy", "sparkmagic"])
def test_documents_of_a_large_statement_are_those_of_a_held_one(
    output: dict[str, Any], headers: dict[str, str], gateway: Gateway, uuid: str
) -> None:
    run_both(gateway, output)
    for root in ("/sessions/0/statements", LIGHTER.format(uuid=uuid)):
        statements = gateway.get(root, headers=headers)["statements"]
        held, large = sorted(statements, key=lambda one: str(one["id"])[-1])
        assert same(large) == same(held) and held["output"]["data" if "data" in output else "traceback"]
        for one in (held, large):
            assert gateway.get(f"{root}/{one['id']}", headers=headers) == one


@OUTPUT
def test_a_large_statement_is_streamed_and_not_compressed(output: dict[str, Any], gateway: Gateway, uuid: str) -> None:
    run_both(gateway, output)
    for path in ("/sessions/0/statements/1", "/sessions/0/statements"):
        answer = gateway.send("GET", path, headers={"Accept-Encoding": "gzip"})
        assert "Content-Length" not in answer.headers and "Content-Encoding" not in answer.headers
        assert answer.headers["Content-Type"] == "application/json;charset=utf-8"


def test_lighters_cancel_of_a_large_statement_that_has_ended_shows_it(gateway: Gateway, uuid: str) -> None:
    run_both(gateway, OUTPUTS["text"])
    answer = gateway.send("POST", "/lighter/api/sessions/0/statements/1/cancel", {}, headers=SPARKMAGIC)
    assert answer.status_code == 200 and json.loads(answer.data)["output"] == OUTPUTS["text"]


@OUTPUT
def test_the_console_shows_a_large_output_as_a_held_one(output: dict[str, Any], gateway: Gateway, uuid: str) -> None:
    run_both(gateway, output)
    page = gateway.send("GET", "/ui/session/0").text
    shown = ("two" if "data" in output else "nono") if output["status"] == "error" else '"x"'.replace('"', "&#34;")
    if output is not OUTPUTS["table"]:
        first, second = page.count(shown) // 2, page.count(shown)
        assert second and 2 * first == second


def test_a_statement_that_is_removed_while_it_is_read_is_not_half_told(gateway: Gateway, uuid: str) -> None:
    run_both(gateway, OUTPUTS["text"])
    gateway.db.run("DELETE FROM statement_pieces WHERE number = 30")
    with pytest.raises(Torn, match="was removed while it was read"):
        gateway.client.get("/sessions/0/statements/1").get_data()


@pytest.mark.parametrize("headers", [{}, {b"x-compatibility-mode": b"sparkmagic"}], ids=["livy", "sparkmagic"])
def test_polls_read_no_large_output(headers: dict[bytes, bytes], gateway: Gateway, uuid: str) -> None:
    run_both(gateway, OUTPUTS["text"])
    found = gateway.get(LIGHTER.format(uuid=uuid))["statements"]
    held, large = sorted(one["id"] for one in found)
    gateway.db.run("DELETE FROM statement_pieces")  # there is nothing to read
    for path, is_large in (
        ("/sessions/0/statements/0", False),
        ("/sessions/0/statements/1", True),
        (f"{LIGHTER.format(uuid=uuid)}/{held}", False),
        (f"{LIGHTER.format(uuid=uuid)}/{large}", True),
    ):
        at = gateway.front.polls.at(path.encode())
        assert at is not None
        poll, values = at
        assert (poll.answer(Asked(ANONYMOUS, values, b"", headers)) is None) == is_large
