"""Work that Spark's start would do later, done earlier beside it; only the time to ready changes.

Decides what is worth doing early. On two quiet cores a session was idle after 3.1 s with it and 3.6 s without (medians
of five interleaved starts, Spark 4.3 with a class archive). Every step may fail without harm: Spark does it itself.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import threading

# Static initialisers that a SparkSession runs and that need no SparkContext. Its constructor took 1.9 s with them to
# run, and 0.1 s when they had been run.
SLOW_CLASSES = ("org.apache.spark.sql.ml.InternalFunctionRegistration$",)


def warm_jvm() -> None:
    """Begin, on a thread of its own, to initialise the JVM's slow classes, while Python still imports pyspark."""
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        threading.Thread(target=_initialise_classes, name="preload", daemon=True).start()


def _initialise_classes() -> None:
    try:
        from py4j.clientserver import (
            ClientServer,
            JavaParameters,
            PythonParameters,
        )

        java = JavaParameters(
            port=int(os.environ["PYSPARK_GATEWAY_PORT"]), auth_token=os.environ["PYSPARK_GATEWAY_SECRET"]
        )
        gateway = ClientServer(java, PythonParameters(port=0, eager_load=False))
        for name in SLOW_CLASSES:
            gateway.jvm.java.lang.Class.forName(name)
        gateway.close()
    except Exception:  # noqa: BLE001 - another Spark version, another py4j: nothing is lost but time
        return


def warm_imports() -> None:
    """Import pandas if it is there: Spark 4's converters do so, by pyspark's test module, while a session starts."""
    try:
        if importlib.util.find_spec("pandas") is not None:
            importlib.import_module("pyspark.testing.utils")
    except Exception:  # noqa: BLE001 - Spark itself will say what is wrong
        return
