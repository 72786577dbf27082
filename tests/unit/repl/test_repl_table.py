"""%table and %json values (contract livy §3.2)."""

from __future__ import annotations

import datetime
import json
import math
import sys
from collections import OrderedDict, namedtuple
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sessions.repl.exact import exact_json, json_float
from sessions.repl.table import table
from sessions.repl.values import jsonable

Pair = namedtuple("Pair", ["x", "y"])


class Row(tuple):  # type: ignore[type-arg]
    """A pyspark Row as far as magics look at it."""

    def asDict(self) -> dict[str, Any]:
        return {"a": self[0], "b": self[1]}


class Point:
    """A value of a user-defined type of Spark's, stored as a struct."""

    __UDT__ = SimpleNamespace(
        serialize=lambda point: (point.x, [point.y]), sqlType=lambda: SimpleNamespace(names=["x", "ys"])
    )

    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y


class Bag(Point):
    """One that is stored as a list."""

    __UDT__ = SimpleNamespace(serialize=lambda bag: [bag.x, bag.y], sqlType=lambda: "array<int>")


@pytest.mark.parametrize(
    ("value", "headers", "data"),
    [
        ([], [], []),
        (5, [("0", "INT_TYPE")], [[5]]),
        ([1, 2], [("0", "INT_TYPE")], [[1], [2]]),
        ([[1, "a"], [2, "b"]], [("0", "INT_TYPE"), ("1", "STRING_TYPE")], [[1, "a"], [2, "b"]]),
        ([{"b": 1, "a": True}], [("a", "BOOLEAN_TYPE"), ("b", "INT_TYPE")], [[True, 1]]),
        ([{"a": None}, {"a": 1.5}], [("a", "DOUBLE_TYPE")], [[None], [1.5]]),
        ([None], [("0", "NULL_TYPE")], [[None]]),
        ([datetime.date(2020, 1, 2)], [("0", "DATE_TYPE")], [["2020-01-02"]]),
        ([datetime.datetime(2020, 1, 2, 3)], [("0", "TIMESTAMP_TYPE")], [["2020-01-02 03:00:00"]]),  # noqa: DTZ001
        ([Decimal("1.50")], [("0", "DECIMAL_TYPE")], [["1.50"]]),
        ([[[1, 2]]], [("0", "ARRAY_TYPE")], [[[1, 2]]]),
        ([{"m": {"k": 1}}], [("m", "MAP_TYPE")], [[{"k": 1}]]),
        ([Point(1, 2)], [("0", "MAP_TYPE")], [[{"x": 1, "ys": [2]}]]),
        ([[[Bag(1, 2)]]], [("0", "ARRAY_TYPE")], [[[[1, 2]]]]),
        ([object], [("0", "STRING_TYPE")], [["<class 'object'>"]]),
        ([Row((1, "x"))], [("a", "INT_TYPE"), ("b", "STRING_TYPE")], [[1, "x"]]),
        (Row((1, "x")), [("a", "INT_TYPE"), ("b", "STRING_TYPE")], [[1, "x"]]),
        # Livy's interpreter died of these
        ([1, 2.5], [("0", "DOUBLE_TYPE")], [[1.0], [2.5]]),
        ([1, "a"], [("0", "STRING_TYPE")], [["1"], ["a"]]),
        ([True, 1], [("0", "STRING_TYPE")], [["True"], ["1"]]),
        ([[[1, "a", None]]], [("0", "ARRAY_TYPE")], [[[1, "a", None]]]),
        ([math.nan, math.inf], [("0", "DOUBLE_TYPE")], [[None], [None]]),
        ([{"a": 1}, {"b": 2}], [("a", "INT_TYPE"), ("b", "INT_TYPE")], [[1, None], [None, 2]]),
        ([{"a": 1, 2: 3}], [("2", "INT_TYPE"), ("a", "INT_TYPE")], [[3, 1]]),
    ],
)
def test_table(value: Any, headers: list[tuple[str, str]], data: list[Any]) -> None:
    assert table(value) == {"headers": [{"name": name, "type": kind} for name, kind in headers], "data": data}


@pytest.fixture(scope="module")
def packages_of_sessions() -> None:
    """What tests of their values may import, behind the packages of the checks."""
    sys.path += map(str, Path(__file__).parents[3].glob(".venv-session/lib/python3*/site-packages"))


@pytest.mark.usefixtures("packages_of_sessions")
def test_pandas_frame_keeps_its_column_order() -> None:
    import pandas

    frame = pandas.DataFrame({"b": [1, 2], "a": ["x", None]})
    assert [header["name"] for header in table(frame)["headers"]] == ["b", "a"]
    assert table(frame)["data"][0] == [1, "x"]
    assert jsonable(frame)[0] == {"b": 1, "a": "x"}
    json.dumps(jsonable(frame), allow_nan=False)


@pytest.mark.usefixtures("packages_of_sessions")
def test_numpy_values() -> None:
    import numpy

    assert jsonable({"a": numpy.int64(1), "b": numpy.array([1, 2]), "c": numpy.float32("nan")}) == {
        "a": 1,
        "b": [1, 2],
        "c": None,
    }
    assert table([numpy.int64(1), numpy.float64(2.5)])["headers"][0]["type"] == "DOUBLE_TYPE"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"a": [1, 2.5, None, True, "x"]}, '{"a": [1, 2.5, null, true, "x"]}'),
        (math.nan, "null"),
        ([math.inf, -math.inf], "[null, null]"),
        ((1, 2), "[1, 2]"),
        ({1: "a", None: "b", False: "c"}, '{"1": "a", "null": "b", "false": "c"}'),
        ({(1, 2): 3}, '{"(1, 2)": 3}'),
        (b"x", "\"b'x'\""),
        (object, "\"<class 'object'>\""),
        (datetime.date(2020, 1, 2), '"2020-01-02"'),
        (Decimal("1.50"), "1.5"),
        (Decimal("NaN"), "null"),
        (Row((1, 2)), '{"a": 1, "b": 2}'),
        (OrderedDict(b=1, a=2), '{"b": 1, "a": 2}'),
        (Pair(1, 2), "[1, 2]"),
        ("\ud800", '"\\\\ud800"'),
    ],
)
def test_json(value: Any, written: str) -> None:
    assert json.dumps(jsonable(value), allow_nan=False) == written


def test_exact_digits_survive_where_floats_lose_them() -> None:
    digits = "12345678901234567890.12345678901234567"
    value = jsonable({"a": [Decimal(digits), Decimal("1.5")], "b": "text"})
    assert exact_json(value) == f'{{"a":[{digits},1.5],"b":"text"}}'
    assert json.loads(json.dumps(value))["a"] == [float(digits), 1.5]
    assert exact_json(jsonable([Decimal("1.5"), Decimal("1E+3"), 2])) is None


@pytest.mark.parametrize("digits", ["1.0", "2.5", "1.7976931348623157e+308"])
def test_a_float_of_json_stays_one(digits: str) -> None:
    assert repr(json_float(digits)) == digits
    assert exact_json([json_float("0.12345678901234567891")]) == "[0.12345678901234567891]"


@pytest.mark.parametrize("digits", ["1e1000000000", "-1.5e-1000000000"])
def test_a_number_that_could_not_be_written_out_is_refused(digits: str) -> None:
    with pytest.raises(ValueError, match="more than 4000 digits: give it as text"):
        json_float(digits)


def test_json_of_user_defined_values() -> None:
    assert jsonable({"a": [Point(1, 2), Bag(3, 4)]}) == {"a": [{"x": 1, "ys": [2]}, [3, 4]]}
