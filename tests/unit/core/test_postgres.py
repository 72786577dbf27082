"""What the store promises when it is a PostgreSQL database."""

from __future__ import annotations

import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from urllib.parse import quote

import pytest

from gateway import stores
from gateway.core.errors import InvalidRequest, Misconfigured, Unavailable
from gateway.core.store import postgres_lease
from gateway.core.store.postgres import MOST_CONNECTIONS, PostgresDatabase
from tests.postgres_server import PASSWORD, PostgresServer

_DEADLINE = 60.0  # seconds, on a busy machine


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """The name of an empty database."""
    name = postgres.create()
    postgres.execute("CREATE TABLE tally (n BIGINT); INSERT INTO tally VALUES (0)", name)
    yield name
    postgres.drop(name)


Open = Callable[[str], PostgresDatabase]


@pytest.fixture
def open_store() -> Iterator[Open]:
    opened: list[PostgresDatabase] = []

    def open_store(url: str) -> PostgresDatabase:
        opened.append(PostgresDatabase(url))
        return opened[-1]

    yield open_store
    for db in opened:
        db.close()


@pytest.fixture
def db(postgres: PostgresServer, database: str, open_store: Open) -> PostgresDatabase:
    return open_store(postgres.url(database))


@contextmanager
def role(server: PostgresServer, database: str, options: str = "") -> Iterator[str]:
    """The URL for somebody who is not the server's master."""
    server.execute(f"CREATE ROLE guest LOGIN {options}")
    try:
        yield server.url(database).replace("gateway@", "guest@")
    finally:
        server.execute("REASSIGN OWNED BY guest TO gateway; DROP OWNED BY guest", database)
        server.execute("DROP ROLE guest")


# ---------------------------------------------------------------- the address


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://h:notaport/db",
        "postgresql://u:p/w@h:5432/db",
        "postgresql://h/db?sslmoed=on",
        "postgresql://%zz/db",
    ],
)
def test_a_wrong_address_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(Misconfigured, match="setting store .*give postgresql://ROLE@HOST") as raised:
        PostgresDatabase(url)
    assert url.partition("//")[2] not in str(raised.value) and "p/w" not in str(raised.value)


def test_the_password_is_used_and_never_shown(postgres: PostgresServer, open_store: Open) -> None:
    db = open_store(postgres.tcp_url("postgres", quote(PASSWORD, safe="")))
    assert db.value("SELECT 1") == 1
    assert db.where == postgres.tcp_url("postgres")
    wrong = open_store(postgres.tcp_url("postgres", "wrong-one"))
    with pytest.raises(Unavailable, match="password authentication failed") as raised:
        wrong.value("SELECT 1")
    assert "wrong-one" not in str(raised.value) and "PGPASSWORD" in str(raised.value)


def test_the_password_may_come_from_the_environment(
    postgres: PostgresServer, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert open_store(postgres.tcp_url("postgres")).value("SELECT 1") == 1


# ---------------------------------------------------------------- what is in the way


def test_a_server_that_is_not_there_is_told_at_once(open_store: Open) -> None:
    with pytest.raises(Unavailable, match="cannot be used now.*see that it runs"):
        open_store("postgresql://gateway@127.0.0.1:1/db").value("SELECT 1")


def test_a_database_that_is_not_there(postgres: PostgresServer, open_store: Open) -> None:
    with pytest.raises(Unavailable, match='"nowhere" does not exist.*as the setting store'):
        open_store(postgres.url("nowhere")).value("SELECT 1")


def test_a_server_that_restarts_is_away_for_as_long_as_it_is(postgres: PostgresServer, db: PostgresDatabase) -> None:
    with closing(db.listen()) as listener, db.lease("watch"):
        postgres.stop()
        try:
            with pytest.raises(Unavailable, match="see that it runs"):
                db.value("SELECT n FROM tally")
            db.ring()  # only shortens a wait: no error
        finally:
            postgres.start()
        assert db.value("SELECT n FROM tally") == 0
        with db.transaction():
            db.run("UPDATE tally SET n = 1")
        assert select.select([listener], [], [], _DEADLINE)[0], "it rings: rows may have changed meanwhile"
        listener.drain()
        db.ring()
        assert select.select([listener], [], [], _DEADLINE)[0]
        assert db.is_leased("watch")
    assert not db.is_leased("watch")


def test_a_connection_that_is_lost_in_a_transaction_takes_it_back(
    postgres: PostgresServer, database: str, db: PostgresDatabase
) -> None:
    with pytest.raises(Unavailable), db.transaction():
        db.run("UPDATE tally SET n = 1")
        postgres.execute(f"SELECT pg_terminate_backend({db.value('SELECT pg_backend_pid()')})", database)
        db.run("UPDATE tally SET n = 2")
    assert db.value("SELECT n FROM tally") == 0


def test_too_many_connections(postgres: PostgresServer, database: str, open_store: Open) -> None:
    with (
        role(postgres, database, "CONNECTION LIMIT 0") as url,
        pytest.raises(Unavailable, match="too many connections"),
    ):
        open_store(url).value("SELECT 1")


@pytest.mark.parametrize(
    ("code", "helps"), [("53100", "make room"), ("53200", "memory"), ("57P02", "see that it runs")]
)
def test_what_the_server_lacks_is_told(db: PostgresDatabase, code: str, helps: str) -> None:
    with pytest.raises(Unavailable, match=f"no more.*{helps}"), db.transaction():
        db.run("UPDATE tally SET n = 1")
        db.run(f"DO $$ BEGIN RAISE EXCEPTION 'no more' USING ERRCODE = '{code}'; END $$")
    assert db.value("SELECT n FROM tally") == 0


def test_a_statement_that_takes_too_long(postgres: PostgresServer, database: str, db: PostgresDatabase) -> None:
    postgres.execute(f"ALTER DATABASE {database} SET statement_timeout = 50")
    with pytest.raises(Unavailable, match="statement_timeout"):
        db.value("SELECT 1 FROM pg_sleep(60)")
    assert db.value("SELECT 1") == 1


def test_another_process_that_writes_for_long(postgres: PostgresServer, database: str, open_store: Open) -> None:
    first = open_store(postgres.url(database))
    second = open_store(postgres.url(database) + "&options=-c%20lock_timeout%3D50ms")
    with first.transaction():
        with pytest.raises(Unavailable, match="another process writes"), second.transaction():
            pass
        assert second.value("SELECT n FROM tally") == 0, "readers do not wait"
    with second.transaction():
        second.run("UPDATE tally SET n = 1")


def test_what_others_wrote_is_seen_whatever_the_database_s_default_is(
    postgres: PostgresServer, database: str, db: PostgresDatabase, open_store: Open
) -> None:
    """Or else limits that are counted in a transaction do not hold, and it fails when it waited."""
    postgres.execute(f"ALTER DATABASE {database} SET default_transaction_isolation = 'serializable'")
    asked = open_store(postgres.url(database) + "&options=-c%20default_transaction_isolation%3Dserializable")
    assert db.value("SHOW transaction_isolation") == "read committed"
    for one in (db, asked):
        with one.transaction():
            assert one.value("SHOW transaction_isolation") == "read committed"


def test_a_server_that_takes_no_writes(postgres: PostgresServer, database: str, db: PostgresDatabase) -> None:
    postgres.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    with pytest.raises(Unavailable, match="session is read-only"):
        db.value("SELECT 1")


def test_more_threads_than_connections_wait_for_each_other(db: PostgresDatabase) -> None:
    reached: list[int] = []
    threads = [
        threading.Thread(target=lambda: reached.append(db.value("SELECT 1 FROM pg_sleep(0.01)")))
        for _ in range(3 * MOST_CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reached == [1] * 3 * MOST_CONNECTIONS
    assert db.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()") <= MOST_CONNECTIONS


def test_a_character_that_it_cannot_keep_is_refused_by_the_name_of_its_field(db: PostgresDatabase) -> None:
    with pytest.raises(InvalidRequest, match="code holds a NUL character"):
        db.value("SELECT :code", {"code": "a\0b"})


# ---------------------------------------------------------------- doctor


def test_a_database_that_will_do(db: PostgresDatabase) -> None:
    db.check()


def test_the_owner_of_a_database_may_do_all_that_is_needed(postgres: PostgresServer, database: str, open_store: Open):
    with role(postgres, database) as url:
        postgres.execute(f"ALTER DATABASE {database} OWNER TO guest")
        with closing(open_store(url)) as db:
            db.check()
            assert db.migrate(stores.MIGRATIONS) and db.pending(stores.MIGRATIONS) == []
            assert db.value("SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%gin_trgm_ops%'") == 1


def test_a_role_that_may_make_no_tables(postgres: PostgresServer, database: str, open_store: Open) -> None:
    with role(postgres, database) as url:
        db = open_store(url)
        with pytest.raises(Misconfigured, match='GRANT USAGE, CREATE ON SCHEMA public TO "guest"'):
            db.check()
        with pytest.raises(Unavailable, match="permission denied.*grant"):
            db.run("UPDATE tally SET n = 1")


def test_a_database_that_keeps_no_unicode(postgres: PostgresServer, open_store: Open) -> None:
    postgres.execute("CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    try:
        with closing(open_store(postgres.url("ascii"))) as db, pytest.raises(Misconfigured, match="ENCODING 'UTF8'"):
            db.check()
    finally:
        postgres.drop("ascii")


# ---------------------------------------------------------------- the lease


def elsewhere(db: PostgresDatabase, until: str) -> None:
    """A holder on another machine."""
    with db.transaction():
        db.run(postgres_lease.TABLE)
        db.run(f"INSERT INTO leases VALUES ('watch', 'boot pid:[1] 7 7 uuid', clock_timestamp() + interval '{until}')")


def test_a_lease_that_has_run_out_is_taken_over(db: PostgresDatabase) -> None:
    elsewhere(db, "-1 second")
    assert not db.is_leased("watch")
    with db.lease("watch"):
        assert db.is_leased("watch")


def test_a_lease_on_another_machine_holds_until_it_runs_out(db: PostgresDatabase) -> None:
    elsewhere(db, "1 hour")
    took = threading.Event()

    def take() -> None:
        with db.lease("watch"):
            took.set()

    waiting = threading.Thread(target=take)
    waiting.start()
    assert not took.wait(3 * postgres_lease.ASK_EVERY) and db.is_leased("watch")
    db.run("UPDATE leases SET until = clock_timestamp()")
    waiting.join(_DEADLINE)
    assert took.is_set()


HOLDS = """
import sys, time
from gateway.core.store import postgres_lease
postgres_lease.SECONDS, postgres_lease._RENEW_EVERY, postgres_lease._EARLY = 2, 0.2, 1
from gateway.core.store.postgres import PostgresDatabase
with PostgresDatabase(sys.argv[1]).lease("watch"):
    print("holds", flush=True)
    time.sleep(600)
"""


@contextmanager
def held(url: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lease, for two seconds a time."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "holds\n"
        yield holder
    finally:
        holder.kill()
        holder.communicate()


def ends(holder: subprocess.Popen[str]) -> bool:
    assert holder.stderr is not None
    return holder.wait(_DEADLINE) == 1 and "lease watch could not be renewed" in holder.stderr.read()


def test_a_holder_whose_lease_another_has_ends(postgres: PostgresServer, database: str, db: PostgresDatabase) -> None:
    with held(postgres.url(database)) as holder:
        db.run("UPDATE leases SET holder = 'boot pid:[1] 7 7 uuid'")
        assert ends(holder)


def test_a_holder_that_cannot_renew_its_lease_ends(postgres: PostgresServer, database: str) -> None:
    with role(postgres, database) as url:
        postgres.execute("GRANT ALL ON SCHEMA public TO guest", database)
        with held(url) as holder:
            postgres.execute("ALTER ROLE guest NOLOGIN")
            postgres.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'guest'")
            assert ends(holder)
