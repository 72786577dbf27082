"""What is refused before Spark hears of it. No Spark."""

from __future__ import annotations

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
