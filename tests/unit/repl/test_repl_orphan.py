"""When a driver without a gateway ends itself, and when not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessions.repl.orphan import Orphan


class Alone:
    """A driver's side: a FIFO, a clock that is moved by hand, and work."""

    def __init__(self, fifo: Path) -> None:
        self.fifo, self.now, self.works, self.said = fifo, 100.0, False, ""
        os.mkfifo(fifo)
        self.orphan = Orphan(str(fifo), 60, lambda: self.works, self._leave, lambda: self.now)

    def after(self, seconds: float) -> bool:
        """Whether it is an orphan when it looks then."""
        self.now += seconds
        return self.orphan.look()

    def _leave(self, reason: str) -> None:
        self.said = reason


@pytest.fixture
def alone(tmp_path: Path) -> Alone:
    return Alone(tmp_path / "wakeup")


@pytest.fixture
def gateway(alone: Alone) -> Iterator[int]:
    """Somebody reads."""
    descriptor = os.open(alone.fifo, os.O_RDWR | os.O_NONBLOCK)
    yield descriptor
    os.close(descriptor)


def test_it_leaves_after_the_time_without_a_gateway_and_says_why(alone: Alone) -> None:
    assert (alone.after(59), alone.after(1)) == (False, True)
    alone.orphan.run()
    assert alone.said == "no gateway has been there for 60 s (setting orphan_timeout)"


def test_it_stays_where_a_gateway_is_and_does_not_disturb_it(alone: Alone, gateway: int) -> None:
    assert [alone.after(59) for _ in range(3)] == [False] * 3
    with pytest.raises(BlockingIOError):
        os.read(gateway, 1)


def test_a_gateway_that_was_there_in_between_begins_the_time_anew(alone: Alone) -> None:
    assert not alone.after(50)
    reader = os.open(alone.fifo, os.O_RDONLY | os.O_NONBLOCK)
    assert not alone.after(5)
    os.close(reader)
    assert (alone.after(59), alone.after(1)) == (False, True)


def test_work_is_finished_and_begins_the_time_anew(alone: Alone) -> None:
    alone.works = True
    assert not alone.after(1000)
    alone.works = False
    assert (alone.after(59), alone.after(1)) == (False, True)


def test_a_folder_that_is_gone_has_no_gateway(alone: Alone) -> None:
    alone.fifo.unlink()
    assert alone.after(60)


def test_the_time_of_one_that_is_claimed_is_another(alone: Alone) -> None:
    alone.orphan.wait(300)
    assert (alone.after(299), alone.after(1)) == (False, True)
    alone.orphan.wait(0)
    assert not alone.after(10**9)
