"""What a query may cost, and what it is answered with."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from gateway.core import json_numbers


@dataclass(frozen=True)
class Limits:
    """At most so many rows, in so many bytes of JSON with their schema, after so many seconds."""

    rows: int = 1000
    bytes: int = 1_000_000
    seconds: float = 20.0


STANDARD = Limits()


@dataclass(frozen=True)
class Answer:
    """`schema` is Spark's own, as JSON; each row a list of values in its order, with numbers as `json_numbers` reads
    them. `cut`: there are more rows."""

    schema: dict[str, Any]
    rows: list[list[Any]]
    cut: bool

    @classmethod
    def of(cls, result: str) -> Answer:
        """From the result of a job that is a query."""
        said = json_numbers.read(base64.b64decode(result).decode())
        return cls(said["schema"], said["data"], said.get("truncated", False))
