"""Logs in Livy's layout: pages and tails with their two markers."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from compat.livy import logs
from gateway.core.identity import ANONYMOUS

OUT, ERR = "stdout: ", "\nstderr: "


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def five(log: Path) -> Path:
    log.write_text("a\nb\nc\nd\ne\n")
    return log


EVERYTHING = [OUT, "a", "b", "c", "d", "e", ERR]


@pytest.mark.parametrize(
    ("start", "size", "begins", "lines"),
    [
        (0, 100, 0, EVERYTHING),
        (0, 7, 0, EVERYTHING),
        (0, 1, 0, [OUT]),
        (0, 2, 0, [OUT, "a"]),
        (1, 2, 1, ["a", "b"]),
        (5, 2, 5, ["e", ERR]),
        (6, 100, 6, [ERR]),
        (7, 100, 7, []),
        (1000, 100, 1000, []),
        (2**31 - 1, 2**31 - 1, 2**31 - 1, []),
        (-1, 3, 4, ["d", "e", ERR]),
        (-1, 100, 0, EVERYTHING),
        (-5, 1, 6, [ERR]),
        (-1, 0, 7, []),
        (0, 0, 0, []),
        (3, 0, 3, []),
        (0, -1, 0, EVERYTHING),
        (-1, -1, 0, EVERYTHING),
        (4, -1, 4, ["d", "e", ERR]),
        (9, -1, 9, []),
    ],
)
def test_a_page_is_what_livy_would_send(five: Path, start: int, size: int, begins: int, lines: list[str]) -> None:
    assert logs.page(five, start, size) == logs.Page(begins, 7, lines)


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_log_has_the_two_markers(log: Path, empty: str | None) -> None:
    if empty is not None:
        log.write_text(empty)
    assert logs.page(log, 0, 100) == logs.Page(0, 2, [OUT, ERR])
    assert logs.page(log, -1, 1) == logs.Page(1, 2, [ERR])
    assert logs.newest(log, 10) == [OUT, ERR]


def test_every_page_is_a_slice_of_the_whole(log: Path) -> None:
    log.write_text("".join(f"line {n}\n" for n in range(2500)))
    whole = logs.page(log, 0, -1).lines
    assert len(whole) == 2502
    chosen = random.Random(1)
    for _ in range(200):
        start, size = chosen.randrange(0, 2600), chosen.randrange(0, 2600)
        page = logs.page(log, start, size)
        assert page.lines == whole[start : start + size] and page.start == start and page.total == 2502


def test_every_tail_is_the_end_of_the_whole(log: Path) -> None:
    for lines in (0, 1, 8, 9, 10, 11, 2000):
        log.write_text("".join(f"line {n}\n" for n in range(lines)))
        whole = logs.page(log, 0, -1).lines
        for size in (1, 2, 9, 10, 11, 12, 3000):
            assert logs.newest(log, size) == whole[-size:]
            assert logs.page(log, -1, size).lines == whole[-size:]


def test_a_line_without_an_end_does_not_count(log: Path) -> None:
    log.write_text("a\nhal")
    assert logs.page(log, 0, 100) == logs.Page(0, 3, [OUT, "a", ERR])
    assert logs.newest(log, 10) == [OUT, "a", ERR]


def test_a_huge_line_hides_none_of_those_around_it(gateway) -> None:
    gateway.submit()
    batch = gateway.batches.find(ANONYMOUS, 0)
    batch.log.parent.mkdir(parents=True)
    batch.log.write_text("before\n" + "x" * 2_000_000 + "\nafter\n")
    for path in ("/batches/0", "/batches/0/log"):
        begin, before, huge, after, end = gateway.get(path)["log"]
        assert (begin, before, after, end) == (OUT, "before", "after", ERR)
        assert huge == "x" * 2_000_000 or huge.endswith(" of 2000000 bytes of this line)")
    uuid = gateway.get("/lighter/api/batches")["applications"][0]["id"]
    shown = gateway.get(f"/lighter/api/batches/{uuid}/log")["log"].split("\n")
    assert (shown[0], shown[2]) == ("before", "after") and shown[1].endswith(" of 2000000 bytes of this line)")
