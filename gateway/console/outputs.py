"""A statement's output in the pieces a page shows, out of the stored JSON text.

Decides what is shown and where it is cut, so that no output makes a page large. Knows neither HTTP nor HTML.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from gateway.core import json_numbers
from gateway.core.json_numbers import Number

LONGEST_TEXT = 20_000  # characters
MOST_ROWS = 100
MOST_COLUMNS = 50
LONGEST_CELL = 500  # characters
LONGEST_PARSED = 2_000_000  # characters of JSON; of a longer output only its beginning is looked at
LARGEST_PICTURE = 16_000_000  # characters of the output that has it; a larger one is not drawn

TEXT, JSON, PNG = "text/plain", "application/json", "image/png"
TABLE = "application/vnd.livy.table.v1+json"

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# how an output begins (contract livy §3.1), up to the type of its first result; and the inside of a JSON string
_BEGINNING = re.compile(r'\{"status": ?"ok", ?"execution_count": ?\d+, ?"data": ?\{"([^"\\]+)": ?(")?')
_FAILED = re.compile(r'\{"status": ?"error"')
_IN_QUOTES = re.compile(r'(?:[^"\\]|\\u[0-9a-fA-F]{4}|\\[^u])*')
_TERMINAL_CODES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")


@dataclass(frozen=True)
class Text:
    """`of` is how many characters there are in all (with `about`: more than that), None when `text` is all of them."""

    kind: ClassVar[str] = "text"
    text: str
    of: int | None = None
    about: bool = False


@dataclass(frozen=True)
class Failure:
    kind: ClassVar[str] = "failure"
    message: Text
    traceback: Text


@dataclass(frozen=True)
class Picture:
    """The page names the picture's address; the bytes come from `picture_of`."""

    kind: ClassVar[str] = "picture"


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    numeric: bool


@dataclass(frozen=True)
class Table:
    """Cells are text, None for null. `notes` say what was left out."""

    kind: ClassVar[str] = "table"
    columns: list[Column]
    rows: list[list[str | None]]
    notes: list[str]


@dataclass(frozen=True)
class Unshown:
    """A type of result that pages do not draw."""

    kind: ClassVar[str] = "unshown"
    mime: str


Piece = Text | Failure | Picture | Table | Unshown


def has_failed(output: str) -> bool:
    """Whether it is the output of a failure, however long."""
    return _FAILED.match(output) is not None


def pieces_of(output: str) -> list[Piece]:
    """What to show of an output envelope (contract livy §3.1), in order; text of another form is shown as it is."""
    if len(output) > LONGEST_PARSED:
        return [_first_of(output)]
    envelope = _read(output)
    if envelope is None:
        return [shortened(output)]
    data = envelope.get("data")
    pieces = list(_pieces(data)) if isinstance(data, dict) else []
    if envelope.get("status") == "error":
        pieces.append(_failure(envelope))
    return pieces


def picture_of(output: str) -> bytes | None:
    """The bytes of the PNG in an output; None when there is none, or what claims to be one is not."""
    data = (_read(output) or {}).get("data")
    encoded = data.get(PNG) if isinstance(data, dict) else None
    try:
        picture = base64.b64decode(encoded) if isinstance(encoded, str) else b""
    except (binascii.Error, ValueError):
        return None
    return picture if picture.startswith(_PNG_SIGNATURE) else None


def shortened(text: str, limit: int = LONGEST_TEXT) -> Text:
    """`text` without the codes that colour a terminal, and no longer than `limit`."""
    shown = _TERMINAL_CODES.sub("", text[:limit])
    return Text(_encodable(shown), len(text) if len(text) > limit else None)


def _encodable(text: str) -> str:
    """Half of a surrogate pair, which JSON can spell, has no place in a page."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _first_of(output: str) -> Piece:
    """The first result of an output too long to be read as a whole; its JSON when it is neither text nor a picture."""
    found = _BEGINNING.match(output)
    if found and found[1] == PNG:
        return Picture()
    if found and found[1] == TEXT and found[2]:
        inside = _IN_QUOTES.match(output, found.end(), found.end() + LONGEST_TEXT)
        if inside and inside[0]:
            return Text(shortened(json.loads(f'"{inside[0]}"', strict=False)).text, LONGEST_PARSED, about=True)
    return shortened(output)


def _read(output: str) -> dict[str, Any] | None:
    try:
        envelope = json_numbers.read(output)
    except (ValueError, RecursionError):
        return None
    return envelope if isinstance(envelope, dict) else None


def _pieces(data: dict[str, Any]) -> Iterator[Piece]:
    """Text first, as it was printed before the result."""
    text = data.get(TEXT)
    if text not in (None, ""):
        yield shortened(str(text) if isinstance(text, str) else _json(text))
    for mime, value in data.items():
        if mime == TEXT:
            continue
        if mime == PNG:
            yield Picture()
        elif mime in (JSON, TABLE):
            yield table_of(value) or shortened(_json(value))
        elif text is None:
            yield Unshown(mime)


def _failure(envelope: dict[str, Any]) -> Failure:
    named = [str(envelope[key]) for key in ("ename", "evalue") if envelope.get(key)]
    traceback = envelope.get("traceback")
    lines = [line if line.endswith("\n") else f"{line}\n" for line in map(str, traceback or [])]
    return Failure(shortened(": ".join(named)), shortened("".join(lines).rstrip()))


def _json(value: Any) -> str:
    """Indented, and not much longer than a page shows: the rest is never written out."""
    parts, length = [], 0
    for part in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(value):
        parts.append(part)
        length += len(part)
        if length > 2 * LONGEST_TEXT:
            break
    return json_numbers.unmarked("".join(parts))


def table_of(value: Any) -> Table | None:
    """A SQL result or a Livy table (contract livy §3.2, §3.4); None for JSON that is neither."""
    heads, rows = _table_parts(value)
    if heads is None or not isinstance(rows, list) or not all(isinstance(row, list) for row in rows[:MOST_ROWS]):
        return None
    width = min(len(heads), MOST_COLUMNS)
    shown = [row[:width] for row in rows[:MOST_ROWS]]
    columns = [
        Column(
            _cell(head.get("name")) or "", _type(head.get("type")), _is_numeric(row[n] for row in shown if n < len(row))
        )
        for n, head in enumerate(heads[:width])
    ]
    return Table(columns, [[_cell(cell) for cell in row] for row in shown], list(_left_out(len(rows), len(heads))))


def _table_parts(value: Any) -> tuple[list[dict[str, Any]] | None, Any]:
    if not isinstance(value, dict):
        return None, None
    schema = value.get("schema")
    heads = schema.get("fields") if isinstance(schema, dict) else value.get("headers")
    if not isinstance(heads, list) or not heads or not all(isinstance(head, dict) for head in heads):
        return None, None
    return heads, value.get("data")


def _left_out(rows: int, columns: int) -> Iterator[str]:
    if rows > MOST_ROWS:
        yield f"The first {MOST_ROWS} of {rows:,} rows."
    if columns > MOST_COLUMNS:
        yield f"The first {MOST_COLUMNS} of {columns:,} columns."


def _type(value: Any) -> str:
    """Spark's name of a type; of a nested one only what it is, such as struct."""
    named = value.get("type", "") if isinstance(value, dict) else value
    return str(named or "").removesuffix("_TYPE").lower()


def _is_numeric(cells: Iterable[Any]) -> bool:
    """A column is set to the right when it holds numbers and nothing else."""
    return {type(cell) for cell in cells if cell is not None} == {Number}


def _cell(value: Any) -> str | None:
    if value is None:
        return None
    text = str(value) if isinstance(value, str) else json_numbers.unmarked(json.dumps(value, ensure_ascii=False))
    return _encodable(text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}…")
