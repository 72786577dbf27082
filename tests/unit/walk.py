"""A walk through every move of every record, at random but the same each time, by records of several owners."""

from __future__ import annotations

import dataclasses
import random
import uuid
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from batches.models import BatchRequest
from batches.states import ENDED
from gateway.core.events import Belonging
from gateway.core.identity import Principal
from gateway.core.options import SparkOptions
from gateway.core.settings import ClusterSettings
from gateway.core.store.database import Database
from gateway.stores import Stores
from sessions.drivers.models import Driver
from sessions.drivers.profiles import Profile
from sessions.drivers.sharing import Sharing
from sessions.models import Kind, SessionRequest

FOLDER = Path("/nowhere")
_LIVE = 4  # sessions, not counting permanent ones
_ENDED = "'dead', 'gone', 'available', 'cancelled', 'succeeded', 'failed', 'success', 'killed'"
ALICE = Principal("alice", "blue", frozenset({"blue"}))
BOB = Principal("bob", "red", frozenset({"red"}))
CAROL = Principal("carol", "red", frozenset({"red", "blue"}))
DAVE = Principal("dave", "green")  # in no project that he sees all of
EVERYBODY = (ALICE, BOB, CAROL, DAVE)


class Walk:
    def __init__(self, db: Database, clock: Any, seed: int = 1) -> None:
        self._db, self._stores, self._clock, self._random = db, Stores(db, "here"), clock, random.Random(seed)

    def step(self) -> Callable[[], object]:
        """The next thing to do; doing it twice is no harm."""
        steps = [name for name in dir(self) if name.startswith("_do_")]
        self._clock.advance(seconds=1)
        return getattr(self, self._random.choice(steps))()  # type: ignore[no-any-return]

    def _some(self, table: str) -> dict[str, Any] | None:
        """Mostly of those that have not ended, and of the newest."""
        live = f"state NOT IN ({_ENDED})" if self._random.random() < 0.8 else "TRUE"
        rows = self._db.rows(f"SELECT * FROM {table} WHERE {live} ORDER BY created DESC, id DESC LIMIT 5")
        return self._random.choice(rows) if rows else None

    def _with(self, table: str, do: Callable[[dict[str, Any]], object]) -> Callable[[], object]:
        row = self._some(table)
        return lambda: row and do(row)

    # ------------------------------------------------------------ sessions and drivers

    def _do_open(self) -> Callable[[], object]:
        if len(self._stores.sessions.live()) >= _LIVE:
            return lambda: None
        who, permanent = self._random.choice(EVERYBODY), self._random.random() < 0.5
        request = SessionRequest(Kind.PYSPARK, SparkOptions(), permanent=permanent)
        driver, number = Driver.wanted(FOLDER, request.options, self._clock()), str(uuid.uuid4())
        sharing = self._sharing() if self._clock().second % 5 == 0 else None
        return lambda: self._stores.sessions.add(who, request, driver, number, self._clock(), 1000, None, sharing)

    def _sharing(self) -> Sharing:
        application = Driver.wanted(FOLDER, SparkOptions(), self._clock())
        return Sharing(dataclasses.replace(application, shared="any"), ClusterSettings(), 999, is_default=False)

    def _do_open_with_a_warm_driver(self) -> Callable[[], object]:
        if len(self._stores.sessions.live()) >= _LIVE:
            return lambda: None
        who, driver = self._random.choice(EVERYBODY), Driver.wanted(FOLDER, SparkOptions(), self._clock())
        number, profile = str(uuid.uuid4()), Profile("any", SparkOptions())
        request = SessionRequest(Kind.PYSPARK, permanent=self._random.random() < 0.5)
        return lambda: self._stores.sessions.add(who, request, driver, number, self._clock(), 1000, profile)

    def _do_want_a_warm_driver(self) -> Callable[[], object]:
        who = self._random.choice(EVERYBODY)
        driver = Driver.wanted(FOLDER, SparkOptions(), self._clock(), profile="any")
        return lambda: self._stores.drivers.add(driver, Belonging(who.user, who.project))

    def _do_warm(self) -> Callable[[], object]:
        drivers = self._stores.drivers
        return lambda: _each(drivers.moving(), lambda driver: drivers.warm(driver.id, "app", None, self._clock()))

    def _do_settle_drivers(self) -> Callable[[], object]:
        drivers = self._stores.drivers
        return lambda: _each(self._stores.pool.claimed(), lambda driver: drivers.settled(driver.id, self._clock()))

    def _do_release(self) -> Callable[[], object]:
        return lambda: _each(self._stores.pool.unclaimed()[2:], lambda driver: self._stores.pool.release(driver.id))

    def _do_launch(self) -> Callable[[], object]:
        drivers = self._stores.drivers
        return lambda: _each(drivers.moving(), lambda driver: drivers.launch(driver.id, FOLDER, self._clock()))

    def _do_ready(self) -> Callable[[], object]:
        drivers = self._stores.drivers
        return lambda: _each(drivers.moving(), lambda driver: drivers.ready(driver.id, "app", None, self._clock()))

    def _do_gone(self) -> Callable[[], object]:
        return self._with("drivers", lambda row: self._stores.drivers.gone(row["id"], "why", self._clock()))

    def _do_forget_drivers(self) -> Callable[[], object]:
        drivers = self._stores.drivers

        def forget() -> None:
            self._stores.applications.end_unused(self._clock())
            _each(drivers.unclaimed(), lambda driver: drivers.remove(driver.id))

        return forget

    def _do_become_idle(self) -> Callable[[], object]:
        return lambda: self._stores.sessions.become_idle(self._clock())

    def _do_follow(self) -> Callable[[], object]:
        new = Driver.wanted(FOLDER, SparkOptions(), self._clock())

        def follow() -> None:
            for number, why in self._stores.sessions.without_driver():
                self._stores.sessions.end(number, why, self._clock())
            for session, _ in self._stores.sessions.to_restart()[:1]:
                self._stores.sessions.restart(session, new, "why", 0, self._clock())

        return follow

    def _do_end(self) -> Callable[[], object]:
        return self._with("sessions", lambda row: self._stores.sessions.end(row["id"], "why", self._clock()))

    def _do_remove(self) -> Callable[[], object]:
        if self._random.random() < 0.7:
            return lambda: None  # or else few live long enough
        return self._with("sessions", lambda row: self._stores.sessions.remove(row["id"], "why", self._clock()))

    # ------------------------------------------------------------ what hangs on sessions

    def _do_submit(self) -> Callable[[], object]:
        return self._with(
            "sessions",
            lambda row: self._stores.statements.submit(
                row["id"], "1", "sql", self._clock(), most_unfinished=99, retained=5
            ),
        )

    def _do_claim(self) -> Callable[[], object]:
        return lambda: self._stores.statements.claim(self._clock())

    def _do_cancel(self) -> Callable[[], object]:
        return self._with(
            "statements", lambda row: self._stores.statements.cancel(row["session"], row["id"], self._clock())
        )

    def _do_finish(self) -> Callable[[], object]:
        return self._with("statements", self._finish)

    def _finish(self, row: dict[str, Any]) -> object:
        store, key, now = self._stores.statements, (row["session"], row["id"]), self._clock()
        if row["id"] % 2:
            return store.finish(*key, "{}", now, now)
        return store.keep(*key, 0, "{}") and store.finish_kept(*key, 1, now, now)

    def _do_submit_job(self) -> Callable[[], object]:
        return self._with(
            "sessions",
            lambda row: self._stores.jobs.submit(
                row["id"], Kind.PYSPARK, "cGF5", self._clock(), most_unfinished=99, retained=5
            ),
        )

    def _do_claim_jobs(self) -> Callable[[], object]:
        return lambda: self._stores.jobs.claim(self._clock(), 3)

    def _do_cancel_job(self) -> Callable[[], object]:
        return self._with(
            "session_jobs", lambda row: self._stores.jobs.cancel(row["session"], row["id"], self._clock())
        )

    def _do_finish_job(self) -> Callable[[], object]:
        error, now = self._random.choice(["why", None]), self._clock()
        running = self._stores.jobs.running()
        job = self._random.choice(running)[0] if running else None
        return lambda: job and self._stores.jobs.finish(job, "result", error, now, now)

    def _do_add(self) -> Callable[[], object]:
        return self._with(
            "sessions",
            lambda row: self._stores.jobs.add(row["id"], "file", "/x", self._clock(), most_waiting=99, retained=5),
        )

    def _do_settle(self) -> Callable[[], object]:
        error, waiting = self._random.choice(["why", None]), self._stores.jobs.next_additions()
        addition = self._random.choice(waiting)[0] if waiting else None
        return lambda: addition and self._stores.jobs.settle(addition, error, self._clock())

    # ------------------------------------------------------------ batches

    def _do_submit_batch(self) -> Callable[[], object]:
        who, number = self._random.choice(EVERYBODY), str(uuid.uuid4())
        request = BatchRequest("/a.py", args=[f"day {self._random.randrange(9)}"])
        return lambda: self._stores.batches.add(who, request, FOLDER, number, self._clock(), 1000)

    def _do_start_batch(self) -> Callable[[], object]:
        return self._with("batches", lambda row: self._stores.batches.start(row["id"], FOLDER, self._clock()))

    def _do_end_batch(self) -> Callable[[], object]:
        state = self._random.choice(sorted(ENDED))
        return self._with("batches", lambda row: self._stores.batches.end(row["id"], state, 0, "why", self._clock()))

    def _do_delete_batch(self) -> Callable[[], object]:
        if self._random.random() < 0.5:
            return lambda: None
        return self._with("batches", lambda row: self._stores.batches.delete(row["id"]))

    def _do_remove_batch(self) -> Callable[[], object]:
        batches = self._stores.batches
        return lambda: _each(batches.unwanted()[:1], lambda batch: batches.remove(batch.id, self._clock()))

    def _do_expire_batches(self) -> Callable[[], object]:
        return lambda: self._stores.batches.expire(self._clock() - timedelta(minutes=20))


def _each(records: Iterable[Any], do: Callable[[Any], object]) -> None:
    for record in records:
        do(record)
