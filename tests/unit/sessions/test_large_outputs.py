"""Large outputs on their way: from a file into the store, and out of it as what the same output would be if held."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessions.drivers.kernel_client import OutputFile
from sessions.models import Session
from sessions.statements import large, pieces
from sessions.statements.large import Torn, beginning, output_of, read, take
from sessions.statements.models import Statement
from sessions.statements.states import StatementState
from sessions.statements.store import StatementStore


@pytest.fixture
def running(idle_session: Session, statement_store: StatementStore, clock) -> Statement:
    """A statement that runs."""
    statement_store.submit(idle_session.id, "1", "pyspark", clock(), most_unfinished=9, retained=1)
    (statement,) = statement_store.claim(clock())
    return statement


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "PIECE", 5)


def written(folder: Path, text: str) -> OutputFile:
    path = folder / "0-0.json"
    path.write_bytes(text.encode())
    return OutputFile(path, path.stat().st_size)


def text_of(store: StatementStore, statement: Statement) -> str:
    return "".join(output_of(store, statement).pieces())


def found(store: StatementStore, statement: Statement) -> Statement:
    one = store.find(statement.session, statement.id)
    assert one is not None
    return one


def kept(db: Any) -> list[tuple[int, str]]:
    return [(row["number"], row["text"]) for row in db.rows("SELECT * FROM statement_pieces ORDER BY number")]


# ---------------------------------------------------------------- files


def test_a_file_is_read_in_pieces_that_end_with_a_character(tmp_path: Path, small_pieces: None) -> None:
    text = "aé€😀" * 7
    parts = list(read(written(tmp_path, text)))
    assert "".join(parts) == text and len(parts) == -(-len(text.encode()) // 5)


def test_a_file_that_is_not_as_the_driver_said_is_not_taken(tmp_path: Path) -> None:
    file = written(tmp_path, "0123456789")
    for size in (9, 11):
        with pytest.raises(Torn):
            list(read(OutputFile(file.path, size)))
    with pytest.raises(FileNotFoundError):
        list(read(OutputFile(tmp_path / "none", 3)))


def test_no_link_is_followed_and_no_pipe_waited_for(tmp_path: Path) -> None:
    file = written(tmp_path, "0123456789")
    (tmp_path / "link").symlink_to(file.path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="link"):
        list(read(OutputFile(tmp_path / "link", 10)))
    with pytest.raises(Torn):
        list(read(OutputFile(tmp_path / "pipe", 0)))


# ---------------------------------------------------------------- the store


@pytest.mark.both_stores
def test_a_statement_ends_with_all_its_pieces(
    running: Statement, statement_store: StatementStore, tmp_path: Path, small_pieces: None, clock
) -> None:
    number = take(statement_store, running, written(tmp_path, "0123456789é"))
    assert number == 3 and found(statement_store, running).state is StatementState.RUNNING
    assert statement_store.finish_kept(running.session, running.id, number, clock(), clock())
    ended = found(statement_store, running)
    assert (ended.state, ended.output, ended.pieces) == (StatementState.AVAILABLE, None, 3)
    assert text_of(statement_store, ended) == "0123456789é"
    assert beginning(statement_store, ended, 7).output == "0123456"


@pytest.mark.both_stores
def test_storing_begins_again_after_a_kill(
    running: Statement, statement_store: StatementStore, tmp_path: Path, small_pieces: None, clock, db
) -> None:
    for place, text in enumerate(["of", "a", "first", "attempt"]):
        assert statement_store.keep(running.session, running.id, place, text)
    assert take(statement_store, running, written(tmp_path, "01234567")) == 2
    assert kept(db) == [(0, "01234"), (1, "567")]


@pytest.mark.both_stores
def test_pieces_of_a_statement_that_failed_meanwhile_are_gone_and_no_more_come(
    running: Statement, statement_store: StatementStore, clock, db
) -> None:
    assert statement_store.keep(running.session, running.id, 0, "begun")
    statement_store.lose_driver(running.session, "killed", clock())
    assert not statement_store.keep(running.session, running.id, 1, "more")
    assert not statement_store.finish_kept(running.session, running.id, 1, clock(), clock())
    assert kept(db) == [] and found(statement_store, running).output is not None


@pytest.mark.both_stores
def test_pieces_go_with_their_statement(running: Statement, statement_store: StatementStore, clock, db) -> None:
    statement_store.keep(running.session, running.id, 0, "text")
    statement_store.finish_kept(running.session, running.id, 1, clock(), clock())
    seen = found(statement_store, running)
    statement_store.submit(running.session, "2", "pyspark", clock(), most_unfinished=9, retained=1)
    assert statement_store.find(running.session, running.id) is None and kept(db) == []
    with pytest.raises(Torn):
        text_of(statement_store, seen)


@pytest.mark.both_stores
def test_pieces_go_with_their_session(running: Statement, statement_store: StatementStore, clock, db) -> None:
    statement_store.keep(running.session, running.id, 0, "text")
    statement_store.remove(running.session)
    assert kept(db) == []
    assert not statement_store.keep(running.session, running.id, 0, "text")


# ---------------------------------------------------------------- what it tells


def failure(printed: str, traceback: list[str]) -> str:
    envelope = {"status": "error", "execution_count": 3, "ename": "E", "evalue": 'v,"data":{', "traceback": traceback}
    if printed:
        envelope["data"] = {"text/plain": printed}
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":"))


def in_pieces(text: str, size: int) -> pieces.Pieces:
    def all_of_it() -> Iterator[str]:
        for at in range(0, len(text), size):
            yield text[at : at + size]

    return all_of_it


def held(output: str, statement: Statement) -> Any:
    return json.loads(Statement(**{**vars(statement), "output": output}).told or "null")


PRINTED = [
    "x",
    "x\n",
    "\n",
    "\n\n",
    "a\nb",
    "a\n\nb\n",
    "\\",
    "\\n",
    "\\\\n\n",
    "\\\n",
    '"',
    'a,"traceback":[\n',
    "é😀\x00\n\u2028",
]


@pytest.mark.parametrize("traceback", [[], ["E: v\n"], [',"data":{"text/plain":"', "]"]])
@pytest.mark.parametrize("printed", ["", *PRINTED])
def test_a_large_failure_tells_what_a_held_one_does(printed: str, traceback: list[str], running: Statement) -> None:
    output = failure(printed, traceback)
    for size in range(1, 12):
        assert json.loads("".join(pieces.told(in_pieces(output, size)))) == held(output, running)


@pytest.mark.parametrize("seed", range(50))
def test_any_failure_tells_what_a_held_one_does(seed: int, running: Statement) -> None:
    chosen = random.Random(seed)
    output = failure("".join(chosen.choices('\\\n"nua,', k=chosen.randrange(1, 40))), ["E: v\n"])
    told = "".join(pieces.told(in_pieces(output, chosen.randrange(1, 9))))
    assert json.loads(told) == held(output, running)


@pytest.mark.parametrize("size", range(1, 12))
def test_a_good_output_is_told_as_it_is(size: int) -> None:
    output = '{"status":"ok","execution_count":3,"data":{"text/plain":"a\\nb,\\"traceback\\":["}}'
    assert "".join(pieces.told(in_pieces(output, size))) == output
    found = pieces.parts(in_pieces(output, size))
    assert found is not None
    assert found[0] == '{"status":"ok","execution_count":3}'
    assert json.loads("".join(found[1])) == {"text/plain": 'a\nb,"traceback":['}
