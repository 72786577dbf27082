"""Log files served by line: pages by offset, tails, and a last line written by the gateway itself.

A process writes its own file; nothing is held in memory but a sparse index of where lines begin.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_EVERY = 1000  # lines between two entries of the index
_KEPT = 256  # files whose index is kept
_TAIL_BLOCK = 16384
_KEPT_END = 16 << 20  # bytes of a log's end at most that are kept when it is cut
LONGEST_LINE = 1 << 20
_INHERITED = 100  # lines of a lost process's log that its successor's begins with
_MARK = "spark-gateway: "
_AGAIN = "started again: "


@dataclass
class _Index:
    """Where every `_EVERY`th line of a file begins, as far as it has been read; only whole lines count."""

    offsets: list[int] = field(default_factory=lambda: [0])
    lines: int = 0
    end: int = 0
    cut: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def extend(self, path: Path) -> None:
        try:
            size = path.stat().st_size
        except OSError:
            size = 0
        last_cut = _last_cut(path)
        if size < self.end or last_cut != self.cut:
            self.offsets, self.lines, self.end, self.cut = [0], 0, 0, last_cut
        if size == self.end:
            return
        with open(path, "rb") as file:
            file.seek(self.end)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self.end += len(line)
                self.lines += 1
                if self.lines % _EVERY == 0:
                    self.offsets.append(self.end)


_indexes: OrderedDict[Path, _Index] = OrderedDict()
_indexes_lock = threading.Lock()


def _index_of(path: Path) -> _Index:
    with _indexes_lock:
        index = _indexes.setdefault(path, _Index())
        _indexes.move_to_end(path)
        while len(_indexes) > _KEPT:
            _indexes.popitem(last=False)
    return index


def count(path: Path) -> int:
    """How many whole lines the file has; 0 when it is not there."""
    index = _index_of(path)
    with index.lock:
        index.extend(path)
        return index.lines


def read(path: Path, start: int, stop: int) -> list[str]:
    """Lines `start` up to but not including `stop` (clipped to what is there), without their line ends."""
    index = _index_of(path)
    with index.lock:
        index.extend(path)
        start, stop = max(0, start), min(stop, index.lines)
        offset = index.offsets[start // _EVERY] if start < stop else 0
    if start >= stop:
        return []
    with open(path, "rb") as file:
        file.seek(offset)
        for _ in range(start % _EVERY):
            file.readline()
        return [_text(file.readline()) for _ in range(stop - start)]


def tail(path: Path, size: int) -> list[str]:
    """The last `size` whole lines, read from the end: cheap on a file of any length."""
    try:
        with open(path, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            data = b""
            while end > 0 and data.count(b"\n") <= size and len(data) < LONGEST_LINE:
                step = min(_TAIL_BLOCK, end)
                end -= step
                file.seek(end)
                data = file.read(step) + data
    except OSError:
        return []
    lines = data.split(b"\n")[:-1]
    return [_text(line) for line in lines[-size:]] if size > 0 else []


def own_tail(path: Path, size: int) -> list[str]:
    """As `tail`, but none of the lines that `succeed` has put there."""
    lines = tail(path, size)
    begins = max((at + 1 for at, line in enumerate(lines) if line.startswith(_MARK + _AGAIN)), default=0)
    return lines[begins:]


def note(path: Path, text: str) -> None:
    """Append a line of the gateway's own, marked as such."""
    _append(path, f"{_MARK}{text}\n")


def succeed(path: Path, lost: Path, reason: str) -> None:
    """Begin the log of a process that replaces a lost one with what that one said last, and why it went."""
    _append(path, "\n".join([*own_tail(lost, _INHERITED), f"{_MARK}{_AGAIN}{reason}\n"]))


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


def _text(line: bytes) -> str:
    return line.rstrip(b"\r\n").decode("utf-8", "replace")
