"""The pass over runs, with batches whose files a test writes: how far they are, how they ended, each told once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batches.models import NOT_STARTED, Batch, BatchKind
from batches.service import BatchService
from batches.states import BatchState
from gateway.core import events
from gateway.core.identity import ANONYMOUS
from gateway.core.settings import Settings
from gateway.core.waiting import Waiting
from gateway.platform.runs import reading
from gateway.platform.runs.models import Run
from gateway.platform.runs.reconcile import RunPass
from gateway.platform.runs.states import RunState
from gateway.stores import Stores

STORY = Path(__file__).with_name("story_4.3.jsonl").read_bytes().splitlines(keepends=True)


class Killed(BaseException):
    """Stands for the end of the process: nothing of ours catches it."""


class World:
    """A store, and one supervisor's pass over its runs; `again` is what a restart makes."""

    def __init__(self, stores: Stores, settings: Settings, clock, loop: asyncio.AbstractEventLoop) -> None:
        self.stores, self.clock, self._loop = stores, clock, loop
        self._batches = BatchService(stores.batches, settings, clock, Waiting(4))
        self.looks: list[Path] = []
        self.again()

    def again(self) -> None:
        self.run_pass = RunPass(self.stores.runs, self._batches, self.clock, 10**9)

    def step(self, seconds: float = 1) -> None:
        self.clock.advance(seconds=seconds)
        self._loop.run_until_complete(self.run_pass())

    def writes(self, batch: Batch, lines: list[bytes]) -> None:
        folder = batch.spark_events / "eventlog_v2_app-1"
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "events_1_app-1", "ab") as file:
            file.writelines(lines)

    def says(self, batch: Batch, text: str) -> None:
        with open(batch.log, "a") as file:
            file.write(text)

    def ends(self, batch: Batch, state: BatchState, code: int | None = 1, reason: str | None = "it failed") -> None:
        assert self.stores.batches.end(batch.id, state, code, reason, self.clock())

    def run_of(self, batch: Batch) -> Run:
        (found,) = self.stores.runs.find(ANONYMOUS, [batch.id])
        return found


@pytest.fixture
def world(all_stores: Stores, settings: Settings, clock, loop: asyncio.AbstractEventLoop, monkeypatch) -> World:
    made, look = World(all_stores, settings, clock, loop), reading.look

    def noted(*args):
        made.looks.append(args[-1].parent)
        return look(*args)

    monkeypatch.setattr(reading, "look", noted)
    return made


@pytest.fixture
def start(add_batch: Callable[..., Batch], world: World, clock) -> Callable[..., Batch]:
    def one(**asked: Any) -> Batch:
        batch = add_batch(**asked)
        batch.folder.mkdir(parents=True)
        assert world.stores.batches.start(batch.id, batch.folder, clock())
        return batch

    return one


def test_a_run_shows_what_its_batch_has_written_so_far(world: World, start) -> None:
    batch = start()
    world.step()
    assert (world.run_of(batch).state, world.run_of(batch).progress) == (RunState.RUNNING, 0)
    world.writes(batch, STORY[:60])
    world.step()
    run = world.run_of(batch)
    assert run.reading.tally.jobs.succeeded > 0 and 0 < run.progress <= 99


def test_progress_never_falls(world: World, start) -> None:
    batch, seen = start(), []
    for at in range(0, len(STORY), 3):
        world.writes(batch, STORY[at : at + 3])
        world.step(10)
        seen.append(world.run_of(batch).progress)
    tally = world.run_of(batch).reading.tally
    assert seen == sorted(seen) and seen[-1] == 99 and len(set(seen)) >= 3 and tally.jobs.succeeded == 3


def test_a_run_ends_when_all_that_its_batch_wrote_is_read(world: World, start, monkeypatch) -> None:
    monkeypatch.setattr(reading, "_A_LOOK", 20_000)
    batch = start()
    world.writes(batch, STORY)
    world.ends(batch, BatchState.SUCCESS, 0, None)
    states: list[RunState] = []
    while not states or states[-1] is RunState.RUNNING:
        world.step()
        states.append(world.run_of(batch).state)
    run = world.run_of(batch)
    assert len(states) > 3 and (run.state, run.progress, run.error) == (RunState.SUCCEEDED, 100, None)
    assert run.reading.tally.jobs.succeeded == 3


@pytest.mark.parametrize(
    ("log", "code", "reason", "error"),
    [
        ("Traceback (most recent call last):\n  x\nValueError: on purpose\n", 1, "ended with 1", "SPK011"),
        ("python: can't open file '/bin/true'\n", 2, "ended with 2", "SPK003"),
        ("", None, f"{NOT_STARTED}: no disk", "SPK001"),
        ("", None, "killed from outside", "CLU003"),
    ],
)
def test_a_failed_run_has_a_code(world: World, start, log: str, code: int | None, reason: str, error: str) -> None:
    batch = start()
    world.says(batch, log)
    world.ends(batch, BatchState.DEAD, code, reason)
    world.step()
    world.step()
    found = world.run_of(batch)
    assert found.state is RunState.FAILED and found.error is not None and found.error.code == error


def test_an_application_that_only_its_batch_knows_counts(world: World, start) -> None:
    batch = start()
    world.stores.batches.set_app(batch.id, "app-1", None)
    world.says(batch, "Error: Failed to load class a.B.\n")
    world.ends(batch, BatchState.DEAD)
    world.step()
    world.step()
    error = world.run_of(batch).error
    assert error is not None and error.code == "SPK011"


def test_a_kill_between_any_two_steps_loses_and_tells_nothing_twice(world: World, start, db, monkeypatch) -> None:
    batch = start()
    for at in range(0, len(STORY), 10):
        world.writes(batch, STORY[at : at + 10])
        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr(type(world.stores.runs), "advance", lambda *_: (_ for _ in ()).throw(Killed()))
            world.again()
            world.step()
        world.again()
        world.step()
    world.ends(batch, BatchState.SUCCESS, 0, None)
    for _ in range(3):
        world.again()
        world.step()
    tally = world.run_of(batch).reading.tally
    assert (tally.jobs.succeeded, tally.jobs.failed, tally.unreadable) == (3, 5, 0)
    told = [event.name for event in events.after(db, ANONYMOUS, 0, 100, subject="run")]
    assert told == ["running", "succeeded"]


def test_a_second_supervisor_that_reads_the_same_counts_nothing_twice(world: World, start, monkeypatch) -> None:
    batch = start()
    world.step()
    world.writes(batch, STORY)
    advance = type(world.stores.runs).advance

    def and_another(store, run, *args):
        assert advance(store, run, *args)
        return advance(store, run, *args)

    monkeypatch.setattr(type(world.stores.runs), "advance", and_another)
    world.step()
    assert world.run_of(batch).reading.tally.jobs.failed == 5 and world.run_of(batch).looks == 1


def test_runs_that_write_nothing_are_looked_at_ever_less_often(world: World, start) -> None:
    quiet, busy = start(), start()
    for _ in range(200):
        world.writes(busy, STORY[:1])
        world.step(0.5)
    assert world.looks.count(busy.folder) >= 190
    assert 10 <= world.looks.count(quiet.folder) <= 20
    world.looks.clear()
    world.ends(quiet, BatchState.SUCCESS, 0, None)
    world.step(0.5)
    assert quiet.folder in world.looks and world.run_of(quiet).state is RunState.SUCCEEDED


def test_a_clock_that_was_set_back_stays_no_run(world: World, start) -> None:
    batch = start()
    for _ in range(20):
        world.step(0.5)
    world.step(-3600)
    world.writes(batch, STORY)
    world.step(10)
    assert world.run_of(batch).reading.tally.jobs.failed == 5


def test_a_run_that_cannot_be_read_holds_up_no_other(world: World, start) -> None:
    odd, good = start(), start()
    odd.folder.rmdir()
    odd.folder.write_text("no folder")
    world.writes(good, STORY)
    world.step()
    assert world.run_of(good).reading.tally.jobs.failed == 5
    world.ends(odd, BatchState.DEAD)
    world.step()
    assert world.run_of(odd).state is RunState.FAILED


def test_whatever_is_wrong_with_a_run_is_logged_once_and_holds_up_no_other(
    world: World, start, monkeypatch, caplog: pytest.LogCaptureFixture
) -> None:
    odd, good = start(), start()
    look = reading.look

    def no_such(before, events, report, log):
        if log == odd.log:
            raise ZeroDivisionError
        return look(before, events, report, log)

    monkeypatch.setattr(reading, "look", no_such)
    for at in range(0, len(STORY), 60):
        world.writes(good, STORY[at : at + 60])
        world.step(20)
    assert world.run_of(good).reading.tally.jobs.failed == 5
    assert [record.exc_info and record.exc_info[0] for record in caplog.records] == [ZeroDivisionError]


@pytest.mark.parametrize("file", ["log", "spark-events/eventlog_v2_app-1/events_1_app-1"])
def test_a_fifo_where_a_file_should_be_is_not_waited_for(world: World, start, file: str) -> None:
    odd, good = start(), start()
    (odd.folder / file).parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(odd.folder / file)
    world.writes(good, STORY)
    world.step()
    assert world.run_of(good).reading.tally.jobs.failed == 5


def test_only_a_program_of_the_gateways_own_reports(world: World, start) -> None:
    sparks, own = start(), start(kind=BatchKind.PYTHON)
    for batch in (sparks, own):
        batch.report.write_text('{"progress": 40}\n')
    world.step()
    assert (world.run_of(sparks).progress, world.run_of(own).progress) == (0, 40)


def test_a_run_whose_batch_is_being_deleted_is_left_alone_until_it_is_gone(world: World, start) -> None:
    batch = start()
    world.step()
    world.stores.batches.delete(batch.id)
    world.step()
    assert world.run_of(batch).state is RunState.RUNNING
    world.ends(batch, BatchState.KILLED, 143, "killed by its user")
    world.stores.batches.remove(batch.id, world.clock())
    world.step()
    assert world.stores.runs.find(ANONYMOUS, [batch.id]) == []
