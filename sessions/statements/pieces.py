"""Outputs that are too large to be held, as pieces of their JSON text: what they tell, and where what is in them.

Decides how they are turned into what protocols say without being read. Relies on how drivers
write envelopes (`sessions/repl/output.py`): what was printed is the last member of a failure, and without spaces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

Pieces = Callable[[], Iterator[str]]
"""Gives the pieces of an output from its beginning, each time it is called."""

_FAILED = '{"status":"error"'
# None can stand within a JSON string, where quotes have a backslash before them.
_TRACEBACK, _DATA, _PRINTED, _END = ',"traceback":[', ',"data":{', ',"data":{"text/plain":"', '"}}'
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_LINE = "\\n"


def has_failed(pieces: Pieces) -> bool:
    return "".join(between(pieces, 0, len(_FAILED))) == _FAILED


def parts(pieces: Pieces) -> tuple[str, Iterator[str]] | None:
    """The JSON text of an envelope without its member `data`, and that of the member; None when there is none."""
    at = place_of(pieces, _DATA)
    if at is None:
        return None
    return "".join(between(pieces, 0, at)) + "}", between(pieces, at + len(_DATA) - 1, -1)


def told(pieces: Pieces) -> Iterator[str]:
    """As `Statement.told`: what was printed before a failure is at the head of its traceback too."""
    printed = place_of(pieces, _PRINTED) if has_failed(pieces) else None
    if printed is not None:
        yield from _told(pieces, printed)
    else:
        yield from pieces()


def _told(pieces: Pieces, printed: int) -> Iterator[str]:
    at = place_of(pieces, _TRACEBACK)
    assert at is not None
    traceback = at + len(_TRACEBACK)
    yield from between(pieces, 0, traceback)
    yield from _lines(between(pieces, printed + len(_PRINTED), -len(_END)))
    if "".join(between(pieces, traceback, traceback + 1)) != "]":
        yield ","
    yield from between(pieces, traceback, None)


def _lines(inside: Iterator[str]) -> Iterator[str]:
    """The inside of a JSON string as JSON strings: one for each line, which ends with its newline."""
    yield '"'
    ended = False
    for text in _whole_escapes(inside):
        if ended:
            yield f'{_LINE}","'
        ended = _ends_with_newline(text)
        yield _broken(text[: -len(_LINE)] if ended else text)
    yield f'{_LINE}"'


def _broken(text: str) -> str:
    if "\\\\" not in text:
        return text.replace(_LINE, f'{_LINE}","')
    return _ESCAPE.sub(lambda found: f'{_LINE}","' if found[1] == "n" else found[0], text)


def _ends_with_newline(text: str) -> bool:
    if not text.endswith(_LINE):
        return False
    before = text[: -len(_LINE)]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 0


def _whole_escapes(pieces: Iterator[str]) -> Iterator[str]:
    """The same text, with no escape in two pieces; without empty ones."""
    rest = ""
    for piece in pieces:
        text = rest + piece
        backslashes = len(text) - len(text.rstrip("\\"))
        rest = "\\" if backslashes % 2 else ""
        if text := text[: len(text) - len(rest)]:
            yield text


def place_of(pieces: Pieces, mark: str) -> int | None:
    """Where `mark` begins, in characters; None when it is nowhere."""
    before, rest = 0, ""
    for piece in pieces():
        text = rest + piece
        if (found := text.find(mark)) >= 0:
            return before + found
        rest = text[-len(mark) :]
        before += len(text) - len(rest)
    return None


def between(pieces: Pieces, start: int, stop: int | None) -> Iterator[str]:
    """The text from place `start` to `stop`, which counts from the end when it is below 0; None: to the end."""
    left_out = -stop if stop is not None and stop < 0 else 0
    rest = ""
    for piece in _from(pieces(), start, None if stop is None or stop < 0 else stop):
        text = rest + piece
        rest = text[max(0, len(text) - left_out) :] if left_out else ""
        yield text[: len(text) - len(rest)]


def _from(pieces: Iterator[str], start: int, stop: int | None) -> Iterator[str]:
    at = 0
    for piece in pieces:
        if stop is not None and at >= stop:
            return
        if at + len(piece) > start:
            yield piece[max(0, start - at) : None if stop is None else stop - at]
        at += len(piece)
