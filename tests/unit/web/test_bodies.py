"""Bodies are JSON in any of JSON's encodings, compressed or not."""

from __future__ import annotations

import gzip
import zlib

import pytest

NAME = "größe 😀"
TEXT = f'{{"kind": "pyspark", "name": "{NAME}"}}'
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
MARKED_BIG = [b"\xfe\xff" + TEXT.encode("utf-16-be"), b"\x00\x00\xfe\xff" + TEXT.encode("utf-32-be")]
COMPRESSED = [("", bytes), ("gzip", gzip.compress), ("deflate", zlib.compress)]


@pytest.mark.parametrize(("encoding", "compress"), COMPRESSED)
@pytest.mark.parametrize(
    "body",
    [*(TEXT.encode(name) for name in ENCODINGS), *MARKED_BIG],
    ids=[*ENCODINGS, "utf-16-be with its mark", "utf-32-be with its mark"],
)
def test_a_body_is_read_in_any_of_jsons_encodings(body: bytes, encoding: str, compress, gateway) -> None:
    headers = {"Content-Encoding": encoding} if encoding else {}
    livy = gateway.send("POST", "/sessions", compress(body), headers=headers)
    assert (livy.status_code, livy.json["name"]) == (201, NAME)
    lighter = gateway.send("POST", "/lighter/api/sessions", compress(body), headers=headers)
    assert (lighter.status_code, lighter.json["submitParams"]["name"]) == (201, NAME)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("text", ["{}", "\r\n {} ", '{"kind":"sql"}trailing'])
def test_a_body_of_few_characters_is_read_too(text: str, encoding: str, gateway) -> None:
    assert gateway.send("POST", "/sessions", text.encode(encoding)).status_code == 201


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_nothing_but_a_mark_is_an_empty_body(encoding: str, gateway) -> None:
    answer = gateway.send("POST", "/sessions", "".encode(encoding))
    assert answer.status_code == 400 and answer.json["msg"].startswith("No content to map due to end-of-input")


@pytest.mark.parametrize("member", ["value", "key", "_schema", "other"])
def test_an_unknown_member_is_told_by_its_name(member: str, gateway) -> None:
    answer = gateway.send("POST", "/sessions", {member: 1})
    assert answer.status_code == 400 and f'Unrecognized field "{member}"' in answer.text.replace("\\", "")


@pytest.mark.parametrize(
    ("body", "named"),
    [(b'{"name": "\xff"}', "UTF-8"), (b"\xff\xfe{\x00\x00\xd8", "UTF-16"), (b"\xff\xfe\x00\x00{", "UTF-32")],
)
def test_what_is_no_text_is_refused_by_the_encodings_name(body: bytes, named: str, gateway) -> None:
    answer = gateway.send("POST", "/sessions", body)
    assert answer.status_code == 400 and f"not {named} text" in answer.json["msg"]
