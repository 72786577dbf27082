"""Where one SQL statement ends and the next begins.

Decides by Spark's rules for quotes, comments and scripting blocks (`BEGIN … END`) alone; whether a statement is valid
is Spark's business. Spark has a splitter of its own only in its newest versions, and its SQL shell's is not reachable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# Longest first. A quote that is never closed goes to the end of the text, so that Spark sees and refuses it.
_TOKEN = re.compile(
    r"""(?P<comment> --(?:\\\n|[^\r\n])* | /\*(?!\+) )
      | (?P<quoted> r'[^']*' | r"[^"]*" | '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" | `[^`]*`
                  | \$(?P<tag>[a-z]*)\$.*?\$(?P=tag)\$ | r?['"].* | `.* )
      | (?P<name> \w+ )
      | (?P<space> \s+ )
      | (?P<sign> \*/ | . )""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_BRACKET = re.compile(r"/\*(?!\+)|\*/")
_LOOPS = {"IF", "WHILE", "LOOP", "REPEAT", "FOR"}  # blocks whose END bears their name


def split(text: str) -> list[str]:
    """The statements of `text`, without the semicolons between them and without those that are only comments."""
    statements = []
    start = 0
    block = _Block()
    for word, end in tokens(text):
        if word != ";" or block.is_open:
            block.read(word.upper())
            continue
        if not block.is_empty:
            statements.append(text[start : end - 1].strip())
        start, block = end, _Block()
    return statements if block.is_empty else [*statements, text[start:].strip()]


def tokens(text: str) -> Iterator[tuple[str, int]]:
    """What counts in `text`, each with the position after it: words, quoted parts with their quotes, single signs."""
    position = 0
    while (found := _TOKEN.match(text, position)) is not None:
        position = found.end()
        if found[0] == "/*":
            closed = _after_comment(text, position)
            position = closed or len(text)
            if closed is None:
                yield "/*", position  # for Spark to refuse
        elif found.lastgroup not in ("comment", "space"):
            yield found[0], position


def _after_comment(text: str, position: int) -> int | None:
    """The end of the comment that began just before `position`, None when it has none; comments can hold others."""
    depth = 1
    for found in _BRACKET.finditer(text, position):
        depth += 1 if found[0] == "/*" else -1
        if depth == 0:
            return found.end()
    return None


class _Block:
    """Counts the BEGIN, CASE and END of one statement, if it is a scripting block: other statements are never open."""

    def __init__(self) -> None:
        self._start: list[str] = []
        self._before = ""
        self._scripting = False
        self._depth = 0

    @property
    def is_empty(self) -> bool:
        return not self._start

    @property
    def is_open(self) -> bool:
        return self._depth > 0

    def read(self, word: str) -> None:
        """Take the next word of the statement, in capitals."""
        if len(self._start) < 3:
            self._start.append(word)
            # A label may stand before it.
            self._scripting |= self._start == ["BEGIN"] or self._start[1:] == [":", "BEGIN"]
        if self._scripting and self._before not in (".", "AS"):
            self._count(word)
        self._before = word

    def _count(self, word: str) -> None:
        if self._before == "END":
            # END IF, END LOOP and the like close what was never counted; END CASE was counted at its END.
            self._depth += word in _LOOPS
        elif word in ("BEGIN", "CASE"):
            self._depth += 1
        if word == "END":
            self._depth -= 1
