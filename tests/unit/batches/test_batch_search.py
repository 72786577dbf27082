"""The search for batches: what is found, what is not, and how far it looks."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from batches import store as batch_store_module
from batches.models import BatchRequest
from batches.states import BatchState
from batches.store import BatchStore
from batches.texts import is_indexed, pattern_of
from gateway.core.identity import ANONYMOUS
from gateway.core.options import SparkOptions

pytestmark = pytest.mark.both_stores

FEW = pytest.mark.parametrize("sought", [0, 1], ids=["in the index", "in the newest"])


@pytest.fixture
def submit(batch_store: BatchStore, clock):
    def submit(*args: str, file: str = "/a.py", **options: object) -> int:
        request = BatchRequest(file, args=list(args), options=SparkOptions(**options))  # type: ignore[arg-type]
        uuid = str(UUID(int=batch_store.page(ANONYMOUS, 0, 0)[0]))
        return batch_store.add(ANONYMOUS, request, Path("/x"), uuid, clock(), 10**6).id

    return submit


def found(store: BatchStore, text: str, *states: BatchState, start: int = 0, size: int = 9) -> tuple[int, list[int]]:
    total, batches = store.search(ANONYMOUS, states or list(BatchState), text, start, size)
    return total, [batch.id for batch in batches]


@FEW
@pytest.mark.parametrize(
    ("arg", "text", "is_found"),
    [
        ("nightly", "IGHT", True), ("NIGHTLY", "ightl", True), ("nightly", "nightly2", False),
        ("nightly", "n%ly", True), ("nightly", "n__htly", True), ("nightly", "n_htly", False),
        ("25%", "25%", True), ("a_b", "a_b", True), ("axb", "a_b", True),
        ("größe", "GRÖSSE", False), ("größe", "GRÖß", True), ("größe", "gr_ße", True), ("😀x", "😀X", True),
        ("half \ud800 sign", "half \ud800 sign", True), ("half \ud800 sign", "half _%sign", True),
        (r"C:\jobs\a", r"jobs\a", True), (r"C:\jobs\a", "jobs/a", False), ('say "x"', 'say "x"', True),
        ("tab\tnul\x00", "tab\tnul\x00", True), ("it's", "it's", True), ("x", "executor_memory", True),
    ],
)  # fmt: skip
def test_what_is_found(
    sought: int, arg: str, text: str, is_found: bool, submit, batch_store: BatchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_store_module, "SOUGHT", sought if is_indexed(pattern_of(text)) else 1)
    submit(arg)
    assert found(batch_store, text) == ((1, [0]) if is_found else (0, []))


@FEW
def test_nothing_hidden_is_found(sought: int, submit, batch_store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_store_module, "SOUGHT", sought)
    submit("--password", "hunter2", "url?token=hunter3", conf={"spark.my.secret": "hunter4"})
    for text in ("hunter", "hunter2", "unte", "h_nter%", "%nter4"):
        assert found(batch_store, text) == (0, [])
    assert found(batch_store, "my.secret") == (1, [0])


def test_what_is_deleted_is_not_found(submit, batch_store: BatchStore, clock) -> None:
    submit("nightly")
    batch_store.delete(0)
    assert found(batch_store, "nightly") == (0, [])
    batch_store.remove(0, clock())
    submit("other")
    assert found(batch_store, "nightly") == (0, [])


def test_a_text_of_many_is_counted_no_further_than_a_thousand_behind_the_page(
    submit, batch_store: BatchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_store_module, "SOUGHT", 3)
    for _ in range(9):
        submit("nightly")
    assert found(batch_store, "nightly", size=2) == (5, [8, 7])
    assert found(batch_store, "nightly", start=4, size=2) == (9, [4, 3])
    assert found(batch_store, "", size=2) == found(batch_store, "%", size=2) == (9, [8, 7])


def test_a_text_too_short_for_the_index_is_sought_in_the_newest(
    submit, batch_store: BatchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_store_module, "SOUGHT", 3)
    for arg in ("zq", "x", "zq", "x"):
        submit(arg)
    assert found(batch_store, "zq") == (1, [2])
    assert found(batch_store, "_zq_") == (1, [2])


def test_few_in_a_state_are_all_sought_however_many_there_are(
    submit, batch_store: BatchStore, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_store_module, "SOUGHT", 3)
    for _ in range(9):
        submit("zq")
    batch_store.end(0, BatchState.DEAD, 1, "why", clock())
    assert found(batch_store, "zq", BatchState.DEAD) == found(batch_store, "a.py", BatchState.DEAD) == (1, [0])
