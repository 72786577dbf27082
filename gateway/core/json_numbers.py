"""JSON that is read to be passed on: each number keeps the digits it was written with, however many there are.

Python's own reader rounds what a float does not hold, and refuses whole numbers of more than 4300 digits.
"""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

_MARK = secrets.token_hex(8)
_MARKED = re.compile(f'"{_MARK}:([^"]*)"')


class Number(str):
    """A number as JSON spells it: `str` of it gives the digits. Written as JSON it is what `unmarked` looks for."""

    __slots__ = ()

    def __str__(self) -> str:
        return self.partition(":")[2]


def read(text: str) -> Any:
    """As json.loads, with a Number for each number. Raises ValueError, RecursionError."""
    return json.loads(text, parse_int=_number, parse_float=_number)


def unmarked(text: str) -> str:
    """JSON text that was written of what `read` gave, with its numbers as they were."""
    return _MARKED.sub(r"\1", text)


def _number(digits: str) -> Number:
    return Number(f"{_MARK}:{digits}")
