"""The texts of Python statements under the name their code bears, `<cell 3>`, so that tracebacks can quote them.

Decides how many are kept. They are put where Python itself looks for a line: tracebacks, warnings, `inspect` and
debuggers find them there. Knows no statements but their numbers.
"""

from __future__ import annotations

import io
import linecache
from collections import deque

MOST_CELLS = 1000  # as many statements as the gateway keeps unless told otherwise
MOST_TEXT = 16 * 1024 * 1024  # characters of them all


class Cells:
    """The newest cells of a session. Of code in an older one a traceback names the place, without its text."""

    def __init__(self, most_cells: int = MOST_CELLS, most_text: int = MOST_TEXT) -> None:
        self._most_cells, self._most_text = most_cells, most_text
        self._kept: deque[tuple[str, int]] = deque()
        self._size = 0

    def add(self, statement: int, code: str) -> str:
        """Keep the text of `statement`; the file name to compile it with."""
        name = f"<cell {statement}>"
        lines = list(io.StringIO(f"{code}\n", newline=None))  # Python counts on a last line that ends
        # No time of change: such an entry is never compared with a file.
        linecache.cache[name] = (len(code), None, lines, name)
        self._kept.append((name, len(code)))
        self._size += len(code)
        while self._kept and (len(self._kept) > self._most_cells or self._size > self._most_text):
            self._forget_oldest()
        return name

    def _forget_oldest(self) -> None:
        name, size = self._kept.popleft()
        self._size -= size
        linecache.cache.pop(name, None)
