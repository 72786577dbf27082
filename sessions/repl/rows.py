"""How a value of a SQL result is written as JSON, by its Spark type (contract livy §3.4).

Decides nothing about queries. Types are Spark's schema JSON: a name, or an object for array, map, struct and others.
"""

from __future__ import annotations

import datetime
import math
import struct
from collections.abc import Callable
from typing import Any

from .exact import json_number
from .output import readable
from .values import key_text

UTC = datetime.timezone.utc

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
    if kind["type"] == "array":
        return _array(converter(kind["elementType"]))
    if kind["type"] == "map":
        return _map(converter(kind["keyType"]), converter(kind["valueType"]))
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


def _timestamp(value: datetime.datetime) -> str:
    """The instant in UTC. Spark hands it over in the driver's own zone, whatever the session's zone is."""
    return f"{_seconds(value.astimezone(UTC).replace(tzinfo=None))}Z"


def _seconds(value: datetime.datetime) -> str:
    return value.replace(microsecond=0).isoformat()


def _binary(value: bytes) -> list[int]:
    return list(struct.unpack(f"{len(value)}b", value))


ATOMIC: dict[str, Write] = {
    "double": _double,
    "float": _float,
    "date": datetime.date.isoformat,
    "timestamp": _timestamp,
    "timestamp_ltz": _timestamp,
    "timestamp_ntz": _seconds,
    "binary": _binary,
}


def columns_as_text(frame: Any, fields: list[dict[str, Any]]) -> Any:
    """`frame` with the columns that Python cannot receive cast to text by Spark."""
    if not any(_unknown_to_python(field["type"]) for field in fields):
        return frame
    # Positions, because columns may share a name.
    named = frame.toDF(*(f"c{position}" for position in range(len(fields))))
    return named.selectExpr(
        *(
            f"cast(c{position} as string) as c{position}" if _unknown_to_python(field["type"]) else f"c{position}"
            for position, field in enumerate(fields)
        )
    )


def _unknown_to_python(kind: Any) -> bool:
    if isinstance(kind, str):
        return kind.startswith(("interval", "time(")) or kind == "variant"
    parts = [kind.get("elementType"), kind.get("keyType"), kind.get("valueType")]
    parts += [field["type"] for field in kind.get("fields", [])]
    return any(_unknown_to_python(part) for part in parts if part is not None)
