"""The front page: the way to it, its two lists, and what every page has in common."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from batches.models import Batch
from batches.states import BatchState
from batches.store import BatchStore
from gateway.console import views
from gateway.core.events import Belonging
from gateway.core.options import SparkOptions
from gateway.stores import Stores
from sessions.drivers.models import Driver
from sessions.drivers.profiles import Profile
from sessions.drivers.store import DriverStore
from sessions.models import Session
from sessions.store import SessionStore

FOLDER = Path(views.__file__).parent


def row_ids(page: str, noun: str) -> list[int]:
    return [int(found) for found in re.findall(rf'id="{noun}-(\d+)"', page)]


def is_live(page: str) -> bool:
    refreshes = '<main id="main" tabindex="-1" data-live' in page
    assert refreshes == ('<noscript><meta http-equiv="refresh"' in page)
    return refreshes


def test_an_empty_gateway_says_what_to_try_and_watches_for_it(console: FlaskClient) -> None:
    page = console.get("/ui", base_url="http://localhost:8998").text
    assert "curl http://localhost:8998/sessions -H" in page
    assert "curl http://localhost:8998/sessions/first/statements -H" in page
    assert "curl http://localhost:8998/batches -H" in page
    assert is_live(page)


@pytest.mark.parametrize("path", ["/ui", "/ui/"])
def test_lists_sessions_and_batches_newest_first(
    console: FlaskClient, add_session: Callable[..., Session], add_batch: Callable[..., Batch], path: str
) -> None:
    for _ in range(3):
        add_session()
        add_batch()
    page = console.get(path).text
    assert row_ids(page, "session") == [2, 1, 0]
    assert row_ids(page, "batch") == [2, 1, 0]


def test_lists_are_paged_each_by_its_own_parameter(
    console: FlaskClient, add_session: Callable[..., Session], add_batch: Callable[..., Batch]
) -> None:
    for _ in range(views.PAGE + 2):
        add_session()
        add_batch()
    page = console.get("/ui?page=2").text
    assert row_ids(page, "session") == [1, 0]
    assert len(row_ids(page, "batch")) == views.PAGE
    assert 'href="/ui?page=1"' in page
    assert 'href="/ui?page=2&amp;batch_page=2"' in page


@pytest.mark.parametrize("asked", ["0", "-1", "99", "x", "", "9" * 40, "²"])
def test_a_page_that_is_not_there_is_the_nearest_one(
    console: FlaskClient, add_session: Callable[..., Session], asked: str
) -> None:
    add_session()
    assert row_ids(console.get("/ui", query_string={"page": asked}).text, "session") == [0]


def test_says_how_many_older_records_are_not_listed(
    console: FlaskClient, add_batch: Callable[..., Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "LISTED", 2)
    for _ in range(5):
        add_batch()
    page = console.get("/ui").text
    assert row_ids(page, "batch") == [4, 3]
    assert "3 older ones are not" in page


def test_counts_states(
    console: FlaskClient,
    add_session: Callable[..., Session],
    make_ready: Callable[[Session], None],
) -> None:
    make_ready(add_session())
    add_session()
    add_session()
    page = re.sub(r"<[^>]+>", "", console.get("/ui").text)
    assert "1 idle" in page
    assert "2 starting" in page


def test_says_what_became_of_drivers_that_were_started_ahead(
    console: FlaskClient, add_session: Callable[..., Session], all_stores: Stores, clock: Callable[[], datetime]
) -> None:
    add_session()
    assert "started ahead" not in console.get("/ui").text
    whose, options = Belonging(None, "default"), SparkOptions()
    for key in ("any", "any", ""):
        all_stores.pool.claim(Profile(key, options), options, whose, clock())
    all_stores.drivers.add(Driver.wanted(Path("/x"), options, clock(), profile="any"), whose)
    told = "1 starting; 0 of 3 sessions had one (2 had none ready, 1 have options for which there can be none)."
    assert f"Drivers started ahead: {told}" in console.get("/ui").text


def test_refreshes_until_all_has_ended(
    console: FlaskClient,
    add_batch: Callable[..., Batch],
    idle_session: Session,
    session_store: SessionStore,
    batch_store: BatchStore,
    clock: Callable[[], datetime],
) -> None:
    batch = add_batch()
    session_store.end(idle_session.id, "stopped", clock())
    assert is_live(console.get("/ui").text)
    batch_store.end(batch.id, BatchState.KILLED, None, None, clock())
    assert not is_live(console.get("/ui").text)


def test_what_users_name_is_text(console: FlaskClient, add_session: Callable[..., Session]) -> None:
    add_session(name='<img src=x onerror="alert(1)">')
    page = console.get("/ui").text
    assert "<img" not in page
    assert "&lt;img src=x onerror=&#34;alert(1)&#34;&gt;" in page


@pytest.mark.parametrize(
    ("address", "linked"),
    [
        ("http://127.0.0.1:4040", True),
        ("https://history.example/app", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("//elsewhere", False),
        ("http://[", False),
        ("", False),
    ],
)
def test_links_to_web_addresses_alone(
    console: FlaskClient,
    add_session: Callable[..., Session],
    driver_store: DriverStore,
    clock: Callable[[], datetime],
    address: str,
    linked: bool,
) -> None:
    session = add_session()
    driver = session.driver
    driver_store.launch(driver, session.folder, clock())
    driver_store.ready(driver, "local-7", address, clock())
    page = console.get("/ui").text
    assert "local-7" in page
    assert (f'href="{address}"' in page) == linked
    assert ("Open the Spark UI" in page) == linked


def test_an_ended_session_has_no_spark_ui_to_link_to(
    console: FlaskClient, idle_session: Session, session_store: SessionStore, clock: Callable[[], datetime]
) -> None:
    session_store.end(idle_session.id, "stopped", clock())
    page = console.get("/ui").text
    assert "local-1" in page
    assert "4040" not in page


@pytest.mark.parametrize(
    "path",
    [
        "/ui/nothing",
        "/ui/session",
        "/ui/session/7",
        "/ui/session/nobody",
        "/ui/session/99999999999",
        "/ui/session/7/log",
        "/ui/batch/7/log",
        "/ui/batch/7",
        "/ui/session/7/statement/0/image.png",
        "/ui/session/7/statement/x/image.png",
        "/ui/static/nothing.css",
        "/ui/static/../routes.py",
    ],
)
def test_what_is_not_there_is_a_page_that_says_so(console: FlaskClient, path: str) -> None:
    answer = console.get(path)
    assert answer.status_code == 404
    assert answer.mimetype == "text/html"
    assert 'href="/ui"' in answer.text
    assert not is_live(answer.text)


def test_the_address_in_a_page_that_is_not_there_is_text(console: FlaskClient) -> None:
    page = console.get("/ui/<script>alert(1)</script>").text
    assert "<script>alert" not in page


def test_pages_allow_nothing_but_the_consoles_own_files(console: FlaskClient) -> None:
    policy = console.get("/ui").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("name", ["console.css", "console.js", "icon.svg"])
def test_serves_its_own_files(console: FlaskClient, name: str) -> None:
    with console.get(f"/ui/static/{name}") as answer:
        assert answer.status_code == 200
    assert f"/ui/static/{name}" in console.get("/ui").text


@pytest.mark.parametrize("path", sorted(FOLDER.glob("templates/console/*.html")), ids=lambda path: path.name)
def test_templates_need_no_inline_style_or_script(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style|<script(?![^>]* src=)|\|\s*safe\s*}}", text)


def test_an_unchanged_page_is_not_sent_again(console: FlaskClient, add_session: Callable[..., Session]) -> None:
    add_session()
    tag = console.get("/ui").headers["ETag"]
    again = console.get("/ui", headers={"If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")
    add_session()
    assert console.get("/ui", headers={"If-None-Match": tag}).status_code == 200


def test_addresses_keep_the_prefix_a_server_is_mounted_at(console: FlaskClient, idle_session: Session) -> None:
    mounted = {"SCRIPT_NAME": "/livy"}
    page = console.get("/ui", environ_overrides=mounted).text
    own = [address for address in re.findall(r'(?:href|src)="([^"]*)"', page) if address.startswith("/")]
    assert own
    assert all(address.startswith("/livy/") for address in own)
