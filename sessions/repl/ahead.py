"""A driver that was started ahead of its session: has run once what is slow the first time, and becomes the session's.

Decides what is run, and that it leaves nothing behind that a user could see in a language. Knows no gateway.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from .interpreter import Interpreter
from .spark import Application

GROUP = "warm-up"
# What sessions do first. Each leaves no variable and no result behind.
_TEXTS = {
    "pyspark": (
        "spark.range(100000).selectExpr('sum(id)').collect() and None",
        "sc.parallelize(range(100)).map(lambda x: x + 1).sum() and None",
        "spark.createDataFrame([(1, 'a')], 'n int, s string').show()",
    ),
    "sql": ("select 1", "select id % 2, count(*) from range(10) group by 1 order by 1"),
    "spark": ("import scala.Predef._",),
}
ROUNDS = 3  # the first loads classes, and what the JVM makes of them shows in the second


class Ahead:
    """`on_claim` is told the conf of the session that gets the driver."""

    def __init__(
        self,
        spark: Application,
        interpreters: Mapping[str, Interpreter],
        on_claim: Callable[[Mapping[str, str]], None],
    ) -> None:
        self._spark, self._interpreters, self._on_claim = spark, interpreters, on_claim
        self._claimed, self._warms_up = threading.Event(), False

    def warm_up(self, languages: Sequence[str]) -> None:
        """On the main thread, before any statement. Breaks off once a session has the driver."""
        self._warms_up = True
        try:
            self._spark.enter_group(GROUP, GROUP)
            self._run_all(languages)
        finally:
            self._warms_up = False

    def _run_all(self, languages: Sequence[str]) -> None:
        for language in list(languages) * ROUNDS:
            for text in _TEXTS[language]:
                if self._claimed.is_set():
                    return
                self._interpreters[language].execute(text, 0, GROUP)

    def claim(self, name: str | None, conf: Mapping[str, str]) -> str | None:
        """Be the driver of a session; why that cannot be, None when it is. Harmless to repeat. For any thread."""
        self._claimed.set()
        if self._warms_up:  # its Spark jobs may wait for cores, and the first statement behind them
            self._spark.cancel(GROUP)
        refusal = self._spark.take(name, conf)
        if refusal is None:
            self._on_claim(conf)
        return refusal
