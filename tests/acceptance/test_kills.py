"""kill -9 of whatever one likes: work goes on, results are complete, nothing runs twice, nothing is left over."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import psutil
import pytest

from tests.acceptance.program import Program, eventually
from tests.acceptance.rest import Rest, Session, running

LINES, LINE = 50, 100_000  # 5 MB, printed over several seconds

TALK = f"""
import pathlib, time
with open({{ran!r}}, "a") as ran:
    written = ran.write("once ")
for i in range({LINES}):
    print(chr(ord("A") + i % 26) * {LINE - 1})
    time.sleep(0.06)
pathlib.Path({{done!r}}).touch()
"""

SPOKEN = "".join(chr(ord("A") + i % 26) * (LINE - 1) + "\n" for i in range(LINES)).rstrip("\n")

# Runs until it may end, then ends with the code it was given.
BATCH = """
import pathlib, sys, time
ran, may_end, code = sys.argv[1:]
with open(ran, "a") as file:
    file.write("once ")
print("begun", flush=True)
while not pathlib.Path(may_end).exists():
    time.sleep(0.05)
print("ended", flush=True)
sys.exit(int(code))
"""

KILLS: dict[str, Callable[[Program], None]] = {
    "a web worker": lambda program: program.kill(program.web_workers()[0]),
    "the web server": lambda program: program.kill(program.web_server()),
    "the supervisor": lambda program: program.kill(program.supervisor()),
    "a web worker and the supervisor": lambda program: program.kill(program.web_workers()[0], program.supervisor()),
}


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A program to be killed."""
    yield from running(tmp_path_factory.mktemp("victim"))


@pytest.fixture(scope="module")
def session(victim: Program) -> Session:
    """A session that outlives all kills of this module."""
    return Rest(victim).open()


@dataclass
class Work:
    """A statement that talks and a batch that waits, both running; each writes a word to a file when it begins."""

    session: Session
    rest: Rest
    driver: str
    statement: int
    batch: int
    folder: Path

    def may_end(self) -> None:
        """Let the batch end."""
        (self.folder / "may end").touch()

    def statement_has_ended(self) -> bool:
        return (self.folder / "statement done").exists()

    def check(self, batch_state: str = "success") -> None:
        """All is as if nothing had happened."""
        ended = self.session.result(self.statement)
        assert ended["state"] == "available"
        assert ended["output"]["status"] == "ok"
        assert ended["output"]["data"] == {"text/plain": SPOKEN}
        assert self.rest.batch_ends(self.batch) == batch_state
        assert {"begun", "ended"} <= set(self.rest.log(f"/batches/{self.batch}").splitlines())
        assert (self.folder / "statement ran").read_text() == "once "
        assert (self.folder / "batch ran").read_text() == "once "
        assert self.session.run("import os; os.getpid()") == self.driver
        assert self.session.document()["state"] == "idle"


def begin(session: Session, victim: Program, folder: Path, exit_code: int = 0) -> Work:
    rest = Rest(victim)
    driver = session.run("import os; os.getpid()")
    script = folder / "batch.py"
    script.write_text(BATCH)
    batch = rest.batch(script, folder / "batch ran", folder / "may end", exit_code)
    eventually((folder / "batch ran").exists, within=60, what="the batch runs")
    talk = TALK.format(ran=str(folder / "statement ran"), done=str(folder / "statement done"))
    statement = session.submit(talk)
    eventually((folder / "statement ran").exists, within=30, what="the statement runs")
    work = Work(session, rest, driver, statement, batch, folder)
    assert not work.statement_has_ended()
    return work


@pytest.mark.parametrize("what", KILLS)
def test_running_work_is_not_touched(what: str, session: Session, victim: Program, tmp_path: Path) -> None:
    work = begin(session, victim, tmp_path)
    KILLS[what](victim)
    work.may_end()
    victim.wait_until_serving()
    work.check()


@pytest.mark.parametrize(("exit_code", "state"), [(0, "success"), (3, "dead")])
def test_what_ends_while_nothing_of_the_gateway_runs_is_taken_up(
    exit_code: int, state: str, session: Session, victim: Program, tmp_path: Path
) -> None:
    work = begin(session, victim, tmp_path, exit_code)
    victim.kill_tree()
    assert psutil.pid_exists(int(work.driver))
    work.may_end()
    eventually(work.statement_has_ended, within=30, what="the statement ends by itself")
    batches = victim.data / "batches"
    eventually(lambda: not victim.family(batches), within=30, what="the batch ends by itself")
    victim.start()
    work.check(state)
    if exit_code:
        assert f"exit code {exit_code}" in work.rest.log(f"/batches/{work.batch}")


def test_serve_alone_can_be_killed_and_started_again(session: Session, victim: Program, tmp_path: Path) -> None:
    work = begin(session, victim, tmp_path)
    tree = victim.tree()
    victim.kill(tree[0])
    _, alive = psutil.wait_procs(tree[1:], timeout=15)
    assert not alive, "the web server and the supervisor end with serve"
    victim.start()
    work.may_end()
    work.check()


def test_it_can_be_stopped_and_started_again(session: Session, victim: Program, tmp_path: Path) -> None:
    work = begin(session, victim, tmp_path)
    victim.stop()
    assert f"session {session.id}" in victim.log() and "`python -m gateway stop` ends them" in victim.log()
    work.may_end()
    victim.start()
    work.check()


def test_a_queue_of_statements_runs_once_and_in_order(session: Session, victim: Program, tmp_path: Path) -> None:
    trail = tmp_path / "trail"
    code = f"import time; time.sleep(0.1); print({{0}}, file=open({str(trail)!r}, 'a'))"
    statements = [session.submit(code.format(number)) for number in range(30)]
    for some in (2, 9, 16):
        eventually(partial(has_words, trail, some), within=30, what=f"{some} statements have run")
        victim.kill(eventually(victim.supervisor, within=10, what="a supervisor runs"))
    assert {session.result(number)["state"] for number in statements} == {"available"}
    assert [int(word) for word in trail.read_text().split()] == list(range(30))


JOB = """
import time
def job(context):
    with open({trail!r}, "a") as trail:
        trail.write("{number} ")
    time.sleep(0.5)
    return {number}
"""


def test_jobs_run_once_and_their_results_are_kept(session: Session, victim: Program, tmp_path: Path) -> None:
    rest, trail = Rest(victim), tmp_path / "trail"
    jobs = []
    for number in range(30):
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(JOB.format(trail=str(trail), number=number), names)
        job = base64.b64encode(cloudpickle.dumps(names["job"])).decode()
        jobs.append(rest.post(f"{session.path}/submit-job", {"job": job, "jobType": "pyspark"})["id"])
    for some, what in ((2, "the supervisor"), (17, "a web worker and the supervisor")):
        eventually(partial(has_words, trail, some), within=30, what=f"{some} jobs have run")
        victim.wait_until_serving()
        KILLS[what](victim)
    eventually(partial(has_words, trail, 30), within=60, what="all have run")

    def ended() -> list[str]:
        said = [rest.get(f"{session.path}/jobs/{job}") for job in jobs]
        return [one["result"] for one in said] if all(one["state"] == "SUCCEEDED" for one in said) else []

    results = [
        pickle.loads(base64.b64decode(base64.b64decode(one))) for one in eventually(ended, within=30, what="ends")
    ]
    assert results == list(range(30))
    assert sorted(map(int, trail.read_text().split())) == list(range(30)), "each ran once"


def test_a_session_that_is_starting_starts_once(victim: Program) -> None:
    rest = Rest(victim)
    before = set(folders(victim))
    session = Session(rest, rest.post("/sessions", {"kind": "pyspark"})["id"])
    eventually(lambda: set(folders(victim)) - before, within=30, what="its driver is launched")
    victim.kill(victim.supervisor())
    session.wait("idle")
    assert session.run("1 + 1") == "2"
    (folder,) = set(folders(victim)) - before
    assert len([one for one in victim.family(folder) if one.name() == "java"]) == 1
    session.delete()
    assert not victim.family(folder)


@pytest.mark.parametrize("process", ["java", "python"])
def test_a_killed_driver_is_a_dead_session_that_says_so(process: str, victim: Program, tmp_path: Path) -> None:
    rest, ran = Rest(victim), tmp_path / "ran"
    session = rest.open()
    python = int(session.run("import os; os.getpid()"))
    folder = victim.folder_of(python)
    running_one = session.submit(f"import time; open({str(ran)!r}, 'w').close(); time.sleep(600)")
    waiting_one = session.submit("1 + 1")
    eventually(ran.exists, within=30, what="the statement runs")
    java = next(one for one in victim.family(folder) if one.name() == "java")
    victim.kill(java if process == "java" else psutil.Process(python))
    eventually(lambda: session.document()["state"] == "dead", within=20, what="the session is dead")
    for number in (running_one, waiting_one):
        ended = session.result(number)
        assert ended["output"]["status"] == "error", ended
        assert "driver" in ended["output"]["evalue"], ended
    assert "the driver was killed (signal 9)" in session.log()
    eventually(lambda: not victim.family(folder), within=10, what="nothing of the driver is left")
    assert session.document()["state"] == "dead"
    session.delete()


def has_words(file: Path, number: int) -> bool:
    return file.exists() and len(file.read_text().split()) >= number


def folders(program: Program) -> list[Path]:
    """The folders of drivers that have a process."""
    found = {Path(owner.parent) for owner in program.data.glob("drivers/*/pid")}
    return [folder for folder in found if program.family(folder)]
