"""What is large is kept in a file, and is what it would be in memory."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from sessions.repl import large, output, r
from sessions.repl.exact import exact_json, json_number
from sessions.repl.large import LargeText, Spool, json_pieces, last_lines, sliced, whole
from sessions.repl.output import Capture, readable

COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is large."""
    for module in (large, output):
        monkeypatch.setattr(module, "IN_MEMORY", 8)
        monkeypatch.setattr(module, "PIECE", 3)


def printed(capture: Capture, seed: int) -> tuple[str, str]:
    """Something random, printed into `capture`; both streams."""
    chosen, streams = random.Random(seed), {"stdout": "", "stderr": ""}
    for _ in range(chosen.randrange(12)):
        text = "".join(chosen.choices('ab \n\t€é😀\udc80\x00\\"\u2003', k=chosen.randrange(9)))
        name = chosen.choice(list(streams))
        streams[name] += text
        capture.write(name, text)
    return streams["stdout"], streams["stderr"]


@pytest.mark.parametrize("strip", [True, False])
@pytest.mark.parametrize("seed", range(40))
def test_what_is_kept_in_a_file_reads_as_what_is_kept_in_memory(strip: bool, seed: int, tiny: None) -> None:
    capture = Capture(10_000)
    text = readable("".join(printed(capture, seed)))
    expected = text.rstrip() if strip else text
    shown = capture.text(strip)
    assert str(shown) == str(shown) == expected
    assert isinstance(shown, LargeText) == (len(expected) > 8)


@pytest.mark.parametrize("seed", range(40))
def test_the_limit_cuts_a_file_where_it_cuts_memory(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory = Capture(20)
    printed(in_memory, seed)
    expected = in_memory.text()
    assert isinstance(expected, str)
    for module in (large, output):
        monkeypatch.setattr(module, "IN_MEMORY", 8)
        monkeypatch.setattr(module, "PIECE", 3)
    in_a_file = Capture(20)
    printed(in_a_file, seed)
    assert str(in_a_file.text()) == expected


def test_what_is_printed_later_is_no_part_of_a_text(tiny: None) -> None:
    capture = Capture(1000)
    capture.write("stdout", "0123456789")
    text = capture.text()
    capture.write("stdout", "more than that, and more")
    capture.write("stderr", "an error")
    assert str(text) == "0123456789"


def test_an_interrupt_loses_and_repeats_nothing(tiny: None, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(None)
    spool.write("0123456789")
    write = large.os.pwrite

    def interrupted(descriptor: int, data: Any, at: int) -> int:
        write(descriptor, data[:1], at)
        raise KeyboardInterrupt

    monkeypatch.setattr(large.os, "pwrite", interrupted)
    with pytest.raises(KeyboardInterrupt):
        spool.write("abcdefghij")
    monkeypatch.setattr(large.os, "pwrite", write)
    spool.write("!")
    assert "".join(spool.reader()()) == "0123456789abcdefghij!"


def test_output_that_cannot_be_kept_is_cut_and_says_so(tiny: None) -> None:
    capture = Capture(1000)
    capture._parts["stdout"] = Spool("/nowhere")
    for _ in range(3):
        capture.write("stdout", "0123456789")
    assert str(capture.text()).endswith("\n[output cut: it cannot be kept: No such file or directory]")


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        {"a": [], "b": {}},
        {"status": "ok", "execution_count": 3, "data": {"text/plain": 'a "quoted"\n\\ \x00 é 😀'}},
        {"schema": {"fields": [{"name": "n"}]}, "data": [[n, f"é{n}", None, 0.5] for n in range(1001)]},
        {"digits": [json_number(Decimal("12345678901234567890.123456789")), 1]},
        {"surrogate": "\udc80"},
        {1: 2},
        "text",
        7,
    ],
)
def test_json_in_pieces_is_json(value: Any, tiny: None) -> None:
    text = "".join(json_pieces(value))
    assert text == (exact_json(value) or json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def test_a_large_text_within_an_envelope_is_written_as_a_text(tiny: None) -> None:
    text = 'line "one"\nline two'
    envelope = {"status": "ok", "data": {"text/plain": LargeText(lambda: sliced(text))}}
    assert (
        json.loads("".join(json_pieces(envelope))) == whole(envelope) == {"status": "ok", "data": {"text/plain": text}}
    )


@pytest.mark.parametrize("size", range(1, 9))
def test_colours_are_taken_out_across_pieces(size: int) -> None:
    text = "\x1b[1;31mred\x1b[0m and \x1b[ no \x1b\x1b[32mgreen\x1b[39m end \x1b[3"

    def pieces() -> Iterator[str]:
        for at in range(0, len(text), size):
            yield text[at : at + size]

    assert "".join(r.without_colours(pieces())) == COLOURS.sub("", text)


def test_the_last_lines_of_a_large_text(tiny: None) -> None:
    assert last_lines("a\nb\nc", 2) == ["b", "c"]
    assert last_lines(LargeText(lambda: iter(["a\nb", "b\nc"])), 1) == ["c"]
