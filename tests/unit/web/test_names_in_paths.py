"""Whatever name a record was given, its path finds it, or the name was refused."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

NAMES = [
    "team/übung", "/", "/lead", "trail/", "a//b", "//", "a/state", "0/statements", "what?", "a#b", "100%", "a%2Fb",
    "%", "%2f", "%25", "a%2Fb/c%", " ", " a b ", "a+b", "a;b=1", "a&b", "...", ".hidden", "-1", "😀",
    "日本/語", "a\\b", "a:b", "<script>", "'\"", "sessions", "ui", "\t", "a\nb", "e\u0301", "\u2028",
]  # fmt: skip
ENDS = {"sessions": ("", "/state", "/log", "/statements"), "batches": ("", "/state", "/log")}


@pytest.mark.parametrize("kind", ["sessions", "batches"])
@pytest.mark.parametrize("name", NAMES)
def test_a_record_is_found_by_its_name(name: str, kind: str, gateway) -> None:
    body = {"name": name, "file": "/bin/true"} if kind == "batches" else {"name": name, "kind": "sql"}
    assert gateway.send("POST", f"/{kind}", body).status_code == 201
    for end in ENDS[kind]:
        assert gateway.send("GET", f"/{kind}/{quote(name, safe='')}{end}").status_code == 200, end
    assert gateway.get(f"/{kind}/{quote(name, safe='')}")["name"] == name
    page = f"/ui/{kind.removesuffix('s').removesuffix('e')}/{quote(name, safe='')}/log"
    assert gateway.send("GET", page).status_code == 200
    assert gateway.send("DELETE", f"/{kind}/{quote(name, safe='')}").status_code == 200


@pytest.mark.parametrize("name", [".", "..", "", "0", "007"])
@pytest.mark.parametrize("kind", ["sessions", "batches"])
def test_a_name_that_no_path_can_hold_is_refused(name: str, kind: str, gateway) -> None:
    body = {"name": name, "file": "/bin/true"} if kind == "batches" else {"name": name}
    answer = gateway.send("POST", f"/{kind}", body)
    assert (answer.status_code, answer.json) == (400, {"msg": f"Rejected, Reason: Invalid session name: {name}"})


def test_a_statement_is_found_below_a_name_with_a_slash(gateway) -> None:
    gateway.open(name="team/übung"), gateway.make_idle()
    path = f"/sessions/{quote('team/übung', safe='')}/statements"
    assert gateway.send("POST", path, {"code": "1"}).status_code == 201
    assert gateway.get(f"{path}/0")["id"] == 0


@pytest.mark.parametrize("written", ["team%2Fa", "team%2fa", "%74eam%2Fa"])
def test_an_escape_may_be_written_either_way(written: str, make_gateway) -> None:
    gateway = make_gateway(url_prefix="/livy")
    gateway.open(name="team/a")
    for path in (f"/sessions/{written}", f"/livy/sessions/{written}"):
        assert gateway.get(path)["id"] == 0
    for raw in (f"http://localhost/sessions/{written}", f"//sessions/{written}?from=%2F"):
        assert gateway.get("/sessions/team/a", environ_overrides={"RAW_URI": raw})["id"] == 0


def test_a_name_may_come_without_escapes_but_for_its_slash(gateway) -> None:
    gateway.open(name="team/übung")
    raw = "/sessions/team%2Fübung".encode().decode("latin-1")  # as a server hands it on
    assert gateway.get("/sessions/team/x", environ_overrides={"RAW_URI": raw})["id"] == 0


def test_a_slash_that_is_none_of_a_name_parts_the_path(gateway) -> None:
    gateway.open(name="a/state"), gateway.open(name="a")
    assert gateway.get("/sessions/a%2Fstate")["id"] == 0
    assert gateway.get("/sessions/a/state") == {"id": 1, "state": "starting"}


@pytest.mark.parametrize("chosen", ["wéekly", "a b", "100%", "a?b", "a#b", "a+b", "😀", "%2F", "..."])
def test_a_chosen_id_of_lighters_is_found(chosen: str, gateway) -> None:
    path = f"/lighter/api/sessions/{quote(chosen, safe='')}"
    assert gateway.send("PUT", path, {}).json["id"] == chosen
    assert gateway.get(path)["id"] == chosen


@pytest.mark.parametrize("chosen", ["a/b", "/", "a%2F/b"])
def test_a_chosen_id_with_a_slash_is_refused(chosen: str, gateway) -> None:
    answer: Any = gateway.send("PUT", f"/lighter/api/sessions/{quote(chosen, safe='')}", {})
    assert answer.status_code == 400 and "without a slash" in answer.json["errors"][0]["message"]
