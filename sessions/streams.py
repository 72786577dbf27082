"""Finds out whether streaming queries run in a session before it expires for idleness: then it is in use.

Asks the driver only when the time is up, and once each time, so that an idle session costs nothing. Refuses to wait:
the answer is there at a later round.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime

from gateway.core.clock import Clock
from sessions.drivers.claims import Claim
from sessions.drivers.kernel_client import KernelClient
from sessions.drivers.store import DriverStore
from sessions.models import Session
from sessions.store import Lifetime, SessionStore

log = logging.getLogger(__name__)

# A driver that leaves so many questions unanswered, each for some seconds, is of no use to anybody.
MOST_UNANSWERED = 6


@dataclass
class _Question:
    activity: datetime
    answer: asyncio.Task[bool | None]
    unanswered: int = 0


class StreamWatch:
    """The questions under way, by session."""

    def __init__(self, store: SessionStore, drivers: DriverStore, clock: Clock) -> None:
        self._store, self._drivers, self._clock = store, drivers, clock
        self._questions: dict[int, _Question] = {}

    def may_expire(self, lifetime: Lifetime) -> bool:
        """Whether no stream runs in an idle session; False while its driver is asked. A stream counts as activity.

        A driver is asked on its own host alone, and so that one's supervisor decides.
        """
        session = lifetime.session
        if session.elsewhere is not None:
            return False
        question = self._questions.get(session.id)
        if question is None or question.activity != lifetime.activity:  # an answer of an earlier idle time is no answer
            self._forget_ended()
            self._questions[session.id] = _Question(lifetime.activity, asyncio.create_task(self._ask(session)))
            return False
        if not question.answer.done():
            return False
        streams = question.answer.result()
        if streams is None and question.unanswered < MOST_UNANSWERED - 1:
            question.unanswered += 1
            question.answer = asyncio.create_task(self._ask(session))
            return False
        del self._questions[session.id]
        if streams:
            self._store.work_goes_on(session.id, self._clock())
        return not streams

    def _forget_ended(self) -> None:
        """Sessions that were deleted while they were asked about."""
        for session in [one for one in self._questions if not self._store.is_live(one)]:
            del self._questions[session]

    async def _ask(self, session: Session) -> bool | None:
        """None: no answer, whatever kept it away."""
        try:
            driver = self._drivers.find(session.driver)
            if driver is None:
                return None
            async with KernelClient(Claim(driver, session.seat)) as kernel:
                return await kernel.streams()
        except Exception as error:  # noqa: BLE001 - of a driver that fails otherwise no more is known
            log.warning(
                "does not say whether streams run: %r", error, extra={"session": session.id, "action": "expire"}
            )
            return None
