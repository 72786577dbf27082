"""Waiting holds a bounded share of the threads, and no kind takes the places of the others."""

from __future__ import annotations

import fcntl
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from gateway.core import waiting as waiting_module
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


# ---------------------------------------------------------------- the bell


class Bell:
    """A listener of a bell that a test rings, in a process with many connections."""

    def __init__(self) -> None:
        read, self._write = os.pipe()
        allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(allowed, min(most, 2000)), most))
        self._read = fcntl.fcntl(read, fcntl.F_DUPFD, 1500)
        os.close(read)
        self.heard = threading.Event()

    def ring(self) -> None:
        os.write(self._write, b"!")

    def fileno(self) -> int:
        return self._read

    def drain(self) -> None:
        os.read(self._read, 4096)
        self.heard.set()

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


@pytest.fixture
def only_the_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_module, "_LOOK_EVERY", FOREVER)


@pytest.mark.usefixtures("only_the_bell")
def test_the_bell_wakes_whoever_waits() -> None:
    bell, over, looked = Bell(), threading.Event(), threading.Event()
    waiting = Waiting(16, lambda: bell)
    looks = []

    def look() -> bool:
        looks.append(1)
        if len(looks) > 2:  # once before it waits, and once when it has begun to listen
            looked.set()
        return over.is_set()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(waiting.until, "statement", look, bool, FOREVER)
        while not looked.wait(0.01):
            bell.ring()
        assert not future.done()
        over.set()
        bell.ring()
        assert future.result(FOREVER) is True


@pytest.mark.usefixtures("only_the_bell")
def test_a_ring_during_a_look_is_not_lost() -> None:
    bell = Bell()
    seen = iter([False, False, False, True])

    def look() -> bool:
        bell.heard.clear()
        bell.ring()
        assert bell.heard.wait(FOREVER)
        return next(seen)

    waiting = Waiting(16, lambda: bell)
    waiting.until("statement", lambda: False, bool, 0.0)
    assert waiting.until("statement", look, bool, FOREVER) is True


def test_without_a_bell_it_looks_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Bell:
        raise OSError("no FIFO")

    seen = iter([False, False, True])
    assert Waiting(16, broken).until("statement", lambda: next(seen), bool, FOREVER) is True
    deadline = time.monotonic() + FOREVER
    while "cannot listen to the store's bell: no FIFO" not in caplog.text:
        assert time.monotonic() < deadline
        threading.Event().wait(0.001)
