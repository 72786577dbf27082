"""The supervisor's passes over drivers and sessions, with real processes of tiny drivers named after their faults."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from gateway.core import logs, processes
from gateway.core.errors import Misconfigured, Unavailable
from gateway.core.identity import ANONYMOUS
from gateway.core.places.local import LocalPlace
from gateway.core.places.place import End, Place
from gateway.core.settings import Settings
from gateway.core.store.database import Database
from gateway.stores import Stores
from sessions.drivers import launch
from sessions.drivers.models import Driver
from sessions.drivers.reconcile import DriverPass
from sessions.models import Session
from sessions.reconcile import SessionPass, reason_of_expiry, reason_of_idle_expiry
from sessions.statements.states import StatementState
from sessions.states import SessionState
from sessions.store import Lifetime, SessionStore

pytestmark = pytest.mark.usefixtures("no_process_left")

SAY_READY = 'echo \'{"app_id": "local-1", "ui_url": "http://h:4040"}\' > ready.part; mv ready.part ready.json; '

# tiny drivers, named after their fault
HEALTHY = SAY_READY + "exec sleep 1000"
SLOW_TO_START = "exec sleep 1000"
DIES_BEFORE_READY = "echo 'Exception: no memory'; exit 3"
SAYS_WHY_AND_DIES = """echo '{"error": "the master is not there"}' > ready.json; exit 1"""
RUNS_OUT_OF_MEMORY = "echo 'java.lang.OutOfMemoryError: Java heap space'; exit 3"
IGNORES_TERM = "trap '' TERM; " + SAY_READY + "while :; do sleep 1000; done"
TAKES_ITS_LEAVE = "trap 'echo bye; sleep 0.1; echo gone; exit 143' TERM; " + SAY_READY + "while :; do sleep 0.01; done"
LEAVES_CHILDREN = SAY_READY + "setsid sleep 1000 & setsid sleep 1000 & exec sleep 1000"
DIES_WHEN_READY = SAY_READY + "exit 9"
NONSENSE = ["{}", "[]", "null", "7", '"text"', '{"reason": null}', "[" * 100_000]


class FakeLauncher:
    """Starts a shell script in the place of Spark. `fault` is raised instead, if there is one."""

    place: Place

    def __init__(self) -> None:
        self.script = HEALTHY
        self.fault: Exception | None = None
        self.launched: list[str] = []

    def launch(self, driver: Driver) -> None:
        if self.fault is not None:
            raise self.fault
        if self.place.find(driver.folder):
            return
        self.launched.append(driver.id)
        driver.folder.mkdir(parents=True, exist_ok=True)
        self.place.start(driver.folder, ["/bin/sh", "-c", self.script], dict(os.environ))


class Supervisor:
    """The passes over one store in one event loop; `again` is what a restart makes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, db: Database, settings: Settings, clock) -> None:
        self.launcher, self.clock, self.settings = FakeLauncher(), clock, settings
        store = Stores(db, "here")
        self.drivers, self.sessions, self.statements = store.drivers, store.sessions, store.statements
        self.applications = store.applications
        self._loop = loop
        self.again()

    def again(self) -> None:
        """A new supervisor takes over; the old one is no more."""
        self.wakes = 0
        self.place = LocalPlace("here", self.settings.data_dir / "removed", self._wake)
        self.launcher.place = self.place
        self.driver_pass = DriverPass(
            self.drivers,
            self.applications,
            self.launcher,  # type: ignore[arg-type]
            self.settings,
            self.clock,
            self.place,
        )
        self.session_pass = SessionPass(self.sessions, self.settings, self.clock)
        self.run(self.place.begin)
        self.run(self.driver_pass.adopt)

    def _wake(self) -> None:
        self.wakes += 1

    def run(self, work: Callable[[], object]) -> object:
        async def inside() -> object:
            await asyncio.sleep(0)
            return work()

        return self._loop.run_until_complete(inside())

    def step(self) -> None:
        self.run(self.driver_pass)
        self.session_pass()

    def until(self, condition: Callable[[], object], advance: float = 0) -> None:
        """Pass after pass until the condition holds; at most ten seconds."""
        end = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < end, "it never came true"
            self.step()
            self.clock.advance(seconds=advance)
            time.sleep(0.002)

    def state(self, session: Session) -> str:
        found = self.sessions.find(ANONYMOUS, session.id)
        return found.state.value if found else "forgotten"

    def driver_state(self, session: Session) -> str:
        row = self.drivers._select("id = :id", {"id": session.driver})
        return row[0].state.value if row else "forgotten"


@pytest.fixture
def supervisor(loop: asyncio.AbstractEventLoop, db: Database, settings: Settings, clock) -> Supervisor:
    return Supervisor(loop, db, settings, clock)


@pytest.fixture
def running(supervisor: Supervisor, add_session) -> Session:
    session: Session = add_session()
    supervisor.until(lambda: supervisor.state(session) == "idle")
    return session


def kill(folder: Path) -> None:
    processes.signal_all({folder: signal.SIGKILL})


def lines(session: Session) -> list[str]:
    return logs.read(session.log, 0, 100)


def notes(session: Session) -> list[str]:
    return [line for line in lines(session) if line.startswith("spark-gateway: ")]


# ---------------------------------------------------------------- starting


def test_a_healthy_driver_makes_its_session_idle(supervisor: Supervisor, running: Session) -> None:
    found = supervisor.sessions.find(ANONYMOUS, running.id)
    assert found is not None and (found.app_id, found.ui_url) == ("local-1", "http://h:4040")
    supervisor.wakes = 0
    supervisor.step()
    assert supervisor.wakes == 0, "a ready driver asks for nothing"


def test_drivers_start_in_order_and_only_some_at_a_time(supervisor: Supervisor, add_session) -> None:
    supervisor.launcher.script = SLOW_TO_START
    sessions = []
    for _ in range(5):
        sessions.append(add_session())
        supervisor.clock.advance(milliseconds=1)
    for _ in range(2):
        supervisor.step()
    assert supervisor.launcher.launched == [session.driver for session in sessions[:2]]
    supervisor.sessions.remove(0, "", supervisor.clock())
    supervisor.until(lambda: len(supervisor.launcher.launched) == 3)
    assert supervisor.launcher.launched[2] == sessions[2].driver


def test_a_driver_that_is_ready_makes_room_for_the_next(supervisor: Supervisor, add_session) -> None:
    sessions = [add_session() for _ in range(5)]
    supervisor.until(lambda: all(supervisor.state(session) == "idle" for session in sessions))


def test_a_driver_that_dies_before_it_is_ready(supervisor: Supervisor, add_session) -> None:
    supervisor.launcher.script = DIES_BEFORE_READY
    session = add_session()
    supervisor.until(lambda: supervisor.state(session) == "dead")
    reason = "the driver ended by itself with exit code 3; its log says more"
    assert lines(session) == ["Exception: no memory", f"spark-gateway: {reason}"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (SAYS_WHY_AND_DIES, "Spark did not start: the master is not there"),
        (RUNS_OUT_OF_MEMORY, "the driver ran out of memory; ask for more with driverMemory"),
        ("kill -9 $$", "the driver was killed (signal 9); if nobody did that, the machine ran out of memory"),
        ("kill -11 $$", "the driver was ended by signal 11"),
        (DIES_WHEN_READY, "the driver ended by itself with exit code 9; its log says more"),
    ],
)
def test_the_log_says_why_a_driver_ended(script: str, reason: str, supervisor: Supervisor, add_session) -> None:
    supervisor.launcher.script = script
    session = add_session()
    supervisor.until(lambda: supervisor.state(session) == "dead")
    assert notes(session) == [f"spark-gateway: {reason}"]


@pytest.mark.parametrize("said", NONSENSE, ids=lambda said: said[:20])
def test_what_else_is_in_a_driver_s_files_says_nothing(said: str, supervisor: Supervisor, add_session) -> None:
    """A session's own code can write there."""
    supervisor.launcher.script = "cp said left.json; mv said ready.json; exit 9"
    session = add_session()
    session.folder.mkdir(parents=True)
    (session.folder / "said").write_text(said)
    supervisor.until(lambda: supervisor.state(session) == "dead")
    assert notes(session) == ["spark-gateway: the driver ended by itself with exit code 9; its log says more"]


def test_a_reason_of_any_kind_is_a_text_that_can_be_kept(supervisor: Supervisor, add_session) -> None:
    supervisor.launcher.script = """echo '{"reason": ["\\ud800"]}' > left.json; exit 9"""
    session = add_session()
    supervisor.until(lambda: supervisor.state(session) == "dead")
    assert notes(session) == ["spark-gateway: ['\\ud800']"]
    supervisor.launcher.script = """echo '{"reason": "a\\ud800"}' > left.json; exit 9"""
    session = add_session()
    supervisor.until(lambda: supervisor.state(session) == "dead")
    assert notes(session) == ["spark-gateway: a?"]


def test_trouble_with_one_driver_is_said_once_and_holds_up_no_other(
    supervisor: Supervisor, running: Session, add_session, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    def fails_for_the_first(driver: Driver, end: End) -> str:
        if driver.id == running.driver:
            raise KeyError("a defect")
        return "killed"

    later = add_session()
    supervisor.until(lambda: supervisor.state(later) == "idle")
    monkeypatch.setattr(launch, "reason_of_end", fails_for_the_first)
    for session in (running, later):
        kill(session.folder)
    newest = add_session()
    supervisor.until(lambda: supervisor.state(later) == "dead" and supervisor.state(newest) == "idle")
    kill(newest.folder)
    supervisor.again()
    supervisor.until(lambda: supervisor.state(newest) == "dead")
    said = [record for record in caplog.records if record.exc_info]
    assert len(said) == 2, "by each supervisor once"
    assert supervisor.state(running) == "idle"


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), Misconfigured("no Spark")])
def test_a_driver_that_cannot_be_started(fault: Exception, supervisor: Supervisor, add_session) -> None:
    supervisor.launcher.fault = fault
    session = add_session()
    supervisor.until(lambda: supervisor.state(session) == "dead")
    assert notes(session) == [f"spark-gateway: the driver could not be started: {fault}"]


def test_a_driver_that_is_slow_to_start_is_given_up(supervisor: Supervisor, add_session, settings: Settings) -> None:
    supervisor.launcher.script = SLOW_TO_START
    session = add_session()
    supervisor.step()
    supervisor.clock.now += settings.driver_start_timeout
    supervisor.step()
    assert supervisor.driver_state(session) == "launching"
    supervisor.clock.advance(seconds=1)
    supervisor.until(lambda: supervisor.state(session) == "dead", advance=0.1)
    assert notes(session) == ["spark-gateway: the driver was not ready after 600 s (setting driver_start_timeout)"]
    assert processes.family(session.folder) == []


def test_what_waits_for_its_turn_is_not_slow_to_start(supervisor: Supervisor, add_session, settings: Settings) -> None:
    supervisor.launcher.script = SLOW_TO_START
    first = add_session()
    for _ in range(2):
        supervisor.clock.advance(milliseconds=1)
        third = add_session()
    supervisor.step()
    supervisor.clock.advance(hours=1)
    supervisor.launcher.script = HEALTHY
    supervisor.until(lambda: supervisor.state(first) == "dead", advance=0.1)
    supervisor.until(lambda: supervisor.state(third) == "idle")


def test_statements_of_a_driver_that_died_say_so(supervisor: Supervisor, running: Session) -> None:
    supervisor.statements.submit(running.id, "1", "sql", supervisor.clock(), most_unfinished=9, retained=9)
    supervisor.statements.claim(supervisor.clock())
    kill(running.folder)
    supervisor.until(lambda: supervisor.state(running) == "dead")
    statement = supervisor.statements.find(running.id, 0)
    assert statement is not None and statement.state is StatementState.AVAILABLE
    assert "Interpreter died" in json.loads(statement.output or "")["evalue"]


# ---------------------------------------------------------------- ending


def test_a_deleted_session_leaves_no_process_and_no_folder(supervisor: Supervisor, running: Session) -> None:
    supervisor.sessions.remove(running.id, "", supervisor.clock())
    supervisor.until(lambda: supervisor.driver_state(running) == "forgotten")
    assert processes.family(running.folder) == []
    assert not running.folder.exists()


def test_a_stopped_session_keeps_its_log_alone(supervisor: Supervisor, running: Session) -> None:
    supervisor.sessions.end(running.id, "stopped by its user", supervisor.clock())
    supervisor.until(lambda: supervisor.driver_state(running) == "gone")
    supervisor.until(lambda: [file.name for file in running.folder.iterdir()] == ["log"])


def test_a_session_that_was_asked_to_end_blames_nobody(supervisor: Supervisor, running: Session) -> None:
    supervisor.sessions.end(running.id, "stopped by its user", supervisor.clock())
    supervisor.until(lambda: supervisor.driver_state(running) == "gone")
    assert notes(running) == []


def test_a_driver_gets_the_time_to_take_its_leave(supervisor: Supervisor, add_session) -> None:
    """Spark tells its cluster manager, a user's code puts its things away."""
    supervisor.launcher.script = TAKES_ITS_LEAVE
    session = add_session()
    supervisor.until(lambda: supervisor.state(session) == "idle")
    supervisor.sessions.end(session.id, "stopped by its user", supervisor.clock())
    supervisor.until(lambda: supervisor.driver_state(session) == "gone")
    assert lines(session)[-1] == "gone" and "bye" in lines(session)


def test_a_driver_that_ignores_the_polite_signal_is_killed(supervisor: Supervisor, add_session) -> None:
    supervisor.launcher.script = IGNORES_TERM
    session = add_session()
    supervisor.until(lambda: supervisor.state(session) == "idle")
    supervisor.sessions.end(session.id, "", supervisor.clock())
    supervisor.step()
    supervisor.clock.advance(seconds=2)
    for _ in range(5):
        supervisor.step()
    assert processes.family(session.folder), "it still has its three seconds"
    supervisor.until(lambda: supervisor.driver_state(session) == "gone", advance=0.1)
    assert processes.family(session.folder) == []


def test_children_that_left_the_group_end_too(supervisor: Supervisor, add_session) -> None:
    supervisor.launcher.script = LEAVES_CHILDREN
    session = add_session()
    supervisor.until(lambda: supervisor.state(session) == "idle" and len(processes.family(session.folder)) == 4)
    supervisor.sessions.remove(session.id, "", supervisor.clock())
    supervisor.until(lambda: supervisor.driver_state(session) == "forgotten")
    assert processes.family(session.folder) == []


def test_children_of_a_driver_that_died_end_too(supervisor: Supervisor, add_session) -> None:
    supervisor.launcher.script = SAY_READY + "setsid sleep 1000 & sleep 1000"
    session = add_session()
    supervisor.until(lambda: supervisor.state(session) == "idle" and len(processes.family(session.folder)) == 4)
    os.kill(processes.find(session.folder).pid, signal.SIGKILL)  # type: ignore[union-attr]
    supervisor.until(lambda: supervisor.state(session) == "dead")
    assert processes.family(session.folder) == []


def test_a_session_deleted_before_its_turn_never_starts(supervisor: Supervisor, add_session) -> None:
    session = add_session()
    supervisor.sessions.remove(session.id, "", supervisor.clock())
    supervisor.until(lambda: supervisor.driver_state(session) == "forgotten")
    assert supervisor.launcher.launched == []


def test_a_session_deleted_while_it_starts_leaves_nothing(supervisor: Supervisor, add_session) -> None:
    supervisor.launcher.script = SLOW_TO_START
    session = add_session()
    supervisor.step()
    supervisor.sessions.remove(session.id, "", supervisor.clock())
    supervisor.until(lambda: supervisor.driver_state(session) == "forgotten")
    assert processes.family(session.folder) == [] and not session.folder.exists()


# ---------------------------------------------------------------- restarts


def test_a_restarted_supervisor_goes_on_with_a_ready_driver(supervisor: Supervisor, running: Session) -> None:
    supervisor.again()
    supervisor.step()
    assert supervisor.state(running) == "idle" and supervisor.launcher.launched == [running.driver]
    kill(running.folder)
    supervisor.until(lambda: supervisor.state(running) == "dead")


def test_a_driver_that_died_while_nobody_watched_is_noticed(supervisor: Supervisor, running: Session) -> None:
    kill(running.folder)
    supervisor.again()
    supervisor.until(lambda: supervisor.state(running) == "dead")
    assert len(notes(running)) == 1


def test_a_driver_whose_folder_is_gone_is_noticed(supervisor: Supervisor, running: Session) -> None:
    (running.folder / "pid").unlink()
    supervisor.again()
    supervisor.until(lambda: supervisor.state(running) == "dead")
    assert processes.family(running.folder) == []


def test_a_row_whose_process_was_never_started_is_started(supervisor: Supervisor, add_session) -> None:
    """The supervisor was killed between the two."""
    session = add_session()
    assert supervisor.drivers.launch(session.driver, session.folder, supervisor.clock())
    supervisor.again()
    supervisor.until(lambda: supervisor.state(session) == "idle")
    assert supervisor.launcher.launched == [session.driver]


def test_a_driver_that_is_starting_is_taken_up_and_not_started_twice(supervisor: Supervisor, add_session) -> None:
    supervisor.launcher.script = "sleep 0.2; " + HEALTHY
    session = add_session()
    supervisor.step()
    supervisor.until(lambda: processes.find(session.folder))
    supervisor.again()
    supervisor.until(lambda: supervisor.state(session) == "idle")
    assert supervisor.launcher.launched == [session.driver]


def test_a_driver_that_died_while_starting_and_nobody_watched(supervisor: Supervisor, add_session) -> None:
    supervisor.launcher.script = DIES_BEFORE_READY
    session = add_session()
    supervisor.step()
    supervisor.until(lambda: processes.exit_code(session.folder) is not None or supervisor.state(session) == "dead")
    supervisor.again()
    supervisor.until(lambda: supervisor.state(session) == "dead")
    assert supervisor.launcher.launched == [session.driver]


def test_a_row_whose_process_was_never_started_and_is_not_wanted_is_not_started(
    supervisor: Supervisor, add_session
) -> None:
    session = add_session()
    supervisor.drivers.launch(session.driver, session.folder, supervisor.clock())
    supervisor.sessions.remove(session.id, "", supervisor.clock())
    supervisor.again()
    supervisor.until(lambda: supervisor.driver_state(session) == "forgotten")
    assert supervisor.launcher.launched == []


def test_a_stop_that_was_begun_is_finished_by_the_next_supervisor(supervisor: Supervisor, running: Session) -> None:
    supervisor.sessions.remove(running.id, "", supervisor.clock())
    supervisor.again()
    supervisor.until(lambda: supervisor.driver_state(running) == "forgotten")
    assert processes.family(running.folder) == []


# ---------------------------------------------------------------- expiry


@pytest.fixture
def lifetime(session_store: SessionStore, idle_session: Session) -> Lifetime:
    (found,) = session_store.live()
    return found


def expires(lifetime: Lifetime, settings: Settings, after: float, activity: float = 0, **changes: object) -> bool:
    """Whether a session with these changes must go `after` seconds, its last activity having been at `activity`."""
    session = dataclasses.replace(lifetime.session, **changes)  # type: ignore[arg-type]
    begun = session.created
    moved = Lifetime(session, begun + timedelta(seconds=activity))
    now = begun + timedelta(seconds=after)
    return (reason_of_expiry(moved, settings, now) or reason_of_idle_expiry(moved, settings, now)) is not None


def test_a_quiet_session_expires_after_the_settings_time(lifetime: Lifetime, settings: Settings) -> None:
    assert not expires(lifetime, settings, 3600)
    assert expires(lifetime, settings, 3601)
    assert not expires(lifetime, settings, 3601, activity=1800)


def test_a_sessions_own_idle_timeout_wins(lifetime: Lifetime, settings: Settings) -> None:
    assert expires(lifetime, settings, 11, idle_timeout="10s")
    assert not expires(lifetime, settings, 7200, idle_timeout="3h")
    assert not expires(lifetime, settings, 10**8, idle_timeout="0")


def test_an_idle_timeout_of_zero_is_never(lifetime: Lifetime, settings: Settings) -> None:
    assert not expires(lifetime, dataclasses.replace(settings, session_idle_timeout=timedelta(0)), 10**8)


@pytest.mark.parametrize("state", [SessionState.BUSY, SessionState.STARTING])
def test_a_session_that_works_or_starts_is_never_idle(
    state: SessionState, lifetime: Lifetime, settings: Settings
) -> None:
    assert not expires(lifetime, settings, 10**8, state=state, idle_timeout="1s")


def test_a_session_with_unfinished_jobs_is_never_idle(lifetime: Lifetime, settings: Settings) -> None:
    begun = lifetime.session.created
    works = dataclasses.replace(lifetime, has_jobs=True)
    assert reason_of_idle_expiry(works, settings, begun + timedelta(days=9)) is None
    assert reason_of_idle_expiry(lifetime, settings, begun + timedelta(days=9)) is not None


def test_a_folder_that_no_driver_knows_is_cleared(supervisor: Supervisor, idle_session: Session) -> None:
    stranger = supervisor.settings.data_dir / "drivers" / "stranger" / "uploads"
    for folder in (stranger, idle_session.folder):
        folder.mkdir(parents=True)
    supervisor.again()
    assert not stranger.parent.exists() and idle_session.folder.exists()


def test_a_ttl_ends_even_a_busy_session(lifetime: Lifetime, settings: Settings) -> None:
    assert expires(lifetime, settings, 61, activity=61, ttl="1m", state=SessionState.BUSY)
    assert not expires(lifetime, settings, 60, activity=60, ttl="1m")
    assert expires(lifetime, dataclasses.replace(settings, session_ttl=timedelta(minutes=1)), 61, activity=61)
    assert not expires(lifetime, settings, 10**8, activity=10**8), "by default there is none"


def test_a_client_that_is_gone_ends_its_session(lifetime: Lifetime, settings: Settings) -> None:
    minute = timedelta(seconds=60)
    assert expires(lifetime, settings, 61, activity=61, heartbeat_timeout=minute, state=SessionState.BUSY)
    assert not expires(lifetime, settings, 60, activity=60, heartbeat_timeout=minute)
    assert not expires(lifetime, settings, 3000, activity=3000, heartbeat_timeout=None)


def test_an_expired_session_is_forgotten_and_the_outbox_says_why(
    supervisor: Supervisor, running: Session, db: Database
) -> None:
    supervisor.clock.advance(hours=1, seconds=1)
    supervisor.session_pass.expire()
    assert supervisor.state(running) == "forgotten"
    data = db.value("SELECT data FROM events WHERE subject = 'session' AND name = 'deleted'")
    assert json.loads(data) == {"reason": "no work for more than 3600 s (idleTimeout)"}
    supervisor.until(lambda: supervisor.driver_state(running) == "forgotten")


def test_a_statement_that_comes_while_a_session_expires_keeps_it(supervisor: Supervisor, running: Session) -> None:
    def submit(lifetime: Lifetime) -> bool:
        supervisor.statements.submit(running.id, "1", "sql", supervisor.clock(), most_unfinished=9, retained=9)
        return True

    supervisor.clock.advance(days=3)
    SessionPass(supervisor.sessions, supervisor.settings, supervisor.clock, submit).expire()
    assert supervisor.state(running) == "busy"
    assert supervisor.statements.find(running.id, 0) is not None


def test_a_running_statement_keeps_its_session(supervisor: Supervisor, running: Session) -> None:
    supervisor.statements.submit(running.id, "1", "sql", supervisor.clock(), most_unfinished=9, retained=9)
    supervisor.statements.claim(supervisor.clock())
    supervisor.clock.advance(days=3)
    supervisor.session_pass.expire()
    assert supervisor.state(running) == "busy"
    supervisor.statements.finish(running.id, 0, "{}", supervisor.clock(), supervisor.clock())
    supervisor.session_pass.expire()
    assert supervisor.state(running) == "idle"


def test_an_ended_session_is_kept_for_the_retention_time(
    supervisor: Supervisor, running: Session, settings: Settings
) -> None:
    supervisor.sessions.end(running.id, "", supervisor.clock())
    supervisor.clock.now += settings.retention
    supervisor.session_pass.expire()
    assert supervisor.state(running) == "dead"
    supervisor.clock.advance(seconds=1)
    supervisor.session_pass.expire()
    assert supervisor.state(running) == "forgotten"


def test_folders_of_forgotten_drivers_are_removed(supervisor: Supervisor, running: Session, tmp_path: Path) -> None:
    supervisor.sessions.end(running.id, "", supervisor.clock())
    supervisor.until(lambda: supervisor.driver_state(running) == "gone")
    assert running.folder.exists()
    supervisor.sessions.remove(running.id, "", supervisor.clock())
    supervisor.step()
    assert not running.folder.exists() and supervisor.driver_state(running) == "forgotten"


# ---------------------------------------------------------------- permanent sessions


def kill_driver(supervisor: Supervisor, session: Session) -> Session:
    """Kill what runs for the session; the session with its new driver, which has not been launched."""
    found = supervisor.sessions.find(ANONYMOUS, session.id)
    assert found is not None
    kill(found.folder)
    supervisor.until(lambda: moved_on(supervisor, found))
    again = supervisor.sessions.find(ANONYMOUS, session.id)
    assert again is not None and again.state is SessionState.STARTING
    return again


def moved_on(supervisor: Supervisor, session: Session) -> bool:
    now = supervisor.sessions.find(ANONYMOUS, session.id)
    return now is not None and now.driver != session.driver


@pytest.fixture
def permanent(supervisor: Supervisor, add_session) -> Session:
    session: Session = add_session(permanent=True)
    supervisor.until(lambda: supervisor.state(session) == "idle")
    return session


def test_a_permanent_session_gets_a_new_driver_and_keeps_what_waits(supervisor: Supervisor, permanent: Session) -> None:
    for _ in range(2):
        supervisor.statements.submit(permanent.id, "1", "sql", supervisor.clock(), most_unfinished=9, retained=9)
    supervisor.statements.claim(supervisor.clock())
    again = kill_driver(supervisor, permanent)
    ran, waits = supervisor.statements.page(permanent.id, 0, -1, newest_first=False)[1]
    assert ran.state is StatementState.AVAILABLE and "Interpreter died" in (ran.output or "")
    assert waits.state is StatementState.WAITING and supervisor.statements.claim(supervisor.clock()) == []
    supervisor.until(lambda: supervisor.statements.claim(supervisor.clock()))
    assert again.uuid == permanent.uuid and again.folder != permanent.folder
    assert notes(again)[1].startswith("spark-gateway: started again: the driver") and "killed" in notes(again)[1]
    assert not permanent.folder.exists()


def test_drivers_that_keep_dying_young_are_restarted_ever_more_slowly(
    supervisor: Supervisor, permanent: Session
) -> None:
    pauses = []
    for _ in range(8):
        (waits,) = supervisor.drivers.find_all([kill_driver(supervisor, permanent).driver])
        assert waits.not_before is not None
        pauses.append((waits.not_before - supervisor.clock()).total_seconds())
        supervisor.step()
        assert pauses[-1] == 0 or supervisor.launcher.launched[-1] != waits.id, "not before its time"
        supervisor.clock.advance(seconds=pauses[-1])
        supervisor.until(lambda: supervisor.state(permanent) == "idle")
    assert pauses == [0, 2, 4, 8, 16, 32, 60, 60]
    supervisor.clock.advance(minutes=2)
    assert kill_driver(supervisor, permanent).short_lives == 0


def test_a_permanent_session_whose_driver_cannot_start_is_tried_again_and_can_be_deleted(
    supervisor: Supervisor, add_session
) -> None:
    supervisor.launcher.fault = Misconfigured("no Spark")
    session = add_session(permanent=True)
    supervisor.until(lambda: moved_on(supervisor, session))
    assert supervisor.state(session) == "starting"
    supervisor.sessions.remove(session.id, "deleted", supervisor.clock())
    supervisor.until(lambda: not supervisor.drivers.moving() and not supervisor.drivers.unclaimed())
    assert supervisor.sessions.was_ended(session.uuid)


def test_a_new_driver_s_log_begins_with_what_the_lost_one_said(supervisor: Supervisor, add_session) -> None:
    supervisor.launcher.script = RUNS_OUT_OF_MEMORY
    session = add_session(permanent=True)
    for script, said, reason in [
        (DIES_BEFORE_READY, "java.lang.OutOfMemoryError: Java heap space", "the driver ran out of memory"),
        (HEALTHY, "Exception: no memory", "the driver ended by itself with exit code 3"),
    ]:
        supervisor.until(partial(moved_on, supervisor, session))
        found = supervisor.sessions.find(ANONYMOUS, session.id)
        assert found is not None
        session = found
        words, noted, again = lines(session)
        assert words == said
        assert noted.startswith(f"spark-gateway: {reason}")
        assert again.startswith(f"spark-gateway: started again: {reason}")
        supervisor.launcher.script = script
        supervisor.clock.advance(minutes=1)


def test_a_driver_lost_while_nobody_watched_is_replaced_once(supervisor: Supervisor, permanent: Session) -> None:
    kill(permanent.folder)
    supervisor.again()
    supervisor.again()
    supervisor.until(lambda: supervisor.state(permanent) == "idle" and moved_on(supervisor, permanent))
    assert len(supervisor.launcher.launched) == 2


def test_a_permanent_session_never_expires_and_stays_ended_when_it_was_stopped(
    supervisor: Supervisor, permanent: Session
) -> None:
    supervisor.clock.advance(days=300)
    supervisor.session_pass.expire()
    assert supervisor.state(permanent) == "idle"
    supervisor.sessions.end(permanent.id, "stopped by its user", supervisor.clock())
    supervisor.until(lambda: supervisor.driver_state(permanent) == "gone")
    assert supervisor.state(permanent) == "dead"


def test_the_end_of_a_driver_that_the_store_could_not_take_is_told_again(
    supervisor: Supervisor, running: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = supervisor.drivers.gone

    def once(*told: object) -> bool:
        monkeypatch.setattr(supervisor.drivers, "gone", gone)
        raise Unavailable("the store is away")

    monkeypatch.setattr(supervisor.drivers, "gone", once)
    kill(running.folder)
    with pytest.raises(Unavailable):
        supervisor.until(lambda: supervisor.state(running) == "dead")
    supervisor.until(lambda: supervisor.state(running) == "dead")
