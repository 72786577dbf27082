"""Who asks. With authentication off every request is the anonymous owner of everything."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Principal:
    """`user` is None for the anonymous owner."""

    user: str | None = None


ANONYMOUS = Principal()
