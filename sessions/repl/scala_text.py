"""What the Scala REPL says, in the words of Scala 2.12's, which Livy's clients know (contract livy §3.3).

Pure text, of Scala 2.12 and 2.13. Knows no interpreter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Where the REPL keeps what a statement defines: no name of the user's.
_WRAPPER = re.compile(r"\$line\d+\.\$(?:read|eval)\$?(?:[.$]*(?:INSTANCE|iw|\$iw))*[.$]*")
_DEFINITION = re.compile(r"(class|trait|object|type|def) ")
_DEFINED = {"class": "class", "trait": "trait", "object": "object", "type": "type alias"}
_METHOD_NAME = re.compile(r".+?(?=[\[(]|: )")  # in backquotes it may have spaces
_MUTATED = re.compile(r"// mutated (\S+)\n?")
# Scala 2.13 tells an error in a text of several lines by the line, a caret below it, and this.
_NUMBERED = re.compile(r"On line (\d+): (.*)")

MOST_NAMES = 500


def echo(text: str, names: Iterable[str]) -> str:
    """The echo of a piece that defines `names`, as Scala 2.12 writes it; that of Scala 2.12 itself as it is."""
    text = _WRAPPER.sub("", text)
    if text and not text.endswith("\n"):
        text += "\n"
    if _DEFINITION.match(text):
        return "".join(f"{_definition(line)}\n" for line in text.splitlines())
    return _values(text, names)


def mutated(text: str) -> str | None:
    """The variable that Scala 2.13's echo says was assigned to; None for every other echo."""
    found = _MUTATED.fullmatch(text)
    return found[1] if found else None


def renamed(text: str, name: str) -> str:
    """The echo of a hidden result as that of the variable `name`."""
    return re.sub(r"^(?:val )?\$ires\d+: ", f"{name}: ", text)


def names(candidates: Iterable[str]) -> list[str]:
    """The candidates that are plain names, each once, and no more of them than anybody reads."""
    return list(dict.fromkeys(name for name in candidates if re.fullmatch(r"[^\W\d]\w*", name)))[:MOST_NAMES]


def _values(text: str, names: Iterable[str]) -> str:
    done, position = "", 0
    for name in names:
        found = re.compile(rf"^(lazy )?va[lr] (?={re.escape(name)}: )", re.MULTILINE).search(text, position)
        if found and (position or found.start() == 0):
            done += text[position : found.start()]
            position = found.end()
            if found[1]:
                line = text[position:].partition("\n")[0]
                done += line.removesuffix(" // unevaluated") + " = <lazy>"
                position += len(line)
    return done + text[position:]


def _definition(line: str) -> str:
    word, _, rest = line.partition(" ")
    if word == "def":
        return _method(rest)
    return f"defined {_DEFINED[word]} {rest}" if word in _DEFINED else line


def _method(signature: str) -> str:
    """`f(x: Int): Int` as `f: (x: Int)Int`."""
    found = _METHOD_NAME.match(signature)
    if found is None:
        return f"def {signature}"
    start = end = found.end()
    while signature[end : end + 1] in ("[", "("):
        end = _closing(signature, end) + 1
    return f"{signature[:start]}: {signature[start:end]}{signature[end:].removeprefix(': ')}"


def _closing(text: str, start: int) -> int:
    """Where the bracket at `start` is closed."""
    depth = 0
    for position in range(start, len(text)):
        depth += (text[position] in "[(") - (text[position] in "])")
        if depth == 0:
            return position
    return len(text) - 1


def told(text: str) -> tuple[str, list[str]]:
    """Error text as evalue and traceback: the first line trimmed, and the others with their ends."""
    lines = _WRAPPER.sub("", text).splitlines(keepends=True) or [""]
    return lines[0].strip(), lines[1:]


def complaint(text: str) -> str:
    """What the compiler says, each message before the line it is about, in the numbers of the user's lines."""
    lines = text.splitlines()
    starts = [at for at in range(len(lines) - 2) if lines[at + 1].strip() == "^" and _NUMBERED.match(lines[at + 2])]
    if not starts:
        return text
    told = lines[: starts[0]]
    for start, end in zip(starts, [*starts[1:], len(lines)]):
        told += _located(lines[start:end])
    return "".join(f"{line}\n" for line in told)


def _located(block: list[str]) -> list[str]:
    found = _NUMBERED.match(block[2])
    assert found is not None
    # A piece begins with an empty line of ours, without which the compiler gives no number.
    first = f"<console>:{int(found[1]) - 1}: {found[2]}"
    return [first, *(line.removeprefix(" " * 7) for line in block[3:]), *block[:2]]
