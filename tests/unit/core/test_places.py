"""What every place does, this host and the one in memory alike; then what this host does besides, by threads."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from gateway.core import logs, processes, trash
from gateway.core.places import local as local_module
from gateway.core.places.local import LocalPlace, host_name
from gateway.core.places.place import AT_ONCE, End, Ladder, Place, Socket
from gateway.core.settings import Settings
from tests.unit.fake_place import FakePlace

pytestmark = pytest.mark.usefixtures("no_process_left")

T = TypeVar("T")
POLITELY: Ladder = ((signal.SIGTERM, timedelta(seconds=3)), (signal.SIGKILL, timedelta(seconds=1)))

UNTIL_TOLD = "echo begun; touch begun; while [ ! -e end ]; do sleep 0.01; done; exit $(cat end)"
DEAF = "trap '' TERM; " + UNTIL_TOLD
LEAVES_CHILDREN = "setsid sleep 1000 & setsid sleep 1000 & " + UNTIL_TOLD
FOREVER = "touch begun; exec sleep 1000"


class World:
    """A place in an event loop that runs only while the test waits. `again` makes another supervisor's."""

    place: Place

    def __init__(self, loop: asyncio.AbstractEventLoop, tmp_path: Path, clock: Callable[[], datetime]) -> None:
        self.wakes, self.clock, self._loop, self.parent = 0, clock, loop, tmp_path / "drivers"
        self.again()

    def again(self) -> None:
        raise NotImplementedError

    def _wake(self) -> None:
        self.wakes += 1

    def folder(self, name: str = "one") -> Path:
        path = self.parent / name
        path.mkdir(parents=True)
        return path

    def run(self, work: Callable[[], T]) -> T:
        async def inside() -> T:
            await asyncio.sleep(0)
            return work()

        return self._loop.run_until_complete(inside())

    def until(self, condition: Callable[[], object]) -> None:
        """Run the loop until the condition holds; at most twenty seconds."""
        end = time.monotonic() + 20
        while not self.run(condition):
            assert time.monotonic() < end, "it never came true"
            time.sleep(0.001)

    def start(self, folder: Path, script: str = UNTIL_TOLD) -> None:
        self.run(lambda: self.place.start(folder, ["/bin/sh", "-c", script], dict(os.environ)))

    def started(self, name: str = "one", script: str = UNTIL_TOLD) -> Path:
        folder = self.folder(name)
        self.start(folder, script)
        return folder

    def ended(self) -> list[str]:
        return self.run(lambda: self.place.ended_in(self.parent))

    def stops(self, folder: Path, ladder: Ladder) -> bool:
        return self.run(lambda: self.place.stop(folder, ladder, self.clock()))

    def until_ended(self, *names: str) -> None:
        self.until(lambda: sorted(self.place.ended_in(self.parent)) == sorted(names))

    def until_stopped(self, folder: Path, ladder: Ladder) -> None:
        self.until(lambda: self.place.stop(folder, ladder, self.clock()))

    def let_end(self, folder: Path, code: int) -> None:
        raise NotImplementedError

    def kill(self, folder: Path) -> None:
        raise NotImplementedError


class LocalWorld(World):
    def again(self) -> None:
        self.place = LocalPlace("here", self.parent.parent / "removed", self._wake)
        self.run(self.place.begin)

    def let_end(self, folder: Path, code: int) -> None:
        (folder / "end.part").write_text(str(code))
        (folder / "end.part").rename(folder / "end")

    def kill(self, folder: Path) -> None:
        self.until((folder / "begun").exists)
        processes.signal_all({folder: signal.SIGKILL})


class FakeWorld(World):
    def again(self) -> None:
        before = getattr(self, "place", None)
        self.place = FakePlace("here", self._wake)
        if isinstance(before, FakePlace):
            self.place.started, self.place.runs, self.place.ends = before.started, before.runs, before.ends

    def start(self, folder: Path, script: str = UNTIL_TOLD) -> None:
        assert isinstance(self.place, FakePlace)
        first = folder not in self.place.started
        super().start(folder, script)
        if first:
            (folder / "log").write_text("begun\n")
        if script == DEAF:
            self.place.deaf.add(folder)

    def let_end(self, folder: Path, code: int | None) -> None:
        assert isinstance(self.place, FakePlace)
        self.place.let_end(folder, code)

    def kill(self, folder: Path) -> None:
        self.let_end(folder, None)


@pytest.fixture(params=[LocalWorld, FakeWorld])
def world(request: pytest.FixtureRequest, loop: asyncio.AbstractEventLoop, tmp_path: Path, clock) -> World:
    made: World = request.param(loop, tmp_path, clock)
    return made


# ---------------------------------------------------------------- every place


def test_where_nothing_was_started_nothing_is_found_and_nothing_ends(world: World) -> None:
    folder = world.folder()
    assert not world.run(lambda: world.place.find(folder))
    assert world.ended() == []
    world.until_stopped(folder, POLITELY)


def test_what_was_started_is_found_and_runs(world: World) -> None:
    folder = world.started()
    world.until(lambda: world.place.find(folder))
    assert world.ended() == []


def test_a_second_start_does_nothing(world: World) -> None:
    folder = world.started()
    world.until(lambda: world.place.find(folder))
    world.start(folder)
    world.until(lambda: (folder / "log").read_text() == "begun\n")
    assert world.ended() == []
    world.let_end(folder, 0)
    world.until_ended("one")
    assert (folder / "log").read_text() == "begun\n"


@pytest.mark.parametrize("code", [0, 3, 128 + 11])
def test_an_end_wakes_and_tells_its_code(code: int, world: World) -> None:
    folder = world.started()
    world.wakes = 0
    world.let_end(folder, code)
    world.until(lambda: world.wakes)
    assert world.ended() == ["one"]
    assert world.run(lambda: world.place.ended_in(folder)) == []
    assert world.place.end_of(folder) == End(code)


def test_an_end_below_an_earlier_data_folder_is_told_too(world: World) -> None:
    folder = world.started()
    world.let_end(folder, 0)
    world.until_ended("one")
    assert world.run(lambda: world.place.ended_in(folder.parents[1] / "moved" / "drivers")) == ["one"]


def test_what_was_killed_from_outside_has_no_code(world: World) -> None:
    folder = world.started()
    world.kill(folder)
    world.until_ended("one")
    assert world.place.end_of(folder) == End(None)


def test_running_out_of_memory_is_told(world: World) -> None:
    folder = world.started()
    world.until((folder / "log").read_text)
    logs.note(folder / "log", "java.lang.OutOfMemoryError: Java heap space")
    world.let_end(folder, 3)
    world.until_ended("one")
    assert world.place.end_of(folder) == End(3, out_of_memory=True)


def test_an_end_is_told_to_the_next_supervisor_too(world: World) -> None:
    folder, other = world.started(), world.started("other")
    world.until(lambda: world.place.find(folder) and world.place.find(other))
    world.let_end(folder, 5)
    world.until_ended("one")
    world.again()
    assert world.run(lambda: world.place.find(folder) and world.place.find(other))
    world.until_ended("one")
    assert world.place.end_of(folder) == End(5)
    world.let_end(other, 0)
    world.until_ended("one", "other")


def test_what_is_settled_is_told_no_more_and_its_log_is_whole(world: World) -> None:
    folder = world.started()
    world.until((folder / "log").read_text)
    with open(folder / "log", "a") as log:
        log.write("no end")
    world.let_end(folder, 0)
    world.until_ended("one")
    for _ in range(2):
        world.run(lambda: world.place.settle(folder, None))
    assert world.ended() == []
    assert (folder / "log").read_text() == "begun\nno end\n"
    world.run(lambda: world.place.settle(folder, "why"))
    assert logs.read(folder / "log", 0, 9) == ["begun", "no end", "spark-gateway: why"]


def test_what_hears_the_first_signal_ends_by_it(world: World) -> None:
    folder = world.started()
    world.until((folder / "log").read_text)
    assert not world.stops(folder, POLITELY)
    world.until_stopped(folder, POLITELY)
    assert world.place.end_of(folder).code in (None, 128 + signal.SIGTERM)


def test_what_does_not_hear_is_killed_when_its_time_is_over(world: World, clock) -> None:
    folder = world.started(script=DEAF)
    world.until((folder / "log").read_text)
    assert not world.stops(folder, POLITELY)
    clock.advance(seconds=2.9)
    for _ in range(5):
        assert not world.stops(folder, POLITELY)
    clock.advance(seconds=0.1)
    assert not world.stops(folder, POLITELY)
    world.until_stopped(folder, POLITELY)


def test_a_clock_that_is_set_back_keeps_nobody_alive(world: World, clock) -> None:
    folder = world.started(script=DEAF)
    world.until((folder / "log").read_text)
    assert not world.stops(folder, POLITELY)
    clock.advance(hours=-1)
    world.until_stopped(folder, POLITELY)


def test_a_stop_is_gone_on_with_by_the_next_supervisor(world: World) -> None:
    folder = world.started(script=DEAF)
    world.until((folder / "log").read_text)
    assert not world.stops(folder, POLITELY)
    world.again()
    world.until_stopped(folder, AT_ONCE)


def test_a_cleared_folder_keeps_its_log_alone(world: World) -> None:
    folder = world.folder()
    (folder / "log").write_text("kept\n")
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "file").touch()
    (folder / "file").touch()
    world.run(lambda: world.place.clear(folder))
    world.until(lambda: [path.name for path in folder.iterdir()] == ["log"])
    assert (folder / "log").read_text() == "kept\n"


def test_a_removed_folder_is_gone_at_once(world: World) -> None:
    folder = world.folder()
    (folder / "file").touch()
    for _ in range(2):
        world.run(lambda: world.place.remove(folder))
        assert not folder.exists()


def test_the_log_of_what_runs_is_cut(world: World) -> None:
    folder = world.started()
    world.until((folder / "log").read_text)
    with open(folder / "log", "a") as log:
        log.write("words\n" * 5000)
    world.run(lambda: world.place.cut_logs(2000))
    world.until(lambda: (folder / "log").stat().st_size <= 2000)


def test_a_kernel_is_told_where_to_listen(world: World) -> None:
    folder = world.folder()
    assert world.place.socket(folder).transport in ("ipc", "tcp") and world.place.socket(folder).ip


# ---------------------------------------------------------------- this host


@pytest.fixture
def here(loop: asyncio.AbstractEventLoop, tmp_path: Path, clock) -> LocalWorld:
    return LocalWorld(loop, tmp_path, clock)


@dataclass(frozen=True)
class Look:
    """A look at all processes: for those of which folders, and in which thread."""

    folders: set[Path]
    thread: threading.Thread


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Look]:
    """Those that there were."""
    made: list[Look] = []
    signal_all = processes.signal_all

    def counted(wanted: Mapping[Path, signal.Signals | None]) -> dict[Path, list[int]]:
        made.append(Look(set(wanted), threading.current_thread()))
        return signal_all(wanted)

    monkeypatch.setattr(processes, "signal_all", counted)
    return made


def test_one_look_serves_all_that_is_being_stopped(here: LocalWorld, looks: list[Look]) -> None:
    folders = [here.started(str(number), FOREVER) for number in range(20)]
    here.until(lambda: all((folder / "begun").exists() for folder in folders))
    here.run(lambda: [here.place.stop(folder, AT_ONCE, here.clock()) for folder in folders])
    here.until(lambda: looks)
    assert looks[0].folders == set(folders)
    for folder in folders:
        here.until_stopped(folder, AT_ONCE)
    assert len(looks) < 20
    assert threading.main_thread() not in [look.thread for look in looks]


def test_what_lives_on_after_its_first_signal_is_not_looked_for_again_and_again(
    here: LocalWorld, looks: list[Look]
) -> None:
    folder = here.started(script=DEAF)
    here.until((folder / "begun").exists)
    here.stops(folder, POLITELY)
    for _ in range(50):
        assert not here.stops(folder, POLITELY)
    assert len(looks) <= 3, "one to tell it; its shell, which ends, has the rest looked for"


def test_what_ends_by_itself_is_not_stopped_before_its_strays_are(here: LocalWorld) -> None:
    folder = here.started(script=LEAVES_CHILDREN)
    here.until((folder / "begun").exists)
    here.let_end(folder, 0)
    here.until_ended("one")
    assert len(processes.family(folder)) == 2
    here.until_stopped(folder, AT_ONCE)
    assert processes.family(folder) == []
    assert here.place.end_of(folder) == End(0)


def test_strays_that_end_by_themselves_are_waited_for(here: LocalWorld) -> None:
    """The first process ends at the signal, what it started a moment later."""
    folder = here.started(
        script="setsid sh -c 'trap \"sleep 0.2; exit\" TERM; touch set; while :; do sleep 0.01; done' & " + UNTIL_TOLD
    )
    here.until(lambda: (folder / "begun").exists() and (folder / "set").exists())
    here.until_stopped(folder, ((signal.SIGTERM, timedelta(hours=1)),))
    assert processes.family(folder) == []


def test_the_end_of_a_second_start_is_not_the_end_of_the_first(here: LocalWorld) -> None:
    folder = here.started(script=FOREVER)
    here.until(lambda: here.place.find(folder))
    first = processes.find(folder)
    here.again()
    here.start(folder, FOREVER)
    here.until(lambda: len(processes.family(folder)) == 2)
    assert here.ended() == [] and processes.find(folder) == first
    processes.signal_all({folder: signal.SIGKILL})
    here.until_ended("one")


@pytest.mark.parametrize("verb", ["watch", "find"])
def test_that_no_descriptor_is_free_is_no_end(verb: str, here: LocalWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither of what is being started, nor of what goes on after a second start has ended."""
    folder, failures, real = here.folder(), [], getattr(processes, verb)

    def none_is_free(asked: object) -> object:
        failures.append(asked)
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(processes, verb, none_is_free)
    here.start(folder)
    here.until((folder / "begun").exists)
    here.start(folder)
    here.until(lambda: here.place.ended_in(here.parent) or len(failures) > 3)
    assert here.ended() == []
    monkeypatch.setattr(processes, verb, real)
    assert here.ended() == [] and here.run(lambda: here.place.find(folder))
    here.let_end(folder, 0)
    here.until_ended("one")


def test_watching_many_costs_no_wakeups_and_each_end_is_seen(here: LocalWorld) -> None:
    folders = [here.started(str(number), FOREVER) for number in range(20)]
    here.run(lambda: None)
    assert here.wakes == 0
    processes.signal_all(dict.fromkeys(folders[:10], signal.SIGKILL))
    here.until_ended(*(folder.name for folder in folders[:10]))


def test_only_logs_of_what_runs_or_has_just_ended_are_opened(here: LocalWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(50):
        (here.folder(f"retained {number}") / "log").write_text("words\n" * 9)
    lives, ends = here.started("lives"), here.started("ends")
    here.let_end(ends, 0)
    here.until_ended("ends")
    here.run(lambda: here.place.settle(ends, None))
    opened: list[Path] = []
    monkeypatch.setattr(local_module.logs, "cut", lambda path, limit: opened.append(path))
    here.run(lambda: here.place.cut_logs(10))
    here.until(lambda: len(opened) == 2)
    assert set(opened) == {lives / "log", ends / "log"}
    here.run(lambda: here.place.cut_logs(10))
    here.until(lambda: len(opened) == 3)
    assert opened[2] == lives / "log"


def test_the_event_loop_s_thread_removes_nothing(here: LocalWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    removers: list[threading.Thread] = []
    remove = trash._remove

    def told(path: Path) -> None:
        removers.append(threading.current_thread())
        remove(path)

    monkeypatch.setattr(trash, "_remove", told)
    gone, cleared = here.folder("gone"), here.folder("cleared")
    for folder in (gone, cleared):
        (folder / "files").mkdir()
    here.run(lambda: here.place.remove(gone))
    here.run(lambda: here.place.clear(cleared))
    here.until(lambda: len(removers) == 2)
    assert threading.main_thread() not in removers


def test_folders_that_may_not_be_written_to_are_removed_too(here: LocalWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches of Go's modules and of conda's packages have such."""
    remove, kept = shutil.rmtree, here.folder("kept")
    folder, inner = here.folder("cache"), here.parent / "cache" / "pkg" / "mod"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    (inner / "link").symlink_to(kept)
    for path in (inner, inner.parent, folder, kept):
        path.chmod(0o500)

    def as_if_not_root(path: Path, ignore_errors: bool) -> None:
        if all(Path(parent).stat().st_mode & 0o200 for parent, _, _ in os.walk(path)):
            remove(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", as_if_not_root)
    here.run(lambda: here.place.remove(folder))
    here.until(lambda: list((here.parent.parent / "removed").iterdir()) == [])
    assert kept.stat().st_mode & 0o777 == 0o500


def test_what_a_killed_supervisor_has_left_half_removed_is_removed_by_the_next(
    here: LocalWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed, cleared = here.folder("removed"), here.folder("cleared")
    for folder in (removed, cleared):
        (folder / "files").mkdir()
        (folder / "log").touch()
    with monkeypatch.context() as killed:
        killed.setattr(trash.Trash, "_later", lambda trash, work: None)
        here.run(lambda: here.place.remove(removed))
        here.run(lambda: here.place.clear(cleared))
    left = here.parent.parent / "removed"
    assert len(list(left.iterdir())) == 2 and (cleared / "files").exists()
    here.again()
    here.until(lambda: list(left.iterdir()) == [])
    assert [path.name for path in cleared.iterdir()] == ["log"]


def test_what_cannot_be_moved_away_is_removed_where_it_is(here: LocalWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is on another file system than the trash."""
    folder = here.folder()
    (folder / "file").touch()

    def refuse(path: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "rename", refuse)
    here.run(lambda: here.place.remove(folder))
    here.until(lambda: not folder.exists())


def test_a_link_in_a_folder_is_removed_and_not_what_it_points_to(here: LocalWorld, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    folder = here.folder()
    (folder / "link").symlink_to(tmp_path / "mine")
    here.run(lambda: here.place.clear(folder))
    here.until(lambda: list(folder.iterdir()) == [])
    assert (tmp_path / "mine" / "file").exists()


def test_a_kernel_listens_on_a_unix_socket_if_its_path_is_not_too_long(here: LocalWorld) -> None:
    short, long = Path("/data/driver"), Path("/data") / ("d" * 100)
    assert here.place.socket(short) == Socket("ipc", "/data/driver/kernel")
    assert here.place.socket(long) == Socket("tcp", "127.0.0.1")


def test_this_host_keeps_the_name_it_had_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    monkeypatch.setattr(local_module.socket, "gethostname", lambda: "first")
    assert host_name(settings) == "first"
    monkeypatch.setattr(local_module.socket, "gethostname", lambda: "second")
    assert host_name(settings) == "first"


def test_this_host_is_called_as_the_setting_says(tmp_path: Path) -> None:
    assert host_name(Settings(data_dir=tmp_path, host_name="north")) == "north"
