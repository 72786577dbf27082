"""`stop`: ends what sessions and batches run, with a gateway or without one. A composition root.

Writes what is wanted and sees to it that the processes end; the records follow with the supervisor, this one's or the
next. Killed at any moment, or run twice, it loses nothing: whoever comes later goes on from the rows.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from batches.states import BatchState, Target
from batches.store import BatchStore
from gateway import stores
from gateway.core import lease, processes, wakeup
from gateway.core.clock import utc_now
from gateway.core.database import Database
from gateway.core.settings import Settings
from sessions.driver_store import DriverStore
from sessions.states import DriverState

REASON = "ended by `python -m gateway stop`"
_PATIENCE = 30.0  # seconds for all of them to end
_PAUSE = 0.1


@dataclass(frozen=True)
class Work:
    """A session or batch that has not ended; `runs`: it has a process, or is about to have one."""

    name: str
    folder: Path
    permanent: bool
    runs: bool
    end: Callable[[], None]
    has_ended: Callable[[], bool]


def going_on(settings: Settings) -> list[Work]:
    """What has not ended, sessions first, without what is only left to be told so to the store.

    Changes nothing, but brings the store's tables up to date.
    """
    if not settings.store_path.exists():
        return []
    db = stores.open_and_migrate(settings)
    return [*_sessions(db), *_batches(db)]


def words(left: list[Work]) -> str | None:
    """What to say of work whose gateway ends; None when nothing runs."""
    names = ", ".join(work.name for work in left if work.runs)
    return f"{names} go on; the next start takes them up, `python -m gateway stop` ends them" if names else None


def stop(settings: Settings, say: Callable[[str], None]) -> bool:
    """End them all and say so, one by one; whether nothing runs any more.

    Permanent sessions too, whose drivers the next start replaces; but not below a running supervisor, which would
    replace them at once.
    """
    supervised, found = lease.is_held(settings.lease_path), going_on(settings)
    staying = [work for work in found if work.permanent and supervised]
    waited_for = [work for work in found if work not in staying]
    for work in waited_for:
        work.end()
    wakeup.nudge(settings.wakeup_path)
    late = _wait(waited_for, settings, say)
    for work in staying:
        say(f"{work.name} goes on: it is permanent and the gateway runs; stop that first")
    for work in late:
        say(f"{work.name} has not ended within {_PATIENCE:g} s")
    if not found:
        say("nothing runs")
    return not staying and not late


def _wait(waited_for: list[Work], settings: Settings, say: Callable[[str], None]) -> list[Work]:
    """Signal what runs until it has ended; what has not in time. A supervisor does the same beside us."""
    ladder = processes.Ladder((signal.SIGTERM, timedelta(seconds=5)), (signal.SIGKILL, timedelta(seconds=1)))
    end, left = time.monotonic() + _PATIENCE, waited_for
    while left and time.monotonic() < end:
        supervised = lease.is_held(settings.lease_path)
        for work in left:
            if ladder.has_ended(work.folder, utc_now()) and (work.has_ended() or not supervised):
                say(f"{work.name} has ended")
                left = [other for other in left if other is not work]
        time.sleep(_PAUSE if left else 0)
    return left


def _sessions(db: Database) -> list[Work]:
    store = DriverStore(db)

    def work(session: int | None, permanent: bool, driver: str, folder: Path) -> Work:
        name = "a deleted session" if session is None else f"session {session}"
        return Work(name, folder, permanent, True, lambda: store.give_up(driver, REASON), lambda: store.is_gone(driver))

    return [
        work(session, permanent, driver.id, driver.folder)
        for session, permanent, driver in store.not_gone()
        if driver.target is DriverState.READY or processes.family(driver.folder)
    ]


def _batches(db: Database) -> list[Work]:
    store = BatchStore(db)

    def work(batch: int, folder: Path, runs: bool) -> Work:
        return Work(f"batch {batch}", folder, False, runs, lambda: store.delete(batch), lambda: not store.exists(batch))

    return [
        work(batch.id, batch.folder, batch.state is BatchState.RUNNING)
        for batch in store.not_ended()
        if batch.target is Target.FINISHED or processes.family(batch.folder)
    ]
