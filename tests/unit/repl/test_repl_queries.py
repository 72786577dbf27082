"""Queries in the driver: what is answered of a large result, and how a failure is told."""

from __future__ import annotations

import base64
import json
import threading
from decimal import Decimal
from itertools import chain, repeat
from typing import Any

import pytest

from sessions.repl import queries
from sessions.repl.jobs import JobFailed, JobStopped
from sessions.repl.queries import Queries
from tests.unit.repl.test_repl_sql import Answer, CapturedException, Frame, Session


class Application:
    """Has one session, whose sessions made anew answer."""

    def __init__(self, *answers: Answer) -> None:
        self.answering = Session(*answers)
        self.cancelled: list[str] = []

    def cancel(self, name: str) -> None:
        self.cancelled.append(name)

    def session(self) -> Application:
        return self

    def newSession(self) -> Session:
        return self.answering


def ask(result: Answer, rows: int = 9, most_bytes: int = 1000) -> bytes:
    payload = json.dumps({"sql": "select", "rows": rows, "bytes": most_bytes, "seconds": 60}).encode()
    return base64.b64decode(Queries(Application(result)).run(1, payload, "group"))  # type: ignore[arg-type]


def read(answer: bytes) -> dict[str, Any]:
    return dict(json.loads(answer))


def test_the_answer_has_rows_and_their_schema() -> None:
    answer = read(ask(Frame([("a", "integer"), ("b", "string")], [(1, "ä"), (None, None)])))
    assert [field["name"] for field in answer["schema"]["fields"]] == ["a", "b"]
    assert answer["data"] == [[1, "ä"], [None, None]] and "truncated" not in answer


def test_every_digit_of_a_number_is_sent() -> None:
    assert b"[[12345678901234567890.125]]" in ask(
        Frame([("a", "decimal(38,3)")], [(Decimal("12345678901234567890.125"),)])
    )


@pytest.mark.parametrize(("rows", "cut"), [(2, True), (3, False), (4, False)])
def test_more_rows_than_asked_for_are_left_out_and_that_is_said(rows: int, cut: bool) -> None:
    answer = read(ask(Frame([("a", "integer")], [(1,), (2,), (3,)]), rows))
    assert (len(answer["data"]), answer.get("truncated", False)) == (min(rows, 3), cut)


@pytest.mark.parametrize("value", ["x" * 9, "ä" * 9, "\u20ac" * 9, "\0" * 9, '"' * 9], ids=ascii)
@pytest.mark.parametrize("most", [200, 333, 1000])
def test_an_answer_is_never_larger_than_allowed(value: str, most: int) -> None:
    answer = ask(Frame([("a", "string")], [(value,)] * 200), 200, most)
    assert len(answer) <= most and read(answer)["truncated"] is True
    assert len(answer) > most - 150  # and as large as it may be


def test_long_numbers_count_with_all_their_digits() -> None:
    number = Decimal("12345678901234567890.12345678901234567")
    assert len(ask(Frame([("a", "decimal(38,17)")], [(number,)] * 100), 100)) <= 1000


def test_columns_that_are_too_large_alone_are_refused() -> None:
    with pytest.raises(JobFailed, match="the names and types of the columns alone have more than 1000 bytes"):
        ask(Frame([(f"column {n}", "integer") for n in range(100)], []))


def test_a_failure_is_sparks_message() -> None:
    with pytest.raises(JobFailed, match=r"^\[NOPE\] no such thing"):
        ask(CapturedException())


def test_a_query_that_is_stopped_is_no_failure_of_its_own() -> None:
    with pytest.raises(JobStopped):
        ask(JobStopped())


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_query_that_nobody_stops_is_stopped_after_its_time(attempts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asked may have been killed. A cancel between two Spark jobs finds none."""
    monkeypatch.setattr(queries, "CANCEL_EVERY", 0.001)
    cancelled, left = threading.Event(), chain(range(attempts - 1, 0, -1), repeat(0))

    class Slow(Frame):
        def collect(self) -> list[tuple[Any, ...]]:
            assert cancelled.wait(10)
            raise CapturedException

    spark = Application(Slow([("a", "integer")], []))
    spark.cancel = lambda name: cancelled.set() if (name, next(left)) == ("group", 0) else None  # type: ignore[method-assign]
    payload = json.dumps({"sql": "select", "rows": 1, "bytes": 999, "seconds": 0.001}).encode()
    with pytest.raises(JobFailed, match="NOPE"):
        Queries(spark).run(7, payload, "group")  # type: ignore[arg-type]
