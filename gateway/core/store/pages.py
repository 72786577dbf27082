"""Pages of records in the order of their ids: SQL that reads the page and what lies before it, and no other row.

Knows no table. Who asks gives conditions of which any has to hold, each served by an index that ends in `id`.
"""

from __future__ import annotations

from collections.abc import Sequence

_MOST_PARTS = 100  # of one query; SQLite takes no more than 500


def ids(table: str, parts: Sequence[str], *, newest_first: bool = False) -> str:
    """SQL of the ids from place `:start` on, `:size` of them, of the rows for which any of `parts` holds.

    `:reach` is the sum of the two.
    """
    order = "DESC" if newest_first else "ASC"
    paged = f"ORDER BY id {order} LIMIT :size OFFSET :start"
    if len(parts) == 1:
        return f"SELECT id FROM {table} WHERE {parts[0]} {paged}"
    if len(parts) > _MOST_PARTS:
        return ids(table, [f"({' OR '.join(f'({part})' for part in parts)})"], newest_first=newest_first)
    each = [f"SELECT id FROM {table} WHERE {part} ORDER BY id {order} LIMIT :reach" for part in parts or ["FALSE"]]
    union = " UNION ".join(f"SELECT id FROM ({one}) AS part_{at}" for at, one in enumerate(each))
    return f"SELECT id FROM ({union}) AS parts {paged}"


def place(start: int, size: int) -> dict[str, int]:
    """The values of `ids`."""
    return {"start": start, "size": size, "reach": start + size}


def from_nearer_end(total: int, start: int, size: int, *, newest_first: bool) -> tuple[int, int, bool]:
    """The same page of `total` rows as it is counted from the nearer end: start, size, whether newest first."""
    if start <= total // 2:
        return start, size, newest_first
    size = max(0, min(size, total - start))
    return max(0, total - start - size), size, not newest_first
