"""Rows of the store as records, and back: what type stands for a column's text or number. Knows no table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import cattrs
from cattrs.gen import make_dict_structure_fn

from gateway.core.clock import from_text

T = TypeVar("T")

# What was read before, because polls read the same again and again.
_KEPT = 256  # rows, and values of columns
_LARGEST = 16 << 10  # characters of one that is kept

_converter = cattrs.Converter(detailed_validation=False)  # what the store gave needs no list of all that is wrong
_converter.register_structure_hook(datetime, lambda text, _: from_text(text))
_converter.register_structure_hook(timedelta, lambda seconds, _: timedelta(seconds=seconds))
_path = lru_cache(_KEPT)(Path)
_converter.register_structure_hook(Path, lambda text, _: _path(text))


def kept_as_json(cls: type[T]) -> type[T]:
    """A class decorator: one column holds all of such a record, as JSON text. Nobody changes what it holds."""
    read = make_dict_structure_fn(cls, _converter)
    remembered = lru_cache(_KEPT)(lambda text: read(json.loads(text), cls))

    def from_column(value: str | Mapping[str, Any], _: type[T]) -> T:
        if not isinstance(value, str):
            return read(value, cls)
        return remembered(value) if len(value) <= _LARGEST else read(json.loads(value), cls)

    _converter.register_structure_hook(cls, from_column)
    return cls


def read(cls: type[T], row: Mapping[str, Any]) -> T:
    """The record of this class that the row holds; columns without a field of their name are passed over."""
    return _converter.structure(row, cls)


def read_again(cls: type[T], row: Mapping[str, Any]) -> T:
    """As `read`, of a row that is read over and over: the very same record until a column has another value.

    Of a row with much text it is another one each time.
    """
    if sum(len(value) for value in row.values() if isinstance(value, str)) > _LARGEST:
        return read(cls, row)
    reader: Callable[[tuple[Any, ...]], T] = _reader(cls, tuple(row))  # type: ignore[arg-type]  # a class is hashable
    return reader(tuple(row.values()))


@lru_cache(_KEPT)
def _reader(cls: Any, columns: tuple[str, ...]) -> Callable[[tuple[Any, ...]], Any]:
    return lru_cache(_KEPT)(lambda values: read(cls, dict(zip(columns, values))))


def from_json(cls: type[T], text: str) -> T:
    """The record that a column holds as JSON."""
    return _converter.structure(text, cls)


def to_json(record: object) -> str:
    """What the column of a record that is kept as JSON holds."""
    return json.dumps(_converter.unstructure(record))
