"""In which form Spark hands the columns of a SQL result to Python.

Decides which types Python cannot hold, or not every value of, and to what Spark casts them first; `rows` writes what
arrives. Types are Spark's schema JSON: a name, or an object for array, map, struct and others.
"""

from __future__ import annotations

from typing import Any


def received(frame: Any, fields: list[dict[str, Any]]) -> Any:
    """`frame` with its columns cast where they must be; they keep their places, not their names."""
    kinds = [field["type"] for field in fields]
    if not any(_must_be_cast(kind) for kind in kinds):
        return frame
    # Positions, because columns may share a name.
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
