"""Interpreters forked from one process: whose they are, what is told of their ends, and that none outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.core import processes
from sessions.drivers.launch import _SEAT, WITHOUT_APPLICATION

pytestmark = pytest.mark.usefixtures("no_process_left")

# An application that needs no Spark: it forks an interpreter for each folder that is asked for, which runs its `code`.
APPLICATION = """
import os, sys, threading
sys.path[:0] = [{root!r}]
from sessions.repl.zygote import Order, Zygote

def run(order):
    print("in", order.folder, order.secret, flush=True)
    exec(open(os.path.join(order.folder, "code")).read())

zygote = Zygote(lambda: None, run)
def ends():
    while (folder := zygote.next_end()) is not None:
        print("ended", os.path.basename(folder), flush=True)
    print("alone", flush=True)
threading.Thread(target=ends, daemon=True).start()
with open(os.open("seats", os.O_RDWR)) as asked:
    print("up", flush=True)
    for line in asked:
        zygote.ask(Order(line.strip(), 1, "secret"))
"""
ROOT = str(Path(__file__).parents[3])


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "application-0"
    folder.mkdir()
    os.mkfifo(folder / "seats")
    processes.start(folder, [sys.executable, "-c", APPLICATION.format(root=ROOT)], dict(os.environ))
    wait_until(lambda: "up" in (folder / "log").read_text())
    yield folder
    processes.signal_all({folder: signal.SIGKILL})
    processes.reap()


def seat(application: Path, number: int, code: str) -> Path:
    folder = application.with_name(f"interpreter-{number}")
    folder.mkdir()
    (folder / "code").write_text(code)
    os.mkfifo(folder / "end")
    processes.start(folder, ["/bin/sh", "-c", _SEAT, str(folder), str(application / "seats")], dict(os.environ))
    return folder


def code_of(folder: Path) -> int:
    wait_until((folder / "exit").exists)
    code = processes.exit_code(folder)
    assert code is not None
    return code


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("os._exit(7)", 7),
        ("os._exit(0)", 0),
        ("os.kill(os.getpid(), 9)", 128 + 9),
        ("import ctypes; ctypes.string_at(0)", 128 + 11),
        ("raise ValueError('no')", 1),
    ],
)
def test_its_end_is_told_in_its_folder_and_to_the_application(application: Path, code: str, exit_code: int) -> None:
    folder = seat(application, 1, code)
    assert code_of(folder) == exit_code
    wait_until(lambda: "ended interpreter-1" in (application / "log").read_text())
    assert f"in {folder} secret" in (folder / "log").read_text()
    wait_until(lambda: not processes.family(folder))


def test_it_and_what_it_starts_are_its_folders_own(application: Path) -> None:
    before = {process.pid for process in processes.family(application)}
    code = "import subprocess; subprocess.Popen(['sleep', '1000'], start_new_session=True); import time; time.sleep(99)"
    first, second = seat(application, 1, code), seat(application, 2, "import time; time.sleep(99)")
    wait_until(lambda: any(process.name() == "sleep" for process in processes.family(first)))
    wait_until(lambda: len(processes.family(second)) == 3)
    assert {process.pid for process in processes.family(application)} == before
    processes.signal_all({first: signal.SIGKILL})
    wait_until(lambda: not processes.family(first))
    assert len(processes.family(second)) == 3


def test_a_shell_that_is_killed_takes_its_interpreter_by_the_folder(application: Path) -> None:
    folder = seat(application, 1, "import time; time.sleep(99)")
    wait_until(lambda: len(processes.family(folder)) == 3)
    found = processes.find(folder)
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    processes.signal_all({folder: signal.SIGKILL})
    wait_until(lambda: "ended interpreter-1" in (application / "log").read_text())
    assert code_of(seat(application, 2, "os._exit(3)")) == 3


@pytest.mark.parametrize("code", ["import time; time.sleep(99)", "import ctypes; ctypes.PyDLL(None).sleep(99)"])
def test_none_outlives_the_application(application: Path, code: str) -> None:
    folder = seat(application, 1, code)
    wait_until(lambda: len(processes.family(folder)) == 3)
    processes.signal_all({application: signal.SIGKILL})
    assert code_of(folder) == WITHOUT_APPLICATION
    wait_until(lambda: not processes.family(folder))


def test_an_application_without_its_zygote_hears_of_it(application: Path) -> None:
    family = {one.pid: one for one in processes.family(application)}
    (zygote,) = [one for one in family.values() if one.ppid() in family and family[one.ppid()].name() == one.name()]
    folder = seat(application, 1, "import time; time.sleep(99)")
    wait_until(lambda: len(processes.family(folder)) == 3)
    zygote.kill()
    wait_until(lambda: "alone" in (application / "log").read_text())
    assert code_of(folder) == WITHOUT_APPLICATION


def test_a_shell_that_finds_no_application_ends(tmp_path: Path) -> None:
    folder = tmp_path / "interpreter-1"
    folder.mkdir()
    os.mkfifo(folder / "end")
    command = ["/bin/sh", "-c", _SEAT, str(folder), str(tmp_path / "nowhere")]
    assert subprocess.run(command, check=False).returncode == WITHOUT_APPLICATION


def test_none_is_forked_for_a_seat_whose_shell_is_gone(application: Path) -> None:
    folder = application.with_name("interpreter-1")
    folder.mkdir()
    (folder / "code").write_text("open('ran', 'w')")
    os.mkfifo(folder / "end")
    with open(application / "seats", "w") as seats:
        seats.write(f"{folder}\n")
    wait_until(lambda: "ended interpreter-1" in (application / "log").read_text())
    assert not (application / "ran").exists() and not processes.family(folder)
