"""Rows of the store as records, and back: what type stands for a column's text or number. Knows no table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import cattrs
from cattrs.gen import make_dict_structure_fn

from gateway.core.clock import from_text

T = TypeVar("T")

_converter = cattrs.Converter()
_converter.register_structure_hook(datetime, lambda text, _: from_text(text))
_converter.register_structure_hook(timedelta, lambda seconds, _: timedelta(seconds=seconds))
_converter.register_structure_hook(Path, lambda text, _: Path(text))


def kept_as_json(cls: type[T]) -> type[T]:
    """A class decorator: one column holds all of such a record, as JSON text."""
    read = make_dict_structure_fn(cls, _converter)

    def from_column(value: str | Mapping[str, Any], _: type[T]) -> T:
        return read(json.loads(value) if isinstance(value, str) else value, cls)

    _converter.register_structure_hook(cls, from_column)
    return cls


def read(cls: type[T], row: Mapping[str, Any]) -> T:
    """The record of this class that the row holds; columns without a field of their name are passed over."""
    return _converter.structure(row, cls)


def from_json(cls: type[T], text: str) -> T:
    """The record that a column holds as JSON."""
    return _converter.structure(text, cls)


def to_json(record: object) -> str:
    """What the column of a record that is kept as JSON holds."""
    return json.dumps(_converter.unstructure(record))
