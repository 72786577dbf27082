"""Decimals with more digits than a float holds, kept exact on their way through JSON.

Decides how an envelope that holds such numbers is written. Python's JSON writer has no number types but int and float,
so the digits are put into the finished text.
"""

from __future__ import annotations

import json
import re
import secrets
from decimal import Context, Decimal
from typing import Any

_MARK = secrets.token_hex(8)
_MARKED = re.compile(f'"{_MARK}:(-?[0-9.]+)"')
_ALL_DIGITS = Context(prec=200)
_MOST_DIGITS = 4000  # of a number written out; Python itself writes no longer ones


class ExactNumber(float):
    """A decimal number: the nearest float to everybody, and all its digits to `exact_json`."""

    digits: str

    def __new__(cls, value: Decimal) -> ExactNumber:
        number = super().__new__(cls, value)
        number.digits = format(value.normalize(_ALL_DIGITS), "f")
        return number


def json_number(value: Decimal) -> int | float:
    """A finite decimal as the JSON number of the same value: an int, a float, or an ExactNumber. Raises ValueError."""
    if abs(value.adjusted()) > _MOST_DIGITS:
        raise ValueError(f"a number has more than {_MOST_DIGITS} digits: give it as text")
    if value == value.to_integral_value():
        return int(value)
    number = float(value)
    return number if Decimal(repr(number)) == value else ExactNumber(value)


def json_float(digits: str) -> int | float:
    """The value of a JSON number with a fraction or an exponent: a float where that holds all of it."""
    number = float(digits)
    return number if Decimal(repr(number)) == Decimal(digits) else json_number(Decimal(digits))


def exact_json(value: Any) -> str | None:
    """`value` as JSON text with every digit of its numbers; None when ordinary JSON loses none of them."""
    marked = _marked(value)
    if marked is value:
        return None
    text = json.dumps(marked, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _MARKED.sub(r"\1", text)


def _marked(value: Any) -> Any:
    """`value` with marked text in place of exact numbers; the same object when there is none in it."""
    if isinstance(value, ExactNumber):
        return f"{_MARK}:{value.digits}"
    if isinstance(value, dict):
        items = {key: _marked(item) for key, item in value.items()}
        return value if all(items[key] is value[key] for key in value) else items
    if isinstance(value, list):
        parts = [_marked(item) for item in value]
        return value if all(new is old for new, old in zip(parts, value)) else parts
    return value
