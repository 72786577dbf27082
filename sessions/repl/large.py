"""Text that is too long to be held: it is in a file, and read in pieces; and results that are written to one so.

Decides when a text or a result is large. Refuses to know who printed it and who will read it.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .exact import exact_json

IN_MEMORY = 1 << 20  # characters of a text, or of a result as JSON, that are held; a longer one is in a file
PIECE = 1 << 18  # characters or bytes that are held of what is in a file
_AT_ONCE = 100  # items of a list that are written in one go


class LargeText:
    """A text that `pieces` gives from its beginning, as often as it is asked to."""

    def __init__(self, pieces: Callable[[], Iterator[str]]) -> None:
        self.pieces = pieces

    def __str__(self) -> str:
        return "".join(self.pieces())


Text = str | LargeText


def last_lines(text: Text, number: int) -> list[str]:
    """The last lines; of a large text no more than fits into memory."""
    if isinstance(text, LargeText):
        end = ""
        for piece in text.pieces():
            end = (end + piece)[-PIECE:]
        text = end
    return text.splitlines()[-number:]


class Spool:
    """Text that grows at its end: in memory, and from `IN_MEMORY` characters on in a file without a name in `folder`.

    What was written when an interrupt comes is there once, however it came.
    """

    def __init__(self, folder: str | None) -> None:
        self._folder = folder
        self._new, self._length = io.StringIO(), 0
        self._file: int | None = None
        self._end = 0  # of what counts in the file, in bytes

    def write(self, text: str) -> None:
        """Raises OSError when there is no room for more."""
        self._length += self._new.write(text)
        if self._length >= IN_MEMORY:
            self._save()

    def reader(self) -> Callable[[], Iterator[str]]:
        """Gives pieces of what is there now, whatever is written later."""
        end, new = self._end, self._new.getvalue()
        return lambda: self._read(end, new)

    def _read(self, end: int, new: str) -> Iterator[str]:
        decode = codecs.getincrementaldecoder("utf-8")("surrogatepass").decode
        for at in range(0, end, PIECE):
            assert self._file is not None
            yield decode(os.pread(self._file, min(PIECE, end - at), at))
        yield from sliced(new)

    def _save(self) -> None:
        if self._file is None:
            # A descriptor alone, without a buffer that a forked child would write out a second time.
            with tempfile.TemporaryFile(buffering=0, dir=self._folder) as file:
                self._file = os.dup(file.fileno())
            weakref.finalize(self, os.close, self._file)
        end = self._end
        for piece in sliced(self._new.getvalue()):
            rest = memoryview(piece.encode("utf-8", "surrogatepass"))
            while rest:
                written = os.pwrite(self._file, rest, end)
                end, rest = end + written, rest[written:]
        new = io.StringIO()
        # No call between these: an interrupt comes before all of them, or after.
        self._end = end
        self._new = new
        self._length = 0


def sliced(text: str) -> Iterator[str]:
    """The text in pieces that are not large."""
    for at in range(0, len(text), PIECE):
        yield text[at : at + PIECE]


def whole(envelope: dict[str, Any]) -> dict[str, Any]:
    """An envelope with all of its text in memory."""
    data = envelope.get("data", {})
    if not any(isinstance(value, LargeText) for value in data.values()):
        return envelope
    return {**envelope, "data": {kind: str(v) if isinstance(v, LargeText) else v for kind, v in data.items()}}


def json_pieces(value: Any) -> Iterator[str]:
    """`value` as JSON text with every digit of its numbers, in pieces. Raises ValueError."""
    if isinstance(value, (str, LargeText)):
        yield '"'
        for piece in sliced(value) if isinstance(value, str) else value.pieces():
            yield _json(piece)[1:-1]
        yield '"'
    elif isinstance(value, dict) and all(isinstance(key, str) for key in value):
        before = "{"
        for key, item in value.items():
            yield f"{before}{_json(key)}:"
            yield from json_pieces(item)
            before = ","
        yield "}" if value else "{}"
    elif isinstance(value, list):
        yield "["
        for at in range(0, len(value), _AT_ONCE):
            yield ("," if at else "") + _json(value[at : at + _AT_ONCE])[1:-1]
        yield "]"
    else:
        yield _json(value)


def _json(value: Any) -> str:
    return exact_json(value) or json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class Outputs:
    """Results that are kept in files of `folder`, which is made when the first one is."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def keep(self, seat: int, statement: int, envelope: dict[str, Any]) -> int | None:
        """How many bytes the file of this envelope has; None: it is not large, and in no file. Raises OSError."""
        pieces, begun, length = json_pieces(envelope), [], 0
        for piece in pieces:
            begun.append(piece)
            length += len(piece)
            if length >= IN_MEMORY:
                return self._write(self._path(seat, statement), begun, pieces)
        return None

    def drop(self, seat: int, statement: int) -> None:
        """Its result is kept elsewhere, or never asked for again."""
        try:
            os.unlink(self._path(seat, statement))
        except OSError:
            return  # it was in no file, or user code was faster

    def _path(self, seat: int, statement: int) -> str:
        return os.path.join(self._folder, f"{seat}-{statement}.json")

    def _write(self, path: str, begun: list[str], pieces: Iterable[str]) -> int:
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        beside = f"{path}.new"
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            # A lone surrogate is spelled as JSON spells it.
            with open(descriptor, "w", PIECE, "utf-8", "backslashreplace") as file:
                file.writelines(begun)
                begun.clear()
                file.writelines(pieces)
            os.rename(beside, path)
        except BaseException:
            os.unlink(beside)
            raise
        return os.stat(path).st_size
