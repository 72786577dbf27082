"""Renews what Spark's first start gave, when user code has stopped Spark and started it again.

Decides when that is noticed: a start by Python at once, in the middle of its statement; one by Scala or R when the
statement is over. Refuses to know what is renewed.
"""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from . import thread_tags
from .spark import Application

Listener = Callable[[Any], None]


class Restarts:
    """`on_context` are told of a new SparkContext of Python's at once, `on_session` of the session when all is over."""

    def __init__(self, spark: Application, on_context: Sequence[Listener], on_session: Sequence[Listener]) -> None:
        self._spark = spark
        self._on_context = on_context
        self._on_session = on_session
        self._application: dict[str, str | None] | None = None

    def watch(self) -> None:
        """Have every SparkContext that is started from now on find what the first one found."""
        from pyspark import SparkContext

        start = SparkContext._do_init

        @functools.wraps(start)
        def start_and_renew(context: Any, *args: Any, **kwargs: Any) -> None:
            start(context, *args, **kwargs)
            try:
                self._renew(context)
            except Exception:  # noqa: BLE001 - Spark has started all the same
                traceback.print_exc(file=sys.__stderr__)

        setattr(SparkContext, "_do_init", start_and_renew)  # noqa: B010 - mypy forbids the other way

    def _renew(self, context: Any) -> None:
        self._spark.settle()
        thread_tags.renew(context)
        for listener in self._on_context:
            listener(context)

    def look(self, kind: str) -> dict[str, str | None] | None:
        """Take over what a statement in the language `kind` has left of Spark.

        Gives the `app_id` and `ui_url` of the application that was started anew; None when it is still the first one.
        """
        try:
            if kind in ("spark", "sparkr"):
                self._follow_jvm()
            session = self._spark.session()
        except Exception:  # noqa: BLE001 - Spark is stopped
            return self._application
        if self._spark.adopt(session):
            facts = self._spark.facts()
            self._application = {"app_id": facts["app_id"], "ui_url": facts["ui_url"]}
            for listener in self._on_session:
                listener(session)
        return self._application

    def _follow_jvm(self) -> None:
        """Let Python's objects go when others have stopped Spark, and make new ones when they have started it again."""
        from pyspark import SparkConf, SparkContext
        from pyspark.sql import SparkSession

        old = self._spark.context
        if old is not None and not old._jsc.sc().isStopped():
            return
        if old is not None:
            old.stop()
        new = self._spark.java_session()
        if new is not None:
            gateway, conf = SparkContext._gateway, SparkConf(_jconf=new.sparkContext().getConf())
            assert gateway is not None
            java = gateway.jvm.org.apache.spark.api.java.JavaSparkContext.fromSparkContext(new.sparkContext())
            SparkSession(SparkContext(gateway=gateway, jsc=java, conf=conf), new)
