"""What the Scala REPL says, in the words of Scala 2.12's, which Livy's clients know (contract livy §3.3).

Pure text. Knows no interpreter.
"""

from __future__ import annotations

import re

# Where the REPL keeps what a statement defines: no name of the user's.
_WRAPPER = re.compile(r"\$line\d+\.\$(?:read|eval)\$?(?:(?:\.?INSTANCE)?[.$]*\$?iw\$?)*[.$]*")
_DEFINED = re.compile(r"^(class|trait|object|type) (.+)$")


def echo(text: str, names: list[str]) -> str:
    """The echo of one piece that defines `names`, as Scala 2.12 writes it."""
    return _WRAPPER.sub("", text)


def told(text: str) -> tuple[str, list[str]]:
    """Error text as evalue and traceback: the first line trimmed, and the others with their ends."""
    lines = _WRAPPER.sub("", text).splitlines(keepends=True) or [""]
    return lines[0].strip(), lines[1:]
