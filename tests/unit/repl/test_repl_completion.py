"""Names offered at a place of Python or SQL text, and the deadline of looking for them."""

from __future__ import annotations

import asyncio
import threading
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from sessions.repl.completion import MOST, Completions
from sessions.repl.python_names import names
from sessions.repl.sql_names import SqlNames, fitting, in_case, is_open, tables


class Noisy:
    """Tells when its code is run."""

    ran = False
    plain = 1

    @property
    def value(self) -> list[int]:
        Noisy.ran = True
        return []


class SparkSession:
    """Stands for Spark's, whose properties are read."""

    __module__ = "pyspark.sql.session"

    @property
    def catalog(self) -> Catalog:
        return Catalog()

    def range(self) -> None: ...


class Catalog:
    __module__ = "pyspark.sql.catalog"

    def listTables(self) -> None: ...


class DataFrame:
    __module__ = "pyspark.sql.dataframe"

    def __init__(self) -> None:
        self._jdf = SimpleNamespace(columns=lambda: ("cost", "col of two words", "_hidden"))

    def collect(self) -> None: ...

    def _jmap(self) -> None: ...


NAMESPACE: dict[str, Any] = {
    "spark": SparkSession(), "df": DataFrame(), "noisy": Noisy(), "rate": 5, "_secret": 1, "text": "abc",
    "frames": SimpleNamespace(one=DataFrame()), "module": ModuleType("module"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("spark.ra", ["range"]),
        ("spark.catalog.li", ["listTables"]),
        ("x = spark . catalog . listT", ["listTables"]),
        ("df.co", ["cost", "collect"]),
        ("frames.one.cos", ["cost"]),
        ("print(df.cos", ["cost"]),
        ("df._h", ["_hidden"]),
        ("df._j", ["_jmap"]),
        ("rat", ["rate"]),
        ("for i in ran", ["range"]),
        ("isins", ["isinstance"]),
        ("whi", ["while"]),
        ("import jso", ["json"]),
        ("import json\njson.dum", ["dump", "dumps"]),
        ("from json import loa", ["load", "loads"]),
        ("text.split().app", ["append"]),
        ("def f(:\n  text.upp", ["upper"]),
        ("noisy.pla", ["plain"]),
        ("%json rat", ["rate"]),
        ("_sec", ["_secret"]),
        ("nowhere.x", []),
        ("spark.nothing.x", []),
        ("'/", []),
    ],
)
def test_python_names(text: str, first: list[str]) -> None:
    assert names(text, NAMESPACE)[: len(first) or None] == first


def test_names_with_an_underscore_come_when_asked_for() -> None:
    assert "_secret" not in names("", NAMESPACE)
    assert "_jmap" not in names("df.", NAMESPACE)


def test_no_property_of_the_users_is_evaluated() -> None:
    names("noisy.value.app", NAMESPACE)
    names("noisy.", NAMESPACE)
    assert not Noisy.ran


class Scala:
    """A Scala sequence as py4j shows it."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def mkString(self, between: str) -> str:
        return between.join(self._names)


class Session:
    """Two databases with a table each; `orders` is a view in both."""

    columns = {"orders": ["id", "Customer", "two words"], "sales.items": ["id", "price"]}  # noqa: RUF012
    rows = {  # noqa: RUF012
        "SHOW TABLES": [{"tableName": "orders"}, {"tableName": "odd-name"}],
        "SHOW DATABASES": [{"namespace": "default"}, {"namespace": "sales"}],
        "SHOW TABLES IN sales": [{"tableName": "items"}, {"tableName": "orders"}],
    }

    def __init__(self) -> None:
        plain = SimpleNamespace(listFunction=lambda: Scala("system.builtin.count", "coalesce", "system.builtin.!="))
        of_tables = SimpleNamespace(listFunction=lambda: Scala("range", "explode"))
        state = SimpleNamespace(functionRegistry=lambda: plain, tableFunctionRegistry=lambda: of_tables)
        self._jsparkSession = SimpleNamespace(sessionState=lambda: state)
        keywords = SimpleNamespace(keywords=lambda: Scala("AND", "CROSS", "SELECT"))
        self._jvm: Any = SimpleNamespace()
        parent = self._jvm
        for name in ["org", "apache", "spark", "sql", "catalyst", "util"]:
            setattr(parent, name, SimpleNamespace())
            parent = getattr(parent, name)
        parent.SQLKeywordUtils = keywords

    def table(self, name: str) -> Any:
        return SimpleNamespace(_jdf=SimpleNamespace(columns=lambda: self.columns[name]))

    def sql(self, command: str) -> Any:
        return SimpleNamespace(collect=lambda: self.rows[command])


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("sel|", ["select"]),
        ("SEL|", ["SELECT"]),
        ("Sel|", ["select"]),
        ("select c| from orders", ["Customer", "coalesce", "count", "cross"]),
        ("select co|", ["coalesce", "count"]),
        ("select * from o|", ["orders", "`odd-name`"]),
        ("select * from s|", ["sales"]),
        ("select * from ra|", ["range"]),
        ("select * from sales.|", ["items", "orders"]),
        ("select o.| from orders as o", ["id", "Customer", "`two words`"]),
        ("select * from orders join sales.items x on orders.id = x.p|", ["price"]),
        ("select * from orders a, sales.items b where b.|", ["id", "price"]),
        ("select sales.items.pr|", ["price"]),
        ("select orders.cus| from orders", ["Customer"]),
        ("select 'sel|", []),
        ("select 'x' an|", ["and"]),
        ("select `two|", []),
        ("select nowhere.|", []),
    ],
)  # fmt: skip
def test_sql_names(code: str, found: list[str]) -> None:
    assert SqlNames(Session()).at(code.replace("|", ""), code.index("|")) == found


def test_everything_is_offered_at_an_empty_place() -> None:
    found = SqlNames(Session()).at("select  from orders", 7)
    assert found[:5] == ["id", "Customer", "`two words`", "COALESCE", "COUNT"]
    assert {"SELECT", "orders", "sales"} <= set(found)


def test_tables_of_a_text() -> None:
    text = "select 'from no' from a, b.c as d -- from no\njoin `x y` on 1; insert into e values (1); describe f"
    assert tables(text) == {"a": "a", "d": "b.c", "x y": "`x y`", "e": "e", "f": "f"}


@pytest.mark.parametrize(("word", "answer"), [("'", True), ("'a", True), ("r'a", True), ("'a'", False), ("a", False)])
def test_open_quotes(word: str, answer: bool) -> None:
    assert is_open(word) is answer


def test_names_that_need_quotes_get_them_and_operators_are_no_names() -> None:
    assert fitting("a", ["a b", "A`", "b"]) == ["`a b`", "`A```"]
    assert in_case("", ["!=", "abs"]) == ["ABS"]


def ask(complete: Any, cursor: int = 0, patience: float = 5.0) -> list[str]:
    return asyncio.run(Completions(patience).ask(complete, "sql", "abc", cursor))


def test_a_completion_that_takes_too_long_gives_nothing() -> None:
    go = threading.Event()
    try:
        assert ask(lambda *asked: go.wait(60) and ["late"], patience=0.05) == []
    finally:
        go.set()


def test_a_completion_that_fails_gives_nothing() -> None:
    assert ask(lambda *asked: [asked[9]]) == []


@pytest.mark.parametrize(("cursor", "asked"), [(-5, 0), (0, 0), (2, 2), (3, 3), (99, 3)])
def test_a_cursor_outside_of_the_text_is_at_its_end(cursor: int, asked: int) -> None:
    assert ask(lambda kind, code, position: [str(position)], cursor) == [str(asked)]


def test_no_more_than_so_many_names() -> None:
    assert len(ask(lambda *asked: ["a"] * 10_000)) == MOST
