"""Waiting holds a bounded share of the threads, and no kind takes the places of the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from gateway.core.waiting import Waiting

FOREVER = 60.0


class Crowd:
    """Threads that wait for the same moment."""

    def __init__(self, waiting: Waiting) -> None:
        self.waiting, self.over = waiting, threading.Event()
        self._pool = ThreadPoolExecutor(32)

    def join(self, kind: str) -> Future[bool]:
        """One more that waits; its result is whether the moment had come."""
        begun = threading.Event()

        def look() -> bool:
            begun.set()
            return self.over.is_set()

        future = self._pool.submit(self.waiting.until, kind, look, bool, FOREVER)
        assert begun.wait(FOREVER)
        return future

    def end(self) -> None:
        self.over.set()
        self._pool.shutdown()


@pytest.fixture
def crowd() -> Iterator[Callable[[int], Crowd]]:
    made: list[Crowd] = []

    def make(threads: int) -> Crowd:
        made.append(Crowd(Waiting(threads)))
        return made[-1]

    yield make
    for one in made:
        one.end()


def waiting_of(futures: list[Future[bool]], answered: int) -> list[Future[bool]]:
    """Those that wait, once as many as expected have been answered."""
    deadline = time.monotonic() + FOREVER
    while sum(one.done() for one in futures) < answered:
        assert time.monotonic() < deadline
        threading.Event().wait(0.001)
    return [one for one in futures if not one.done()]


def test_what_is_done_is_told_at_once() -> None:
    assert Waiting(16).until("driver", lambda: "seen", lambda seen: True, FOREVER) == "seen"


def test_a_wait_ends_when_it_is_done(crowd) -> None:
    one = crowd(16)
    future = one.join("driver")
    one.over.set()
    assert future.result(FOREVER) is True


def test_a_wait_ends_with_its_patience_and_tells_how_it_is() -> None:
    assert Waiting(16).until("driver", lambda: False, bool, 0.01) is False


def test_a_kind_has_a_quarter_of_the_threads_and_the_others_are_answered_at_once(crowd) -> None:
    one = crowd(16)
    futures = [one.join("driver") for _ in range(32)]
    assert len(waiting_of(futures, answered=28)) == 4


def test_all_kinds_together_have_half_of_the_threads(crowd) -> None:
    one = crowd(16)
    futures = [one.join(kind) for kind in ("driver", "batch", "statement", "addition") for _ in range(4)]
    assert len(waiting_of(futures, answered=8)) == 8


def test_a_place_is_given_back(crowd) -> None:
    one = crowd(16)
    first = [one.join("driver") for _ in range(4)]
    one.over.set()
    assert all(future.result(FOREVER) for future in first)
    one.over.clear()
    assert len(waiting_of([one.join("driver") for _ in range(5)], answered=1)) == 4


def test_a_look_that_fails_gives_its_place_back() -> None:
    waiting = Waiting(4)

    def fails_later(seen: list[int]) -> bool:
        seen.append(1)
        if len(seen) > 1:
            raise RuntimeError
        return False

    for _ in range(3):
        with pytest.raises(RuntimeError):
            looks: list[int] = []
            waiting.until("driver", lambda looks=looks: looks, fails_later, FOREVER)  # type: ignore[misc]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_few_threads_let_one_wait(threads: int, crowd) -> None:
    one = crowd(threads)
    assert len(waiting_of([one.join("driver") for _ in range(3)], answered=2)) == 1
