"""The supervisor's pass over batches, with real processes named after their faults in the place of spark-submit."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from batches import reconcile
from batches import store as store_module
from batches.models import Batch, BatchKind
from batches.reconcile import BatchPass
from batches.states import BatchState
from batches.store import BatchStore
from gateway.core import logs, processes
from gateway.core.errors import Misconfigured, Unavailable
from gateway.core.identity import ANONYMOUS
from gateway.core.places.local import LocalPlace
from gateway.core.places.place import Place
from gateway.core.settings import Settings

pytestmark = pytest.mark.usefixtures("no_process_left")

SUCCEEDS = "echo done"
FAILS = "echo 'Traceback'; exit 1"
RUNS_OUT_OF_MEMORY = "echo 'java.lang.OutOfMemoryError: Java heap space'; exit 3"
RUNS_ON = "exec sleep 1000"
IGNORES_TERM = "trap '' TERM; touch deaf; while :; do sleep 1000; done"
TAKES_ITS_LEAVE = "trap 'echo bye; exit 143' TERM; touch polite; while :; do sleep 0.01; done"
LEAVES_CHILDREN = "setsid sleep 1000 & setsid sleep 1000 & echo left"
ENDS_WITHOUT_A_NEWLINE = "printf 'the answer is 42'"


class FakeSubmitter:
    """Runs a batch's file as a shell script's text. `fault` is raised instead, if there is one."""

    place: Place

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.started: list[int] = []

    def start(self, batch: Batch) -> None:
        if self.fault is not None:
            raise self.fault
        if self.place.find(batch.folder):
            return
        self.started.append(batch.id)
        batch.folder.mkdir(parents=True, exist_ok=True)
        self.place.start(batch.folder, ["/bin/sh", "-c", batch.request.file], dict(os.environ))


class Supervisor:
    """The pass over one store in one event loop; `again` is what a restart makes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, store: BatchStore, settings: Settings, clock) -> None:
        self.submitter, self.store, self.settings, self.clock, self._loop = (
            FakeSubmitter(),
            store,
            settings,
            clock,
            loop,
        )
        self.again()

    def again(self) -> None:
        self.place = self.submitter.place = LocalPlace("here", self.settings.data_dir / "removed", lambda: None)
        self.batch_pass = BatchPass(self.store, self.submitter, self.settings, self.clock, self.place)  # type: ignore[arg-type]
        self.run(self.place.begin)
        self.run(self.batch_pass.adopt)

    def run(self, work: Callable[[], object]) -> object:
        async def inside() -> object:
            await asyncio.sleep(0)
            return work()

        return self._loop.run_until_complete(inside())

    def step(self) -> None:
        self.run(self.batch_pass)

    def until(self, condition: Callable[[], object], advance: float = 0) -> None:
        """Pass after pass until the condition holds; at most twenty seconds."""
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, "it never came true"
            self.step()
            self.clock.advance(seconds=advance)
            time.sleep(0.002)

    def state(self, batch: Batch) -> str:
        found = self.store._select("id = :id", {"id": batch.id})
        return found[0].state.value if found else "forgotten"

    def until_state(self, batch: Batch, state: str, advance: float = 0) -> None:
        self.until(lambda: self.state(batch) == state, advance)


@pytest.fixture
def supervisor(loop: asyncio.AbstractEventLoop, batch_store: BatchStore, settings: Settings, clock) -> Supervisor:
    return Supervisor(loop, batch_store, settings, clock)


def lines(batch: Batch) -> list[str]:
    return logs.read(batch.log, 0, 100)


@pytest.mark.parametrize(
    ("script", "state", "log"),
    [
        (SUCCEEDS, "success", ["done"]),
        (FAILS, "dead", ["Traceback", "spark-gateway: the batch ended with exit code 1"]),
        ("kill -9 $$", "dead", None),
        ("exit 143", "dead", ["spark-gateway: the batch was ended by signal 15"]),
        (
            RUNS_OUT_OF_MEMORY,
            "dead",
            [
                "java.lang.OutOfMemoryError: Java heap space",
                "spark-gateway: the batch ran out of memory; ask for more with driverMemory",
            ],
        ),
        ("/no/such/program", "dead", None),
    ],
)
def test_how_a_batch_ends_is_told(script: str, state: str, log: list[str] | None, supervisor, add_batch) -> None:
    batch = add_batch(script)
    supervisor.until_state(batch, state)
    if log is not None:
        assert lines(batch) == log
    assert not (batch.folder / "tmp").exists()


def test_a_batch_that_runs_is_running(supervisor: Supervisor, add_batch) -> None:
    batch = add_batch(RUNS_ON)
    for _ in range(5):
        supervisor.step()
    assert supervisor.state(batch) == "running"


def test_a_batch_killed_from_outside(supervisor: Supervisor, add_batch) -> None:
    batch = add_batch(RUNS_ON)
    supervisor.step()
    # A process is nobody's for the moment in which it becomes another program.
    supervisor.until(lambda: "sleep" in [process.name() for process in processes.family(batch.folder)])
    os.kill(processes.find(batch.folder).pid, signal.SIGKILL)  # type: ignore[union-attr]
    supervisor.until_state(batch, "dead")
    assert lines(batch)[-1] == "spark-gateway: the batch's processes were killed from outside"
    assert processes.family(batch.folder) == []


def test_the_last_line_of_a_batch_is_shown_though_it_has_no_end(supervisor: Supervisor, add_batch) -> None:
    """print(..., end="") as the last words of a script."""
    batch = add_batch(ENDS_WITHOUT_A_NEWLINE)
    supervisor.until_state(batch, "success")
    assert lines(batch) == ["the answer is 42"]


@pytest.mark.parametrize("fault", [OSError(7, "Argument list too long"), Misconfigured("no Spark")])
def test_a_batch_that_cannot_be_started_is_dead_with_the_reason(fault: Exception, supervisor, add_batch) -> None:
    supervisor.submitter.fault = fault
    batch = add_batch()
    supervisor.until_state(batch, "dead")
    assert lines(batch) == [f"spark-gateway: the batch could not be started: {fault}"]


def test_what_a_batch_leaves_running_ends_with_it(supervisor: Supervisor, add_batch) -> None:
    batch = add_batch(LEAVES_CHILDREN)
    supervisor.until_state(batch, "success")
    assert processes.family(batch.folder) == []


def test_a_hundred_batches_run_in_order_and_only_some_at_a_time(supervisor: Supervisor, add_batch) -> None:
    batches = [add_batch("exit 0") for _ in range(100)]
    most = 0

    def finished() -> bool:
        nonlocal most
        most = max(most, len(supervisor.store.running()))
        return all(batch.state.value == "success" for batch in supervisor.store.page(ANONYMOUS, 0, 100)[1])

    supervisor.until(finished)
    assert supervisor.submitter.started == [batch.id for batch in batches]
    assert most == supervisor.settings.max_batches_running


# ---------------------------------------------------------------- deletion


def test_a_deleted_batch_leaves_no_process_and_no_folder(supervisor: Supervisor, add_batch) -> None:
    batch = add_batch(RUNS_ON)
    supervisor.step()
    supervisor.store.delete(batch.id)
    supervisor.until_state(batch, "forgotten", advance=0.1)
    assert processes.family(batch.folder) == [] and not batch.folder.exists()


def test_a_waiting_batch_that_is_deleted_never_starts(supervisor: Supervisor, add_batch) -> None:
    for _ in range(4):
        add_batch(RUNS_ON)
    waiting = add_batch(SUCCEEDS)
    supervisor.step()
    supervisor.store.delete(waiting.id)
    supervisor.until_state(waiting, "forgotten")
    assert waiting.id not in supervisor.submitter.started and not waiting.folder.exists()


def test_an_ended_batch_that_is_deleted_takes_its_log_along(supervisor: Supervisor, add_batch) -> None:
    batch = add_batch(SUCCEEDS)
    supervisor.until_state(batch, "success")
    assert batch.log.exists()
    supervisor.store.delete(batch.id)
    supervisor.until_state(batch, "forgotten")
    assert not batch.folder.exists()


def test_a_deleted_batch_gets_the_time_to_take_its_leave(supervisor: Supervisor, add_batch) -> None:
    batch = add_batch(TAKES_ITS_LEAVE)
    supervisor.step()
    supervisor.until((batch.folder / "polite").exists)
    with open(batch.log) as log:
        supervisor.store.delete(batch.id)
        supervisor.until_state(batch, "forgotten")
        assert "bye" in log.read()


def test_a_batch_that_ignores_the_polite_signal_is_killed(supervisor: Supervisor, add_batch) -> None:
    batch = add_batch(IGNORES_TERM)
    supervisor.step()
    supervisor.until((batch.folder / "deaf").exists)
    supervisor.store.delete(batch.id)
    supervisor.step()
    supervisor.clock.advance(seconds=4)
    for _ in range(5):
        supervisor.step()
    assert processes.family(batch.folder), "it still has its five seconds"
    supervisor.until_state(batch, "forgotten", advance=0.1)
    assert processes.family(batch.folder) == []


def test_an_expired_batch_is_forgotten(supervisor: Supervisor, add_batch) -> None:
    batch = add_batch(SUCCEEDS)
    supervisor.until_state(batch, "success")
    supervisor.clock.now += supervisor.settings.retention
    supervisor.batch_pass.expire()
    assert supervisor.store.find(ANONYMOUS, batch.id) is not None
    supervisor.clock.advance(seconds=1)
    supervisor.batch_pass.expire()
    supervisor.until_state(batch, "forgotten")
    assert not batch.folder.exists()


def test_of_many_ended_batches_some_are_removed_in_a_pass_and_it_says_that_there_are_more(
    supervisor: Supervisor, add_batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_REMOVED_AT_ONCE", 2)
    ended, running, waiting = [add_batch() for _ in range(5)], add_batch(RUNS_ON), add_batch()
    for batch in ended:
        supervisor.store.end(batch.id, BatchState.DEAD, 1, "why", supervisor.clock())
    supervisor.step()
    for batch in (*ended, running, waiting):
        supervisor.store.delete(batch.id)
    assert [batch.id for batch in supervisor.store.unwanted()] == [running.id, waiting.id, ended[0].id, ended[1].id]
    supervisor.until(lambda: supervisor.state(ended[0]) == "forgotten", advance=0.1)
    assert [supervisor.state(batch) for batch in ended[2:]] == ["dead"] * 3
    more = True
    while more:
        supervisor.until(lambda: not supervisor.place._looking or supervisor.place._looking.done())
        more = bool(supervisor.run(supervisor.batch_pass))
    supervisor.until(lambda: not supervisor.store.unwanted(), advance=0.1)


def test_a_place_is_not_asked_to_stop_what_never_ran(supervisor: Supervisor, add_batch) -> None:
    """It would remember that of a batch that another host removes."""
    batch = add_batch()
    supervisor.store.delete(batch.id)
    supervisor.step()
    assert supervisor.state(batch) == "forgotten" and supervisor.place._standing == {}


# ---------------------------------------------------------------- applications


def test_applications_are_looked_for_while_their_batches_run(
    supervisor: Supervisor, add_batch, loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sought: list[int] = []
    monkeypatch.setattr(reconcile, "find_application", lambda batch, place: sought.append(batch.id))
    batch = add_batch(RUNS_ON)
    python = add_batch(RUNS_ON, kind=BatchKind.PYTHON)
    supervisor.step()
    for _ in range(2):
        loop.run_until_complete(supervisor.batch_pass.find_applications())
    assert sought == [batch.id]
    supervisor.store.end(batch.id, BatchState.DEAD, None, "why", supervisor.clock())
    supervisor.store.end(python.id, BatchState.DEAD, None, "why", supervisor.clock())
    loop.run_until_complete(supervisor.batch_pass.find_applications())
    assert supervisor.batch_pass._asked == {}


# ---------------------------------------------------------------- restarts


def test_a_running_batch_is_taken_up_and_not_started_twice(supervisor: Supervisor, add_batch) -> None:
    batch = add_batch(RUNS_ON)
    supervisor.step()
    supervisor.until(lambda: processes.find(batch.folder))
    supervisor.again()
    supervisor.step()
    assert supervisor.state(batch) == "running" and supervisor.submitter.started == [batch.id]


def test_a_batch_that_ended_while_nobody_watched_tells_its_code(supervisor: Supervisor, add_batch) -> None:
    batch = add_batch(FAILS)
    supervisor.step()
    supervisor.until(lambda: processes.exit_code(batch.folder) is not None or supervisor.state(batch) == "dead")
    supervisor.again()
    supervisor.until_state(batch, "dead")
    assert lines(batch)[-1] == "spark-gateway: the batch ended with exit code 1"


def test_a_row_whose_process_was_never_started_is_started(supervisor: Supervisor, add_batch) -> None:
    """The supervisor was killed between the two."""
    batch = add_batch(SUCCEEDS)
    batch.folder.mkdir(parents=True)
    assert supervisor.store.start(batch.id, batch.folder, supervisor.clock())
    supervisor.again()
    supervisor.until_state(batch, "success")
    assert supervisor.submitter.started == [batch.id]


def test_a_row_whose_process_was_never_started_and_that_was_deleted_is_not_started(
    supervisor: Supervisor, add_batch
) -> None:
    batch = add_batch(RUNS_ON)
    supervisor.store.start(batch.id, batch.folder, supervisor.clock())
    supervisor.store.delete(batch.id)
    supervisor.again()
    supervisor.until_state(batch, "forgotten", advance=0.1)
    assert supervisor.submitter.started == []


def test_a_deletion_that_was_begun_is_finished_by_the_next_supervisor(supervisor: Supervisor, add_batch) -> None:
    batch = add_batch(RUNS_ON)
    supervisor.step()
    supervisor.store.delete(batch.id)
    supervisor.step()
    supervisor.again()
    supervisor.until_state(batch, "forgotten", advance=0.1)
    assert processes.family(batch.folder) == []


def test_a_running_batch_whose_folder_is_gone_is_lost_and_never_run_again(
    supervisor: Supervisor, add_batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its host was lost and another took the name, or the store was copied to where its folders are not."""
    batch, end = add_batch(SUCCEEDS), supervisor.store.end
    assert supervisor.store.start(batch.id, batch.folder, supervisor.clock())
    monkeypatch.setattr(supervisor.store, "end", failing(supervisor.store.end, monkeypatch, supervisor.store))
    with pytest.raises(Unavailable):
        supervisor.again()
    assert supervisor.store.end == end
    supervisor.again()
    supervisor.step()
    assert supervisor.state(batch) == "dead" and supervisor.submitter.started == []
    assert lines(batch) == ["spark-gateway: its host or its folder is lost"]


def test_the_folder_of_a_batch_is_there_before_its_row_says_that_it_runs(
    supervisor: Supervisor, add_batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, start, seen = add_batch(SUCCEEDS), supervisor.store.start, []

    def look(number: int, folder: Path, now: datetime) -> bool:
        seen.append(folder.is_dir())
        return start(number, folder, now)

    monkeypatch.setattr(supervisor.store, "start", look)
    supervisor.until_state(batch, "success")
    assert seen == [True]


def test_a_folder_made_for_a_batch_that_another_took_does_not_stay(
    supervisor: Supervisor, add_batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = add_batch(SUCCEEDS)
    monkeypatch.setattr(supervisor.store, "start", lambda *told: False)
    supervisor.step()
    assert not batch.folder.exists()
    batch.folder.mkdir()
    kept = add_batch(SUCCEEDS).folder
    kept.mkdir()
    (kept / "log").touch()
    supervisor.again()
    assert not batch.folder.exists() and kept.exists()


@pytest.mark.parametrize("script", [SUCCEEDS, RUNS_ON])
def test_a_start_whose_answer_is_lost_is_gone_on_with(
    script: str, supervisor: Supervisor, add_batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row says that it runs, and nobody was told: so it is when the answer to a COMMIT is lost."""
    batch, start = add_batch(script), supervisor.store.start

    def lost(*told: Any) -> bool:
        monkeypatch.setattr(supervisor.store, "start", start)
        start(*told)
        raise Unavailable("the store is away")

    monkeypatch.setattr(supervisor.store, "start", lost)
    with pytest.raises(Unavailable):
        supervisor.step()
    supervisor.step()
    assert supervisor.submitter.started == [batch.id]
    if script == SUCCEEDS:
        supervisor.until_state(batch, "success")
    assert supervisor.submitter.started == [batch.id]


def test_a_batch_that_could_not_be_started_nor_be_ended_is_tried_again(
    supervisor: Supervisor, add_batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = add_batch(SUCCEEDS)
    supervisor.submitter.fault = OSError(28, "No space left on device")
    monkeypatch.setattr(supervisor.store, "end", failing(supervisor.store.end, monkeypatch, supervisor.store))
    with pytest.raises(Unavailable):
        supervisor.step()
    assert supervisor.state(batch) == "running"
    supervisor.submitter.fault = None
    supervisor.until_state(batch, "success")


def failing(end: Callable[..., bool], monkeypatch: pytest.MonkeyPatch, store: BatchStore) -> Callable[..., bool]:
    """As `end` of a store that is away once."""

    def once(*told: object) -> bool:
        monkeypatch.setattr(store, "end", end)
        raise Unavailable("the store is away")

    return once


def test_batches_of_an_earlier_data_folder_end_too(supervisor: Supervisor, add_batch, tmp_path: Path) -> None:
    batch = add_batch("while [ ! -e end ]; do sleep 0.01; done")
    supervisor.step()
    supervisor.until((batch.folder / "pid").exists)
    supervisor.settings = dataclasses.replace(supervisor.settings, data_dir=tmp_path / "other")
    supervisor.again()
    supervisor.step()
    assert supervisor.state(batch) == "running"
    (batch.folder / "end").touch()
    supervisor.until_state(batch, "success")


def test_the_end_of_a_batch_that_the_store_could_not_take_is_told_again(
    supervisor: Supervisor, add_batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = add_batch("exit 3")
    monkeypatch.setattr(supervisor.store, "end", failing(supervisor.store.end, monkeypatch, supervisor.store))
    with pytest.raises(Unavailable):
        supervisor.until_state(batch, "dead")
    supervisor.until_state(batch, "dead")
