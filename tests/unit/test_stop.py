"""`stop`: what runs in the folders of a store ends, with a supervisor or without one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from batches.models import Batch
from batches.store import BatchStore
from gateway import stop, stores
from gateway.core import processes
from gateway.core.events import Belonging
from gateway.core.options import SparkOptions
from gateway.core.settings import Settings
from sessions.drivers.models import Driver
from sessions.drivers.states import DriverState
from sessions.drivers.store import DriverStore
from sessions.models import Session

pytestmark = pytest.mark.usefixtures("no_process_left")

IGNORES_TERM = "trap '' TERM; touch deaf; while :; do sleep 1000; done"


def run_in(folder: Path, script: str = "exec sleep 1000") -> None:
    folder.mkdir(parents=True)
    processes.start(folder, ["sh", "-c", script], dict(os.environ))


@pytest.fixture
def batch(add_batch: Callable[..., Batch], batch_store: BatchStore, clock) -> Batch:
    """One that runs."""
    added = add_batch()
    batch_store.start(added.id, added.folder, clock())
    run_in(added.folder)
    return added


def stopped(settings: Settings) -> tuple[bool, list[str]]:
    said: list[str] = []
    return stop.stop(settings, said.append), sorted(said)


def test_without_a_supervisor_it_ends_them_itself_and_twice_is_harmless(
    settings: Settings, idle_session: Session, batch: Batch, driver_store: DriverStore, add_batch: Callable[..., Batch]
) -> None:
    run_in(idle_session.folder)
    add_batch()  # waits, and must not start later
    names = [f"session {idle_session.id}", f"batch {batch.id}"]
    assert stop.words(stop.going_on(settings)) == (
        f"{', '.join(names)} go on; the next start takes them up, `python -m gateway stop` ends them"
    )
    assert stopped(settings) == (True, sorted(f"{name} has ended" for name in [*names, f"batch {batch.id + 1}"]))
    assert not processes.family(idle_session.folder) and not processes.family(batch.folder)
    # The next supervisor finds what it is to tell.
    (driver,) = driver_store.moving()
    assert (driver.target, driver.reason) == (DriverState.GONE, stop.REASON)
    assert stopped(settings) == (True, ["nothing runs"])
    assert stop.words(stop.going_on(settings)) is None


def test_a_stop_that_was_killed_is_taken_up(settings: Settings, batch: Batch, batch_store: BatchStore) -> None:
    batch_store.delete(batch.id)
    assert stopped(settings) == (True, [f"batch {batch.id} has ended"])


def test_a_permanent_session_ends_too_but_not_below_a_supervisor(
    settings: Settings, add_session: Callable[..., Session], make_ready: Callable[[Session], None]
) -> None:
    session = add_session(permanent=True)
    make_ready(session)
    run_in(session.folder)
    with stores.open_store(settings).lease(stores.supervisor_lease(settings)):
        answer = f"session {session.id} goes on: it is permanent and the gateway runs; stop that first"
        assert stopped(settings) == (False, [answer])
        assert processes.family(session.folder)
    assert stopped(settings) == (True, [f"session {session.id} has ended"])


def test_a_driver_that_is_nobodys_ends_too_but_a_supervisor_would_only_start_another(
    settings: Settings, driver_store: DriverStore, clock
) -> None:
    driver = Driver.wanted(settings.data_dir, SparkOptions(), clock(), profile="any")
    driver_store.add(driver, Belonging(None, "default"))
    driver_store.launch(driver.id, driver.folder, clock())
    run_in(driver.folder)
    assert stop.words(stop.going_on(settings)) is None, "it ends by itself"
    with stores.open_store(settings).lease(stores.supervisor_lease(settings)):
        assert stopped(settings) == (True, ["nothing runs"])
        assert processes.family(driver.folder)
    assert stopped(settings) == (True, ["a warm driver has ended"])
    assert not processes.family(driver.folder)


def test_below_a_supervisor_it_waits_until_the_store_knows(
    settings: Settings, batch: Batch, batch_store: BatchStore, clock
) -> None:
    answers: list[tuple[bool, list[str]]] = []
    with stores.open_store(settings).lease(stores.supervisor_lease(settings)):
        asking = threading.Thread(target=lambda: answers.append(stopped(settings)))
        asking.start()
        while processes.family(batch.folder):
            os.sched_yield()
        assert asking.is_alive() and not answers
        batch_store.remove(batch.id, clock())
        asking.join(30)
    assert answers == [(True, [f"batch {batch.id} has ended"])]


def test_what_does_not_end_in_time_is_named(
    settings: Settings, idle_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop, "_PATIENCE", 0.2)
    run_in(idle_session.folder, IGNORES_TERM)
    while not (idle_session.folder / "deaf").exists():
        os.sched_yield()
    assert stopped(settings) == (False, [f"session {idle_session.id} has not ended within 0.2 s"])


def test_where_there_is_no_store_nothing_runs(settings: Settings) -> None:
    assert stopped(settings) == (True, ["nothing runs"])
    assert not settings.store_path.exists()
