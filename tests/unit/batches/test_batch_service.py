"""What one may do with batches, by the service's verbs."""

from __future__ import annotations

import dataclasses

import pytest

from batches import service as service_module
from batches.models import BatchRequest
from batches.service import BatchService
from batches.store import BatchStore
from gateway.core.errors import DuplicateName, InvalidRequest, LimitReached, NotFound
from gateway.core.identity import ANONYMOUS, Principal
from gateway.core.options import SparkOptions
from gateway.core.settings import Settings
from gateway.core.store.database import Database
from gateway.core.waiting import Waiting
from tests.unit.conftest import Bell


@pytest.fixture
def service(batch_store: BatchStore, settings: Settings, clock, bell: Bell) -> BatchService:
    """Its supervisor forgets what is not wanted as soon as the bell rings."""

    def forget() -> None:
        for batch in batch_store.unwanted():
            batch_store.remove(batch.id, clock())

    bell.then = forget
    return BatchService(batch_store, settings, clock, Waiting(16))


REQUEST = BatchRequest("/bin/true")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (BatchRequest(""), "file is missing: give the application"),
        (BatchRequest("rel.py"), "file: 'rel.py' is not absolute"),
        (BatchRequest("/none.py"), "file: there is no file /none.py on the gateway's host"),
        (BatchRequest("/bin/true", options=SparkOptions(name="")), "the batch name '' cannot be asked for"),
        (BatchRequest("/bin/true", options=SparkOptions(jars=["a.jar"])), "jars: 'a.jar' is not absolute"),
        (BatchRequest("/bin/true", options=SparkOptions(executor_cores=-1)), "executorCores is -1"),
        (BatchRequest("/bin/true", args=["", "a", "b\rc"]), "args: one has a carriage return"),
        (BatchRequest("/bin/true", args=["ä" * 65536]), "args: one has 131072 bytes or more"),
        (BatchRequest("/bin/true", args=["x" * 130_000] * 9), "args: all together take more than 1048576 bytes"),
        (BatchRequest("/bin/true", args=[""] * 120_000), "args: all together take more than 1048576 bytes"),
        (BatchRequest("/bin/true", class_name="a\rb"), "className: one has a carriage return"),
    ],
)
def test_a_wrong_request_leaves_nothing_behind(wrong: BatchRequest, said: str, service, db: Database) -> None:
    with pytest.raises(InvalidRequest) as refused:
        service.submit(ANONYMOUS, wrong)
    assert str(refused.value).startswith(said)
    assert [
        db.value(f"SELECT count(*) FROM {table}") for table in ("batches", "events", "ids WHERE subject <> 'event'")
    ] == [0, 0, 0]


def test_a_submitted_batch_is_found_by_id_and_name(service: BatchService) -> None:
    batch = service.submit(Principal("alice"), BatchRequest("/bin/true", options=SparkOptions(name="n")))
    assert service.find(ANONYMOUS, "0") == service.find(ANONYMOUS, "n") == batch and batch.owner == "alice"
    with pytest.raises(DuplicateName):
        service.submit(ANONYMOUS, BatchRequest("/bin/true", options=SparkOptions(name="n")))


def test_a_proxy_user_is_dropped_without_impersonation(service, batch_store, settings, clock) -> None:
    asked = BatchRequest("/bin/true", options=SparkOptions(proxy_user="bob"))
    batch = service.submit(ANONYMOUS, asked)
    assert batch.proxy_user is None and batch.request.options.proxy_user is None
    here = dataclasses.replace(settings, impersonation=True)
    assert BatchService(batch_store, here, clock, Waiting(16)).submit(ANONYMOUS, asked).proxy_user == "bob"


def test_too_many_waiting_are_refused(batch_store, settings, clock) -> None:
    here = dataclasses.replace(settings, max_batches_waiting=1)
    service = BatchService(batch_store, here, clock, Waiting(16))
    service.submit(ANONYMOUS, REQUEST)
    with pytest.raises(LimitReached):
        service.submit(ANONYMOUS, REQUEST)


def test_a_deleted_batch_is_forgotten(service: BatchService) -> None:
    service.submit(ANONYMOUS, REQUEST)
    service.delete(ANONYMOUS, "0")
    for again in (service.find, service.delete):
        with pytest.raises(NotFound, match="'0' not found"):
            again(ANONYMOUS, "0")


def test_a_delete_does_not_wait_for_ever(batch_store, settings, clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "_DELETE_PATIENCE", 0.05)
    service = BatchService(batch_store, settings, clock, Waiting(16))
    service.submit(ANONYMOUS, REQUEST)
    service.delete(ANONYMOUS, "0")
    assert service.page(ANONYMOUS, 0, 9) == (0, [])
