"""One R process: started, asked, interrupted and ended. Knows neither Spark nor envelopes.

Decides how requests and answers travel (pipes of their own, apart from what the code prints) and when a process that
will not stop is killed. What a message means is between `r_session.R` and `r.py`.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

from . import children
from .output import Capture
from .r_output import Output

SCRIPT = Path(__file__).with_name("r_session.R")
KILL_AFTER = 15.0  # seconds after a first interrupt; code that has not stopped by then never looks at interrupts

IN_CALL = "in-call"  # the file that R has in its temporary folder while it waits for the JVM, and is left alone

_C = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>: the signal that a process gets when its parent ends
_INTEGER = struct.Struct(">i")


class Died(Exception):
    """The process has ended; the text says how, in a sentence."""


class RProcess:
    """A running R. `ask` is for the main thread, `interrupt` for any."""

    def __init__(self, program: str, environ: dict[str, str], folder: str, said: Capture) -> None:
        """Start it, with a temporary folder of its own in `folder`; `wait_until_ready` is next. Raises OSError.

        What it prints goes into `said` until `output` is told otherwise.
        """
        self._folder = tempfile.mkdtemp(prefix="R", dir=folder)
        requests, self._requests = os.pipe()
        self._answers, answers = os.pipe()
        self.output = Output()
        self.output.begin(said)
        words = [program, "--no-echo", "--no-save", "--no-restore", f"--file={SCRIPT}", "--args"]
        try:
            self._process = subprocess.Popen(
                [*words, str(requests), str(answers)],
                stdin=subprocess.DEVNULL,
                stdout=self.output.end,
                stderr=self.output.end,
                pass_fds=(requests, answers),
                env={**environ, "TMPDIR": self._folder},
                # The main thread starts it, so that it ends with the driver, however that ends.
                preexec_fn=partial(_end_with_parent, os.getpid()),  # noqa: PLW1509
            )
        except OSError:
            os.close(self._requests)
            os.close(self._answers)
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        finally:
            for end in (requests, answers, self.output.end):
                os.close(end)
        self._end = os.pidfd_open(self._process.pid)
        self.output.start()
        self._lock = threading.Lock()
        self._asked = False
        self._first_interrupt: float | None = None
        self._received = bytearray()

    def wait_until_ready(self, patience: float) -> None:
        """Return once it can be asked. Raises Died, also when it took longer than `patience` seconds."""
        self._receive(patience)

    def ask(self, fields: list[bytes], patience: float | None = None) -> list[bytes]:
        """Send a request and wait for its answer. Raises Died."""
        with self._lock:
            self._asked, self._first_interrupt = True, None
        try:
            self._send(fields)
            return self._receive(patience)
        finally:
            # No signal after this: it would meet the next request.
            with self._lock:
                self._asked = False

    def interrupt(self) -> None:
        """One attempt to stop what was asked, and the programs it waits for; a process that stays deaf is killed."""
        with self._lock:
            if not self._asked:
                return
            now = time.monotonic()
            self._first_interrupt = self._first_interrupt or now
            if now - self._first_interrupt > KILL_AFTER:
                self._signal(signal.SIGKILL)
            elif not os.path.exists(os.path.join(self._folder, IN_CALL)):
                children.interrupt_of(self._process.pid)
                self._signal(signal.SIGINT)

    def close(self) -> None:
        """Kill it, if need be, and collect it."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        for descriptor in (self._requests, self._answers, self._end):
            os.close(descriptor)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        try:
            signal.pidfd_send_signal(self._end, number)
        except ProcessLookupError:
            return

    def _send(self, fields: list[bytes]) -> None:
        message = _INTEGER.pack(len(fields)) + b"".join(_INTEGER.pack(len(field)) + field for field in fields)
        try:
            rest = memoryview(message)
            while rest:
                rest = rest[os.write(self._requests, rest) :]
        except BrokenPipeError:
            raise self._died() from None

    def _receive(self, patience: float | None) -> list[bytes]:
        wait = select.poll()
        wait.register(self._answers, select.POLLIN)
        wait.register(self._end, select.POLLIN)
        deadline = None if patience is None else time.monotonic() + patience
        while (message := _taken(self._received)) is None:
            left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
            ready = {descriptor for descriptor, events in wait.poll(left) if events & select.POLLIN}
            if self._answers in ready:
                self._received += os.read(self._answers, 1 << 20)
            elif ready:
                raise self._died()
            elif left == 0:
                raise Died(f"R did not answer within {patience:.0f} seconds")
        return message

    def _died(self) -> Died:
        code = self._process.wait()
        if code >= 0:
            return Died(f"R ended with exit code {code}")
        if -code == signal.SIGKILL and self._first_interrupt is not None:
            return Died(f"R did not react to being cancelled for {KILL_AFTER:.0f} seconds and was killed")
        return Died(f"R was ended by signal {-code} ({signal.strsignal(-code)})")


def _taken(received: bytearray) -> list[bytes] | None:
    """The first whole message, removed from `received`; None when it is not all there."""
    if len(received) < _INTEGER.size:
        return None
    fields, start = [], _INTEGER.size
    for _ in range(_INTEGER.unpack_from(received)[0]):
        if len(received) < start + _INTEGER.size:
            return None
        end = start + _INTEGER.size + _INTEGER.unpack_from(received, start)[0]
        if len(received) < end:
            return None
        fields.append(bytes(received[start + _INTEGER.size : end]))
        start = end
    del received[:start]
    return fields


def _end_with_parent(parent: int) -> None:
    """Called in the new child: have it end when its parent does, also when that is killed."""
    _C.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
