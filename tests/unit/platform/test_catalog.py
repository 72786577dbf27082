"""The catalog's questions: what is asked for which page, and that a name is nothing but a name in them."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.identity import ANONYMOUS, Principal
from gateway.platform.queries.catalog import CatalogService, Contents
from gateway.platform.queries.models import Answer, Limits
from gateway.platform.queries.service import QueryService


class Queries(QueryService):
    """Answers by the first words of what is asked."""

    def __init__(self, **answers: list[list[Any]] | None) -> None:
        given = {"SHOW_DATABASES": [["default"], ["sales"]], "SHOW_TABLES": [], "SET": [["key", "hive"]], **answers}
        self.answers = {words.replace("_", " "): rows for words, rows in given.items()}
        self.asked: list[str] = []

    def ask(self, principal: Principal, cluster: str, sql: str, limits: Limits = Limits()) -> Answer | None:  # noqa: B008
        assert cluster == "far"
        self.asked.append(sql)
        rows = next(rows for words, rows in self.answers.items() if sql.startswith(words))
        return None if rows is None else Answer({}, rows[: limits.rows], len(rows) > limits.rows)


def contents(queries: Queries, database: str | None = None) -> Contents | None:
    return CatalogService(queries, "far").contents(ANONYMOUS, database)


def test_contents_are_all_databases_and_the_tables_of_one() -> None:
    queries = Queries(SHOW_TABLES=[["sales", "orders", False], ["sales", "returns", False]])
    assert contents(queries, "sales") == Contents(
        ["default", "sales"], "sales", ["orders", "returns"], cut=False, in_memory=False
    )
    assert queries.asked[1] == "SHOW TABLES IN `sales`"


@pytest.mark.parametrize(
    ("databases", "shown"),
    [(["a", "default"], "default"), (["b", "c"], "b"), ([], "default")],
)
def test_the_first_database_is_the_default_one_where_there_is_one(databases: list[str], shown: str) -> None:
    found = contents(Queries(SHOW_DATABASES=[[name] for name in databases]))
    assert found is not None and found.database == shown


@pytest.mark.parametrize(
    ("tables", "kind", "in_memory"),
    [([], "in-memory", True), ([], "hive", False), ([["default", "t", False]], "in-memory", False)],
)
def test_an_empty_catalog_in_memory_is_told_from_one_that_is_just_empty(
    tables: list[list[Any]], kind: str, in_memory: bool
) -> None:
    found = contents(Queries(SHOW_TABLES=tables, SET=[["spark.sql.catalogImplementation", kind]]))
    assert found is not None and found.in_memory is in_memory


def test_a_long_list_is_cut_and_says_so() -> None:
    found = contents(Queries(SHOW_TABLES=[["default", f"t{n}", False] for n in range(2000)]))
    assert found is not None and (len(found.tables), found.cut) == (1000, True)


@pytest.mark.parametrize("words", ["SHOW_DATABASES", "SHOW_TABLES", "SET"])
def test_while_spark_starts_there_is_nothing(words: str) -> None:
    assert contents(Queries(**{words: None})) is None


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("orders", "`orders`"),
        ("a b", "`a b`"),
        ("a.b", "`a.b`"),
        ("t` LIMIT 1; DROP TABLE `t", "`t`` LIMIT 1; DROP TABLE ``t`"),
        ("`", "````"),
        ("größe\n--", "`größe\n--`"),
    ],
)
def test_a_name_is_an_identifier_whatever_it_holds(name: str, quoted: str) -> None:
    queries = Queries(SELECT=[[1]])
    CatalogService(queries, "far").preview(ANONYMOUS, name, name)
    contents(queries, name)
    assert queries.asked[0] == f"SELECT * FROM {quoted}.{quoted}"
    assert f"SHOW TABLES IN {quoted}" in queries.asked


def test_a_preview_has_the_first_hundred_rows() -> None:
    found = CatalogService(Queries(SELECT=[[n] for n in range(300)]), "far").preview(ANONYMOUS, "d", "t")
    assert found is not None and (len(found.rows), found.cut) == (100, True)
