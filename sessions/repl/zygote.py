"""Forks interpreters for the seats of a shared application from one process that has imported what all of them need.

Decides how one is asked for, and how its end is told: to the application, and to the shell that stands for it in its
folder. It has no thread and no way to Spark, or else what it forks would not be whole. Knows no language and no kernel.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from . import seat_process

LARGEST_MESSAGE = 1 << 16  # bytes
END = "end"  # in a seat's folder: the FIFO through which its shell hears that it runs, and then its exit code
NOT_STARTED = 1


@dataclass(frozen=True)
class Order:
    """What an interpreter is forked with: its folder, and its own way into the JVM."""

    folder: str
    port: int
    secret: str


class Zygote:
    """The application's end: asks for interpreters, and hears of their ends."""

    def __init__(self, prepare: Callable[[], None], run: Callable[[Order], None]) -> None:
        """Fork it. It runs `prepare` once, and `run` in each interpreter. Call it before there is any thread."""
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        application = os.getpid()
        if os.fork() == 0:
            self._channel.close()
            _be_zygote(application, theirs, prepare, run)
        theirs.close()

    def ask(self, order: Order) -> None:
        """Have an interpreter forked. Raises OSError when the zygote is gone."""
        self._channel.send(json.dumps(order.__dict__).encode())

    def next_end(self) -> str | None:
        """The folder of the next interpreter that has ended, also one that was never forked; None: the zygote has."""
        try:
            said = self._channel.recv(LARGEST_MESSAGE)
        except OSError:
            return None
        return said.decode() or None


def _be_zygote(
    application: int, channel: socket.socket, prepare: Callable[[], None], run: Callable[[Order], None]
) -> NoReturn:
    try:
        seat_process.die_with_parent(application)
        seat_process.forget_stdin()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        prepare()
        gc.collect()
        gc.freeze()  # what is shared with all interpreters stays so: a collection would write to it
        _Nursery(channel, run).serve()
    except BaseException:  # noqa: BLE001 - without it the application is of no use, and it hears of the end
        traceback.print_exc()
    os._exit(1)


class _Nursery:
    def __init__(self, channel: socket.socket, run: Callable[[Order], None]) -> None:
        self._channel, self._run = channel, run
        self._running: dict[int, tuple[str, int]] = {}  # by pid: the folder, and a descriptor of its FIFO
        self._woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(wake)

    def serve(self) -> None:
        """Until the application is gone."""
        while True:
            ready, _, _ = select.select([self._channel.fileno(), self._woken], [], [])
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reap()
            if self._channel.fileno() in ready:
                said = self._channel.recv(LARGEST_MESSAGE)
                if not said:
                    return
                self._fork(Order(**json.loads(said)))

    def _fork(self, order: Order) -> None:
        end = open_end(order.folder)
        if end is None:  # nobody waits for it any more
            self._channel.send(order.folder.encode())
            return
        sys.stdout.flush()
        sys.stderr.flush()
        zygote = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            traceback.print_exc()
            tell_end(end, NOT_STARTED)
            self._channel.send(order.folder.encode())
            return
        if pid == 0:
            self._be_interpreter(order, zygote)
        self._running[pid] = (order.folder, end)
        _say(end, "runs")

    def _be_interpreter(self, order: Order, zygote: int) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            seat_process.become(order.folder, zygote)
            # Whoever stops the seat ends the shell first and then looks for what is left. From here on we are found.
            if (end := open_end(order.folder)) is not None:
                os.close(end)
                self._run(order)
        except BaseException:  # noqa: BLE001 - into its log
            traceback.print_exc()
        finally:
            os._exit(NOT_STARTED)

    def _reap(self) -> None:
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            folder, end = self._running.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            _say(end, str(code if code >= 0 else 128 - code))
            os.close(end)
            self._channel.send(folder.encode())


def open_end(folder: str) -> int | None:
    """The FIFO of a seat, open for as long as its interpreter may run; None when its shell is gone.

    That one sees when nobody has it open any more, and knows then that the application is gone.
    """
    try:
        return os.open(os.path.join(folder, END), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None


def tell_end(end: int, code: int) -> None:
    """Say that an interpreter that never ran has ended with `code`, and close its FIFO."""
    _say(end, f"runs\n{code}")
    os.close(end)


def _say(end: int, text: str) -> None:
    with suppress(OSError):  # the shell has been killed
        os.write(end, f"{text}\n".encode())
