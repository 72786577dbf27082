"""What unit tests share: a clock that is moved by hand, a real store in a folder of the test's own, and the
promise that no process a test has started is left when it ends."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest

from batches.models import Batch, BatchKind, BatchRequest
from batches.store import BatchStore
from gateway import stores
from gateway.core.identity import ANONYMOUS
from gateway.core.options import SparkOptions
from gateway.core.processes import OWNER_VARIABLE
from gateway.core.settings import ClusterSettings, Settings
from gateway.core.store.database import Database
from gateway.core.store.postgres import PostgresDatabase
from gateway.core.store.sqlite import SqliteDatabase
from gateway.stores import Stores
from sessions.drivers.models import Driver
from sessions.drivers.states import DriverState
from sessions.drivers.store import DriverStore
from sessions.models import Kind, Session, SessionRequest
from sessions.statements.store import StatementStore
from sessions.store import SessionStore
from tests.postgres_server import PostgresServer


class FixedClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += timedelta(**duration)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that a test runs now and then; what is under way when the test ends is given up."""
    loop = asyncio.new_event_loop()
    yield loop
    for task in asyncio.all_tasks(loop):
        task.cancel()
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
    loop.close()


@pytest.fixture
def settings(adapter: str, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    store = request.getfixturevalue("migrated")[0] if adapter == "postgres" else ""
    return Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", store=store, host_name="here")


@pytest.fixture
def here() -> ClusterSettings:
    return ClusterSettings()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated store with nothing in it, made once: tests copy it."""
    path = tmp_path_factory.mktemp("store") / "gateway.db"
    SqliteDatabase(path).migrate(stores.MIGRATIONS)
    return path


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "adapter" in metafunc.fixturenames and metafunc.definition.get_closest_marker("both_stores"):
        metafunc.parametrize("adapter", ("sqlite", "postgres"))


@pytest.fixture
def adapter() -> str:
    """Which store a test runs on; tests with the mark `both_stores` run on each."""
    return "sqlite"


@pytest.fixture
def db(adapter: str, request: pytest.FixtureRequest) -> Database:
    """A migrated store with nothing in it."""
    found: Database = request.getfixturevalue(f"{adapter}_db")
    return found


@pytest.fixture
def sqlite_db(settings: Settings, empty_store: Path) -> Database:
    settings.data_dir.mkdir(mode=0o700)
    shutil.copy(empty_store, settings.store_path)
    return SqliteDatabase(settings.store_path)


@pytest.fixture(scope="session")
def migrated(postgres: PostgresServer) -> tuple[str, str]:
    """The URL of a database with all tables, and what empties them: a copy of the database would cost more."""
    url = postgres.url(postgres.create())
    db = PostgresDatabase(url)
    db.migrate(stores.MIGRATIONS)
    db.run("CREATE TABLE first_ids AS SELECT * FROM ids")
    kept = "('migrations', 'first_ids')"
    tables = db.rows(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = CAST('public' AS regnamespace)"
        f" AND relname NOT IN {kept} ORDER BY oid DESC"  # what refers to others first
    )
    db.close()
    deletes = "; ".join(f"DELETE FROM {row['relname']}" for row in tables)
    return url, f"DO $$ BEGIN {deletes}; INSERT INTO ids SELECT * FROM first_ids; END $$"


@pytest.fixture
def postgres_db(settings: Settings, migrated: tuple[str, str]) -> Iterator[Database]:
    url, empty = migrated
    settings.data_dir.mkdir(mode=0o700)
    db = PostgresDatabase(url)
    yield db
    db.run(empty)
    db.close()


@pytest.fixture
def all_stores(db: Database) -> Stores:
    return Stores(db, "here")


@pytest.fixture
def session_store(all_stores: Stores) -> SessionStore:
    return all_stores.sessions


@pytest.fixture
def statement_store(all_stores: Stores) -> StatementStore:
    return all_stores.statements


@pytest.fixture
def driver_store(all_stores: Stores) -> DriverStore:
    return all_stores.drivers


@pytest.fixture
def batch_store(all_stores: Stores) -> BatchStore:
    return all_stores.batches


class Bell:
    """The store's bell as a test hears it: counts how often it rings, and does `then` each time."""

    def __init__(self) -> None:
        self.count = 0
        self.then: Callable[[], object] = lambda: None
        self._ringing = False

    def ring(self, _: object = None) -> None:
        if not self._ringing:  # what is done then rings itself
            self.count, self._ringing = self.count + 1, True
            try:
                self.then()
            finally:
                self._ringing = False


@pytest.fixture
def bell(db: Database, monkeypatch: pytest.MonkeyPatch) -> Bell:
    made = Bell()
    monkeypatch.setattr(type(db), "ring", made.ring)
    return made


AddSession = Callable[..., Session]


@pytest.fixture
def add_session(session_store: SessionStore, settings: Settings, clock: FixedClock) -> AddSession:
    """Adds a session as the service does; keywords are fields of SessionRequest, `limit`, `name` and `uuid`."""

    def add(limit: int = 1000, name: str | None = None, uuid: str | None = None, **asked: Any) -> Session:
        options = asked.pop("options", SparkOptions(name=name))
        driver_id = uuid4().hex
        driver = Driver(
            id=driver_id,
            state=DriverState.REQUESTED,
            target=DriverState.READY,
            folder=settings.data_dir / "drivers" / driver_id,
            options=options,
            reason=None,
            created=clock(),
            launched=None,
        )
        request = SessionRequest(**{"kind": Kind.PYSPARK, "options": options, **asked})
        return session_store.add(ANONYMOUS, request, driver, uuid or str(uuid4()), clock(), limit)

    return add


@pytest.fixture
def make_ready(driver_store: DriverStore, session_store: SessionStore, clock: FixedClock) -> Callable[[Session], None]:
    """Has the session's driver launched and ready, and the session idle."""

    def ready(session: Session) -> None:
        assert driver_store.launch(session.driver, session.folder, clock())
        assert driver_store.ready(session.driver, "local-1", "http://127.0.0.1:4040", clock())
        assert session_store.become_idle(clock()) == [session.id]

    return ready


@pytest.fixture
def idle_session(add_session: AddSession, make_ready: Callable[[Session], None]) -> Session:
    session = add_session()
    make_ready(session)
    return session


AddBatch = Callable[..., Batch]


@pytest.fixture
def add_batch(batch_store: BatchStore, settings: Settings, clock: FixedClock) -> AddBatch:
    """Adds a batch as the service does."""

    def add(
        file: str = "/bin/true",
        name: str | None = None,
        most_waiting: int = 1000,
        args: list[str] | None = None,
        kind: BatchKind = BatchKind.SPARK,
    ) -> Batch:
        request = BatchRequest(file, args=args or [], options=SparkOptions(name=name), kind=kind)
        number = uuid4()
        folder = settings.data_dir / "batches" / number.hex
        return batch_store.add(ANONYMOUS, request, folder, str(number), clock(), most_waiting)

    return add


@pytest.fixture
def no_process_left(tmp_path: Path) -> Iterator[None]:
    """Kills what was started in folders of this test, however far down, and collects it."""
    yield
    for process in _started_below(tmp_path):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # a place's own thread may collect it meanwhile
            if child.status() == psutil.STATUS_ZOMBIE or str(tmp_path) in " ".join(_command(child)):
                _collect(child.pid)


def _started_below(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(OWNER_VARIABLE, "").startswith(str(folder)):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _collect(pid: int) -> None:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass
