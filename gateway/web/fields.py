"""Values as clients of several protocols send them: numbers for texts, texts for numbers, numbers in URLs."""

from __future__ import annotations

import json
from typing import Any

from marshmallow import ValidationError, fields

from gateway.core.errors import InvalidRequest
from gateway.core.faults import Fault

LARGEST = 2**31 - 1


class Text(fields.String):
    """Text; a number or boolean is taken as its JSON text."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif isinstance(value, (int, float)):
            value = json.dumps(value)
        if isinstance(value, str) and "\0" in value:
            raise ValidationError("holds a NUL character: leave it out")
        return str(super()._deserialize(value, *args, **kwargs))


class Whole(fields.Integer):
    """A 32-bit whole number; its digits as text are taken too."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise ValidationError(f"is {value!r:.80}: give a whole number")
        try:
            number = int(value)
        except ValueError:
            raise ValidationError(f"is {value!r:.80}: give a whole number") from None
        if not -LARGEST <= number <= LARGEST:
            raise ValidationError(f"is outside of 32 bits: give a number up to {LARGEST}")
        return number


class QueryWhole(fields.Integer):
    """A 32-bit whole number in a query."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> int:
        try:
            return whole_in_url(value)
        except InvalidRequest as error:
            raise ValidationError(list(error.faults)) from None


def whole_in_url(text: str) -> int:
    """A 32-bit whole number in a path or a query. Raises InvalidRequest."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10 and -LARGEST - 1 <= int(text) <= LARGEST):
        raise InvalidRequest(Fault.not_whole(text))
    return int(text)
