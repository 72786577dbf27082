"""What is refused before Spark hears of it. No Spark."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sessions.repl.additions import Additions


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("file", "spark://127.0.0.1:1/x.txt"),
        ("pyfile", "spark://127.0.0.1:1/x.py"),
        ("jar", "local:/x.jar"),
        ("pyfile", "local:/x.jar"),
    ],
)
def test_what_every_later_task_would_stumble_over_never_reaches_spark(kind: str, path: str) -> None:
    spark: Any = SimpleNamespace(session=object)  # a session that can do nothing
    scheme = path.partition(":")[0]
    assert Additions(spark, []).add(kind, path).result(10) == (
        f"Spark takes no {scheme}: address while it runs; give a path or another URL"
    )


@pytest.mark.parametrize("scheme", ["http", "https", "ftp"])
def test_a_server_that_is_silent_is_not_waited_for(scheme: str) -> None:
    timeouts: list[int] = []

    def stream() -> None:
        assert len(timeouts) == 2 and min(timeouts) > 0, "it would be waited for without an end"
        raise TimeoutError("Read timed out")

    connection = SimpleNamespace(
        setConnectTimeout=timeouts.append, setReadTimeout=timeouts.append, getInputStream=stream
    )
    url = SimpleNamespace(openConnection=lambda: connection, openStream=stream)
    java = SimpleNamespace(net=SimpleNamespace(URL=lambda path: url))
    spark: Any = SimpleNamespace(session=lambda: SimpleNamespace(_jvm=SimpleNamespace(java=java)))
    assert Additions(spark, []).add("file", f"{scheme}://h/a").result(10) == "TimeoutError: Read timed out"


def test_an_addition_for_which_there_is_no_thread_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    spark: Any = SimpleNamespace()
    assert Additions(spark, []).add("file", "/a").result(0) == "RuntimeError: can't start new thread"


def test_what_was_added_is_added_to_a_spark_that_is_started_anew(tmp_path: Path, capsys: Any) -> None:
    for name in ("a.txt", "b.py", "gone.txt"):
        (tmp_path / name).touch()
    added: list[tuple[str, str]] = []

    def add(way: str) -> Callable[[str], None]:
        def note(path: str) -> None:
            if not Path(path).exists():
                raise FileNotFoundError(path)
            added.append((way, Path(path).name))

        return note

    context: Any = SimpleNamespace(addFile=add("file"), addPyFile=add("pyfile"))
    spark: Any = SimpleNamespace(session=lambda: SimpleNamespace(sparkContext=context))
    additions = Additions(spark, [])
    additions._added = {("addFile", str(tmp_path / "gone.txt")): None}
    additions._added |= {("addFile", str(tmp_path / "a.txt")): None, ("addPyFile", str(tmp_path / "b.py")): None}
    (tmp_path / "gone.txt").unlink()
    additions.renew(context)
    assert added == [("file", "a.txt"), ("pyfile", "b.py")]
    assert "gone.txt could not be added again" in capsys.readouterr().err
