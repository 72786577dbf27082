"""Every verb of every store once and more, on records of the tour's own, whatever else is in the store."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from batches.models import BatchRequest
from batches.states import BatchState
from gateway.core import events
from gateway.core.events import Belonging
from gateway.core.identity import Principal
from gateway.core.options import SparkOptions
from gateway.core.settings import ClusterSettings
from gateway.core.store.database import Database
from gateway.platform.runs.states import RunState
from gateway.stores import Stores
from sessions.drivers.models import Driver
from sessions.drivers.profiles import Profile
from sessions.drivers.sharing import Sharing
from sessions.models import Kind, SessionRequest

FOLDER = Path("/nowhere")
ENDS_OF_LISTS = (0, 10**6)  # where a page starts


class Tour:
    def __init__(self, db: Database, stores: Stores, principal: Principal, now: datetime) -> None:
        self._db, self._stores, self._principal, self._now = db, stores, principal, now

    def __call__(self) -> None:
        self.look()
        self.sessions()
        self.warm_drivers()
        self.shared_applications()
        self.batches()
        self.runs()
        self.events()

    # ------------------------------------------------------------ what only reads

    def look(self) -> None:
        who, stores = self._principal, self._stores
        for start in ENDS_OF_LISTS:
            for newest_first in (False, True):
                stores.sessions.page(who, start, 5, newest_first=newest_first)
            stores.batches.page(who, start, 5)
        stores.sessions.counts(who), stores.batches.counts(who)
        stores.sessions.find(who, 0), stores.sessions.find(who, "name"), stores.sessions.number_of(who, "uuid")
        stores.batches.find(who, 0), stores.batches.find(who, "name"), stores.batches.number_of(who, "uuid")
        for states in (list(BatchState), [BatchState.SUCCESS], [BatchState.DEAD, BatchState.KILLED]):
            for text in ("", "nothing has this", "q9"):
                stores.batches.search(who, states, text, 0, 5)

    # ------------------------------------------------------------ sessions and all that hangs on them

    def sessions(self) -> None:
        stores, now = self._stores, self._now
        self._rounds()
        kept, lost = self._idle(permanent=False), self._idle(permanent=True)
        self._statements(kept)
        self._jobs(kept)
        stores.sessions.touch(kept, now, activity=True)
        stores.sessions.work_goes_on(kept, now)
        self._give_another_driver(lost)
        for part in (stores.statements, stores.jobs):
            part.lose_driver(kept, "why", now)
            part.end(kept, "why", now)
            part.remove(kept)
        stores.sessions.end(kept, "why", now)
        stores.sessions.ended_before(now)
        for session in (kept, lost):
            driver = stores.sessions.remove(session, "why", now, idle_since=now)
            assert driver is not None
            stores.drivers.gone(driver, "why", now)
        for abandoned in stores.drivers.unclaimed():
            stores.drivers.remove(abandoned.id)
        stores.sessions.was_ended("uuid"), stores.sessions.is_live(kept)
        stores.sessions.forget_ended_but([])

    def _idle(self, *, permanent: bool) -> int:
        options = SparkOptions(name=uuid.uuid4().hex)
        driver = Driver.wanted(FOLDER, options, self._now)
        request = SessionRequest(Kind.PYSPARK, options, permanent=permanent)
        session = self._stores.sessions.add(self._principal, request, driver, str(uuid.uuid4()), self._now, 100)
        self._make_ready(driver.id)
        assert session.id in self._stores.sessions.become_idle(self._now)
        return session.id

    def _make_ready(self, driver: str) -> None:
        drivers = self._stores.drivers
        assert driver in [one.id for one in drivers.moving()]
        assert (
            drivers.place(driver, FOLDER)
            and drivers.launch(driver, FOLDER, self._now)
            and drivers.ready(driver, "app", None, self._now)
        )
        drivers.running(), drivers.not_gone(), drivers.find_all([driver]), drivers.find(driver)
        drivers.is_gone(driver), drivers.is_forgotten(driver)
        drivers.is_application(driver, "app", None)

    def warm_drivers(self) -> None:
        drivers, pool, now = self._stores.drivers, self._stores.pool, self._now
        whose = Belonging(self._principal.user, self._principal.project)
        request, profile = SessionRequest(Kind.PYSPARK), Profile("of the tour", SparkOptions())
        ahead = [Driver.wanted(FOLDER, SparkOptions(), now, profile=profile.key) for _ in range(2)]
        for driver in ahead:
            drivers.add(driver, whose)
            assert drivers.launch(driver.id, FOLDER, now) and drivers.warm(driver.id, "app", None, now)
        pool.unclaimed(), pool.demands(now), pool.claims(), pool.newest_claim(), pool.waiting(self._principal)
        other = Driver.wanted(FOLDER, SparkOptions(), now)
        opened = self._stores.sessions.add(self._principal, request, other, str(uuid.uuid4()), now, 10**6, profile)
        (other,) = [driver for driver in ahead if driver.id != opened.driver]
        assert pool.claimed() and drivers.settled(opened.driver, now) and pool.release(other.id)
        assert pool.claim(Profile("of nobody", SparkOptions()), SparkOptions(), whose, now) is None
        pool.forget_demands(now + timedelta(days=1))
        self._stores.sessions.remove(opened.id, "why", now)

    def shared_applications(self) -> None:
        drivers, applications, now = self._stores.drivers, self._stores.applications, self._now
        request = SessionRequest(Kind.PYSPARK)
        opened = []
        for _ in range(2):
            wanted = Driver.wanted(FOLDER, SparkOptions(), now)
            sharing = Sharing(dataclasses.replace(wanted, shared="tour"), ClusterSettings(), 9, is_default=False)
            seat = Driver.wanted(FOLDER, SparkOptions(), now)
            add = self._stores.sessions.add
            opened.append(add(self._principal, request, seat, str(uuid.uuid4()), now, 10**6, None, sharing))
        (first, second) = (drivers.find(session.driver) for session in opened)
        assert first is not None and second is not None and first.application == second.application
        application = first.application or ""
        assert [seat.id for seat in applications.seats(application)] == [first.id, second.id]
        assert applications.join(sharing, Driver.wanted(FOLDER, SparkOptions(), now), self._whose, asked=SparkOptions())
        assert not applications.end_unused(now) and applications.counts()
        drivers.place(first.id, FOLDER)
        for seat in applications.seats(application):
            drivers.gone(seat.id, "why", now)
        assert application in applications.end_unused(now)
        for session in opened:
            self._stores.sessions.remove(session.id, "why", now)
        drivers.gone(application, "why", now)

    @property
    def _whose(self) -> Belonging:
        return Belonging(self._principal.user, self._principal.project)

    def _give_another_driver(self, session: int) -> None:
        stores = self._stores
        found = stores.sessions.find(self._principal, session)
        assert found is not None
        stores.drivers.give_up(found.driver, "why")
        stores.drivers.release(found.driver)
        stores.drivers.gone(found.driver, "why", self._now)
        ((lost, driver),) = stores.sessions.to_restart()
        new = Driver.wanted(FOLDER, driver.options, self._now)
        assert stores.sessions.restart(lost, new, "why", 1, self._now)

    def _statements(self, session: int) -> None:
        store, now = self._stores.statements, self._now
        store.counts(self._principal)
        for code in ("1", "2"):
            assert store.submit(session, code, "pyspark", now, most_unfinished=9, retained=9)
        assert store.has_waiting() and store.claim(now) and store.running()
        store.set_progress(session, 0, 0.5)
        store.finish(session, 0, "{}", now, now)
        assert store.claim(now) and store.keep(session, 1, 0, "{") and store.keep(session, 1, 1, "}")
        store.finish_kept(session, 1, 2, now, now)
        assert store.piece(session, 1, 1) == "}"
        assert store.submit(session, "3", "pyspark", now, most_unfinished=9, retained=9)
        store.cancel(session, 2, now)
        store.find(session, 0), store.see(self._principal, session, 0), store.page(session, 0, 5, newest_first=True)

    def _jobs(self, session: int) -> None:
        store, now = self._stores.jobs, self._now
        addition = store.add(session, "file", "/x", now, most_waiting=9, retained=9)
        assert addition and store.next_additions() and not store.is_quiet()
        store.settle(addition, None, now)
        store.addition(session, addition.id)
        for _ in range(2):
            assert store.submit(session, Kind.PYSPARK, "cGF5", now, most_unfinished=9, retained=9)
        store.claim(now, 9)
        ((job, _), _) = store.running()
        store.finish(job, "result", None, now, now)
        store.cancel(session, job.id + 1, now)
        store.find(session, job.id), store.payload(session, job.id)
        store.forget(session, job.id)

    def _rounds(self) -> None:
        """What a supervisor's round and its timers ask while nothing happens."""
        sessions, jobs = self._stores.sessions, self._stores.jobs
        sessions.become_idle(self._now), sessions.without_driver(), sessions.to_restart(), sessions.live()
        jobs.claim(self._now, 9), jobs.next_additions(), jobs.running()

    # ------------------------------------------------------------ batches, events

    def batches(self) -> None:
        store, now = self._stores.batches, self._now
        number = uuid.uuid4()
        batch = store.add(self._principal, BatchRequest("/a.py"), FOLDER, str(number), now, 9).id
        store.next(4), store.not_ended(), store.start(batch, FOLDER, now)
        store.running(), store.with_folders([number.hex]), store.without_app(), store.unwanted()
        store.set_app(batch, "app", None)
        store.end(batch, BatchState.SUCCESS, 0, None, now)
        store.expire(now + timedelta(seconds=1))
        store.delete(batch)
        store.exists(batch)
        store.remove(batch, now)

    def runs(self) -> None:
        store, batches, now = self._stores.runs, self._stores.batches, self._now
        store.begin()
        batch = batches.add(self._principal, BatchRequest("/a.py"), FOLDER, str(uuid.uuid4()), now, 9).id
        batches.start(batch, FOLDER, now)
        while store.follow():
            pass
        (run,) = store.running()
        assert store.advance(run, run.reading, 50) and store.find(self._principal, [batch])
        assert store.end(batch, RunState.SUCCEEDED, None, now)
        batches.end(batch, BatchState.KILLED, None, "why", now)
        batches.remove(batch, now)
        assert store.follow() and not store.find(self._principal, [batch])

    def events(self) -> None:
        cursor, who = events.newest(self._db), self._principal
        filters: list[Callable[[int], object]] = [
            lambda start: events.after(self._db, who, start, 5),
            lambda start: events.after(self._db, who, start, 5, subject="session"),
            lambda start: events.after(self._db, who, start, 5, subject="session", subject_ids=["0", "1"]),
        ]
        for ask in filters:
            ask(0), ask(cursor - 5)
        events.forget_before(self._db, self._now - timedelta(days=30))
