"""SQL values and envelopes (contract livy §3.4), with a session that answers like Spark's."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from sessions.repl.columns import arriving, stored
from sessions.repl.exact import ExactNumber, exact_json
from sessions.repl.rows import converter
from sessions.repl.sql import SqlInterpreter, java_frames


class Variant(str):
    """A variant with this JSON."""

    def toJson(self, zone: str) -> str:
        return str(self)


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
        ("date", "2020-01-02", "2020-01-02"),
        ("timestamp", 1577934245, "2020-01-02T03:04:05Z"),
        ("timestamp", -1, "1969-12-31T23:59:59Z"),
        ("timestamp", -62135596800, "0001-01-01T00:00:00Z"),
        ("timestamp", -62135596801, "0000-12-31T23:59:59Z"),
        ("timestamp", -63549360000, "-0044-03-15T00:00:00Z"),
        ("timestamp", 253402300800, "+10000-01-01T00:00:00Z"),
        ("timestamp_ltz", 0, "1970-01-01T00:00:00Z"),
        ("timestamp_ntz", "2020-01-02 03:04:05.25", "2020-01-02T03:04:05"),
        ("binary", bytearray(b"\x00\xff\x80"), [0, -1, -128]),
        ("interval day to second", "INTERVAL '1' DAY", "INTERVAL '1' DAY"),
        ("variant", Variant('{"a":[1,2.50,null,"x"]}'), {"a": [1, 2.5, None, "x"]}),
        ("variant", Variant("1.0E300"), 1e300),
        ("variant", Variant("NaN"), None),
        ({"type": "array", "elementType": "binary"}, [b"\x01", None], [[1], None]),
        ({"type": "map", "keyType": "integer", "valueType": "date"}, {1: None}, {"1": None}),
        ({"type": "map", "keyType": "timestamp", "valueType": "integer"}, {0: 1}, {"1970-01-01T00:00:00Z": 1}),
        ({"type": "map", "keyType": "binary", "valueType": "integer"}, {"ab": 1}, {"ab": 1}),
        ({"type": "map", "keyType": "boolean", "valueType": "integer"}, {True: 1}, {"true": 1}),
        (
            {"type": "struct", "fields": [{"name": "a", "type": "date"}, {"name": "b", "type": "integer"}]},
            ("2020-01-02", 1),
            {"a": "2020-01-02", "b": 1},
        ),
        ({"type": "struct", "fields": [{"name": "a", "type": "integer"}] * 2}, (1, 2), [1, 2]),
    ],
)
def test_values(kind: Any, value: Any, written: Any) -> None:
    result = converter(kind)(value)
    assert result == written
    assert type(result) is type(written)


DAY = {"name": "d", "type": "interval day"}
NUMBER = {"name": "n", "type": "integer"}


@pytest.mark.parametrize(
    ("kind", "arrives"),
    [
        ("long", "long"),
        ("decimal(10,2)", "decimal(10,2)"),
        ("variant", "variant"),
        ("timestamp", "bigint"),
        ("timestamp_ntz", "string"),
        ("time(6)", "string"),
        ({"type": "array", "elementType": "date"}, "array<string>"),
        ({"type": "map", "keyType": "date", "valueType": "timestamp"}, "map<string, bigint>"),
        ({"type": "map", "keyType": {"type": "struct", "fields": [NUMBER]}, "valueType": "byte"}, "map<string, byte>"),
        ({"type": "struct", "fields": [DAY, NUMBER]}, "struct<f0: string, f1: integer>"),
    ],
)
def test_what_python_cannot_hold_arrives_as_something_else(kind: Any, arrives: str) -> None:
    assert arriving(kind) == arrives


VECTOR = {
    "type": "udt",
    "class": "example.VectorUDT",
    "sqlType": {"type": "struct", "fields": [{"name": "values", "type": {"type": "array", "elementType": "double"}}]},
}


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        (VECTOR, ([0.5, float("nan")],), {"values": [0.5, None]}),
        (VECTOR, None, None),
        ({"type": "array", "elementType": VECTOR}, [([1.0],), None], [{"values": [1.0]}, None]),
        ({"type": "map", "keyType": "string", "valueType": VECTOR}, {"k": ([],)}, {"k": {"values": []}}),
        ({"type": "struct", "fields": [{"name": "v", "type": VECTOR}]}, (([2.0],),), {"v": {"values": [2.0]}}),
        ({"type": "udt", "sqlType": VECTOR}, ([3.0],), {"values": [3.0]}),
    ],
)
def test_user_defined_values_are_written_as_spark_stores_them(kind: Any, value: Any, written: Any) -> None:
    assert converter(kind)(value) == written
    assert "udt" not in json.dumps(stored(kind))


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


Answer = Frame | BaseException


class Session:
    """Gives its answers one after another, and keeps what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = iter(answers)
        self.asked: list[str] = []

    def sql(self, code: str) -> Frame:
        self.asked.append(code)
        answer = next(self._answers)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def answer(result: Answer, row_limit: int = 2, output_limit: int = 1000) -> dict[str, Any]:
    return SqlInterpreter(lambda: Session(result), lambda: False, row_limit, output_limit).execute("select", 4, "group")


def run(session: Session, code: str, cancelled: bool = False) -> dict[str, Any]:
    return SqlInterpreter(lambda: session, lambda: cancelled, 10, 1000).execute(code, 4, "group")


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


def one_row(value: int) -> Frame:
    return Frame([("a", "integer")], [(value,)])


def test_the_last_of_several_statements_is_answered() -> None:
    session = Session(Frame([], []), one_row(1), one_row(2))
    envelope = run(session, "create view v; -- first\n select 1;\nselect ';';")
    assert session.asked == ["create view v", "-- first\n select 1", "select ';'"]
    assert envelope["data"]["application/json"]["data"] == [[2]]


@pytest.mark.parametrize("code", ["select 1", "select 1;", " -- c\nselect 1; ;", "", ";", "-- only a comment"])
def test_a_single_statement_goes_to_spark_as_it_is(code: str) -> None:
    session = Session(one_row(1))
    assert run(session, code)["status"] == "ok"
    assert session.asked == [code]


def test_the_first_failure_ends_the_text_and_says_which_it_was() -> None:
    session = Session(one_row(1), CapturedException(), one_row(3))
    envelope = run(session, "select 1;\nselect\n  nope; select 3")
    assert len(session.asked) == 2
    assert envelope["evalue"] == (
        "statement 2 of 3 failed: select...; those before it are done; those after it were not run\n"
        "[NOPE] no such thing;\n'Project"
    )
    assert envelope["traceback"] == ["a.B.c(B.scala:1)", "a.D(E)"]


def test_nothing_is_started_after_a_cancel() -> None:
    session = Session(one_row(1), one_row(2))
    envelope = run(session, "select 1; select 2", cancelled=True)
    assert session.asked == ["select 1"]
    assert envelope["evalue"].startswith("statement 2 of 2 failed: select 2; those before it are done\n")
