"""A crowd of idle sessions that cost no Spark: rows of a store, and sleeping processes in the place of drivers."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from gateway import stores
from gateway.core import processes
from gateway.core.clock import utc_now
from gateway.core.identity import ANONYMOUS
from gateway.core.options import SparkOptions
from gateway.core.places.local import host_name
from gateway.core.settings import Settings
from sessions.drivers.models import Driver
from sessions.models import Kind, SessionRequest
from tests.integration.running_gateway import SOON, Gateway, wait_until


@contextmanager
def crowd(home: Path, many: int) -> Iterator[Gateway]:
    """A running gateway with `many` idle sessions, whose supervisor has taken up every driver."""
    gateway = Gateway(home, max_sessions=many)
    try:
        _fill(gateway.settings, many)
        gateway.open()
        assert gateway.supervisor is not None
        supervisor = psutil.Process(gateway.supervisor.pid)
        wait_until(lambda: supervisor.num_fds() >= many, SOON, "the supervisor watches every driver")
        yield gateway
    finally:
        gateway.close()
        processes.reap()


def _fill(settings: Settings, many: int) -> None:
    db = stores.open_and_migrate(settings)
    store, now = stores.Stores(db, host_name(settings)), utc_now()
    sessions, drivers = store.sessions, store.drivers
    for _ in range(many):
        driver = Driver.wanted(settings.data_dir, SparkOptions(), now)
        sessions.add(ANONYMOUS, SessionRequest(kind=Kind.PYSPARK), driver, str(uuid.uuid4()), now, many)
        driver.folder.mkdir(parents=True)
        processes.start(driver.folder, ["sleep", "600"], os.environ)
        drivers.launch(driver.id, driver.folder, now)
        drivers.ready(driver.id, "local-1", None, now)
    assert len(sessions.become_idle(now)) == many
