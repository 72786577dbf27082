"""`stop`: ends what sessions and batches run, with a gateway or without one. A composition root.

Writes what is wanted and sees to it that the processes end; the records follow with the supervisor, this one's or the
next. Killed at any moment, or run twice, it loses nothing: whoever comes later goes on from the rows.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from batches.states import BatchState, Target
from gateway import stores
from gateway.core import processes, wakeup
from gateway.core.places.local import host_name
from gateway.core.settings import Settings
from gateway.stores import Stores
from sessions.drivers.models import Driver
from sessions.drivers.states import DriverState

REASON = "ended by `python -m gateway stop`"
_PATIENCE = 30.0  # seconds for all of them to end
_POLITE = 5.0  # seconds until what has not ended by itself is killed
_PAUSE = 0.1


@dataclass(frozen=True)
class Work:
    """A session or batch that has not ended; `runs`: it has a process, or is about to have one.

    `nobodys`: a driver that no session has claimed, which ends by itself soon after its gateway.
    """

    name: str
    folder: Path
    permanent: bool
    runs: bool
    end: Callable[[], None]
    has_ended: Callable[[], bool]
    nobodys: bool = False


def going_on(settings: Settings) -> list[Work]:
    """What has not ended, sessions first, without what is only left to be told so to the store.

    Changes nothing, but brings the store's tables up to date.
    """
    if not settings.store and not settings.store_path.exists():
        return []
    store = Stores(stores.open_and_migrate(settings), host_name(settings))
    return [*_sessions(store), *_batches(store)]


def words(left: list[Work]) -> str | None:
    """What to say of work whose gateway ends; None when nothing runs."""
    names = ", ".join(work.name for work in left if work.runs and not work.nobodys)
    return f"{names} go on; the next start takes them up, `python -m gateway stop` ends them" if names else None


def stop(settings: Settings, say: Callable[[str], None]) -> bool:
    """End them all and say so, one by one; whether nothing runs any more.

    Permanent sessions too, whose drivers the next start replaces, and warm drivers; but not below a running supervisor,
    which would replace them at once.
    """
    supervised = stores.is_supervised(settings)
    found = [work for work in going_on(settings) if not (work.nobodys and supervised)]
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
    begun, left = time.monotonic(), waited_for
    number: signal.Signals | None = signal.SIGTERM
    while left and time.monotonic() - begun < _PATIENCE:
        running = processes.signal_all({work.folder: number for work in left})
        supervised = stores.is_supervised(settings)
        ended = [work for work in left if not running[work.folder] and (work.has_ended() or not supervised)]
        for work in ended:
            say(f"{work.name} has ended")
        left = [work for work in left if work not in ended]
        number = signal.SIGKILL if time.monotonic() - begun > _POLITE else None
        time.sleep(_PAUSE if left else 0)
    return left


def _sessions(store: Stores) -> list[Work]:
    drivers = store.drivers

    def work(session: int | None, permanent: bool, driver: Driver) -> Work:
        warm = driver.target is DriverState.WARM
        of_many = driver.shared is not None and driver.application is None
        unclaimed = f"the application {driver.shared}" if of_many else "a warm driver" if warm else "a deleted session"
        name = f"session {session}" if session is not None else unclaimed

        def end() -> None:
            drivers.give_up(driver.id, REASON, replace=False)

        return Work(name, driver.folder, permanent, True, end, lambda: drivers.is_gone(driver.id), warm)

    return [
        work(session, permanent, driver)
        for session, permanent, driver in drivers.not_gone()
        if driver.target is not DriverState.GONE or processes.family(driver.folder)
    ]


def _batches(store: Stores) -> list[Work]:
    batches = store.batches

    def work(batch: int, folder: Path, runs: bool) -> Work:
        return Work(
            f"batch {batch}", folder, False, runs, lambda: batches.delete(batch), lambda: not batches.exists(batch)
        )

    return [
        work(batch.id, batch.folder, batch.state is BatchState.RUNNING)
        for batch in batches.not_ended()
        if batch.target is Target.FINISHED or processes.family(batch.folder)
    ]
