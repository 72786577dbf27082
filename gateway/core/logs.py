"""Log files served by line: stretches by offset, tails, and a last line written by the gateway itself.

A process writes its own file; nothing is held in memory but a sparse index of where lines begin. Whatever a process
writes, so many lines have so many bytes at most: one that is too long is cut, and says so. Who asks for all lines, as
Livy's clients may, gets all. Only lines that have an end count.
"""

from __future__ import annotations

import codecs
import os
import stat
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

_EVERY = 1000  # lines between two entries of the index
_KEPT = 256  # files whose index is kept
_BLOCK = 1 << 16  # bytes read at a time
_STRETCH = 16 << 20  # bytes that the lines of a stretch share when some are long
_TAIL = 1 << 20  # the same for a tail, of which there are many in one answer
_SHORT = 16 << 10  # bytes of a line that is never cut
_LOOKED_THROUGH = 16 << 20  # bytes from the end at most, to find where the lines of a tail begin
_KEPT_END = 16 << 20  # bytes of a log's end at most that are kept when it is cut
_MOMENT = 128 << 10  # bytes that are read in a moment
_INHERITED = 100  # lines of a lost process's log that its successor's begins with
_MARK = "spark-gateway: "
_AGAIN = "started again: "
_LEFT_OUT = f"{_MARK}what was written before this is left out here: the lines are too long"


@dataclass
class _Index:
    """Where every `_EVERY`th line of a file begins, as far as it has been read: `seen` bytes of it."""

    offsets: list[int] = field(default_factory=lambda: [0])
    lines: int = 0
    seen: int = 0
    cut: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def extend(self, path: Path) -> None:
        try:
            size = path.stat().st_size
        except OSError:
            size = 0
        last_cut = _last_cut(path)
        if size < self.seen or last_cut != self.cut:
            self.offsets, self.lines, self.seen, self.cut = [0], 0, 0, last_cut
        if size == self.seen:
            return
        with suppress(OSError), _open(path) as file:  # it may be removed in this moment
            file.seek(self.seen)
            while block := file.read(_BLOCK):
                self._add(block)

    def _add(self, block: bytes) -> None:
        end = block.find(b"\n") + 1
        while end:
            self.lines += 1
            if self.lines % _EVERY == 0:
                self.offsets.append(self.seen + end)
            end = block.find(b"\n", end) + 1
        self.seen += len(block)


_indexes: OrderedDict[Path, _Index] = OrderedDict()
_indexes_lock = threading.Lock()


def _index_of(path: Path) -> _Index:
    with _indexes_lock:
        index = _indexes.setdefault(path, _Index())
        _indexes.move_to_end(path)
        while len(_indexes) > _KEPT:
            _indexes.popitem(last=False)
    return index


def _open(path: Path) -> BinaryIO:
    """For reading. Raises OSError for what is no file: a FIFO that was put in its place would hold up its reader."""
    file = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")  # noqa: SIM115 - the caller closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(f"{path} is no file")
    return file


def stand(path: Path) -> tuple[int, int, int]:
    """Where the log stands: it has no other lines while this is the same."""
    try:
        found = path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns
    except OSError:
        return 0, 0, 0


def is_short(path: Path) -> bool:
    """Whether all of it is read in a moment; so is one that is not there."""
    try:
        return path.stat().st_size <= _MOMENT
    except OSError:
        return True


def is_quick(path: Path, size: int) -> bool:
    """Whether the last `size` lines are read in a moment; so is what is not there."""
    try:
        with _open(path) as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - _MOMENT))
            return end <= _MOMENT or file.read(_MOMENT).count(b"\n") > size
    except OSError:
        return True


def count(path: Path) -> int:
    """How many whole lines the file has; 0 when it is not there."""
    index = _index_of(path)
    with index.lock:
        index.extend(path)
        return index.lines


def read(path: Path, start: int, stop: int, longest: int | None = None) -> list[str]:
    """Lines `start` up to but not including `stop` (clipped to what is there), without their line ends.

    Of each no more than `longest` bytes; None: as many as an answer has room for, and at least 16 KiB.
    """
    index = _index_of(path)
    with index.lock:
        index.extend(path)
        start, stop = max(0, start), min(stop, index.lines)
        offset = index.offsets[start // _EVERY] if start < stop else 0
    if start >= stop:
        return []
    longest = longest or max(_SHORT, _STRETCH // (stop - start))
    try:
        with _open(path) as file:
            file.seek(offset)
            for _ in range(start % _EVERY):
                _line(file, 0)
            return [_line(file, longest) for _ in range(stop - start)]
    except OSError:
        return []


def head(path: Path, size: int) -> list[str]:
    """The whole lines in the first `size` bytes: cheap on a file of any length, of which nothing is kept in mind."""
    try:
        with _open(path) as file:
            return file.read(size).decode("utf-8", "replace").split("\n")[:-1]
    except OSError:
        return []


def tail(path: Path, size: int) -> list[str]:
    """The last `size` whole lines, read from the end: cheap on a file of any length.

    When lines are so long that this would not be cheap, there are fewer, and the first one says so.
    """
    if size <= 0:
        return []
    try:
        with _open(path) as file:
            start, lines, more = _begin_of_last(file, size)
            file.seek(start)
            found = [_line(file, max(_SHORT, _TAIL // size)) for _ in range(lines)]
    except OSError:
        return []
    return [_LEFT_OUT, *found] if more else found


def _begin_of_last(file: BinaryIO, size: int) -> tuple[int, int, bool]:
    """Where the last `size` whole lines begin, how many there are, and whether more would be but for their length."""
    at = end = file.seek(0, os.SEEK_END)
    ends: list[int] = []  # of whole lines, the last first; one more than wanted is where those begin
    while at > max(0, end - _LOOKED_THROUGH) and len(ends) <= size:
        step = min(_BLOCK, at)
        at -= step
        file.seek(at)
        block = file.read(step)
        stop = block.rfind(b"\n")
        while stop >= 0 and len(ends) <= size:
            ends.append(at + stop + 1)
            stop = block.rfind(b"\n", 0, stop)
    if at == 0 and len(ends) <= size:
        return 0, len(ends), False
    return (ends[-1] if ends else end), max(0, len(ends) - 1), len(ends) <= size


def own_tail(path: Path, size: int) -> list[str]:
    """As `tail`, but none of the lines that `succeed` has put there."""
    lines = tail(path, size)
    begins = max((at + 1 for at, line in enumerate(lines) if line.startswith(_MARK + _AGAIN)), default=0)
    return lines[begins:]


def elsewhere(host: str | None) -> list[str]:
    """What to show instead of a log that is on another host; nothing for one that is here (None)."""
    return [] if host is None else [f"{_MARK}this log is on the host {host}: ask the gateway there"]


def note(path: Path, text: str) -> None:
    """Append a line of the gateway's own, marked as such."""
    _append(path, f"{_MARK}{text}\n")


def begin_anew(path: Path, text: str) -> None:
    """Forget what was written so far, also while its process goes on appending, and say why."""
    with suppress(OSError):
        os.truncate(path, 0)
    note(path, text)


def succeed(path: Path, lost: Path, reason: str) -> None:
    """Begin the log of a process that replaces a lost one with what that one said last, and why it went."""
    _append(path, "\n".join([*own_tail(lost, _INHERITED), f"{_MARK}{_AGAIN}{reason}\n"]))


def quote(path: Path, other: Path, text: str) -> None:
    """Add what another log said last, with a line before it that says so."""
    _append(path, "\n".join([f"{_MARK}{text}", *own_tail(other, _INHERITED), ""]))


def _append(path: Path, text: str) -> None:
    """On a line of its own; nothing on a full disk, which must hold up nobody."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with open(descriptor, "r+b", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - 1))
            starts_line = end == 0 or file.read(1) == b"\n"
            file.write((("" if starts_line else "\n") + text).encode("utf-8", "replace"))


def cut(path: Path, limit: int) -> None:
    """Take the middle out of a log of more than `limit` bytes, also while its process goes on appending to it.

    Lines written in just that moment may be lost; so is the end when this process is killed in it.
    """
    with suppress(OSError), open(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size <= limit:
            return
        start = size - min(limit // 4, _KEPT_END)
        file.seek(start)
        end = file.read(size - start).partition(b"\n")[2]
        file.truncate(limit // 2)
        _cut_mark(path).write_text(str(_last_cut(path) + 1))
        note(path, "the middle of this log was cut out here: it had become longer than setting log_limit allows")
        with open(path, "ab") as appended:
            appended.write(end)


def _last_cut(path: Path) -> int:
    """Which cut of the log was the last; 0: none. What was known of its lines before does not hold any more."""
    try:
        return int(_cut_mark(path).read_text())
    except (OSError, ValueError):
        return 0


def _cut_mark(path: Path) -> Path:
    return path.with_name(f"{path.name}.cuts")


def finish(path: Path) -> None:
    """End the last line of a log that nobody writes any more: a line is shown when it is whole."""
    try:
        with open(path, "r+b", buffering=0) as file:
            if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
                file.write(b"\n")
    except OSError:
        return


def _line(file: BinaryIO, longest: int) -> str:
    """The next line without its end; of a longer one the first `longest` bytes, and how many there are."""
    begin = part = file.readline(longest + 2)
    length = len(begin)
    while part and not part.endswith(b"\n"):
        part = file.readline(_BLOCK)
        length += len(part)
    text = begin.rstrip(b"\r\n")
    if length == len(begin) and len(text) <= longest:
        return text.decode("utf-8", "replace")
    shown = codecs.getincrementaldecoder("utf-8")("replace").decode(text[:longest])  # no half character at its end
    return f"{shown} … (the first {longest} of {length - 1} bytes of this line)"
