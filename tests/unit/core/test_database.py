"""What every store does, under several threads and processes."""

from __future__ import annotations

import multiprocessing
import os
import select
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from gateway import stores
from gateway.core.settings import Settings
from gateway.core.store.database import Conflict, Database, Migrations, next_id
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.both_stores

_DEADLINE = 60.0  # seconds, on a busy machine


def migrations() -> tuple[Migrations, ...]:
    one, two = Migrations("one"), Migrations("two")

    @one()
    def first(db: Database) -> None:
        db.run("CREATE TABLE counts (n INTEGER NOT NULL CHECK (n <> 1000))")

    @two()
    def second(db: Database) -> None:
        db.run("INSERT INTO counts VALUES (0)")

    return one, two


@pytest.fixture
def anew(adapter: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings of a store that nobody has migrated yet."""
    if adapter == "sqlite":
        yield Settings(data_dir=tmp_path / "store")
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = server.create()
    yield Settings(data_dir=tmp_path / "store", store=server.url(name))
    server.drop(name)


@pytest.fixture
def empty(anew: Settings) -> Iterator[Database]:
    db = stores.open_store(anew)
    yield db
    db.close()


@pytest.fixture
def counts(empty: Database) -> Database:
    empty.migrate(migrations())
    return empty


def migrate_in_another_process(settings: Settings) -> list[str]:
    return stores.open_store(settings).migrate(stores.MIGRATIONS)


def count_up(settings: Settings, times: int) -> None:
    db = stores.open_store(settings)
    for _ in range(times):
        with db.transaction():
            n = db.value("SELECT n FROM counts")
            db.run("UPDATE counts SET n = :n", {"n": n + 1})


def take_ids(settings: Settings, times: int) -> list[int]:
    db = stores.open_store(settings)
    taken = []
    for _ in range(times):
        with db.transaction():
            taken.append(next_id(db, "session"))
    return taken


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as pool:
        yield pool


# ---------------------------------------------------------------- migrations


def test_each_migration_is_applied_once_in_order(empty: Database) -> None:
    assert empty.pending(migrations()) == ["one.first", "two.second"]
    assert empty.migrate(migrations()) == ["one.first", "two.second"]
    assert empty.pending(migrations()) == []
    assert empty.migrate(migrations()) == []
    assert empty.value("SELECT count(*) FROM counts") == 1


def test_processes_that_migrate_at_once_apply_each_migration_once(
    anew: Settings, empty: Database, pool: ProcessPoolExecutor
) -> None:
    applied = list(pool.map(migrate_in_another_process, [anew] * 8))
    assert sum(map(bool, applied)) == 1
    assert empty.pending(stores.MIGRATIONS) == []


def test_what_was_asked_before_the_migration_is_seen_after(empty: Database, anew: Settings) -> None:
    anew.data_dir.mkdir(exist_ok=True)
    assert empty.value("SELECT 1") == 1
    empty.migrate(migrations())
    assert empty.value("SELECT n FROM counts") == 0


def test_a_migration_that_fails_leaves_nothing_and_the_ones_before_it(empty: Database) -> None:
    one, two = migrations()

    @two()
    def third(db: Database) -> None:
        db.run("CREATE TABLE more (n INTEGER)")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        empty.migrate((one, two))
    assert empty.pending((one, two)) == ["two.third"]
    two.steps.pop()

    @two()
    def fourth(db: Database) -> None:
        db.run("CREATE TABLE more (n INTEGER)")

    assert empty.migrate((one, two)) == ["two.fourth"]


# ---------------------------------------------------------------- transactions


def test_processes_that_read_and_then_write_lose_nothing(
    anew: Settings, counts: Database, pool: ProcessPoolExecutor
) -> None:
    list(pool.map(count_up, [anew] * 4, [50] * 4))
    assert counts.value("SELECT n FROM counts") == 200


def test_threads_that_read_and_then_write_lose_nothing(counts: Database) -> None:
    def work(_: int) -> None:
        with counts.transaction():
            n = counts.value("SELECT n FROM counts")
            counts.run("UPDATE counts SET n = :n", {"n": n + 1})

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(200)))
    assert counts.value("SELECT n FROM counts") == 200


def test_an_id_is_given_once_whoever_asks(settings: Settings, db: Database, pool: ProcessPoolExecutor) -> None:
    taken = [number for some in pool.map(take_ids, [settings] * 4, [25] * 4) for number in some]
    assert sorted(taken) == list(range(100))


def test_an_id_of_a_change_that_was_taken_back_is_given_again(db: Database) -> None:
    with pytest.raises(ZeroDivisionError), db.transaction():
        next_id(db, "session")
        raise ZeroDivisionError
    with db.transaction():
        assert next_id(db, "session") == 0


def test_kinds_count_apart(db: Database) -> None:
    assert [next_id(db, kind) for kind in ("session", "session", "batch")] == [0, 1, 0]


def test_a_failure_takes_back_the_whole_transaction(counts: Database) -> None:
    with pytest.raises(Conflict), counts.transaction():
        counts.run("UPDATE counts SET n = 1")
        counts.run("UPDATE counts SET n = 1000")
    assert counts.value("SELECT n FROM counts") == 0
    with counts.transaction():
        counts.run("UPDATE counts SET n = 2")
    assert counts.value("SELECT n FROM counts") == 2


def test_an_interrupt_takes_back_the_whole_transaction(counts: Database) -> None:
    with pytest.raises(KeyboardInterrupt), counts.transaction():
        counts.run("UPDATE counts SET n = 1")
        raise KeyboardInterrupt
    assert counts.value("SELECT n FROM counts") == 0


def test_an_inner_transaction_is_part_of_the_outer_one(counts: Database) -> None:
    with pytest.raises(ZeroDivisionError), counts.transaction():
        with counts.transaction():
            counts.run("UPDATE counts SET n = 1")
        raise ZeroDivisionError
    assert counts.value("SELECT n FROM counts") == 0


def test_others_see_nothing_before_the_end_of_a_transaction(counts: Database) -> None:
    with counts.transaction():
        counts.run("UPDATE counts SET n = 1")
        with ThreadPoolExecutor(1) as other:
            assert other.submit(counts.value, "SELECT n FROM counts").result() == 0
    with ThreadPoolExecutor(1) as other:
        assert other.submit(counts.value, "SELECT n FROM counts").result() == 1


def test_a_write_with_returning_is_stored_when_it_returns(anew: Settings, counts: Database) -> None:
    assert counts.rows("UPDATE counts SET n = 7 RETURNING n") == [{"n": 7}]
    assert counts.value("UPDATE counts SET n = 8 RETURNING n") == 8
    with ThreadPoolExecutor(1) as other:
        assert other.submit(counts.value, "SELECT n FROM counts").result() == 8


def test_each_thread_has_a_connection_of_its_own(counts: Database) -> None:
    at_once = threading.Barrier(4)

    def work(_: int) -> int:
        at_once.wait()
        return int(counts.value("SELECT n FROM counts"))

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(work, range(4))) == [0, 0, 0, 0]


def test_a_forked_process_opens_a_connection_of_its_own(counts: Database) -> None:
    counts.run("UPDATE counts SET n = 1")
    child = os.fork()
    if child == 0:
        counts.run("UPDATE counts SET n = n + 1")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    counts.run("UPDATE counts SET n = n + 1")
    assert counts.value("SELECT n FROM counts") == 3


def test_a_fork_in_the_middle_of_a_transaction_does_not_harm_it(counts: Database) -> None:
    with counts.transaction():
        counts.run("UPDATE counts SET n = 1")
        child = os.fork()
        if child == 0:
            os._exit(0 if counts.value("SELECT n FROM counts") == 0 else 1)
        assert os.waitpid(child, 0)[1] == 0
    with ThreadPoolExecutor(1) as other:
        assert other.submit(counts.value, "SELECT n FROM counts").result() == 1


# ---------------------------------------------------------------- what it keeps


def test_what_a_record_refers_to_must_be_there(db: Database) -> None:
    with pytest.raises(Conflict, match="(?i)foreign key"):
        db.run(
            "INSERT INTO statements (session, id, code, kind, state, progress, created)"
            " VALUES (9, 0, '', 'sql', 'waiting', 0, '')"
        )


def test_integers_have_64_bits_and_reals_too(empty: Database, anew: Settings) -> None:
    anew.data_dir.mkdir(exist_ok=True)
    empty.run("CREATE TABLE numbers (whole INTEGER, part REAL)")
    values = {"whole": 2**62, "part": 0.1 + 2**-50}
    empty.run("INSERT INTO numbers VALUES (:whole, :part)", values)
    assert empty.row("SELECT * FROM numbers") == values


def test_signs_that_mean_something_elsewhere_are_kept(db: Database) -> None:
    sql = "SELECT 'it''s 10:30, 100%: %s %(x)s :name' AS said, :name AS name, :name || '%' AS both"
    assert db.row(sql, {"name": ":a 50% 'ü' 🎉"}) == {
        "said": "it's 10:30, 100%: %s %(x)s :name",
        "name": ":a 50% 'ü' 🎉",
        "both": ":a 50% 'ü' 🎉%",
    }


# ---------------------------------------------------------------- the bell


def rings(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], _DEADLINE)[0])


def is_quiet(descriptor: int) -> bool:
    return not select.select([descriptor], [], [], 0)[0]


def test_every_listener_hears_the_bell_once_a_transaction_is_seen(anew: Settings, counts: Database) -> None:
    with closing(counts.listen()) as one, closing(counts.listen()) as two:
        with counts.transaction():
            counts.run("UPDATE counts SET n = 1")
            counts.ring_on_commit()
            assert is_quiet(one.fileno())
        assert rings(one.fileno()) and rings(two.fileno())
        one.drain()
        assert is_quiet(one.fileno()) and rings(two.fileno())
        counts.ring_on_commit()
        assert rings(one.fileno())


def ring(settings: Settings) -> None:
    with closing(stores.open_store(settings)) as db:
        db.ring()


def test_a_listener_may_be_deaf_to_its_own_process(anew: Settings, counts: Database, pool: ProcessPoolExecutor) -> None:
    with closing(counts.listen(own=False)) as deaf, closing(counts.listen()) as other:
        counts.ring()
        assert rings(other.fileno()) and is_quiet(deaf.fileno())
        pool.submit(ring, anew).result()
        assert rings(deaf.fileno())


def test_a_change_that_was_taken_back_does_not_ring(counts: Database) -> None:
    with closing(counts.listen()) as listener:
        with pytest.raises(ZeroDivisionError), counts.transaction():
            counts.ring_on_commit()
            raise ZeroDivisionError
        with counts.transaction():
            counts.run("UPDATE counts SET n = 2")
        assert is_quiet(listener.fileno())
        counts.ring()
        assert rings(listener.fileno())


# ---------------------------------------------------------------- the lease


def test_a_lease_has_one_holder_and_the_next_one_waits_for_it(counts: Database) -> None:
    took, ends = threading.Event(), threading.Event()

    def hold() -> None:
        with counts.lease("watch"):
            took.set()
            assert ends.wait(_DEADLINE)

    assert not counts.is_leased("watch")
    with counts.lease("watch"):
        assert counts.is_leased("watch") and not counts.is_leased("other")
        other = threading.Thread(target=hold)
        other.start()
        with counts.lease("other"):
            assert not took.is_set()
    assert took.wait(_DEADLINE) and counts.is_leased("watch")
    ends.set()
    other.join()
    assert not counts.is_leased("watch")


def test_the_lease_of_a_killed_process_is_free_at_once(anew: Settings, counts: Database) -> None:
    child = os.fork()
    if child == 0:
        with stores.open_store(anew).lease("watch"):
            os.kill(os.getpid(), 9)
    assert os.waitpid(child, 0)[1] == 9
    assert not counts.is_leased("watch")
    with counts.lease("watch"):
        assert counts.is_leased("watch")
