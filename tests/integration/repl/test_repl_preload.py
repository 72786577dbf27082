"""What a driver imports before Spark starts: in a Python as sessions have it, without a JVM."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.core import installation, pythons
from gateway.core.settings import DEFAULT_CLUSTER, Settings

ROOT = Path(__file__).parents[3]
HERE = Settings().on(DEFAULT_CLUSTER)
CODE = """
import json, sys
from sessions.repl import preload
preload.import_spark()
preload.warm_imports()
heavy = [name for name in ("numpy", "pandas", "pyarrow") if name in sys.modules]
import pyspark
from pyspark.testing import utils
from pyspark.sql.pandas.utils import require_minimum_pandas_version as check
from pyspark.sql.types import NumpyScalarConverter
import numpy
told = {"heavy": heavy, "from": pyspark.__file__, "check": check.__module__,
        "there": [utils.have_pandas, utils.have_pyarrow],
        "converts": [NumpyScalarConverter().can_convert(value) for value in (numpy.int64(1), 1)]}
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    home = installation.spark_home(HERE)
    path = [str(archive) for archive in sorted(home.glob("python/lib/*.zip"))]
    environ = {**os.environ, "SPARK_HOME": str(home), "PYTHONPATH": os.pathsep.join([str(ROOT), *path])}
    ran = subprocess.run([pythons.default(HERE), "-c", CODE], env=environ, capture_output=True, text=True, check=True)
    return dict(json.loads(ran.stdout))


def test_pandas_is_not_imported_to_see_whether_it_is_there(told: dict[str, Any]) -> None:
    assert told["heavy"] == []
    assert told["there"] == [True, True]
    assert told["check"] == "pyspark.sql.pandas.utils"


def test_values_of_numpy_are_converted_once_it_is_imported(told: dict[str, Any]) -> None:
    assert told["converts"] == [True, False]


def test_pyspark_comes_compiled(told: dict[str, Any]) -> None:
    assert told["from"] == str(installation.spark_home(HERE) / "__init__.py")
