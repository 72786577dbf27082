"""What all folders of tests share: a PostgreSQL server, started when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres_server import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    try:
        yield server.open()
    finally:
        server.close()
