"""Who sends the request that is being answered. Without authentication: everybody is the anonymous administrator."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.core import identity
from gateway.core.identity import Principal


def principal() -> Principal:
    """The principal of the request that Flask answers."""
    return of_request({})


def of_request(headers: Mapping[bytes, bytes]) -> Principal:
    """The principal of a request with these headers, whose names are in lower case."""
    return identity.ANONYMOUS
