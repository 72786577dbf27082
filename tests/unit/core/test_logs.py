"""Logs by line: stretches, tails, and files that change while they are read."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import IO

import pytest

from gateway.core import logs


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def five(log: Path) -> Path:
    log.write_text("a\nb\nc\nd\ne\n")
    return log


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_log_has_no_lines(log: Path, empty: str | None) -> None:
    if empty is not None:
        log.write_text(empty)
    assert logs.count(log) == 0 and logs.read(log, 0, 10) == [] and logs.tail(log, 10) == []


def test_every_stretch_is_a_slice_of_the_whole(log: Path) -> None:
    whole = [f"line {n}" for n in range(2500)]
    log.write_text("".join(f"{line}\n" for line in whole))
    chosen = random.Random(1)
    for _ in range(200):
        start, stop = chosen.randrange(-9, 2600), chosen.randrange(-9, 2600)
        assert logs.read(log, start, stop) == whole[max(0, start) : max(0, stop)]


def test_every_tail_is_the_end_of_the_whole(log: Path) -> None:
    for lines in (0, 1, 8, 9, 10, 11, 2000):
        log.write_text("".join(f"line {n}\n" for n in range(lines)))
        whole = logs.read(log, 0, lines)
        for size in (1, 2, 9, 10, 11, 12, 3000):
            assert logs.tail(log, size) == whole[-size:]
    assert logs.tail(log, 0) == [] and logs.tail(log, -1) == []


def test_the_head_of_a_log_is_its_first_whole_lines(five: Path) -> None:
    assert logs.head(five, 100) == ["a", "b", "c", "d", "e"]
    assert logs.head(five, 5) == ["a", "b"] and logs.head(five, 1) == []
    assert logs.head(five.with_name("none"), 100) == []


def test_a_fifo_in_the_place_of_a_log_holds_up_nobody(tmp_path: Path) -> None:
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    assert (logs.tail(fifo, 10), logs.head(fifo, 10), logs.read(fifo, 0, 10), logs.count(fifo)) == ([], [], [], 0)


@pytest.mark.parametrize("opened", [0, 1])
def test_a_log_that_is_removed_while_it_is_read_is_empty(
    opened: int, five: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_some(path: Path) -> IO[bytes]:
        nonlocal opened
        opened -= 1
        if opened < 0:
            five.unlink()
        return open(path, "rb")

    monkeypatch.setattr(logs, "_open", open_some)
    assert logs.read(five, 0, 5) == []


def test_a_growing_log_is_followed_by_offset(log: Path) -> None:
    log.write_text("a\n")
    assert logs.count(log) == 1
    with log.open("a") as file:
        for n in range(3000):
            file.write(f"{n}\n")
            file.flush()
            if n % 500 == 0:
                assert logs.read(log, n + 1, n + 2) == [str(n)]
    assert logs.read(log, 3000, 3001) == ["2999"]


def test_a_line_is_shown_when_it_is_whole(log: Path) -> None:
    log.write_text("a\nhal")
    assert logs.read(log, 0, 100) == logs.tail(log, 10) == ["a"]
    with log.open("a") as file:
        file.write("f\n")
    assert logs.read(log, 1, 2) == logs.tail(log, 1) == ["half"]


def test_a_log_that_was_cut_is_read_anew(log: Path) -> None:
    log.write_text("".join(f"{n}\n" for n in range(5000)))
    assert logs.count(log) == 5000
    log.write_text("x\ny\n")
    assert logs.read(log, 0, 10) == ["x", "y"]
    log.unlink()
    assert logs.read(log, 0, 10) == []


def test_a_huge_line_is_served_whole_and_harms_no_other(log: Path) -> None:
    huge = "x" * (3 << 20)
    log.write_text(f"first\n{huge}\nlast\n")
    assert logs.read(log, 0, 3) == ["first", huge, "last"]
    assert logs.tail(log, 1) == ["last"]


def test_the_tail_of_a_huge_line_is_cut_and_says_so(log: Path) -> None:
    log.write_text("first\n" + "x" * (8 << 20) + "\n")
    (shown,) = logs.tail(log, 1)
    assert shown == "x" * (1 << 20) + f" … (the first {1 << 20} of {8 << 20} bytes of this line)"


HUGE = 2_000_000


@pytest.mark.parametrize("huge", [b"x" * HUGE, b"\xff" * HUGE, b"1%\r" * (HUGE // 3), "é".encode() * (HUGE // 2)])
def test_the_lines_around_a_huge_one_are_whole_in_a_tail(huge: bytes, log: Path) -> None:
    log.write_bytes(b"before\n" + huge + b"\nafter\n")
    before, cut, after = logs.tail(log, 10)
    assert (before, after) == ("before", "after")
    told = f" … (the first {(1 << 20) // 10} of {len(huge)} bytes of this line)"
    assert (
        cut.endswith(told)
        and cut.removesuffix(told) == huge[: (1 << 20) // 10].decode("utf-8", "replace")[: len(cut) - len(told)]
    )


def test_a_huge_line_that_has_no_end_yet_hides_nothing(log: Path) -> None:
    log.write_text("before\n" + "\r99%" * (HUGE // 4))
    assert logs.tail(log, 10) == logs.read(log, 0, 10) == ["before"]
    assert logs.count(log) == 1


def test_an_answer_is_bounded_whatever_its_lines_are(log: Path) -> None:
    log.write_text(("x" * HUGE + "\n") * 100)
    page = logs.read(log, 0, 100)
    assert len(page) == 100 and sum(map(len, page)) < 17 << 20
    assert all(line.endswith(" bytes of this line)") for line in page)
    assert logs.read(log, 99, 100) == ["x" * HUGE], "alone it has room"
    tail = logs.tail(log, 10)
    assert len(tail) == 9 and sum(map(len, tail)) < 2 << 20
    assert tail[0] == "spark-gateway: what was written before this is left out here: the lines are too long"


def test_a_line_that_never_ends_is_left_out_of_a_tail_and_that_is_told(log: Path) -> None:
    log.write_text("before\n" + "\r99%" * (5 << 20))
    (told,) = logs.tail(log, 10)
    assert "left out" in told


def test_what_was_seen_of_a_line_without_an_end_is_not_read_again(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write_text("a\n" + "x" * HUGE)
    assert logs.count(log) == 1
    read: list[int] = []
    add = logs._Index._add

    def told(index: logs._Index, block: bytes) -> None:
        read.append(len(block))
        add(index, block)

    monkeypatch.setattr(logs._Index, "_add", told)
    with log.open("a") as file:
        file.write("y\nb\n")
    assert logs.count(log) == 3 and sum(read) == len("y\nb\n")


def test_ordinary_lines_are_whole_however_many_are_asked_for(log: Path) -> None:
    line = "x" * 16_000
    log.write_text(f"{line}\n" * 2000)
    assert logs.read(log, 0, 2000) == [line] * 2000
    assert logs.tail(log, 500) == [line] * 500


def test_bytes_that_are_no_text_are_marked(log: Path) -> None:
    log.write_bytes(b"ok\n\xff\xfe\n\xc3\xa9\n\x00\n")
    assert logs.read(log, 0, 100) == ["ok", "\ufffd\ufffd", "é", "\x00"]


def test_windows_line_ends_are_no_part_of_a_line(log: Path) -> None:
    log.write_bytes(b"a\r\nb\r\n")
    assert logs.read(log, 0, 100) == ["a", "b"]


def test_other_separators_do_not_end_a_line(log: Path) -> None:
    """A progress bar writes carriage returns; Unicode has line separators of its own."""
    log.write_text("10%\r20%\r30%\na\x0bb\x0cc\x1cd\u2028e\x85f\n", newline="")
    assert logs.read(log, 0, 10) == ["10%\r20%\r30%", "a\x0bb\x0cc\x1cd\u2028e\x85f"]
    assert logs.tail(log, 10) == logs.read(log, 0, 10)


def test_empty_lines_count(log: Path) -> None:
    log.write_text("\n\na\n\n")
    assert logs.read(log, 0, 100) == ["", "", "a", ""]
    assert logs.tail(log, 2) == ["a", ""]


def test_many_logs_are_read_in_turn(tmp_path: Path) -> None:
    paths = [tmp_path / str(n) for n in range(600)]
    for path in paths:
        path.write_text(f"{path.name}\n")
    for path in paths + paths:
        assert logs.read(path, 0, 1) == [path.name]


def test_a_note_is_a_line_of_its_own(log: Path) -> None:
    logs.note(log, "first")
    with log.open("a") as file:
        file.write("half")
    logs.note(log, "second")
    logs.note(log, "third \ud800")
    assert logs.read(log, 0, 9) == [
        "spark-gateway: first",
        "half",
        "spark-gateway: second",
        "spark-gateway: third ?",
    ]


def test_a_note_of_several_lines_is_still_lines(log: Path) -> None:
    logs.note(log, "one\ntwo")
    assert logs.count(log) == 2


def test_a_note_makes_the_folder_it_needs_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "log"
    logs.note(path, "text")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_note_that_cannot_be_written_holds_up_nobody(tmp_path: Path) -> None:
    logs.note(Path("/dev/full"), "the disk is full")
    (tmp_path / "file").touch()
    logs.note(tmp_path / "file" / "log", "no folder can be made here")


def test_the_middle_is_cut_out_of_a_log_that_goes_on_growing(log: Path) -> None:
    with open(log, "a") as process:
        for number in range(10_000):
            print(f"line {number:05}", file=process, flush=True)
        assert logs.read(log, 9000, 9001) == ["line 09000"]
        logs.cut(log, 20_000)
        print("goes on", file=process, flush=True)
    lines = logs.read(log, 0, logs.count(log))
    assert lines[:2] == ["line 00000", "line 00001"]
    assert lines[-3:] == ["line 09998", "line 09999", "goes on"]
    (told,) = [line for line in lines if line.startswith("spark-gateway:")]
    assert "was cut out here" in told
    assert log.stat().st_size < 20_000
    assert logs.count(log) == len(log.read_text().splitlines())


def test_lines_are_counted_anew_after_a_cut_that_nobody_saw(log: Path) -> None:
    log.write_text("short\n" * 5000)
    assert logs.count(log) == 5000
    logs.cut(log, 20_000)
    with open(log, "a") as process:
        process.write("a longer line\n" * 5000)
    assert logs.count(log) == len(log.read_text().splitlines())
    assert logs.read(log, 6000, 6001) == log.read_text().splitlines()[6000:6001]


def test_a_log_within_its_limit_is_left_alone(five: Path) -> None:
    logs.cut(five, 10)
    logs.cut(five.with_name("none"), 10)
    assert five.read_text() == "a\nb\nc\nd\ne\n"
    assert [entry.name for entry in five.parent.iterdir()] == ["log"]
