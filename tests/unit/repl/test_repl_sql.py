"""SQL values and envelopes (contract livy §3.4), with a session that answers like Spark's."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from typing import Any

import pytest

from sessions.repl.exact import ExactNumber, exact_json
from sessions.repl.rows import converter
from sessions.repl.sql import SqlInterpreter, java_frames

UTC = datetime.timezone.utc


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        ("integer", None, None),
        ("integer", 1, 1),
        ("boolean", True, True),
        ("string", "a", "a"),
        ("string", "\ud800", "\\ud800"),
        ("varchar(3)", "a", "a"),
        ("double", 1.5, 1.5),
        ("double", float("nan"), None),
        ("double", float("inf"), "Infinity"),
        ("double", float("-inf"), "-Infinity"),
        ("float", 0.10000000149011612, 0.1),
        ("float", 16777216.0, 16777216.0),
        ("float", float("nan"), None),
        ("decimal(10,2)", Decimal("1.50"), 1.5),
        ("decimal(10,2)", Decimal("100.00"), 100),
        ("decimal(38,0)", Decimal(12345678901234567890123), 12345678901234567890123),
        ("decimal(10,2)", Decimal("-0.00"), 0),
        ("date", datetime.date(2020, 1, 2), "2020-01-02"),
        ("timestamp", datetime.datetime(2020, 1, 2, 3, 4, 5, 678, tzinfo=UTC), "2020-01-02T03:04:05Z"),
        ("timestamp_ntz", datetime.datetime(2020, 1, 2, 3, 4, 5), "2020-01-02T03:04:05"),  # noqa: DTZ001
        ("binary", bytearray(b"\x00\xff\x80"), [0, -1, -128]),
        ("interval day to second", datetime.timedelta(days=1), "1 day, 0:00:00"),
        ({"type": "array", "elementType": "binary"}, [b"\x01", None], [[1], None]),
        ({"type": "map", "keyType": "integer", "valueType": "date"}, {1: None}, {"1": None}),
        ({"type": "map", "keyType": "boolean", "valueType": "integer"}, {True: 1}, {"true": 1}),
        (
            {"type": "struct", "fields": [{"name": "a", "type": "date"}, {"name": "b", "type": "integer"}]},
            (datetime.date(2020, 1, 2), 1),
            {"a": "2020-01-02", "b": 1},
        ),
        ({"type": "struct", "fields": [{"name": "a", "type": "integer"}] * 2}, (1, 2), [1, 2]),
        ({"type": "udt", "class": "x"}, (1,), "(1,)"),
    ],
)
def test_values(kind: Any, value: Any, written: Any) -> None:
    result = converter(kind)(value)
    assert result == written
    assert type(result) is type(written)


def test_naive_timestamp_is_the_drivers_local_time() -> None:
    instant = datetime.datetime(2020, 7, 2, 3, 4, 5, tzinfo=UTC)
    local = datetime.datetime.fromtimestamp(instant.timestamp())  # noqa: DTZ006 - as Spark does
    assert converter("timestamp")(local) == "2020-07-02T03:04:05Z"


def test_decimal_with_more_digits_than_a_float() -> None:
    number = converter("decimal(38,17)")(Decimal("12345678901234567890.12345678901234567"))
    assert isinstance(number, ExactNumber)
    assert exact_json([number]) == "[12345678901234567890.12345678901234567]"


class Frame:
    """A DataFrame of the given fields and rows."""

    def __init__(self, fields: list[tuple[str, str]], rows: list[tuple[Any, ...]]) -> None:
        self._schema = {"type": "struct", "fields": [{"name": name, "type": kind} for name, kind in fields]}
        self._rows = rows
        self._jdf = self

    def schema(self) -> Frame:
        return self

    def json(self) -> str:
        return json.dumps(self._schema)

    def limit(self, count: int) -> Frame:
        self._rows = self._rows[:count]
        return self

    def collect(self) -> list[tuple[Any, ...]]:
        return self._rows


class Session:
    def __init__(self, answer: Frame | BaseException) -> None:
        self._answer = answer

    def sql(self, code: str) -> Frame:
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer


def answer(result: Frame | BaseException, row_limit: int = 2, output_limit: int = 1000) -> dict[str, Any]:
    return SqlInterpreter(lambda: Session(result), row_limit, output_limit).execute("select", 4)


def test_result_is_json_without_text() -> None:
    envelope = answer(Frame([("a", "integer")], [(1,), (2,)]))
    schema = {"type": "struct", "fields": [{"name": "a", "type": "integer"}]}
    data = {"application/json": {"schema": schema, "data": [[1], [2]]}}
    assert envelope == {"status": "ok", "execution_count": 4, "data": data}


def test_statement_without_columns_is_not_fetched() -> None:
    result = answer(Frame([], []))["data"]["application/json"]
    assert result == {"schema": {"type": "struct", "fields": []}, "data": []}


def test_more_rows_than_asked_for_are_cut_and_say_so() -> None:
    result = answer(Frame([("a", "integer")], [(1,), (2,), (3,)]))["data"]["application/json"]
    assert (result["data"], result["truncated"]) == ([[1], [2]], True)


def test_rows_over_the_output_limit_are_cut_and_say_so() -> None:
    result = answer(Frame([("a", "string")], [("x" * 600,), ("y" * 600,)]))["data"]["application/json"]
    assert (len(result["data"]), result["truncated"]) == (1, True)


class CapturedException(Exception):
    """A failed query as pyspark raises it."""

    _desc = "[NOPE] no such thing;\n'Project"
    _stackTrace = "org.Nope: no\n\tat a.B.c(B.scala:1)\n\tat a.D(E)\nCaused by: x\n\tat z.Z(Z)\n"


def test_failure_is_the_java_message_and_its_frames() -> None:
    envelope = answer(CapturedException())
    assert (envelope["ename"], envelope["evalue"]) == ("Error", "[NOPE] no such thing;\n'Project")
    assert envelope["traceback"] == ["a.B.c(B.scala:1)", "a.D(E)"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), RuntimeError("Spark has been stopped"), SystemExit(1)])
def test_every_failure_is_answered(failure: BaseException) -> None:
    envelope = answer(failure)
    assert envelope["status"] == "error"
    assert envelope["evalue"]


def test_no_frames_without_a_stack() -> None:
    assert java_frames("") == []
