"""Runs completions beside everything else the driver does: on a thread of its own, one at a time, each with a deadline.

Decides how long one may take and how many names it may give. Refuses to know any language.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from .output import Stream

PATIENCE = 2.0  # seconds; the gateway waits 5 for an answer
MOST = 500  # names


class Completions:
    """The thread that completes. It may be busy beyond the deadline; those who ask meanwhile get nothing."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._thread = ThreadPoolExecutor(1, "completion", _keep_out_of_outputs)

    async def ask(self, complete: Callable[[str, str, int], list[str]], kind: str, code: str, cursor: int) -> list[str]:
        """The names that `complete` gives for the text before `cursor`; nothing when it fails or takes too long."""
        cursor = max(0, min(cursor, len(code)))
        answer = asyncio.get_running_loop().run_in_executor(self._thread, complete, kind, code, cursor)
        try:
            return (await asyncio.wait_for(answer, self._patience))[:MOST]
        except Exception:  # noqa: BLE001 - a completion is a courtesy: no failure of it is worth an answer
            return []


def _keep_out_of_outputs() -> None:
    Stream.kept_out.add(threading.get_ident())
