"""How a value of a SQL result is written as JSON, by its Spark type (contract livy §3.4).

Decides nothing about queries. Values arrive in the form that `columns` chooses. Types are Spark's schema JSON: a name,
or an object for array, map, struct and others.
"""

from __future__ import annotations

import datetime
import json
import math
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from .columns import stored
from .exact import json_number
from .output import readable
from .values import key_text

_CYCLE = 146_097 * 86_400  # seconds in 400 years
_SINCE_YEAR_1 = 719_162 * 86_400  # seconds from the start of year 1 to that of 1970

Write = Callable[[Any], Any]

INTEGERS = {"byte", "short", "integer", "long", "boolean"}


def converter(kind: Any) -> Write:
    """The function that writes values of the Spark type `kind`; null stays null."""
    write = _composite(kind) if isinstance(kind, dict) else _atomic(kind)
    return lambda value: None if value is None else write(value)


def _atomic(kind: str) -> Write:
    if kind in INTEGERS:
        return _same
    return ATOMIC.get(kind) or (json_number if kind.startswith("decimal") else _text)


def _composite(kind: dict[str, Any]) -> Write:
    if kind["type"] == "udt":
        return converter(stored(kind))
    if kind["type"] == "array":
        return _array(converter(kind["elementType"]))
    if kind["type"] == "map":
        # Keys that Python cannot hash arrive as text.
        key = converter(kind["keyType"])
        return _map(lambda name: name if isinstance(name, str) else key(name), converter(kind["valueType"]))
    if kind["type"] == "struct":
        return _struct([(field["name"], converter(field["type"])) for field in kind["fields"]])
    return _text


def _array(element: Write) -> Write:
    return lambda values: [element(value) for value in values]


def _map(key: Write, item: Write) -> Write:
    return lambda pairs: {key_text(key(name)): item(value) for name, value in pairs.items()}


def _struct(fields: list[tuple[str, Write]]) -> Write:
    # Fields that share a name would hide each other in an object; a list keeps them all.
    if len({name for name, _ in fields}) < len(fields):
        return lambda row: [write(value) for (_, write), value in zip(fields, row)]
    return lambda row: {name: write(value) for (name, write), value in zip(fields, row)}


def _same(value: Any) -> Any:
    return value


def _text(value: Any) -> str:
    return readable(str(value))


def _double(value: float) -> Any:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else f"{'-' if value < 0 else ''}Infinity"


def _float(value: float) -> Any:
    """A 32-bit float by the fewest digits that name it, as Spark shows it: 0.1, not 0.10000000149011612."""
    if not math.isfinite(value):
        return _double(value)
    packed = struct.pack("f", value)
    return next(
        short
        for short in (float(f"{value:.{digits}g}") for digits in (6, 7, 8, 9))
        if struct.pack("f", short) == packed
    )


def _instant(seconds: int) -> str:
    """Seconds since 1970 as a time in UTC; years before 1 and after 9999 as Spark writes them, -0044 and +12345."""
    # The calendar repeats itself every 400 years, so any instant has a twin within Python's range.
    cycles, rest = divmod(seconds + _SINCE_YEAR_1, _CYCLE)
    twin = datetime.datetime(1, 1, 1) + datetime.timedelta(seconds=rest)  # noqa: DTZ001 - counted from UTC
    year = twin.year + 400 * cycles
    sign = "-" if year < 0 else "+" if year > 9999 else ""
    return f"{sign}{abs(year):04}{twin.isoformat()[4:]}Z"


def _clock_time(text: str) -> str:
    """A time without zone, as Spark's text: no fraction, and a T in the middle."""
    return text.partition(".")[0].replace(" ", "T")


def _variant(value: Any) -> Any:
    """The JSON that a variant stands for, with all digits of its decimals."""
    return json.loads(value.toJson("UTC"), parse_float=_number, parse_constant=lambda word: _double(float(word)))


def _number(digits: str) -> int | float:
    return float(digits) if "E" in digits else json_number(Decimal(digits))


def _binary(value: bytes) -> list[int]:
    return list(struct.unpack(f"{len(value)}b", value))


ATOMIC: dict[str, Write] = {
    "double": _double,
    "float": _float,
    "timestamp": _instant,
    "timestamp_ltz": _instant,
    "timestamp_ntz": _clock_time,
    "variant": _variant,
    "binary": _binary,
}
