"""The tables of the catalog and the first rows of one, as the pages show them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from gateway.core import json_numbers
from gateway.core.errors import QueryFailed, TookTooLong, Unavailable
from gateway.platform.queries.catalog import Contents
from gateway.platform.queries.models import Answer
from tests.unit.console.conftest import Catalog
from tests.unit.console.test_console_overview import is_live

PAGES = ["/ui/tables", "/ui/tables?database=sales", "/ui/tables/sales/orders"]


def answer(rows: list[list[Any]], *fields: tuple[str, str], cut: bool = False) -> Answer:
    schema = {"type": "struct", "fields": [{"name": name, "type": kind} for name, kind in fields]}
    return Answer(schema, json_numbers.read(json.dumps(rows)), cut)


def contents(tables: list[str], *, cut: bool = False, in_memory: bool = False) -> Contents:
    return Contents(["default", "sales & co"], "sales & co", tables, cut, in_memory)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_of_another_site_starts_nothing(path: str, console: FlaskClient, catalog: Catalog) -> None:
    assert console.get(path, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert catalog.asked == []
    for site in ("same-origin", "same-site", "none"):
        assert console.get(path, headers={"Sec-Fetch-Site": site}).status_code == 200


@pytest.mark.parametrize("path", PAGES)
def test_a_page_says_that_spark_starts_and_waits_for_it(path: str, console: FlaskClient) -> None:
    page = console.get(path).text
    assert is_live(page) and "Spark starts to look into the catalog" in page


def test_databases_and_the_tables_of_one_are_linked(console: FlaskClient, catalog: Catalog) -> None:
    catalog.answer = contents(["orders", "a<b"])
    page = console.get("/ui/tables?database=sales %26 co").text
    assert catalog.asked == [("sales & co",)] and not is_live(page)
    assert 'href="/ui/tables?database=default"' in page and "<strong" in page
    assert 'href="/ui/tables/sales%20&amp;%20co/orders"' in page
    assert 'href="/ui/tables/sales%20&amp;%20co/a%3Cb">a&lt;b</a>' in page
    assert "more than are listed" not in page


def test_every_page_leads_to_the_tables(console: FlaskClient) -> None:
    assert 'href="/ui/tables"' in console.get("/ui").text


def test_an_empty_list_says_why(console: FlaskClient, catalog: Catalog) -> None:
    catalog.answer = contents([], in_memory=True)
    assert "in the memory of each Spark application" in console.get("/ui/tables").text
    catalog.answer = contents([])
    page = console.get("/ui/tables").text
    assert "No tables." in page and "in the memory" not in page


def test_a_list_that_is_cut_says_so(console: FlaskClient, catalog: Catalog) -> None:
    catalog.answer = contents(["orders"], cut=True)
    assert "more than are listed" in console.get("/ui/tables").text


def test_the_first_rows_are_a_table(console: FlaskClient, catalog: Catalog) -> None:
    catalog.answer = answer([[1, "<b>"], [2, None]], ("id", "long"), ("name", "string"))
    page = console.get("/ui/tables/sales/orders").text
    assert catalog.asked == [("sales", "orders")] and not is_live(page)
    assert re.findall(r'scope="col"[^>]*>(\w+) <small>(\w+)', page) == [("id", "long"), ("name", "string")]
    assert '<td class="number">1</td><td>&lt;b&gt;</td>' in page and "<i>null</i>" in page
    assert "there are more" not in page
    assert 'href="/ui/tables?database=sales"' in page


def test_a_table_of_which_there_is_more_says_so(console: FlaskClient, catalog: Catalog) -> None:
    catalog.answer = answer([[1]], ("id", "long"), cut=True)
    assert "The first 1 rows; there are more." in console.get("/ui/tables/sales/orders").text


@pytest.mark.parametrize(
    ("found", "said"), [(answer([], ("id", "long")), "No rows."), (answer([]), "It has no columns.")]
)
def test_a_table_without_rows_or_columns_says_so(
    found: Answer, said: str, console: FlaskClient, catalog: Catalog
) -> None:
    catalog.answer = found
    assert said in console.get("/ui/tables/sales/orders").text


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    ("error", "status"),
    [(QueryFailed("[NOT_FOUND] <no> table"), 422), (TookTooLong("too long"), 504), (Unavailable("not now"), 503)],
)
def test_what_went_wrong_is_told_once(
    path: str, error: Exception, status: int, console: FlaskClient, catalog: Catalog
) -> None:
    catalog.answer = error
    page = console.get(path)
    assert (page.status_code, page.mimetype) == (status, "text/html") and not is_live(page.text)
    assert str(error).replace("<no>", "&lt;no&gt;") in page.text
