"""Who a request comes from."""

from __future__ import annotations

from gateway.core.identity import ANONYMOUS, Principal


def principal() -> Principal:
    """The one behind the request that is being served: without authentication the anonymous administrator."""
    return ANONYMOUS
