"""A PostgreSQL server of the tests' own, from Debian's package, in a folder of its own; gone with all it holds.

Over its Unix socket everybody may come in, over TCP with the password alone.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
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
_WAIT = ("-w", "-t", "60")  # seconds, on a busy machine


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
        """No child of the tests' process, some of which end all of those."""
        settings = [*_FAST, "listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}"]
        options = " ".join([f"-p {self._port}", *(f"-c {setting}" for setting in settings)])
        self._run("pg_ctl", "start", "-D", str(self._data), "-l", str(self.folder / "log"), "-o", options, *_WAIT)

    def stop(self) -> None:
        """As its operator would, at once: connections are told that it goes."""
        self._run("pg_ctl", "stop", "-D", str(self._data), "-m", "fast", *_WAIT)

    def close(self) -> None:
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "-D", str(self._data), "-m", "immediate", *_WAIT)
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
        output = self.folder / "output"  # a file: the server would keep a pipe open
        with open(output, "w") as file:
            done = subprocess.run([self._programs / program, *words], cwd="/", stdout=file, stderr=file, **self._as)
        assert done.returncode == 0, output.read_text()


def _is_root() -> bool:
    return os.geteuid() == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
