"""What one may know of drivers that are started ahead. Knows no protocol and no SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.core.identity import Principal
from sessions.drivers.models import Got
from sessions.drivers.pool_store import PoolStore


@dataclass(frozen=True)
class Pool:
    """`warm` drivers wait for a session, `starting` ones soon will; `given`: how many sessions were given what."""

    warm: int
    starting: int
    given: Mapping[Got, int]


class PoolService:
    def __init__(self, store: PoolStore) -> None:
        self._store = store

    def look(self, principal: Principal) -> Pool:
        """The drivers of this host that are the principal's to claim or to see, and all sessions' numbers."""
        warm, starting = self._store.waiting(principal)
        return Pool(warm, starting, self._store.claims())
