"""Runs a text of Spark SQL and answers with the rows of its last statement as JSON (contract livy §3.4).

Decides what is fetched of a result and how a failure is told. How a value is written is `rows`' business, where a
statement ends `sql_text`'s.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .columns import received
from .exact import exact_json
from .interpreter import Interpreter
from .interrupts import interruptible
from .output import Envelope, byte_length, error, ok
from .rows import converter
from .sql_names import SqlNames
from .sql_text import split

JSON = "application/json"
_AROUND = 50  # bytes of a result's JSON beside its schema and its rows


class SqlInterpreter(Interpreter):
    """Spark SQL in the driver's session.

    `session` gives the live one or raises; `cancelled` says whether the statement being run was asked to stop.
    """

    def __init__(
        self, session: Callable[[], Any], cancelled: Callable[[], bool], row_limit: int, output_limit: int
    ) -> None:
        self._session = session
        self._cancelled = cancelled
        self._row_limit = row_limit
        self._output_limit = output_limit

    def limit_rows(self, limit: int) -> None:
        """Fetch no more than `limit` rows of a result from now on."""
        self._row_limit = limit

    def execute(self, code: str, statement: int, group: str) -> Envelope:
        """Run what `code` holds in order, up to the first failure; the answer is that of the last SQL statement.

        `data` of the result has "truncated": true beside its rows exactly when rows were left out.
        """
        place = ""
        try:
            # A text without any statement is Spark's to refuse; one alone goes as it is, so that its positions hold.
            texts = split(code)
            for number, text in enumerate(texts if len(texts) > 1 else [code], 1):
                place = told(number, texts)
                if number > 1 and self._cancelled():
                    raise KeyboardInterrupt("cancelled")
                result = interruptible(self._run, text)
            return ok(statement, {JSON: result})
        except BaseException as exc:  # noqa: BLE001 - every failure is an answer
            try:
                evalue, frames = interruptible(describe, exc)
            except BaseException:  # noqa: BLE001
                evalue, frames = type(exc).__name__, []
            return error(statement, "Error", place + evalue, frames)

    def complete(self, code: str, cursor: int) -> list[str]:
        """Names of this session's catalog, Spark's functions and keywords."""
        return SqlNames(self._session()).at(code, cursor)

    def _run(self, text: str) -> dict[str, Any]:
        return result_of(self._session().sql(text), self._row_limit, self._output_limit)


def result_of(frame: Any, most_rows: int, most_bytes: int) -> dict[str, Any]:
    """The first rows of a DataFrame: `schema`, `data` (a list for each row), and `truncated` if rows were left out.

    Rows are left out until all of it takes no more than `most_bytes` as JSON, or none is left.
    """
    schema = frame._jdf.schema().json()
    fields = json.loads(schema)["fields"]
    result: dict[str, Any] = {"schema": json.loads(schema), "data": []}
    if fields:
        # One row more than asked for tells whether there are more.
        fetched = received(frame, fields).limit(most_rows + 1).collect()
        writers = [converter(field["type"]) for field in fields]
        rows = [[write(value) for write, value in zip(writers, row)] for row in fetched[:most_rows]]
        result["data"] = fitting(rows, most_bytes - byte_length(schema) - _AROUND)
        if len(result["data"]) < len(fetched):
            result["truncated"] = True
    return result


def told(number: int, texts: list[str]) -> str:
    """Which of several statements failed, and what became of the others; nothing for a single one."""
    if len(texts) < 2:
        return ""
    first, *more = texts[number - 1].splitlines()
    name = f"{first[:80]}..." if more or len(first) > 80 else first
    before = "" if number == 1 else "; those before it are done"
    after = "" if number == len(texts) else "; those after it were not run"
    return f"statement {number} of {len(texts)} failed: {name}{before}{after}\n"


def fitting(rows: list[list[Any]], limit: int) -> list[list[Any]]:
    """The first rows that together take no more than `limit` bytes as JSON."""
    size = 0
    for count, row in enumerate(rows):
        size += byte_length(exact_json(row) or json.dumps(row, ensure_ascii=False, default=str)) + 1
        if size > limit:
            return rows[:count]
    return rows


def describe(exc: BaseException) -> tuple[str, list[str]]:
    """The message of a failed query, and the Java frames it brought along."""
    if hasattr(exc, "java_exception"):
        return java_message(exc.java_exception), java_frames(str(exc))
    # Spark 4 has underscores before these names, Spark 3.5 has not.
    message = getattr(exc, "_desc", None) or getattr(exc, "desc", None) or str(exc) or type(exc).__name__
    stack = getattr(exc, "_stackTrace", None) or getattr(exc, "stackTrace", None) or ""
    return message, java_frames(stack)


def java_message(exception: Any) -> str:
    """The message of a Java exception, its class if it has none; without the stacks Spark 3.5 puts into it."""
    message = str(exception.getMessage() or exception.toString())
    lines = [line for line in message.split("\n") if not line.startswith("\tat ")]
    return "\n".join(lines).removesuffix("Driver stacktrace:").rstrip()


def java_frames(stack: str) -> list[str]:
    """The frames of a printed Java stack, up to its first cause."""
    own = stack.partition("\nCaused by:")[0]
    return [line.removeprefix("\tat ").rstrip() for line in own.split("\n") if line.startswith("\tat ")]
