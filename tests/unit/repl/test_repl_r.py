"""R's interpreter where no R is needed: starts that fail, and whose text a printed byte is."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from sessions.repl import r_process
from sessions.repl.output import Capture
from sessions.repl.r import RInterpreter
from sessions.repl.r_output import Output
from sessions.repl.sparkr import SparkR


class FakeSpark:
    """Names a program; it is never asked for more."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program, self._folder = program, folder

    def program(self) -> str:
        return self._program

    def temporary_folder(self) -> str:
        return str(self._folder)


@pytest.fixture
def start(tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """Runs a statement with an R that is the given shell script."""

    def run(script: str) -> dict[str, Any]:
        program = tmp_path / "R"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return RInterpreter(cast(SparkR, FakeSpark(str(program), tmp_path)), 1000).execute("1", 3, "group")

    return run


def test_without_r_the_statement_says_so(tmp_path: Path) -> None:
    r = RInterpreter(cast(SparkR, FakeSpark("/nowhere/R", tmp_path)), 1000)
    assert r.execute("1", 3, "group") == {
        "status": "error",
        "execution_count": 3,
        "ename": "InterpreterError",
        "evalue": "Fail to start interpreter: there is no program /nowhere/R; install R, or name it in"
        " spark.r.shell.command",
        "traceback": [],
    }
    assert list(tmp_path.iterdir()) == []


def test_an_r_that_ends_at_once_is_quoted(start, tmp_path: Path) -> None:
    output = start("echo cannot find R_HOME >&2; exit 2")
    assert output["evalue"] == "Fail to start interpreter: R ended with exit code 2: cannot find R_HOME"
    assert [entry.name for entry in tmp_path.iterdir()] == ["R"]


def test_an_r_that_never_answers_is_given_up(start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sessions.repl.r.START_PATIENCE", 0.05)
    assert "R did not answer within 0 seconds" in start("exec sleep 60")["evalue"]


def test_code_with_a_nul_is_refused(tmp_path: Path) -> None:
    r = RInterpreter(cast(SparkR, FakeSpark("/nowhere/R", tmp_path)), 1000)
    assert "NUL character" in r.execute("cat('a\0b')", 0, "group")["evalue"]


def test_a_message_is_whole_or_not_there() -> None:
    message = b"\0\0\0\2" + b"\0\0\0\2ok" + b"\0\0\0\0"
    received = bytearray()
    for byte in message[:-1]:
        received.append(byte)
        assert r_process._taken(received) is None
    received += message[-1:] + b"\0\0"
    assert r_process._taken(received) == [b"ok", b""]
    assert received == b"\0\0"


def test_text_belongs_to_the_statement_it_was_printed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", log := io.StringIO())
    output, capture = Output(), Capture(100)
    os.write(output.end, b"before ")
    output.begin(capture)
    os.write(output.end, "λ and \udcff".encode("utf-8", "surrogateescape") + b" half: \xce")
    output.finish()
    os.write(output.end, b"after")
    output.begin(Capture(100))
    os.close(output.end)
    assert capture.text() == "λ and \\xff half: \\xce"
    assert log.getvalue() == "before after"


def test_more_than_the_limit_is_cut_and_still_read() -> None:
    output, capture = Output(), Capture(1000)
    output.start()
    output.begin(capture)
    os.write(output.end, b"x" * 300_000)
    output.finish()
    os.close(output.end)
    assert capture.text() == "x" * 1000 + "\n[output cut: the limit is 1000 bytes]"
