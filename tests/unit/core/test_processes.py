"""Processes that outlive the gateway, with real shells."""

from __future__ import annotations

import errno
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest

from gateway.core import processes
from gateway.core.processes import Process

pytestmark = pytest.mark.usefixtures("no_process_left")

FOREVER = ["sleep", "1000"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "driver one"  # the space is on purpose
    path.mkdir()
    return path


def start(folder: Path, *command: str) -> Process:
    return processes.start(folder, command, dict(os.environ))


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition; at most ten seconds."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.002)


def end_of(process: Process) -> int | None:
    until(lambda: not processes.is_alive(process))
    return processes.exit_code(process.folder)


def test_output_and_errors_go_to_the_log_in_order(folder: Path) -> None:
    end_of(start(folder, "/bin/sh", "-c", "echo one; echo two >&2; echo three"))
    assert (folder / "log").read_text() == "one\ntwo\nthree\n"


def test_an_earlier_log_is_kept(folder: Path) -> None:
    (folder / "log").write_text("before\n")
    end_of(start(folder, "echo", "after"))
    assert (folder / "log").read_text() == "before\nafter\n"


def test_it_runs_in_its_folder_with_the_environment_it_was_given(folder: Path) -> None:
    command = ["/bin/sh", "-c", 'pwd; echo "$COLOUR"; echo "$HOME"']
    end_of(processes.start(folder, command, {"COLOUR": "deep blue", "PATH": os.environ["PATH"]}))
    assert (folder / "log").read_text() == f"{folder}\ndeep blue\n\n"


def test_arguments_arrive_as_they_are(folder: Path) -> None:
    strange = ["a b", "$HOME", "`id`", '"', "'", "*", "", "-n", "\\n", "ü"]
    end_of(start(folder, "printf", "%s\n", *strange))
    assert (folder / "log").read_text().split("\n")[:-1] == strange


def test_its_standard_input_is_empty(folder: Path) -> None:
    assert end_of(start(folder, "cat")) == 0


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_its_folder_tells_the_exit_code(folder: Path, code: int) -> None:
    assert end_of(start(folder, "/bin/sh", "-c", f"exit {code}")) == code


def test_a_signal_that_ended_it_is_in_the_exit_code(folder: Path) -> None:
    assert end_of(start(folder, "/bin/sh", "-c", "kill -9 $$")) == 128 + 9


def test_a_signal_to_all_leaves_the_command_the_time_to_end(folder: Path) -> None:
    script = "trap 'sleep 0.1; echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done"
    start(folder, "/bin/sh", "-c", script)
    until(lambda: (folder / "log").read_text() == "ready\n")
    processes.signal_all({folder: signal.SIGTERM})
    until(lambda: (folder / "log").read_text().endswith("bye\n"))
    until(lambda: processes.family(folder) == [])


def test_a_command_that_is_not_there_ends_with_a_word_in_the_log(folder: Path) -> None:
    assert end_of(start(folder, "/no/such/command")) == 127
    assert "/no/such/command" in (folder / "log").read_text()


def test_while_it_runs_there_is_no_exit_code(folder: Path) -> None:
    process = start(folder, *FOREVER)
    assert processes.exit_code(folder) is None
    assert processes.is_alive(process)


def test_it_is_found_again_by_its_folder(folder: Path) -> None:
    assert processes.find(folder) is None
    process = start(folder, *FOREVER)
    until(lambda: processes.find(folder) is not None)
    assert processes.find(folder) == process


def test_it_is_found_when_it_has_ended(folder: Path) -> None:
    process = start(folder, "true")
    end_of(process)
    assert processes.find(folder) == process


def test_a_folder_that_is_not_there_holds_no_process(tmp_path: Path) -> None:
    assert processes.find(tmp_path / "none") is None
    assert processes.exit_code(tmp_path / "none") is None
    assert processes.family(tmp_path / "none") == []


def test_a_second_start_does_nothing(folder: Path) -> None:
    first = start(folder, "/bin/sh", "-c", "echo once; sleep 1000")
    until(lambda: processes.find(folder))
    second = start(folder, "/bin/sh", "-c", "echo twice")
    assert end_of(second) is None
    assert processes.find(folder) == first
    until(lambda: (folder / "log").read_text() == "once\n")


def test_a_second_start_after_the_end_does_nothing(folder: Path) -> None:
    end_of(start(folder, "/bin/sh", "-c", "exit 7"))
    assert end_of(start(folder, "/bin/sh", "-c", "echo again; exit 0")) == 7
    assert "again" not in (folder / "log").read_text()


def test_of_many_starts_at_once_one_runs(folder: Path) -> None:
    started = [start(folder, "/bin/sh", "-c", "echo ran; sleep 1000") for _ in range(20)]
    until(lambda: sum(map(processes.is_alive, started)) == 1)
    until(lambda: "ran" in (folder / "log").read_text())
    alive = next(filter(processes.is_alive, started))
    assert processes.find(folder) == alive
    assert (folder / "log").read_text().count("ran") == 1


def test_a_killed_shell_leaves_no_exit_code(folder: Path) -> None:
    process = start(folder, *FOREVER)
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: not processes.is_alive(process))
    assert processes.exit_code(folder) is None


def test_a_killed_shell_leaves_a_family_that_can_be_found_and_ended(folder: Path) -> None:
    process = start(folder, *FOREVER)
    until(lambda: len(processes.family(folder)) == 2)
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: len(processes.family(folder)) == 1)
    processes.signal_all({folder: signal.SIGTERM})
    until(lambda: processes.family(folder) == [])


def test_a_pid_given_to_somebody_else_is_not_taken_for_ours(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    stranger = start(other, *FOREVER)
    until(lambda: processes.find(other))
    assert not processes.is_alive(Process(folder, stranger.pid))
    assert processes.watch(Process(folder, stranger.pid)) is None


def test_what_leaves_the_group_is_still_family(folder: Path) -> None:
    """Spark starts its Python workers in sessions of their own."""
    start(folder, "/bin/sh", "-c", "setsid sleep 1000 & setsid sh -c 'sleep 1001 & sleep 1002' & wait")
    until(lambda: len([p for p in processes.family(folder) if p.name() == "sleep"]) == 3)
    processes.signal_all({folder: signal.SIGKILL})
    until(lambda: processes.family(folder) == [])


def test_a_family_does_not_hold_its_neighbours(folder: Path, tmp_path: Path) -> None:
    neighbour = tmp_path / "driver one and a half"
    neighbour.mkdir()
    start(folder, *FOREVER)
    kept = start(neighbour, *FOREVER)
    processes.signal_all({folder: signal.SIGKILL})
    until(lambda: processes.family(folder) == [])
    assert processes.is_alive(kept)


def test_the_dead_that_nobody_has_collected_are_no_family(folder: Path) -> None:
    process = start(folder, "true")
    until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    assert processes.family(folder) == []
    assert not processes.is_alive(process)


def test_reaping_collects_the_dead_and_leaves_the_living(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    dead, living = start(folder, "true"), start(other, *FOREVER)
    end_of(dead)
    processes.reap()
    assert not psutil.pid_exists(dead.pid)
    assert processes.is_alive(living)


def test_reaping_without_children_is_no_error() -> None:
    processes.reap()


def test_a_process_can_be_waited_for(folder: Path) -> None:
    process = start(folder, *FOREVER)
    descriptor = processes.watch(process)
    assert descriptor is not None
    assert not select.select([descriptor], [], [], 0)[0]
    os.kill(process.pid, signal.SIGKILL)
    assert select.select([descriptor], [], [], 10)[0]
    os.close(descriptor)


def test_a_process_that_has_ended_need_not_be_waited_for(folder: Path) -> None:
    process = start(folder, "true")
    end_of(process)
    assert processes.watch(process) is None
    processes.reap()
    assert processes.watch(process) is None


def test_ports_it_listens_on_are_known(folder: Path) -> None:
    script = "import socket,time; s=socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)"
    start(folder, "python3", "-c", script + "; time.sleep(1000)")
    until(lambda: (folder / "log").read_text().endswith("\n"))
    assert processes.listening_ports(folder) == [int((folder / "log").read_text())]


def test_its_log_is_private(folder: Path) -> None:
    end_of(start(folder, "true"))
    assert (folder / "log").stat().st_mode & 0o077 == 0


def test_it_survives_the_end_of_whoever_started_it(folder: Path) -> None:
    child = os.fork()
    if child == 0:
        start(folder, *FOREVER)
        os._exit(0)
    os.waitpid(child, 0)
    until(lambda: processes.find(folder))
    found = processes.find(folder)
    assert found is not None and processes.is_alive(found)


def test_a_look_tells_nobody_anything_and_names_who_is_there(folder: Path, tmp_path: Path) -> None:
    neighbour = tmp_path / "neighbour"
    neighbour.mkdir()
    process = start(folder, *FOREVER)
    until(lambda: len(processes.family(folder)) == 2)
    start(neighbour, *FOREVER)
    found = processes.signal_all({folder: None, neighbour: signal.SIGKILL, tmp_path: None})
    assert found[folder][0] == process.pid and len(found[folder]) == 2 and found[tmp_path] == []
    until(lambda: processes.family(neighbour) == [])
    assert processes.is_alive(process)


# ---------------------------------------------------------------- without descriptors


@contextmanager
def no_descriptor_free() -> Iterator[None]:
    kept = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, kept[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, kept)


def test_that_no_descriptor_is_free_is_no_end(folder: Path) -> None:
    process = start(folder, *FOREVER)
    until(lambda: processes.find(folder))
    for look in (partial(processes.find, folder), partial(processes.watch, process), processes.sweep):
        with pytest.raises(OSError, match="Too many open files"), no_descriptor_free():
            look()


def test_a_watch_that_fails_keeps_no_descriptor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = start(folder, *FOREVER)

    def fail(process: Process) -> bool:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(processes, "is_alive", fail)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match="Too many open files"):
        processes.watch(process)
    assert os.listdir("/proc/self/fd") == before


def test_a_pid_that_is_a_thread_s_by_now_has_ended(folder: Path) -> None:
    with ThreadPoolExecutor(1) as threads:
        thread = threads.submit(threading.get_native_id).result()
        assert processes.watch(Process(folder, thread)) is None


def test_a_folder_that_may_not_be_looked_into_holds_no_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    assert processes.find(folder) is None


def test_a_process_that_is_given_more_descriptors_keeps_them_to_itself(folder: Path) -> None:
    """Programs are slow, or fail, when they may have a billion."""
    code = (
        "import os, resource, sys; from pathlib import Path\n"
        "soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))\n"
        "from gateway.core import processes; processes.allow_descriptors()\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard)\n"
        "processes.start(Path(sys.argv[1]), ['sh', '-c', 'ulimit -S -n'], dict(os.environ)); os.wait()\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, folder], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    )
    assert (told.stdout, (folder / "log").read_text()) == ("True\n", "200\n")
