"""Pages of logs: the last lines, the way to older ones, and when they follow what is written."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import datetime

import pytest
from flask.testing import FlaskClient

from batches.models import Batch
from batches.states import BatchState
from batches.store import BatchStore
from gateway.console import views
from gateway.core import logs
from sessions.models import Session


def write(session: Session | Batch, *lines: str) -> None:
    session.log.parent.mkdir(parents=True, exist_ok=True)
    session.log.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def shown(page: str) -> list[str]:
    found = re.search(r'<pre class="log"[^>]*>\n(.*?)</pre>', page, re.DOTALL)
    return html.unescape(re.sub(r"</?span[^>]*>", "", found[1])).splitlines() if found else []


def test_a_session_without_a_log_has_an_empty_page(console: FlaskClient, idle_session: Session) -> None:
    page = console.get("/ui/session/0/log").text
    assert "No lines yet" in page
    assert "data-live data-follow" in page


def test_shows_the_last_lines_and_leads_to_older_ones(console: FlaskClient, idle_session: Session) -> None:
    write(idle_session, *(f"line {n}" for n in range(2345)))
    page = console.get("/ui/session/0/log").text
    assert shown(page) == [f"line {n}" for n in range(1345, 2345)]
    assert "Lines 1,346 – 2,345 of 2,345" in page
    assert 'href="/ui/session/0/log?from=345"' in page
    older = console.get("/ui/session/0/log?from=345").text
    assert shown(older) == [f"line {n}" for n in range(345, 1345)]
    assert 'href="/ui/session/0/log?from=0"' in older
    assert 'href="/ui/session/0/log?from=1345"' in older


def test_only_a_page_at_the_end_of_a_live_log_refreshes(console: FlaskClient, idle_session: Session) -> None:
    write(idle_session, *(f"line {n}" for n in range(2345)))
    assert "data-live data-follow" in console.get("/ui/session/0/log").text
    assert "data-live" not in console.get("/ui/session/0/log?from=0").text
    at_end = console.get("/ui/session/0/log?from=2000").text
    assert "data-live" in at_end
    assert "data-follow" not in at_end


@pytest.mark.parametrize("asked", ["99999", "-5", "x", ""])
def test_a_place_that_is_not_there_is_answered(console: FlaskClient, idle_session: Session, asked: str) -> None:
    write(idle_session, "first", "last")
    assert shown(console.get("/ui/session/0/log", query_string={"from": asked}).text)[-1] == "last"


def test_lines_are_text_without_colours_and_not_endless(console: FlaskClient, idle_session: Session) -> None:
    write(idle_session, "<script>alert(1)</script>", "\x1b[31mred\x1b[0m", "x" * 1_000_000)
    page = console.get("/ui/session/0/log").text
    assert "<script>alert" not in page
    assert shown(page)[:2] == ["<script>alert(1)</script>", "red"]
    assert shown(page)[2].endswith("(the first 4000 of 1000000 bytes of this line)")
    assert len(page) < 10_000


def test_the_same_lines_are_the_same_part_of_a_later_page(console: FlaskClient, idle_session: Session) -> None:
    """So that a refresh leaves them alone, and what is selected in them."""
    parts: list[dict[str, str]] = []
    for total in (1250, 1390):
        write(idle_session, *(f"line {n}" for n in range(total)))
        page = console.get("/ui/session/0/log").text
        parts.append(dict(re.findall(r'<span id="line-(\d+)">(.*?)</span>', page, re.DOTALL)))
    assert sum(parts[0].get(place) == text for place, text in parts[1].items()) == 8


def test_a_batch_is_shown_with_its_log(
    console: FlaskClient, add_batch: Callable[..., Batch], batch_store: BatchStore, clock: Callable[[], datetime]
) -> None:
    batch = add_batch("/opt/<job>.py", args=["--day", "1"])
    write(batch, "Traceback")
    live = console.get("/ui/batch/0/log").text
    assert "/opt/&lt;job&gt;.py" in live
    assert "--day 1" in live
    assert "data-live" in live
    logs.note(batch.log, "what somebody printed")
    batch_store.end(batch.id, BatchState.DEAD, 1, "the application ended with exit code 1", clock())
    ended = console.get("/ui/batch/0/log").text
    assert "Why it ended:</strong> the application ended with exit code 1</p>" in ended
    assert "Exit code</dt><dd>1</dd>" in ended
    assert "data-live" not in ended


def test_a_pages_worth_of_lines_is_bounded() -> None:
    assert views.LOG_LINES == 1000
