"""100 MB of output: whole at the client, and in no process as a copy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.integration.running_gateway import SOON, Gateway, Session, Statement, wait_until

SIZE = 100_000_000
MOST = 300  # MB that a process may grow by
SLOW = 120.0  # seconds for what is large on a busy machine

# Lines, since those are what people print; the same in the client, which knows what they are.
LINE = '0123456789 é \\\\ \\"quoted\\" 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789'
PRINT = f'for n in range({SIZE // 100}): print("{LINE}")'


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    opened = Gateway(tmp_path)
    try:
        yield opened.open()
    finally:
        opened.close()


@pytest.fixture
def session(gateway: Gateway) -> Session:
    found = gateway.new_session(kind="pyspark").wait_for("idle")
    found.run("1")
    return found


_END = b'"}}}'


class Growth:
    """How much more memory processes had at their peak than when this began, in MB."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        for pid in pids.values():
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak is what is there now
        self._begun = {name: _status(pid, "VmRSS") for name, pid in pids.items()}

    def now(self) -> dict[str, int]:
        return {name: _status(pid, "VmHWM") - self._begun[name] for name, pid in self._pids.items()}


def _status(pid: int, name: str) -> int:
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(lines[name].split()[0]) // 1024


def processes_of(gateway: Gateway, session: Session) -> dict[str, int]:
    assert gateway.supervisor is not None and gateway._web is not None
    (worker,) = psutil.Process(gateway._web.pid).children()
    driver = json.loads((session.folder / "ready.json").read_text())["pid"]
    return {"driver": driver, "supervisor": gateway.supervisor.pid, "web": worker.pid}


def wait_for_end(statement: Statement) -> None:
    """Without reading its output."""
    session = statement.session
    sql = "SELECT 1 FROM statements WHERE session = ? AND id = ? AND state = 'available'"
    wait_until(lambda: session.gateway.query(sql, session.id, statement.id), SLOW, "the statement ends")


def fetched(gateway: Gateway, path: str) -> Iterator[bytes]:
    with gateway.http.get(gateway.url + path, stream=True, timeout=SLOW) as answer:
        assert answer.status_code == 200
        yield from answer.iter_content(1 << 18)


def printed_of(body: Iterator[bytes]) -> tuple[str, int, str]:
    """The state that the document tells; how long its text is, as JSON, and the sum of that. It is never held whole."""
    head, mark, inside = b"", b"", b""
    while not mark:
        head, mark, inside = (head + inside + next(body)).partition(b'"text/plain":"')
    state = json.loads(head.partition(b',"output":')[0] + b"}")["state"]
    digest, length = hashlib.sha256(), 0
    for piece in body:
        begun = inside + piece
        known, inside = begun[: -len(_END)], begun[-len(_END) :]
        digest.update(known)
        length += len(known)
    assert inside == _END
    return state, length, digest.hexdigest()


def output_files(session: Session) -> list[str]:
    folder = session.folder / "outputs"
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def test_no_process_holds_a_large_output(gateway: Gateway, session: Session) -> None:
    growth = Growth(processes_of(gateway, session))
    statement = session.submit(PRINT)
    wait_for_end(statement)
    state, length, digest = printed_of(fetched(gateway, statement.path))
    said = json.dumps(json.loads(f'"{LINE}\\n"'), ensure_ascii=False)[1:-1].encode() * (SIZE // 100)
    assert (state, length) == ("available", len(said) - 2)  # less the last newline
    assert length > SIZE and digest == hashlib.sha256(said[:-2]).hexdigest()
    assert {name: grown for name, grown in growth.now().items() if grown > MOST} == {}
    wait_until(lambda: not output_files(session), SOON, "the driver has forgotten it")
    assert session.text("1 + 1") == "2"


def test_a_supervisor_killed_while_it_stores_a_large_output_loses_nothing(gateway: Gateway, session: Session) -> None:
    statement = session.submit(f'print("x" * {SIZE})')
    stored = "SELECT count(*) FROM statement_pieces"
    wait_until(lambda: gateway.query(stored)[0][0] > 2, SLOW, "it is being stored")
    gateway.kill_supervisor()
    begun = gateway.query(stored)[0][0]
    if (state := statement.document["state"]) != "available":
        assert (state, statement.document["output"]) == ("running", None)
        assert output_files(session) == [f"0-{statement.id}.json"]
    gateway.start_supervisor()
    wait_for_end(statement)
    assert statement.document["output"]["data"] == {"text/plain": "x" * SIZE}
    assert gateway.query(stored)[0][0] >= begun
    assert session.text("1 + 1") == "2"
