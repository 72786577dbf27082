"""Plain Python programs as batches: real ones, on the gateway's Python, in every batch's queue, folder and log."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from batches.models import Batch, BatchKind, BatchRequest
from batches.reconcile import BatchPass
from batches.service import BatchService
from batches.states import BatchState
from batches.store import BatchStore
from batches.submit import Submitter
from batches.texts import text_of
from gateway.core import logs, processes
from gateway.core.clusters import Clusters
from gateway.core.errors import InvalidRequest, NotFound
from gateway.core.identity import ANONYMOUS
from gateway.core.places.local import LocalPlace
from gateway.core.settings import Settings
from gateway.core.waiting import Waiting

pytestmark = pytest.mark.usefixtures("no_process_left")


class NoSpark(Clusters):
    """Whoever asks for a cluster fails the test."""

    def __init__(self) -> None:
        pass

    def of(self, options: object) -> object:  # type: ignore[override]
        raise AssertionError("a plain program needs no cluster")


class World:
    def __init__(
        self, loop: asyncio.AbstractEventLoop, store: BatchStore, settings: Settings, clock, home: Path
    ) -> None:
        self._loop, self._clock, self.store, self._home = loop, clock, store, home
        self.service = BatchService(store, settings, clock, Waiting(0))
        self.place = LocalPlace("here", settings.data_dir / "removed", lambda: None)
        self._pass = BatchPass(store, Submitter(NoSpark(), self.place, settings), settings, clock, self.place)

    def submit(self, program: str, *args: str) -> Batch:
        file = self._home / "program.py"
        file.write_text(program, "utf-8")
        return self.service.submit(ANONYMOUS, BatchRequest(str(file), args=list(args), kind=BatchKind.PYTHON))

    def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, "it never came true"
            self._loop.run_until_complete(self._step())
            self._clock.advance(seconds=1)

    async def _step(self) -> None:
        self._pass()
        await asyncio.sleep(0.01)

    def now(self, batch: Batch) -> Batch:
        return self.service.find(ANONYMOUS, str(batch.id))

    def ended(self, batch: Batch) -> Batch:
        self.until(lambda: self.now(batch).ended)
        return self.now(batch)


@pytest.fixture
def world(loop: asyncio.AbstractEventLoop, batch_store: BatchStore, settings: Settings, clock, tmp_path: Path) -> World:
    return World(loop, batch_store, settings, clock, tmp_path)


TELLS = """
import json, os, sys, tempfile
json.dump({"args": sys.argv[1:], "python": sys.executable, "cwd": os.getcwd(), "tmp": tempfile.gettempdir(),
           "environ": dict(os.environ)}, open("told.json", "w"))
print("to the log: é")
"""


def test_a_program_runs_with_the_gateway_s_python_in_the_batch_s_folder(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_GATEWAY_STORE", "postgresql://secret")
    monkeypatch.setenv("PGPASSWORD", "secret")
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/tmp/metrics")
    batch = world.ended(world.submit(TELLS, "two words", "", "$HOME é"))
    told = json.loads((batch.folder / "told.json").read_text("utf-8"))
    assert (batch.state, batch.exit_code, batch.reason) == (BatchState.SUCCESS, 0, None)
    assert told["args"] == ["two words", "", "$HOME é"] and told["python"] == sys.executable
    assert told["cwd"] == str(batch.folder) and told["tmp"] == str(batch.folder / "tmp")
    assert not {
        "SPARK_GATEWAY_STORE", "PGPASSWORD", "PROMETHEUS_MULTIPROC_DIR", "SPARK_HOME", "SPARK_SUBMIT_OPTS"
    } & {*told["environ"]}  # fmt: skip
    assert logs.read(batch.log, 0, 9) == ["to the log: é"]
    assert not (batch.folder / "tmp").exists() and not batch.spark_events.exists()


def test_its_exit_code_is_the_batch_s(world: World) -> None:
    batch = world.ended(world.submit("raise SystemExit(7)"))
    assert (batch.state, batch.exit_code) == (BatchState.DEAD, 7)
    assert batch.reason == "the batch ended with exit code 7"


def test_a_program_that_is_not_there_ends_dead(world: World) -> None:
    batch = world.service.submit(ANONYMOUS, BatchRequest("/nowhere.py", kind=BatchKind.PYTHON))
    assert (world.ended(batch).state, world.now(batch).exit_code) == (BatchState.DEAD, 2)


def test_a_delete_ends_it_and_what_it_has_started(world: World) -> None:
    program = "import subprocess, time\nsubprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
    batch = world.submit(program + "open('begun', 'w')\ntime.sleep(1000)")
    world.until((batch.folder / "begun").exists)
    assert len(processes.family(batch.folder)) == 3
    world.service.delete(ANONYMOUS, str(batch.id))
    world.until(lambda: not world.store.exists(batch.id))
    assert processes.family(batch.folder) == [] and not batch.folder.exists()


def test_it_waits_in_the_same_line(world: World, settings: Settings) -> None:
    batches = [world.submit("open('ran', 'w')") for _ in range(settings.max_batches_running + 1)]
    assert [batch.id for batch in world.store.next(settings.max_batches_running)] == [one.id for one in batches[:-1]]
    assert world.ended(batches[-1]).state is BatchState.SUCCESS


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (BatchRequest("", kind=BatchKind.PYTHON), "file is missing"),
        (BatchRequest("/a.py", args=["x" * 200_000], kind=BatchKind.PYTHON), "args: one has 131072 bytes or more"),
    ],
)
def test_what_cannot_be_started_is_refused(world: World, request_: BatchRequest, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        world.service.submit(ANONYMOUS, request_)
    with pytest.raises(NotFound):
        world.service.find(ANONYMOUS, "0")


def test_its_kind_is_kept_and_sought_by_nobody(world: World) -> None:
    batch = world.submit("pass")
    assert world.now(batch).request.kind is BatchKind.PYTHON
    for kind in BatchKind:
        assert f'"{kind.value}"' not in text_of(batch.uuid, BatchRequest("/a.py", kind=kind))
