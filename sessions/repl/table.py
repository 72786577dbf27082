"""Livy's table: typed headers and rows of cells, out of any Python value (contract livy §3.2).

Decides the type of a column. A column whose cells differ is widened, where Livy's interpreter died.
"""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any

from .columns import first_rows, names_of
from .output import readable
from .values import (
    is_pandas_frame,
    is_row,
    is_spark_frame,
    jsonable,
    key_text,
    unwrapped,
)

Cell = tuple[str, Any]
Row = dict[Any, Cell]


def table(value: Any) -> dict[str, Any]:
    """`value` as {"headers": [{"name", "type"}], "data": [[cell, ...]]}; columns sorted by name, or by position."""
    return typed(*_rows(value))


def typed(names: list[Any], rows: list[Row]) -> dict[str, Any]:
    """The table of `rows`, whose cells know their types; in the order of `names`."""
    headers = [
        {"name": key_text(name), "type": _column_type([row[name] for row in rows if name in row])} for name in names
    ]
    data = [[_fit(row.get(name, NULL), header["type"]) for name, header in zip(names, headers)] for row in rows]
    return {"headers": headers, "data": data}


def _rows(value: Any) -> tuple[list[Any], list[Row]]:
    if is_spark_frame(value):
        return _named(names_of(value), first_rows(value))
    if is_pandas_frame(value):
        return _named(list(value.columns), value.itertuples(index=False, name=None))
    values = value if isinstance(value, (list, tuple)) and not is_row(value) else [value]
    rows = [{name: cell(item) for name, item in _items(row)} for row in values]
    names = {name: None for row in rows for name in row}
    return _sorted(list(names)), rows


def _named(names: list[Any], rows: Any) -> tuple[list[Any], list[Row]]:
    """Rows whose columns have an order of their own. Positions keep columns apart that share a name."""
    unique = [ColumnName(position, name) for position, name in enumerate(names)]
    return list(unique), [{name: cell(item) for name, item in zip(unique, row)} for row in rows]


class ColumnName:
    """A column of a DataFrame: shown by its name, told apart by its position."""

    def __init__(self, position: int, name: Any) -> None:
        self.position, self.name = position, name

    def __str__(self) -> str:
        return key_text(self.name)


def _items(row: Any) -> list[tuple[Any, Any]]:
    if is_row(row):
        row = row.asDict()
    if isinstance(row, dict):
        return list(row.items())
    return list(enumerate(row if isinstance(row, (list, tuple)) else [row]))


def _sorted(names: list[Any]) -> list[Any]:
    try:
        return sorted(names)
    except TypeError:
        return sorted(names, key=key_text)


NULL: Cell = ("NULL_TYPE", None)


def cell(value: Any) -> Cell:
    """The type and JSON value of one cell."""
    if value is None:
        return NULL
    if isinstance(value, bool):
        return "BOOLEAN_TYPE", value
    if isinstance(value, int):
        return "INT_TYPE", jsonable(value)
    if isinstance(value, float):
        return "DOUBLE_TYPE", float(value) if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return "DECIMAL_TYPE", str(value)
    if isinstance(value, datetime.datetime):
        return "TIMESTAMP_TYPE", str(value)
    if isinstance(value, datetime.date):
        return "DATE_TYPE", str(value)
    return _composite(value)


def _composite(value: Any) -> Cell:
    if isinstance(value, dict) or is_row(value):
        return "MAP_TYPE", _nested(value)
    if isinstance(value, (list, tuple)):
        return "ARRAY_TYPE", _nested(value)
    plain = value if isinstance(value, str) else unwrapped(value)
    return ("STRING_TYPE", readable(str(value))) if plain is value else cell(plain)


def _nested(value: Any) -> Any:
    """A list or mapping in a cell: dates and decimals in it are text, as they are in cells of their own."""
    if is_row(value):
        value = value.asDict()
    if isinstance(value, dict):
        return {key_text(key): _nested(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_nested(item) for item in value]
    return cell(value)[1]


def _column_type(cells: list[Cell]) -> str:
    types = {kind for kind, _ in cells} - {"NULL_TYPE"}
    if not types:
        return "NULL_TYPE"
    if types in ({"INT_TYPE", "DOUBLE_TYPE"}, {"BIGINT_TYPE", "DOUBLE_TYPE"}):
        return "DOUBLE_TYPE"
    return types.pop() if len(types) == 1 else "STRING_TYPE"


def _fit(item: Cell, column: str) -> Any:
    kind, value = item
    if kind == column or value is None:
        return value
    return float(value) if column == "DOUBLE_TYPE" else value if isinstance(value, str) else str(value)
