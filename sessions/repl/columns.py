"""In which form Spark hands the columns of a result to Python.

Decides which types Python cannot hold, or not every value of, and to what Spark turns them first; `rows` writes what
arrives. Types are Spark's schema JSON: a name, or an object for array, map, struct and others.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

MOST_ROWS = 1000  # of a DataFrame that is shown, as many as SQL results have


def names_of(frame: Any) -> list[str]:
    """The columns of a DataFrame. Spark is asked: Python would need the classes of user-defined types."""
    return list(frame._jdf.columns())


def first_rows(frame: Any) -> list[Any]:
    """The first rows of a DataFrame, with what Spark stores of user-defined values."""
    fields = json.loads(frame._jdf.schema().json())["fields"]
    rows: list[Any] = as_stored(frame.limit(MOST_ROWS), fields).collect()
    return rows


def stored(kind: Any) -> Any:
    """`kind` with what Spark stores, often a struct, in the place of each user-defined type."""
    if isinstance(kind, str):
        return kind
    if kind["type"] == "udt":
        return stored(kind["sqlType"])
    parts = {part: stored(kind[part]) for part in ("elementType", "keyType", "valueType") if part in kind}
    if "fields" in kind:
        parts["fields"] = [{**field, "type": stored(field["type"])} for field in kind["fields"]]
    return {**kind, **parts}


def as_stored(frame: Any, fields: list[dict[str, Any]]) -> Any:
    """`frame` with what Spark stores of user-defined values: nobody then needs their classes, nor numpy."""
    if all(field["type"] == stored(field["type"]) for field in fields):
        return frame
    from pyspark.sql import functions

    # Positions, because columns may share a name.
    columns = [functions.col(f"c{position}") for position in range(len(fields))]
    return frame.toDF(*(f"c{position}" for position in range(len(fields)))).select(
        *(_stored_column(column, field["type"]).alias(field["name"]) for column, field in zip(columns, fields))
    )


def _stored_column(column: Any, kind: Any) -> Any:
    from pyspark.sql import functions

    if kind == stored(kind):
        return column
    if kind["type"] == "udt":
        return _stored_column(functions.unwrap_udt(column), kind["sqlType"])
    if kind["type"] == "array":
        return functions.transform(column, lambda item: _stored_column(item, kind["elementType"]))
    if kind["type"] == "map":
        return functions.map_from_entries(functions.transform(functions.map_entries(column), _stored_entry(kind)))
    parts = (
        _stored_column(column.getField(field["name"]), field["type"]).alias(field["name"]) for field in kind["fields"]
    )
    return functions.when(column.isNotNull(), functions.struct(*parts))


def _stored_entry(kind: dict[str, Any]) -> Callable[[Any], Any]:
    from pyspark.sql import functions

    def entry(pair: Any) -> Any:
        key = _stored_column(pair["key"], kind["keyType"])
        key = key.cast("string") if _is_no_key(stored(kind["keyType"])) else key
        return functions.struct(key, _stored_column(pair["value"], kind["valueType"]))

    return entry


def received(frame: Any, fields: list[dict[str, Any]]) -> Any:
    """`frame` with its columns turned into what arrives whole; they keep their places, not always their names."""
    frame = as_stored(frame, fields)
    kinds = [stored(field["type"]) for field in fields]
    if not any(_must_be_cast(kind) for kind in kinds):
        return frame
    names = [f"c{position}" for position in range(len(kinds))]
    return frame.toDF(*names).selectExpr(
        *(
            f"cast({name} as {arriving(kind)}) as {name}" if _must_be_cast(kind) else name
            for name, kind in zip(names, kinds)
        )
    )


def arriving(kind: Any) -> str:
    """The SQL type as which values of `kind` arrive: instants as seconds since 1970, much else as text.

    Keys of maps that no Python dict could have are text. Fields keep their places, because they may share names.
    """
    if isinstance(kind, str):
        return "bigint" if kind in INSTANTS else "string" if kind.startswith(TEXTS) else kind
    if kind["type"] == "array":
        return f"array<{arriving(kind['elementType'])}>"
    if kind["type"] == "map":
        key = "string" if _is_no_key(kind["keyType"]) else arriving(kind["keyType"])
        return f"map<{key}, {arriving(kind['valueType'])}>"
    if kind["type"] == "struct":
        fields = [f"f{position}: {arriving(field['type'])}" for position, field in enumerate(kind["fields"])]
        return f"struct<{', '.join(fields)}>"
    return "string"


# Python's dates and times begin with the year 1 and end with 9999; its intervals have no months.
INSTANTS = ("timestamp", "timestamp_ltz")
TEXTS = ("date", "timestamp_ntz", "time(", "interval")


def _must_be_cast(kind: Any) -> bool:
    if isinstance(kind, str):
        return kind in INSTANTS or kind.startswith(TEXTS)
    if kind["type"] == "map" and _is_no_key(kind["keyType"]):
        return True
    parts = [kind.get("elementType"), kind.get("keyType"), kind.get("valueType")]
    parts += [field["type"] for field in kind.get("fields", [])]
    return any(_must_be_cast(part) for part in parts if part is not None)


def _is_no_key(kind: Any) -> bool:
    return not isinstance(kind, str) or kind == "binary"
