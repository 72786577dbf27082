"""Which requests run and which do not, and what an interrupt may hit. No Spark, no sockets."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from sessions.repl.interpreter import Interpreter
from sessions.repl.interrupts import Interrupts, interruptible
from sessions.repl.large import IN_MEMORY, Outputs
from sessions.repl.output import Envelope, ok
from sessions.repl.statements import Request, Result, Statements


class Spark:
    """A Spark application that does nothing and notes what it was asked to cancel."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []
        self.cancelled_late: list[str] = []

    def enter(self, statement: int, code: str) -> None: ...

    def renew(self) -> None: ...

    def cancel_late_jobs(self, name: str) -> None:
        self.cancelled_late.append(name)

    def cancel(self, name: str) -> None:
        self.cancelled.append(name)

    def progress(self, name: str) -> float:
        return 0.5


class Restarts:
    """A Spark that nobody starts anew."""

    def look(self, kind: str) -> None: ...


class Functions(Interpreter):
    """Runs a Python function registered under the code's text."""

    def __init__(self) -> None:
        self.ran: list[int] = []
        self.does: dict[str, Callable[[], Any]] = {}

    def execute(self, code: str, statement: int, group: str) -> Envelope:
        self.ran.append(statement)
        try:
            return ok(statement, {"text/plain": str(interruptible(self.does.get(code, lambda: code)))})
        except KeyboardInterrupt:
            return ok(statement, {"text/plain": "interrupted"})


@pytest.fixture
def interpreter() -> Functions:
    return Functions()


@pytest.fixture
def spark() -> Spark:
    return Spark()


@pytest.fixture
def statements(interpreter: Functions, spark: Spark, tmp_path: Path) -> Iterator[Statements]:
    before = signal.getsignal(signal.SIGINT)
    outputs = Outputs(str(tmp_path / "outputs"))
    yield Statements(3, {"pyspark": interpreter}, Interrupts(), spark, Restarts(), outputs)  # type: ignore[arg-type]
    signal.signal(signal.SIGINT, before)


def finish(statements: Statements, future: Future[Result]) -> Result:
    while not future.done():
        statements._run_next()
    return future.result()


def test_each_statement_runs_once(statements: Statements, interpreter: Functions) -> None:
    first = statements.submit(Request("a", statement=3))
    again = statements.submit(Request("a", statement=3))
    assert finish(statements, first) is again.result(0)
    assert statements.submit(Request("a", statement=3)).result(0) is first.result()
    assert interpreter.ran == [3]
    assert first.result().started <= first.result().completed


def test_lower_and_forgotten_statements_are_refused(statements: Statements, interpreter: Functions) -> None:
    finish(statements, statements.submit(Request("a", statement=3)))
    statements.forget(3)
    for statement in (2, 3):
        assert statements.submit(Request("a", statement=statement)).result(0).output["ename"] == "AlreadyRan"
    assert interpreter.ran == [3]
    assert finish(statements, statements.submit(Request("b", statement=4))).statement == 4


def test_a_request_without_number_gets_the_next(statements: Statements) -> None:
    finish(statements, statements.submit(Request("a", statement=3)))
    assert finish(statements, statements.submit(Request("b"))).statement == 4


def test_forgetting_another_or_a_running_statement_does_nothing(statements: Statements) -> None:
    future = statements.submit(Request("a", statement=3))
    statements.forget(3)
    finish(statements, future)
    statements.forget(2)
    assert statements.submit(Request("a", statement=3)).result(0).output["status"] == "ok"


def test_unknown_kind_is_an_answer(statements: Statements) -> None:
    result = finish(statements, statements.submit(Request("a", kind="cobol", statement=0)))
    assert result.output["ename"] == "InterpreterError"


def test_progress(statements: Statements, interpreter: Functions) -> None:
    assert statements.progress(1) == 0.0
    interpreter.does["look"] = lambda: statements.progress(1)
    result = finish(statements, statements.submit(Request("look", statement=1)))
    assert result.output["data"] == {"text/plain": "0.5"}
    assert statements.progress(1) == 1.0


@pytest.mark.parametrize("step", ["look", "renew", "cancel_late_jobs"])
def test_what_goes_wrong_after_a_statement_costs_no_result(
    step: str, statements: Statements, spark: Spark, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def fail(*told: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(statements._interrupts, "end", lambda: True)
    monkeypatch.setattr(statements._restarts if step == "look" else spark, step, fail)
    result = finish(statements, statements.submit(Request("a", statement=3)))
    assert result.output["status"] == "ok" and result.application is None
    assert (spark.cancelled_late == []) is (step == "cancel_late_jobs")
    assert "can't start new thread" in capsys.readouterr().err


def stubborn(times: int) -> Callable[[], str]:
    def loop() -> str:
        for _ in range(times):
            try:
                spin()
            except KeyboardInterrupt:
                continue
        return spin()

    return loop


def spin() -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        pass
    return "never stopped"


@pytest.mark.parametrize(
    "code",
    [spin, lambda: time.sleep(10), stubborn(2), lambda: threading.Event().wait(10), lambda: os.system("sleep 10; :")],
)
def test_cancel_stops_plain_code(
    statements: Statements, interpreter: Functions, spark: Spark, code: Callable[[], Any]
) -> None:
    interpreter.does["code"] = code
    future = statements.submit(Request("code", statement=1))
    canceller = threading.Thread(target=cancel_until_done, args=(statements, future))
    canceller.start()
    start = time.monotonic()
    finish(statements, future)
    canceller.join()
    assert time.monotonic() - start < 5
    assert set(spark.cancelled) == {"seat-3-statement-1"}
    assert finish(statements, statements.submit(Request("fine", statement=2))).output["data"] == {"text/plain": "fine"}
    assert spark.cancelled_late == ["seat-3-statement-1"], "stages on their way to Spark when it was stopped"


def cancel_until_done(statements: Statements, future: Future[Result]) -> None:
    while not future.done():
        statements.cancel(1)
        time.sleep(0.05)  # the gateway's own pace, faster


def test_cancel_hits_no_other_statement(statements: Statements, interpreter: Functions, spark: Spark) -> None:
    interpreter.does["cancel"] = lambda: statements.cancel(5) or statements.cancel(7)
    result = finish(statements, statements.submit(Request("cancel", statement=6)))
    assert result.output["data"] == {"text/plain": "False"}
    assert not statements.cancel(6)
    assert not statements.cancel(None)
    assert spark.cancelled == []


def test_a_storm_of_cancels_never_escapes_the_guard(statements: Statements, interpreter: Functions) -> None:
    """Cancels as fast as possible while short statements begin and end: every one is answered, none is lost."""
    stop = threading.Event()

    def storm() -> None:
        while not stop.is_set():
            statements.cancel(None)

    canceller = threading.Thread(target=storm)
    canceller.start()
    try:
        for statement in range(300):
            result = finish(statements, statements.submit(Request("x", statement=statement)))
            assert result.output["data"]["text/plain"] in ("x", "interrupted")
    finally:
        stop.set()
        canceller.join()


def test_foreign_sigint_is_ignored(statements: Statements, interpreter: Functions) -> None:
    def hit() -> str:
        signal.raise_signal(signal.SIGINT)
        return "unharmed"

    interpreter.does["hit"] = hit
    result = finish(statements, statements.submit(Request("hit", statement=0)))
    assert result.output["data"] == {"text/plain": "unharmed"}


def test_a_large_result_is_in_a_file_until_it_is_forgotten(
    statements: Statements, interpreter: Functions, tmp_path: Path
) -> None:
    interpreter.does["a"] = lambda: "é" * IN_MEMORY
    request = Request("a", statement=3, by_file=True)
    result = finish(statements, statements.submit(request))
    file = tmp_path / "outputs" / "3-3.json"
    assert statements.submit(request).result(0) is result
    assert result.size == file.stat().st_size > 2 * IN_MEMORY
    assert result.output == {"status": "ok", "execution_count": 3, "data": {}}
    assert json.loads(file.read_bytes())["data"] == {"text/plain": "é" * IN_MEMORY}
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["3-3.json"]
    statements.forget(3)
    assert list(file.parent.iterdir()) == []


def test_the_file_of_a_result_that_nobody_forgot_goes_with_the_next_statement(
    statements: Statements, interpreter: Functions, tmp_path: Path
) -> None:
    interpreter.does["a"] = lambda: "x" * IN_MEMORY
    finish(statements, statements.submit(Request("a", statement=3, by_file=True)))
    finish(statements, statements.submit(Request("b", statement=4, by_file=True)))
    assert list((tmp_path / "outputs").iterdir()) == []


def test_a_large_result_is_whole_in_the_reply_to_whoever_takes_no_file(
    statements: Statements, interpreter: Functions, tmp_path: Path
) -> None:
    interpreter.does["a"] = lambda: "x" * IN_MEMORY
    result = finish(statements, statements.submit(Request("a", statement=3)))
    assert result.size is None
    assert result.output["data"]["text/plain"] == "x" * IN_MEMORY
    assert not (tmp_path / "outputs").exists()


def test_a_result_that_no_file_can_be_made_for_is_told_as_a_failure(
    statements: Statements, interpreter: Functions, tmp_path: Path
) -> None:
    (tmp_path / "outputs").write_text("in the way")
    interpreter.does["a"] = lambda: "x" * IN_MEMORY
    result = finish(statements, statements.submit(Request("a", statement=3, by_file=True)))
    assert result.size is None
    assert result.output["evalue"].startswith("the output could not be kept: ")
