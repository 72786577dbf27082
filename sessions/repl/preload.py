"""Work that Spark's start would do later, done earlier beside it; only the time to ready changes.

Decides what is worth doing early. On two quiet cores a session was idle after 3.1 s with it and 3.6 s without (medians
of five interleaved starts, Spark 4.3 with a class archive). Every step may fail without harm: Spark does it itself.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

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


def import_spark() -> None:
    """Import pyspark, and have the first call into the JVM not import numpy: Spark 4's converters look for its values.

    There are none before somebody has imported numpy.
    """
    _unpack()
    import pyspark.sql.types

    for name in ("NumpyScalarConverter", "NumpyArrayConverter"):
        converter = getattr(pyspark.sql.types, name, None)
        if converter is not None:
            converter.can_convert = _once_numpy_is_there(converter.can_convert)


def _unpack() -> None:
    """Take pyspark from Spark's folder where it would come from the archive in it, which holds nothing compiled."""
    found = importlib.util.find_spec("pyspark")
    home = os.environ.get("SPARK_HOME")
    if home is None or found is None or not _is_in(os.path.join(home, "python", "lib"), found.origin):
        return
    for folder in (home, os.path.join(home, "python", "pyspark")):
        file = os.path.join(folder, "__init__.py")
        if os.path.exists(file):
            spec = importlib.util.spec_from_file_location("pyspark", file, submodule_search_locations=[folder])
            assert spec is not None
            assert spec.loader is not None
            package = sys.modules["pyspark"] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(package)
            return


def _is_in(folder: str, file: str | None) -> bool:
    return file is not None and os.path.realpath(file).startswith(os.path.realpath(folder) + os.sep)


def _once_numpy_is_there(can_convert: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda converter, value: "numpy" in sys.modules and can_convert(converter, value)


def warm_imports() -> None:
    """Import the test module of Spark 4, of which its functions ask what is installed.

    To know that, it would import pandas and pyarrow, which takes as long as a fifth of a start, and 80 MiB.
    """
    try:
        import pyspark
        from pyspark.sql.pandas import utils

        if pyspark.__version__.startswith("3"):
            return  # whose functions ask it nothing, and whose test module needs pandas
        kept = vars(utils).copy()
        utils.require_minimum_pandas_version = _require("pandas")
        utils.require_minimum_pyarrow_version = _require("pyarrow")
        try:
            importlib.import_module("pyspark.testing.utils")
        finally:
            vars(utils).update(kept)
    except Exception:  # noqa: BLE001 - Spark itself will say what is wrong
        return


def _require(package: str) -> Callable[[], None]:
    def require() -> None:
        if importlib.util.find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named '{package}'", name=package)

    return require
