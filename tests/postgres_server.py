"""A PostgreSQL server of the tests' own, from Debian's package, in a folder of its own; gone with all it holds.

Over its Unix socket everybody may come in, over TCP with the password alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

PASSWORD = "it's: 100%/secret@home"
_ROLE = "gateway"
_REQUIRED = "TEST_POSTGRES"  # when it is "required", its absence is a failure
# Nothing of it needs to outlive a power cut.
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off", "shared_buffers=32MB")
_DEADLINE = 60.0  # seconds, on a busy machine


def binaries() -> Path:
    """The folder of the server's programs; skips the test when there is none and none is required."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    program = found[-1] if found else Path(shutil.which("postgres") or "")
    if not program.name:
        said = "PostgreSQL's server is not installed (Debian: apt-get install postgresql)"
        assert os.environ.get(_REQUIRED) != "required", said
        pytest.skip(said)
    return program.parent


class PostgresServer:
    def __init__(self) -> None:
        self._programs = binaries()
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        # The server refuses to run as root.
        self._as: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if _is_root() else {}
        self._port = _free_port()
        self._made = 0
        self._process: subprocess.Popen[bytes] | None = None

    def open(self) -> PostgresServer:
        password = self.folder / "password"
        password.write_text(PASSWORD)
        if _is_root():
            for path in (self.folder, password):
                shutil.chown(path, "postgres", "postgres")
        options = ["-U", _ROLE, "--pwfile", str(password), "--auth-local=trust", "--auth-host=scram-sha-256"]
        self._run("initdb", "-D", str(self._data), "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", *options)
        self.start()
        return self

    def start(self) -> None:
        settings = [*_FAST, "listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}"]
        options = [word for setting in settings for word in ("-c", setting)]
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, "-p", str(self._port), *options],
                cwd="/",
                stdout=log,
                stderr=log,
                start_new_session=True,  # what is signalled to the tests' process group is not meant for it
                **self._as,
            )
        self._wait_until_ready()

    def stop(self) -> None:
        """As its operator would, at once: connections are told that it goes."""
        self._end(signal.SIGINT)

    def close(self) -> None:
        self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        return f"postgresql://{_ROLE}@/{database}?host={self.folder}&port={self._port}"

    def tcp_url(self, database: str, password: str = "") -> str:
        return f"postgresql://{_ROLE}{password and ':'}{password}@127.0.0.1:{self._port}/{database}"

    def create(self) -> str:
        """The name of a new, empty database."""
        self._made += 1
        name = f"made_{self._made}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def drop(self, name: str) -> None:
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, sql: str, database: str = "postgres") -> None:
        with closing(psycopg.connect(self.url(database), autocommit=True)) as connection:
            connection.execute(sql.encode())

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run([self._programs / program, *words], cwd="/", capture_output=True, text=True, **self._as)
        assert done.returncode == 0, done.stderr

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + _DEADLINE
        while True:
            try:
                return self.execute("SELECT 1")
            except psycopg.OperationalError as error:
                if time.monotonic() > end:
                    pytest.fail(f"{error}\n{(self.folder / 'log').read_text()}")
                time.sleep(0.02)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(_DEADLINE)
            self._process = None


def _is_root() -> bool:
    return os.geteuid() == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
