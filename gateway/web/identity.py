"""Who sends the request that is being answered. Without authentication: everybody is the anonymous administrator."""

from __future__ import annotations

from gateway.core import identity
from gateway.core.identity import Principal


def principal() -> Principal:
    """The principal of this request."""
    return identity.ANONYMOUS
