"""A session's page: what it is, why it ended, and what its statements gave."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from gateway.console import outputs, views
from gateway.core import logs
from gateway.core.options import SparkOptions
from sessions.drivers.store import DriverStore
from sessions.models import Session
from sessions.statements.models import Statement
from sessions.statements.store import StatementStore
from sessions.store import SessionStore

PNG = b"\x89PNG\r\n\x1a\n and the rest"
NASTY = "</pre><script>alert('&')</script>"

Run = Callable[..., Statement]


def body(console: FlaskClient, path: str = "/ui/session/0") -> str:
    answer = console.get(path)
    assert answer.status_code == 200
    return answer.text


def test_tells_what_was_asked_of_it(console: FlaskClient, add_session: Callable[..., Session]) -> None:
    conf = {"spark.sql.shuffle.partitions": "8", "spark.my.password": "hunter2"}
    options = SparkOptions(name="mine", driver_memory="2g", executor_memory="3g", num_executors=4, conf=conf)
    add_session(options=options, idle_timeout="5m", heartbeat_timeout=timedelta(seconds=90))
    page = body(console)
    for told in ("mine", "2g", "3g", "5m", "1 min 30 s", "spark.sql.shuffle.partitions", "(redacted)"):
        assert told in page
    assert "hunter2" not in page
    assert body(console, "/ui/session/mine") == page


def test_looking_at_it_is_no_sign_of_life(
    console: FlaskClient, add_session: Callable[..., Session], session_store: SessionStore, clock: Any
) -> None:
    session = add_session(heartbeat_timeout=timedelta(seconds=60))
    [before] = session_store.live()
    clock.advance(minutes=5)
    for path in ("", "/log", "/statement/0/image.png"):
        console.get(f"/ui/session/{session.id}{path}")
    console.get("/ui")
    assert session_store.live() == [before]


def test_a_dead_one_says_why(
    console: FlaskClient,
    idle_session: Session,
    session_store: SessionStore,
    driver_store: DriverStore,
    clock: Callable[[], datetime],
) -> None:
    logs.note(idle_session.log, "what somebody printed")
    driver_store.gone(idle_session.driver, "the driver <ran> out of memory", clock())
    assert "Why it ended" not in body(console)
    session_store.end(idle_session.id, "out of memory", clock())
    page = body(console)
    assert "the driver &lt;ran&gt; out of memory</p>" in page
    assert "what somebody printed" not in page
    assert "data-live" not in page


def test_a_dead_one_without_a_log_is_shown(
    console: FlaskClient, idle_session: Session, session_store: SessionStore, clock: Callable[[], datetime]
) -> None:
    session_store.end(idle_session.id, "stopped", clock())
    assert "Why it ended" not in body(console)


def test_idle_since_the_end_of_the_last_statement(
    console: FlaskClient, idle_session: Session, run: Run, submit: Run, clock: Any
) -> None:
    assert "Idle since" not in body(console)
    clock.advance(minutes=1)
    run(idle_session)
    assert 'Idle since</dt><dd><time datetime="2026-01-02T03:05:05Z">' in body(console)
    submit(idle_session)
    assert "Idle since" not in body(console)


def test_shows_code_and_output_as_text(console: FlaskClient, idle_session: Session, run: Run) -> None:
    run(idle_session, {"text/plain": NASTY}, code=f"print({NASTY})")
    page = body(console)
    assert "<script>alert" not in page
    assert page.count("&lt;/pre&gt;&lt;script&gt;") == 2


def test_keeps_the_first_newline_of_an_output(console: FlaskClient, idle_session: Session, run: Run) -> None:
    """A browser drops one newline after <pre>."""
    run(idle_session, {"text/plain": "\nbelow an empty line"})
    assert '">\n\nbelow an empty line</pre>' in body(console)


def test_a_running_one_has_a_progress_bar_and_a_duration(
    console: FlaskClient,
    idle_session: Session,
    submit: Run,
    statement_store: StatementStore,
    clock: Callable[[], datetime],
) -> None:
    submit(idle_session)
    statement_store.claim(clock())
    statement_store.set_progress(0, 0, 0.62)
    page = body(console)
    assert '<progress max="100" value="62"' in page
    assert '<span class="duration">' in page
    assert "data-live" in page


def test_a_waiting_one_has_no_times(console: FlaskClient, idle_session: Session, submit: Run) -> None:
    submit(idle_session)
    page = body(console)
    assert "waiting" in page
    assert '<span class="duration">' not in page


def test_an_error_is_shown_with_its_traceback_and_what_was_printed_before(
    console: FlaskClient, idle_session: Session, run: Run
) -> None:
    run(
        idle_session,
        {"text/plain": "printed"},
        status="error",
        ename="ValueError",
        evalue="no <b>",
        traceback=["one\n", "two"],
    )
    page = body(console)
    assert "ValueError: no &lt;b&gt;</pre>" in page
    assert "one\ntwo</pre>" in page
    assert page.index("printed") < page.index("ValueError")
    assert '<span class="state bad">failed</span>' in page


def test_a_sql_result_is_a_table(console: FlaskClient, idle_session: Session, run: Run) -> None:
    fields = [{"name": "<n>", "type": "long"}, {"name": "s", "type": {"type": "struct", "fields": []}}]
    data = [[1, {"a": "<i>"}], [None, None]]
    run(idle_session, {"application/json": {"schema": {"type": "struct", "fields": fields}, "data": data}})
    page = body(console)
    assert '<th scope="col" class="number">&lt;n&gt; <small>long</small></th>' in page
    assert "<td>{&#34;a&#34;: &#34;&lt;i&gt;&#34;}</td>" in page
    assert '<td class="number"><i>null</i></td>' in page


def test_a_long_table_is_cut_and_says_so(console: FlaskClient, idle_session: Session, run: Run) -> None:
    rows = [[n] for n in range(outputs.MOST_ROWS + 20)]
    headers = [{"name": "n", "type": "INT_TYPE"}]
    run(idle_session, {"application/vnd.livy.table.v1+json": {"headers": headers, "data": rows}})
    page = body(console)
    assert page.count("<tr><td") == outputs.MOST_ROWS
    assert "The first 100 of 120 rows." in page
    assert 'href="/sessions/0/statements/0"' in page


def test_a_long_output_of_a_failure_is_marked_as_one(
    console: FlaskClient, idle_session, statement_store, submit
) -> None:
    sent = submit(idle_session)
    statement_store.claim(sent.created)
    output = json.dumps({"status": "error", "ename": "E", "evalue": "x" * 3_000_000}, separators=(",", ":"))
    statement_store.finish(idle_session.id, sent.id, output, sent.created, sent.created)
    page = body(console)
    assert 'class="state available"' not in page and "failed" in page


@pytest.mark.parametrize("query", ["endpoint=x", "_method=DELETE", "_anchor=a", "_external=1", "ref=6", "_scheme=x"])
def test_other_parameters_have_no_part_in_links(query: str, console: FlaskClient, idle_session, submit) -> None:
    for _ in range(60):
        submit(idle_session)
    page = console.get(f"/ui/session/{idle_session.id}?page=2&{query}")
    assert page.status_code == 200 and f'href="/ui/session/{idle_session.id}?page=1"' in page.text


def test_a_long_text_is_cut_and_says_so(console: FlaskClient, idle_session: Session, run: Run) -> None:
    run(idle_session, {"text/plain": "x" * 3_000_000})
    page = body(console)
    assert len(page) < 2 * outputs.LONGEST_TEXT
    assert "The first 20,000 of more than 2,000,000" in page
    assert 'href="/sessions/0/statements/0"' in page


def test_a_picture_has_an_address_of_its_own(console: FlaskClient, idle_session: Session, run: Run) -> None:
    run(idle_session)
    run(idle_session, {"image/png": base64.b64encode(PNG).decode()})
    run(idle_session)
    page = body(console)
    assert 'src="/ui/session/0/statement/1/image.png"' in page
    assert "data:" not in page
    picture = console.get("/ui/session/0/statement/1/image.png")
    assert (picture.data, picture.mimetype) == (PNG, "image/png")
    assert picture.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("number", [0, 2, 10**30])
def test_a_statement_without_a_picture_has_no_such_address(
    console: FlaskClient, idle_session: Session, run: Run, submit: Run, number: int
) -> None:
    run(idle_session, {"text/plain": "no picture"})
    submit(idle_session)
    assert console.get(f"/ui/session/0/statement/{number}/image.png").status_code == 404


def test_what_only_claims_to_be_a_picture_is_not_served(console: FlaskClient, idle_session: Session, run: Run) -> None:
    run(idle_session, {"image/png": base64.b64encode(b"<script>alert(1)</script>").decode()})
    run(idle_session, {"image/png": "not base64 \u2603"})
    for number in (0, 1):
        assert console.get(f"/ui/session/0/statement/{number}/image.png").status_code == 404


def test_statements_are_paged_newest_first(console: FlaskClient, idle_session: Session, submit: Run) -> None:
    for _ in range(views.STATEMENTS + 2):
        submit(idle_session)
    assert ids(body(console)) == list(range(21, 1, -1))
    assert ids(body(console, "/ui/session/0?page=2")) == [1, 0]
    assert ids(body(console, "/ui/session/0?page=99")) == [1, 0]


def ids(page: str) -> list[int]:
    return [int(found) for found in re.findall(r'<article id="statement-(\d+)"', page)]
