"""Which lines of a text are magics: those that begin with a percent sign where a statement could begin.

Decides by what stands before such a line alone: not in a string, a comment or a bracket, nor in a line that is
continued. Whether the code is valid is its language's business, what a magic does `magics`'.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Chunk:
    """A magic line, or the code between two; `line` is how many lines of the text come before it."""

    text: str
    line: int
    is_magic: bool

    @property
    def placed(self) -> str:
        """The text with empty lines before it, so that its lines have the numbers they have in the whole."""
        return "\n" * self.line + self.text


# What may hold a percent sign, each as a whole. A literal that is not closed ends where its language gives it up.
PYTHON = re.compile(
    r"""(?P<whole> \#[^\n]* | \\\r?\n%?
                 | \"{3}(?:\\.|[^\\])*?(?:\"{3}|\Z) | '{3}(?:\\.|[^\\])*?(?:'{3}|\Z)
                 | "(?:\\\r?.|[^"\\\n])*"? | '(?:\\\r?.|[^'\\\n])*'? )
      | (?P<open> [(\[{] ) | (?P<close> [)\]}] ) | (?P<magic> ^%[^\n]* )""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
SCALA = re.compile(
    r"""(?P<whole> //[^\n]* | \"{3}.*?(?:\"{3,}|\Z) | "(?:\\.|[^"\\\n])*"? | `[^`\n]*` | '(?:\\.[^'\n]*|[^'\\\n])' )
      | (?P<comment> /\* ) | (?P<open> [(\[{] ) | (?P<close> [)\]}] ) | (?P<magic> ^%[^\n]* )""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_COMMENT = re.compile(r"/\*|\*/")


def split(code: str, language: re.Pattern[str]) -> list[Chunk]:
    """The text as magic lines and the code between them, in order; code of nothing but white space is left out."""
    chunks: list[Chunk] = []
    start = line = 0
    for begin, end in [*_magic_lines(code, language), (len(code), len(code))]:
        between = code[start:begin]
        if between.strip():
            chunks.append(Chunk(between, line, is_magic=False))
        line += between.count("\n")
        if end > begin:
            chunks.append(Chunk(code[begin:end].rstrip(), line, is_magic=True))
        start = end
    return chunks


def _magic_lines(code: str, language: re.Pattern[str]) -> list[tuple[int, int]]:
    """Where they begin and end."""
    if "\n%" not in f"\n{code}":
        return []
    found, depth, position = [], 0, 0
    while (token := language.search(code, position)) is not None:
        position = token.end()
        if token.lastgroup == "comment":
            position = _after_comment(code, position)
        elif token.lastgroup == "magic" and depth == 0:
            found.append(token.span())
        elif token.lastgroup == "magic":
            position = token.start() + 1  # a line of an expression: what follows the sign counts
        else:
            depth = max(depth + {"open": 1, "close": -1}.get(str(token.lastgroup), 0), 0)
    return found


def _after_comment(code: str, position: int) -> int:
    """The end of the comment that began just before `position`; comments can hold others."""
    depth = 1
    for sign in _COMMENT.finditer(code, position):
        depth += 1 if sign[0] == "/*" else -1
        if depth == 0:
            return sign.end()
    return len(code)
