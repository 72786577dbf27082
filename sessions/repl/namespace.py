"""What a user finds predefined: the names of contract livy §3.2, and a `cloudpickle` to import.

Decides names only. Whatever a Spark version no longer has is left out.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from types import ModuleType
from typing import Any

from .python_errors import hide_our_lines


def fill(module: ModuleType, session: Any) -> None:
    """Put Spark's names into the module the user's code runs in."""
    from pyspark.sql import SQLContext

    offer_cloudpickle()
    hush_to_json()
    hide_our_lines()
    names = {
        "spark": session,
        "sc": session.sparkContext,
        "sqlContext": SQLContext._get_or_create(session.sparkContext),
    }
    names["cloudpickle"] = importlib.import_module("cloudpickle")
    for package, name in (("pyspark.sql", "HiveContext"), ("pyspark.streaming", "StreamingContext")):
        try:
            names[name] = getattr(importlib.import_module(package), name)
        except (ImportError, AttributeError):
            continue
    vars(module).update(names)


def renew(module: ModuleType, session: Any) -> None:
    """Let the names that stand for a stopped Spark stand for the new one; a user's own values stay."""
    from pyspark.sql import SQLContext

    context = session.sparkContext
    live = {"spark": session, "sc": context, "sqlContext": SQLContext._get_or_create(context)}
    vars(module).update({name: live[name] for name in live if _is_stopped(vars(module).get(name))})


def _is_stopped(value: Any) -> bool:
    """Whether it is a SparkContext, or has one, that was stopped."""
    from pyspark import SparkContext

    context = value if isinstance(value, SparkContext) else getattr(value, "_sc", None)
    return isinstance(context, SparkContext) and context._jsc is None


def hush_to_json() -> None:
    """Keep Spark 4.3's advice on toJSON out of outputs: notebooks print its rows and parse all that is printed."""
    warnings.filterwarnings("ignore", "The return type of DataFrame.toJSON", UserWarning)


def offer_cloudpickle() -> None:
    """Let `import cloudpickle` find the copy inside pyspark when the real one is not installed."""
    if importlib.util.find_spec("cloudpickle") is not None:
        return
    bundled = "pyspark.cloudpickle"
    for part in ("", ".cloudpickle", ".cloudpickle_fast"):
        try:
            sys.modules[f"cloudpickle{part}"] = importlib.import_module(bundled + part)
        except ImportError:
            continue
    _know_newer_pickles()


def _know_newer_pickles() -> None:
    """What cloudpickle 3 keeps in one module, older ones, such as Spark 3.5's, have in two."""
    parts = [sys.modules.get(f"cloudpickle.{name}") for name in ("cloudpickle", "cloudpickle_fast")]
    if parts[0] is not None and parts[1] is not None:
        for name, value in vars(parts[1]).items():
            vars(parts[0]).setdefault(name, value)
