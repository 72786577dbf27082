"""Nudges shorten a wait; losing them is no error."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.core import wakeup


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "wakeup"


@pytest.fixture
def listening(path: Path) -> Iterator[int]:
    descriptor = wakeup.create(path)
    yield descriptor
    os.close(descriptor)


def is_readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])


def test_a_nudge_wakes_whoever_listens(path: Path, listening: int) -> None:
    assert not is_readable(listening)
    wakeup.nudge(path)
    assert is_readable(listening)


def test_one_drain_takes_all_nudges(path: Path, listening: int) -> None:
    for _ in range(10_000):
        wakeup.nudge(path)
    wakeup.drain(listening)
    assert not is_readable(listening)


def test_draining_nothing_returns_at_once(listening: int) -> None:
    wakeup.drain(listening)


def test_a_nudge_that_nobody_hears_is_no_error(path: Path, listening: int, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "unread")
    for name in ("unread", "missing", "no/folder"):
        assert not wakeup.nudge(tmp_path / name)
    assert wakeup.nudge(path)


def test_a_nudge_into_a_full_fifo_returns_at_once(path: Path, listening: int) -> None:
    writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, b"!" * 4096)
    os.close(writer)
    wakeup.nudge(path)
    wakeup.drain(listening)
    assert not is_readable(listening)


def test_a_writer_that_leaves_is_not_an_end_of_file(path: Path, listening: int) -> None:
    """An end of file would keep the supervisor's loop spinning."""
    wakeup.nudge(path)
    wakeup.drain(listening)
    assert not is_readable(listening)
    wakeup.nudge(path)
    assert is_readable(listening)


def test_a_new_supervisor_takes_over_the_fifo_of_the_old_one(path: Path, listening: int) -> None:
    second = wakeup.create(path)
    wakeup.nudge(path)
    assert is_readable(second)
    os.close(second)


def test_a_file_in_the_place_of_the_fifo_gives_way(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("left behind")
    descriptor = wakeup.create(path)
    wakeup.nudge(path)
    assert is_readable(descriptor)
    os.close(descriptor)


def test_the_fifo_is_private(path: Path, listening: int) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
