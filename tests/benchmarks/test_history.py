"""What much history costs: each figure stands beside the same of a store with one page of records, in the same run."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from batches.models import BatchRequest
from batches.service import BatchService
from batches.states import BatchState
from gateway import stores
from gateway.app import create_app
from gateway.core import events
from gateway.core.clock import utc_now
from gateway.core.identity import ANONYMOUS
from gateway.core.places.local import host_name
from gateway.core.settings import Settings
from gateway.core.waiting import Waiting
from gateway.supervisor import Supervisor
from sessions.models import Kind, SessionRequest
from sessions.service import SessionService
from sessions.statements.service import StatementService
from tests.benchmarks.page import Figure
from tests.unit.history import store_with

PAGE = 100  # records in the store without history: a full page of Livy's
HISTORIES = [int(many) for many in os.environ.get("HISTORIES", "20000,40000").split(",")]
ROUNDS = 15

OUTPUT = json.dumps({"status": "ok", "execution_count": 0, "data": {"text/plain": "2"}})


class Kept:
    """A gateway without processes over a store of so many ended sessions and batches; one session is idle."""

    def __init__(self, folder: Path, many: int) -> None:
        folder.mkdir(mode=0o700)
        settings = dataclasses.replace(Settings(data_dir=folder, cache_dir=folder / "cache"), max_batches_waiting=10**6)
        self.db = store_with(settings.store_path, many, statements=10 if many < 10**5 else 1)
        waiting = Waiting(settings.web_threads)
        self.store = stores.Stores(self.db, host_name(settings))
        self.sessions = SessionService(self.store.sessions, self.store.drivers, settings, utc_now, waiting)
        self.statements = StatementService(
            self.store.statements, self.sessions, self.store.drivers, settings, utc_now, waiting
        )
        self.batches = BatchService(self.store.batches, settings, utc_now, waiting)
        self.client = create_app(settings).test_client()
        self.supervisor = Supervisor(settings, self.db)
        self.many, self.idle = many, str(self.open())

    def open(self) -> int:
        opened = self.sessions.open(ANONYMOUS, SessionRequest(kind=Kind.PYSPARK))
        self.store.drivers.launch(opened.driver, opened.folder, utc_now())
        self.store.drivers.ready(opened.driver, "local-1", None, utc_now())
        assert self.store.sessions.become_idle(utc_now()) == [opened.id]
        return opened.id

    def statement(self) -> None:
        number = self.statements.submit(ANONYMOUS, self.idle, "1 + 1", None).id
        assert self.store.statements.has_waiting()
        assert self.store.statements.claim(utc_now()) and self.store.statements.running()
        self.store.statements.finish(int(self.idle), number, OUTPUT, utc_now(), utc_now())
        self.statements.find(ANONYMOUS, self.idle, number)

    def session(self) -> None:
        number = self.open()
        self.store.sessions.end(number, "enough", utc_now())
        driver = self.store.sessions.remove(number, "forgotten", utc_now())
        assert driver is not None
        self.store.drivers.gone(driver, None, utc_now())
        for gone in self.store.drivers.unclaimed():
            self.store.drivers.remove(gone.id)

    def batch(self) -> None:
        name = uuid.uuid4()
        request = BatchRequest("/jobs/a.py", args=["--day", "today"])
        batch = self.store.batches.add(ANONYMOUS, request, Path("/x"), str(name), utc_now(), 10**6)
        assert self.store.batches.next(4) and self.store.batches.start(batch.id, batch.folder, utc_now())
        self.store.batches.end(batch.id, BatchState.SUCCESS, 0, None, utc_now())
        self.store.batches.delete(batch.id)
        self.store.batches.remove(batch.id, utc_now())

    def round(self) -> None:
        asyncio.run(self.supervisor._run_passes())

    def expire(self) -> None:
        asyncio.run(self._round(self.supervisor._expire))

    async def _round(self, work: Callable[[], object]) -> None:
        work()

    def get(self, path: str) -> None:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text

    def newest_events(self) -> None:
        assert events.after(self.db, ANONYMOUS, events.newest(self.db) - 10, 100)

    def events_of_one(self) -> None:
        assert events.after(self.db, ANONYMOUS, 0, 100, subject="session", subject_ids=["7"])


def get(path: str) -> Callable[[Kept], object]:
    return lambda kept: kept.get(path.format(last=kept.many - 50, middle=kept.many // 2))


FIGURES: dict[str, Callable[[Kept], object]] = {
    "1 + 1, submit to available, in the store": Kept.statement,
    "a session's life in the store": Kept.session,
    "a batch's life in the store": Kept.batch,
    "a round of the idle supervisor": Kept.round,
    "its look for what has expired": Kept.expire,
    "the newest events": Kept.newest_events,
    "one session's events": Kept.events_of_one,
    "one session": get("/sessions/7"),
    "one statement": get("/sessions/7/statements/0"),
    "first page of sessions": get("/sessions"),
    "last page of sessions": get("/sessions?from={last}"),
    "first page of batches": get("/batches"),
    "last page of batches": get("/batches?from={last}"),
    "Lighter's sessions": get("/lighter/api/sessions"),
    "Lighter's batches": get("/lighter/api/batches"),
    "Lighter's batches of one state": get("/lighter/api/batches?state=SUCCESS"),
    "Lighter's batches of a state that none has": get("/lighter/api/batches?state=DEAD"),
    "Lighter's search for what one has": get("/lighter/api/batches?search=day%2042ly"),
    "Lighter's search for what none has": get("/lighter/api/batches?search=nightly"),
    "Lighter's search for what all have": get("/lighter/api/batches?search=a.py"),
    "Lighter's search for two characters": get("/lighter/api/batches?search=zq"),
    "the console's overview": get("/ui"),
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return Kept(tmp_path_factory.mktemp("page") / "data", PAGE)


@pytest.fixture(scope="module", params=HISTORIES)
def history(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return Kept(tmp_path_factory.mktemp("history") / "data", request.param)


@pytest.mark.parametrize("what", FIGURES)
def test_history(what: str, history: Kept, page: Kept, note: Callable[[Figure], None]) -> None:
    here, base = [], []
    for _ in range(ROUNDS):  # in turn, so that whatever else the machine does burdens both
        base.append(_milliseconds(FIGURES[what], page))
        here.append(_milliseconds(FIGURES[what], history))
    figure = f"{what}, {history.many:,} kept"
    note(Figure("A long history", figure, "ms", median(here), f"{PAGE} kept", median(base), ROUNDS, "1.5"))


def _milliseconds(work: Callable[[Kept], object], kept: Kept) -> float:
    begun = time.perf_counter()
    work(kept)
    return 1000 * (time.perf_counter() - begun)
