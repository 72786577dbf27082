"""How the Spark application of a batch is found: asked for where its UI may be, or read in its log."""

from __future__ import annotations

import io
import json
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from batches import submit
from batches.models import Batch
from batches.submit import Application
from gateway.core import logs

SUBMITTED = "INFO Client: Submitted application application_17_0001"


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ([{"id": "local-1"}], Application("local-1", "http://h:1")),
        ([{"id": 7}], None),
        ([{"id": None}], None),
        ([{"id": ["local-1"]}], None),
        ([{}], None),
        ([], None),
        ({"id": "local-1"}, None),
    ],
)
def test_what_answers_may_be_anything(
    answer: object, found: Application | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def urlopen(*asked: Any, **more: Any) -> io.BytesIO:
        return io.BytesIO(json.dumps(answer).encode())

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    assert submit._ask("http://h:1") == found


@pytest.mark.parametrize(
    ("log", "found"),
    [
        (f"first\n{SUBMITTED}\nlast\n", "application_17_0001"),
        ("Connected to Spark cluster with app ID app-2026-0001\n", "app-2026-0001"),
        ("an app\n", None),
        (SUBMITTED[:-2], None),
        (None, None),
    ],
)
def test_a_cluster_manager_names_it_in_the_log(
    log: str | None, found: str | None, add_batch: Callable[..., Batch]
) -> None:
    batch = add_batch()
    batch.folder.mkdir(parents=True)
    if log is not None:
        batch.log.write_text(log)
    application = submit.application_in_log(batch)
    assert (application and application.id) == found


def test_the_look_at_a_log_reads_no_more_than_its_head(
    add_batch: Callable[..., Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit, "_LOG_HEAD", 100)
    batch = add_batch()
    batch.folder.mkdir(parents=True)
    batch.log.write_text("x\n" * 1000 + SUBMITTED + "\n")
    assert submit.application_in_log(batch) is None
    assert batch.log not in logs._indexes
