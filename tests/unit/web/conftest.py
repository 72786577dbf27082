"""The seams that all protocols share, seen through the protocols there are and through made-up ones."""

from __future__ import annotations

from tests.unit.livy.conftest import gateway, make_gateway

__all__ = ["gateway", "make_gateway"]
