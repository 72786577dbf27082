"""What the pages show of a batch's run: how far it is, its Spark jobs, what they cost, and why it failed."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from batches.models import Batch
from batches.states import BatchState
from gateway.console import views
from gateway.core.identity import ANONYMOUS
from gateway.platform.runs.failures import RunError
from gateway.platform.runs.reading import Reading
from gateway.platform.runs.states import RunState
from gateway.platform.runs.tally import Counts, Metrics, Tally
from gateway.stores import Stores

TALLY = Tally(
    jobs=Counts(1, 1200, 2), stages=Counts(1, 3, 0), tasks=Counts(0, 7, 0),
    metrics=Metrics(executor_run_time=61_000, input=2**20, shuffle_write=3 * 2**40, peak_heap=1023),
)  # fmt: skip
ERROR = RunError("SPK009", "a task failed <often>", "ValueError: <b>é", "1.0 (count)", "0.3 on executor 1")


@pytest.fixture
def started(all_stores: Stores, add_batch: Callable[..., Batch], clock) -> Batch:
    all_stores.runs.begin()
    batch = add_batch()
    assert all_stores.batches.start(batch.id, batch.folder, clock()) and all_stores.runs.follow()
    (run,) = all_stores.runs.find(ANONYMOUS, [batch.id])
    assert all_stores.runs.advance(run, Reading(tally=TALLY), 42)
    return batch


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]+>", " ", page)))


@pytest.mark.parametrize("path", ["/ui", "/ui/batch/0/log"])
def test_progress_and_jobs_of_a_running_batch_are_on_both_pages(
    console: FlaskClient, started: Batch, path: str
) -> None:
    page = console.get(path).text
    assert 'value="42" aria-label="Progress of batch 0"' in page
    assert "42 %" in text_of(page) and "1 running, 1,200 succeeded, 2 failed" in text_of(page)


def test_the_page_of_a_batch_tells_what_it_cost(console: FlaskClient, started: Batch) -> None:
    text = text_of(console.get("/ui/batch/0/log").text)
    for fact in ("Stages 1 running, 3 succeeded", "Tasks 7 succeeded", "Time of tasks 1 min 1 s", "Read 1.0 MiB"):
        assert fact in text
    assert "Shuffle written 3.0 TiB" in text and "Peak heap 1023 bytes" in text
    assert "Written 0" not in text and "Garbage collection" not in text


def test_the_page_of_a_failed_batch_says_why(console: FlaskClient, started: Batch, all_stores: Stores, clock) -> None:
    all_stores.batches.end(0, BatchState.DEAD, 1, "the batch ended with exit code 1", clock())
    assert all_stores.runs.end(0, RunState.FAILED, ERROR, clock())
    page = console.get("/ui/batch/0/log").text
    assert "SPK009: a task failed <often>" in text_of(page) and "Stage 1.0 (count), task 0.3 on executor 1" in text_of(
        page
    )
    assert "ValueError: &lt;b&gt;é" in page and "<b>é" not in page


@pytest.mark.parametrize("path", ["/ui", "/ui/batch/0/log"])
def test_a_page_refreshes_until_the_run_has_ended_too(
    console: FlaskClient, started: Batch, all_stores: Stores, clock, path: str
) -> None:
    started.folder.mkdir(parents=True)
    (started.folder / "log").write_text("line\n")
    all_stores.batches.end(0, BatchState.SUCCESS, 0, None, clock())
    assert "data-live" in console.get(path).text
    assert all_stores.runs.end(0, RunState.SUCCEEDED, None, clock())
    page = console.get(path).text
    assert "data-live" not in page and 'value="100"' in page


def test_a_batch_without_a_run_is_shown_as_before(console: FlaskClient, add_batch: Callable[..., Batch]) -> None:
    add_batch()
    for path in ("/ui", "/ui/batch/0/log"):
        assert "<progress" not in console.get(path).text


@pytest.mark.parametrize(
    ("size", "said"), [(0, None), (1, "1 bytes"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (2**50, "1,024.0 TiB")]
)
def test_sizes_are_said_in_the_largest_unit_that_fits(size: int, said: str | None) -> None:
    assert views._bytes(size) == said
