"""Which pieces an output is shown in, and where they are cut."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from gateway.console import outputs
from gateway.console.outputs import Failure, Picture, Table, Text, Unshown, pieces_of
from gateway.console.views import duration_text


def ok(data: Any) -> str:
    return json.dumps({"status": "ok", "execution_count": 0, "data": data})


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"text/plain": ""}, []),
        ({"text/plain": "2"}, [Text("2")]),
        ({"text/plain": "\x1b[1;31mred\x1b[0m"}, [Text("red")]),
        ({"text/plain": "half \ud800 a pair"}, [Text("half ? a pair")]),
        ({"image/png": "x", "text/plain": "printed"}, [Text("printed"), Picture()]),
        ({"application/json": {"a": 1}}, [Text('{\n  "a": 1\n}')]),
        ({"application/json": [1]}, [Text("[\n  1\n]")]),
        ({"text/plain": 7}, [Text("7")]),
        ({"application/json": None}, [Text("null")]),
        ({"application/json": {"schema": {"fields": []}, "data": []}}, None),
        ({"application/json": {"schema": {"fields": [1]}, "data": [[1]]}}, None),
        ({"application/json": {"schema": {"fields": [{"name": "a"}]}, "data": 7}}, None),
        ({"application/json": {"schema": "x", "data": [[1]]}}, None),
        ({"image/svg+xml": "<svg/>"}, [Unshown("image/svg+xml")]),
        ({"text/html": "<b>", "text/plain": "b"}, [Text("b")]),
        ({"msg_type": "execute_reply"}, [Unshown("msg_type")]),
        ([], []),
    ],
)
def test_each_kind_of_result_has_its_piece(data: Any, expected: list[Any] | None) -> None:
    pieces = pieces_of(ok(data))
    if expected is None:
        assert [type(piece) for piece in pieces] == [Text]
    else:
        assert pieces == expected


def test_an_error_is_its_message_and_its_traceback() -> None:
    output = json.dumps({"status": "error", "ename": "E", "evalue": "v", "traceback": ["at a", "at b"]})
    assert pieces_of(output) == [Failure(Text("E: v"), Text("at a\nat b"))]


@pytest.mark.parametrize("output", ["not JSON", "[1]", '"text"', ""])
def test_an_output_of_another_form_is_shown_as_it_is(output: str) -> None:
    assert pieces_of(output) == [Text(output)]


def test_columns_of_numbers_are_told_from_others() -> None:
    headers = [{"name": name, "type": "INT_TYPE"} for name in "abcd"]
    value = {"headers": headers, "data": [[1, "1", True, None], [2.5, 1, False, None], [None]]}
    [table] = pieces_of(ok({outputs.TABLE: value}))
    assert isinstance(table, Table)
    assert [column.numeric for column in table.columns] == [True, False, False, False]
    assert table.rows == [["1", "1", "true", None], ["2.5", "1", "false", None], [None]]
    assert table.notes == []


@pytest.mark.parametrize(
    "number", ["12345678901234567890.123456789012345678", "1e400", "1.50", "1" * 400], ids=range(4)
)
def test_numbers_keep_their_digits(number: str) -> None:
    def shown(value: str) -> list[Any]:
        return pieces_of(f'{{"status": "ok", "execution_count": 0, "data": {{"application/json": {value}}}}}')

    assert shown(f"[{number}]") == [Text(f"[\n  {number}\n]")]
    [table] = shown(f'{{"schema": {{"fields": [{{"name": "a"}}]}}, "data": [[{number}], [{number}]]}}')
    assert isinstance(table, Table)
    assert (table.rows, table.columns[0].numeric) == ([[number], [number]], True)
    [table] = shown(f'{{"schema": {{"fields": [{{"name": "a"}}]}}, "data": [[[{number}]]]}}')
    assert isinstance(table, Table)
    assert (table.rows, table.columns[0].numeric) == ([[f"[{number}]"]], False)


def test_a_wide_table_and_a_long_cell_are_cut() -> None:
    headers = [{"name": str(n), "type": "STRING_TYPE"} for n in range(80)]
    [table] = pieces_of(ok({outputs.TABLE: {"headers": headers, "data": [["x" * 900] * 80]}}))
    assert isinstance(table, Table)
    assert table.notes == ["The first 50 of 80 columns."]
    assert (len(table.columns), len(table.rows[0]), len(table.rows[0][0] or "")) == (50, 50, 501)


@pytest.mark.parametrize(
    "escape", ["word ", "line\n", 'quo"t', "back\\", "é", "\u2028", "\N{SNOWMAN}", "\N{GRINNING FACE}"]
)
@pytest.mark.parametrize("shift", range(7))
def test_a_huge_text_is_read_at_its_beginning_alone(escape: str, shift: int) -> None:
    """Wherever the cut falls, even within an escape."""
    text = "x" * shift + escape * 400_000
    [piece] = pieces_of(ok({"text/plain": text}))
    assert isinstance(piece, Text)
    assert len(piece.text) > outputs.LONGEST_TEXT / 13
    assert text.startswith(piece.text.rstrip("?"))
    assert piece.of == outputs.LONGEST_PARSED
    assert piece.about


def test_a_huge_picture_is_a_picture() -> None:
    assert pieces_of(ok({"image/png": "x" * 3_000_000})) == [Picture()]


def test_any_other_huge_output_is_the_beginning_of_its_json() -> None:
    [piece] = pieces_of(ok({"application/json": [0] * 1_000_000}))
    assert isinstance(piece, Text)
    assert len(piece.text) == outputs.LONGEST_TEXT


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 ms"),
        (-1, "0 ms"),
        (0.34, "340 ms"),
        (0.9996, "1.0 s"),
        (3.44, "3.4 s"),
        (59.97, "1 min 0 s"),
        (184, "3 min 4 s"),
        (3599.9, "1 h 0 min"),
        (7500, "2 h 5 min"),
        (100_000, "1 d 3 h"),
    ],
)
def test_durations_are_written_as_people_say_them(seconds: float, expected: str) -> None:
    assert duration_text(timedelta(seconds=seconds)) == expected
