"""The Livy envelope of a statement's result, and the capture of what the statement prints.

Decides how printed text is collected, cut at the limit and made valid JSON text.
Refuses to know which language printed it.
"""

from __future__ import annotations

import codecs
import io
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TextIO

from .large import IN_MEMORY, PIECE, LargeText, Spool, Text, sliced

Envelope = dict[str, Any]

TEXT = "text/plain"


def ok(statement: int, data: dict[str, Any]) -> Envelope:
    """A good result: mime type to value (contract livy §3.1)."""
    return {"status": "ok", "execution_count": statement, "data": data}


def error(statement: int, ename: str, evalue: str, traceback: list[str], printed: Text = "") -> Envelope:
    """A failure. What was printed before it is kept as `data`, which is only there when something was printed."""
    envelope: Envelope = {
        "status": "error",
        "execution_count": statement,
        "ename": readable(ename),
        "evalue": readable(evalue),
        "traceback": [readable(line) for line in traceback],
    }
    if printed:
        envelope["data"] = {TEXT: printed}
    return envelope


def readable(text: str) -> str:
    """`text` with every lone surrogate spelled out, so that it can be encoded as UTF-8."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def byte_length(text: str) -> int:
    """The length of `text` in UTF-8, without encoding it when every character is one byte."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def shortened(text: str, limit: int) -> str:
    """`text`, cut after about `limit` bytes with a visible last line saying so."""
    if byte_length(text) <= limit:
        return text
    return f"{_head(text, limit)}\n{_notice(limit)}"


def all_shortened(lines: list[str], limit: int) -> list[str]:
    """The lines, cut as one text would be."""
    if sum(map(byte_length, lines)) <= limit:
        return lines
    return shortened("".join(lines), limit).splitlines(keepends=True)


def _head(text: str, limit: int) -> str:
    if text.isascii():
        return text[:limit]
    return text.encode("utf-8", "surrogatepass")[:limit].decode("utf-8", "ignore")


def _notice(limit: int) -> str:
    return f"[output cut: the limit is {limit} bytes]"


class Capture:
    """What one statement prints, stdout and stderr apart, together never more than `limit` bytes."""

    folder: ClassVar[str | None] = None  # for what is too much for memory; None: the system's own

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._room = limit
        self._cut: str | None = None
        self._parts = {"stdout": Spool(self.folder), "stderr": Spool(self.folder)}

    def write(self, name: str, text: str) -> None:
        """Keep as much of `text` as there is room for."""
        size = byte_length(text)
        if size > self._room:
            text, size = _head(text, self._room), self._room
            self._cut = self._cut or _notice(self._limit)
        self._room -= size
        try:
            self._parts[name].write(text)
        except OSError as exc:
            self._room, self._cut = 0, f"[output cut: it cannot be kept: {exc.strerror}]"

    def text(self, strip: bool = True) -> Text:
        """Stdout, then stderr; without trailing white space (contract livy §3.2) unless told otherwise (§3.3)."""
        readers, cut = [part.reader() for part in self._parts.values()], self._cut

        def printed() -> Iterator[str]:
            for read in readers:
                yield from map(readable, read())

        length = _length(printed(), strip)

        def pieces() -> Iterator[str]:
            yield from _beginning(printed(), length)
            if cut is not None:
                yield f"\n{cut}"

        text = LargeText(pieces)
        return text if length > IN_MEMORY else str(text)


def _length(pieces: Iterator[str], strip: bool) -> int:
    """How many characters there are, without white space at the end if that is to be stripped."""
    length = before = 0
    for piece in pieces:
        kept = len(piece.rstrip()) if strip else len(piece)
        length = before + kept if kept else length
        before += len(piece)
    return length


def _beginning(pieces: Iterator[str], length: int) -> Iterator[str]:
    for piece in pieces:
        if length <= 0:
            return
        yield piece[:length]
        length -= len(piece)


_write = io.TextIOWrapper.write  # called for all that is printed: super() would cost each call more


class Stream(io.TextIOWrapper):
    """The driver's sys.stdout or sys.stderr: into the capture while a statement runs, else into the log.

    One object for the driver's whole life, because loggers and threads keep the stream they first saw. All that a
    script could do with it is Python's own; what is read back from it is what another program would read.
    """

    # Threads of the driver's own, whose warnings are no statement's output.
    kept_out: ClassVar[set[int | None]] = set()

    mode = "w"

    def __init__(self, name: str, log: TextIO) -> None:
        self._part = name
        self._log = log
        self._capture: Capture | None = None
        self._bytes = _Bytes(f"<{name}>", self._take, log)
        super().__init__(self._bytes, "utf-8", "backslashreplace", write_through=True)
        # A forked child has a copy of the capture that nobody will read.
        os.register_at_fork(after_in_child=self._forget)

    def direct(self, capture: Capture | None) -> None:
        """What is written from now on goes into `capture`, with None into the log."""
        self.settle()
        self._capture = capture

    def settle(self) -> None:
        """Half a character waits no longer for its end."""
        self._bytes.settle()

    def write(self, text: str, /) -> int:
        """As any text stream; a long text goes in pieces, of which no copy as a whole is made."""
        if type(text) is not str or len(text) <= PIECE:
            return _write(self, text)
        return sum(_write(self, piece) for piece in sliced(text))

    def _forget(self) -> None:
        self._capture = None

    def _take(self, text: str) -> None:
        capture = self._capture
        if capture is not None and threading.get_ident() not in self.kept_out:
            capture.write(self._part, text)
        else:
            self._log.write(readable(text))

    def reconfigure(self, **changes: Any) -> None:
        """As any text stream; its bytes are read in the new encoding from now on."""
        super().reconfigure(**changes)
        self.settle()
        self._bytes.read_as(self.encoding)

    def detach(self) -> Any:
        """The binary side, to be wrapped anew; this stream goes on, for the statements to come."""
        return self._bytes

    def close(self) -> None:
        """Nothing: code that closes sys.stdout must not silence the statements after it."""


class _Bytes(io.RawIOBase):
    """The binary side of a stream, which makes text of what is written to it; a character may come in parts."""

    mode = "wb"

    def __init__(self, name: str, take: Callable[[str], None], log: TextIO) -> None:
        self.name = name
        self._take = take
        self._log = log
        self.read_as("utf-8")

    def read_as(self, encoding: str) -> None:
        self._decoder = codecs.getincrementaldecoder(encoding)("backslashreplace")

    def settle(self) -> None:
        if text := self._decoder.decode(b"", final=True):
            self._take(text)
        self._decoder.reset()

    def write(self, data: Any, /) -> int:
        with memoryview(data) as view:
            size = view.nbytes
            payloads = [view.tobytes()] if size <= PIECE else _parts(view.cast("B"))
            for payload in payloads:
                if text := self._decoder.decode(payload):
                    self._take(text)
        return size

    def flush(self) -> None:
        self._log.flush()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._log.fileno()

    def close(self) -> None:
        """Nothing, as for the stream itself."""


def _parts(view: memoryview) -> Iterator[bytes]:
    with view:
        for at in range(0, len(view), PIECE):
            yield view[at : at + PIECE].tobytes()
