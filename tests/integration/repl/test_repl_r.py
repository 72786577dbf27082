"""Real R without Spark: how code is evaluated, shown and told as a failure (contract livy §3.5), and how it is stopped.

What needs SparkR is in test_repl_sparkr.py.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from sessions.repl import r_process
from sessions.repl.r import RInterpreter
from tests.integration.repl.driver_process import wait_until

pytestmark = pytest.mark.skipif(shutil.which("R") is None, reason="R is not installed (Debian: r-base-core)")

ROOT = Path(__file__).parents[3]
TEXT = "text/plain"
LIMIT = 200_000
Run = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def r(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RInterpreter]:
    """An R of all tests; its working directory is empty."""
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("r"))
    interpreter = RInterpreter(None, LIMIT)
    try:
        yield interpreter
    finally:
        interpreter.execute("tools::pskill(Sys.getpid(), 9)", 0, "group")
        os.chdir(before)


@pytest.fixture
def run(r: RInterpreter) -> Run:
    def execute(code: str) -> dict[str, Any]:
        envelope = r.execute(code, 7, "group")
        assert envelope["execution_count"] == 7
        json.dumps(envelope, allow_nan=False).encode("utf-8")
        return envelope

    return execute


@pytest.fixture
def text(run: Run) -> Callable[[str], str]:
    """The text of good code."""

    def of(code: str) -> str:
        output = run(code)
        assert output["status"] == "ok", output
        return str(output["data"][TEXT])

    return of


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("1+1", "[1] 2"),
        ("x <- 5", ""),
        ("invisible(3)", ""),
        ("1\n2\n3", "[1] 3"),
        ('print("a")\nprint("b")', '[1] "a"\n[1] "b"'),
        ('cat("hi\\n")', "hi"),
        ('cat("hi\\n"); 1', "hi\n[1] 1"),
        ("", ""),
        (" \n# a comment\n", ""),
        ("NULL", "NULL"),
        ("message('m'); 2", "m\n[1] 2"),
        ("if (TRUE)\n  1 else\n  2", "[1] 1"),
        ("f <- function(n) {\r\n  n + 1\r\n}\r\nf(1)", "[1] 2"),
        ("data.frame(a = 1:2, b = c('x', 'y'))", "  a b\n1 1 x\n2 2 y"),
        ("return(5)", "[1] 5"),
        ('"λ 😀 \\\\ \'q\' \\"d\\""', '[1] "λ 😀 \\\\ \'q\' \\"d\\""'),
        ("cat('\\033[31mred\\033[0m')", "red"),
        ("system('echo from a child')", "from a child"),
        ("system('echo told >&2')", "told"),
        ("readline('name? ')", 'name? \n[1] ""'),
        ("readLines(file('stdin'))", "character(0)"),
        ("tryCatch(stop('e'), error = function(e) 'caught')", '[1] "caught"'),
        ("print.odd <- function(x, ...) cat('odd\\n'); structure(1, class = 'odd')", "odd"),
        ("setClass('P', representation(n = 'numeric')); new('P', n = 1)", 'An object of class "P"\nSlot "n":\n[1] 1'),
        ("closeAllConnections(); 4", "[1] 4"),
        ("c <- 1; print <- 2; T <- 3; rm(c, print, T); 5", "[1] 5"),
    ],
)
def test_text_of_good_r_code(code: str, shown: str, text) -> None:
    assert text(code) == shown


def test_r_warnings_follow_the_text(text) -> None:
    assert text("warning('careful'); 3") == "[1] 3\nWarning message:\ncareful"
    assert text("f <- function() warning('w'); f(); f()") == "Warning messages:\n1: In f() : w\n2: In f() : w"
    assert text("suppressWarnings(as.integer('x'))") == "[1] NA"


@pytest.mark.parametrize(
    ("code", "evalue", "calls"),
    [
        ("foo", "Error: object 'foo' not found", []),
        ("stop('boom')", "Error: boom", ['stop("boom")']),
        ("g <- function(x) stop('deep'); f <- function(x) g(x); f(1)", "Error in g(x): deep", ["f(1)", "g(x)"]),
        ("sqrt('a')", 'Error in sqrt("a"): non-numeric argument to mathematical function', []),
        ("(", "Error: <text>:2:0: unexpected end of input\n1: (\n   ^", []),
        ("1\nx <- 1 +* 2", "Error: <text>:2:9: unexpected '*'\n1: 1\n2: x <- 1 +*\n           ^", []),
        ("%json x", "Error: <text>:1:1: unexpected input\n1: %json x\n    ^", []),
        ("f <- function(n) f(n + 1); f(1)", "Error: ", []),
        ("invokeRestart('abort')", "stopped by a jump to R's top level", []),
    ],
)
def test_failures_of_r_code(code: str, evalue: str, calls: list[str], run: Run) -> None:
    output = run(code)
    assert (output["status"], output["ename"]) == ("error", "Error")
    assert output["evalue"].startswith(evalue)
    assert output["traceback"][: len(calls)] == calls
    assert "data" not in output


def test_quirk_47_an_r_error_reads_as_r_writes_it_and_keeps_what_was_printed(run: Run) -> None:
    output = run("cat('before\\n'); stop('two\\nlines')")
    assert output["evalue"] == "Error: two\nlines"
    assert output["data"] == {TEXT: "before"}


def test_r_statements_share_their_variables_and_nothing_else_is_there(text) -> None:
    assert text("rm(list = ls(all.names = TRUE)); kept <- 41") == ""
    assert text("kept + 1") == "[1] 42"
    assert text("ls(all.names = TRUE)") == '[1] "kept"'


def test_r_output_is_cut_at_the_limit_and_says_so(text) -> None:
    assert text("cat(strrep('x', 1e6))") == "x" * LIMIT + f"\n[output cut: the limit is {LIMIT} bytes]"


def test_r_code_of_a_megabyte_runs(text) -> None:
    assert text(f"nchar('{'λ' * 500_000}')") == "[1] 500000"


# ---------------------------------------------------------------- plots


def png(output: dict[str, Any]) -> bytes:
    return base64.b64decode(output["data"]["image/png"])


@pytest.mark.parametrize("code", ["plot(1:3)", "f <- function() barplot(1:3)\ninvisible(f())", "p <- hist(1:9)"])
def test_r_plots_are_images_without_text(code: str, run: Run) -> None:
    output = run(code)
    assert set(output["data"]) == {"image/png"}
    assert png(output).startswith(b"\x89PNG")


def test_an_r_plot_has_its_text_beside_it_and_the_last_page_counts(run: Run) -> None:
    assert run("for (i in 1:3) plot(i)")["data"] == run("i <- 3; plot(i)")["data"]
    output = run("plot(1)\n'done'")
    assert output["data"][TEXT] == '[1] "done"' and png(output).startswith(b"\x89PNG")


def test_what_draws_when_it_is_printed_is_an_r_plot(run: Run) -> None:
    code = "print.picture <- function(x, ...) plot(x$n)\nstructure(list(n = 1:3), class = 'picture')"
    assert set(run(code)["data"]) == {"image/png"}


def test_r_plots_leave_no_file_and_no_device(run: Run, text) -> None:
    run("plot(1); par(mfrow = c(1, 2))")
    assert text("c(length(dev.list()), length(list.files()))") == "[1] 0 0"
    assert run("1")["data"] == {TEXT: "[1] 1"}
    assert run("pdf('own.pdf'); plot(1); invisible(dev.off())")["data"] == {TEXT: ""}
    assert text("unlink('own.pdf')") == ""


# ---------------------------------------------------------------- death


def test_quit_is_refused(run: Run, text) -> None:
    text("kept <- 5")
    for code in ("q()", "quit(status = 1)"):
        assert "delete the session" in run(code)["evalue"]
    assert text("kept") == "[1] 5"


@pytest.mark.parametrize("code", ["edit(1)", "d <- data.frame(a = 1); fix(d)", "file.edit('notes.txt')"])
def test_no_editor_is_opened(code: str, run: Run) -> None:
    assert run(code)["evalue"] == "Error: there is no terminal to edit in"


def test_a_browser_without_a_prompt_leaves_no_stepping_behind(text) -> None:
    assert "browser() is passed over" in text("browser()\n1")
    assert text("{\n  1\n  2\n}") == "[1] 2"


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("base::quit(status = 3)", "R ended with exit code 3"),
        ("cat('last words\\n'); tools::pskill(Sys.getpid(), 9)", "R was ended by signal 9 (Killed)"),
    ],
)
def test_a_died_r_says_so_and_the_next_statement_has_a_new_one(code: str, how: str, run: Run, text) -> None:
    text("kept <- 5")
    output = run(code)
    assert output["ename"] == "Error"
    assert output["evalue"].startswith(
        f"Interpreter died:\n{how}; its variables are lost, and the next R statement starts a new one"
    )
    assert ("last words" in output["evalue"]) == ("last words" in output.get("data", {}).get(TEXT, ""))
    assert text("exists('kept')") == "[1] FALSE"


def test_an_r_that_died_between_statements_is_told_before_code_runs_without_its_variables(run: Run, text) -> None:
    os.kill(int(text("cat(Sys.getpid())")), signal.SIGKILL)
    assert "its variables are lost" in run("stop('never run')")["evalue"]
    assert text("1") == "[1] 1"


def test_r_ends_with_its_driver_even_when_that_is_killed(tmp_path: Path) -> None:
    code = (
        "from sessions.repl.r import RInterpreter; r = RInterpreter(None, 1000);"
        "print(r.execute('cat(Sys.getpid())', 0, 'group')['data']['text/plain'], flush=True);"
        "r.execute('while (TRUE) {}', 1, 'group')"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "TMPDIR": str(tmp_path)}) as driver:  # fmt: skip
        assert driver.stdout is not None
        pid = int(driver.stdout.readline())
        assert psutil.pid_exists(pid)
        driver.kill()
    wait_until(lambda: not psutil.pid_exists(pid), 10)


# ---------------------------------------------------------------- cancel


def cancelled(r: RInterpreter, code: str, started: Path) -> tuple[float, dict[str, Any]]:
    """Seconds from the first attempt to the end of `code`, which writes into the file `started`; and its envelope."""
    first, done = threading.Event(), threading.Event()
    pressed = []

    def press() -> None:
        wait_until(lambda: started.exists() and started.read_text().endswith("\n"))
        pressed.append(time.monotonic())
        first.set()
        while not done.is_set():
            r.interrupt()
            done.wait(0.3)

    presser = threading.Thread(target=press)
    presser.start()
    try:
        output = r.execute(code, 8, "group")
        ended = time.monotonic()
        assert first.is_set()
        return ended - pressed[0], output
    finally:
        done.set()
        presser.join()


@pytest.mark.parametrize(
    "code",
    [
        "Sys.sleep(100)",
        "while (TRUE) {}",
        "repeat {}",
        "f <- function() while (TRUE) kept <- sqrt(2)\nf()",
        "system('sleep 100')\nSys.sleep(100)",
        "for (i in 1:1000) tryCatch({ Sys.sleep(0.1); stop('x') }, error = function(e) NULL)",
        "parallel::mclapply(1:2, function(i) Sys.sleep(100))",
    ],
)
def test_cancelled_r_code_stops_within_two_seconds_and_keeps_its_variables(code, r, text, tmp_path) -> None:
    text("kept <- 42")
    started = tmp_path / "started"
    seconds, output = cancelled(r, f"writeLines('', '{started}')\n{code}", started)
    assert (output["status"], output["evalue"]) == ("error", "interrupted")
    assert seconds < 2
    assert text("kept") == "[1] 42"


def test_a_program_that_r_waits_for_is_stopped_too(r: RInterpreter, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    seconds, _ = cancelled(r, f"system('echo $$ > {pid}; exec sleep 100')", pid)
    assert seconds < 2
    assert not psutil.pid_exists(int(pid.read_text()))


def test_an_r_that_ignores_the_cancel_is_ended(r: RInterpreter, text, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(r_process, "KILL_AFTER", 1.0)
    started = tmp_path / "started"
    code = f"repeat tryCatch({{ writeLines('', '{started}'); Sys.sleep(100) }}, interrupt = function(i) NULL)"
    _, output = cancelled(r, code, started)
    assert "R did not react to being cancelled for 1 seconds and was killed" in output["evalue"]
    assert text("1") == "[1] 1"


def test_a_late_cancel_does_not_meet_the_next_statement(r: RInterpreter, text) -> None:
    pid = int(text("cat(Sys.getpid())"))
    for _ in range(20):
        os.kill(pid, signal.SIGINT)
        assert text("Sys.sleep(0.001); 1") == "[1] 1"
