"""What a child process prints, read as it comes: into a statement's capture, or into the log between statements.

Decides whose text a printed byte is. Refuses to know what the process is.
"""

from __future__ import annotations

import codecs
import os
import select
import sys
import threading

from .output import Capture, Stream

_CHUNK = 1 << 16


class Output:
    """A pipe, read by a thread of its own until every process that can write to it has ended."""

    def __init__(self) -> None:
        self._pipe, self.end = os.pipe()
        os.set_blocking(self._pipe, False)
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._lock = threading.Lock()
        self._capture: Capture | None = None

    def start(self) -> None:
        """Begin to read; the caller has given `end` to the child and closes its own copy."""
        threading.Thread(target=self._read, name="r-output", daemon=True).start()

    def begin(self, capture: Capture) -> None:
        """From now on it is this statement's."""
        with self._lock:
            self._take_all()
            self._capture = capture

    def finish(self) -> None:
        """The statement has all that was printed up to now, and nothing of what comes later."""
        with self._lock:
            self._take_all()
            self._keep(self._decoder.decode(b"", True))
            self._capture = None

    def _read(self) -> None:
        Stream.kept_out |= {threading.get_ident()}
        written = select.poll()  # select takes no descriptor from 1024 on, which a driver may have
        written.register(self._pipe, select.POLLIN)
        while True:
            written.poll()
            with self._lock:
                if not self._take_all():
                    os.close(self._pipe)
                    self._pipe = -1
                    return

    def _take_all(self) -> bool:
        """Keep all there is to read; False when nothing can come any more."""
        while self._pipe >= 0:
            try:
                data = os.read(self._pipe, _CHUNK)
            except BlockingIOError:
                return True
            if not data:
                return False
            self._keep(self._decoder.decode(data))
        return False

    def _keep(self, text: str) -> None:
        if self._capture is not None:
            self._capture.write("stdout", text)
        elif text:
            sys.stdout.write(text)
