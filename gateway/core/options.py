"""What a session or batch asks of Spark, and how it may be shown. Checks nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.core import records

# Spark's own default of spark.redaction.regex
_SECRET = re.compile(r"secret|password|token|access[.]?key", re.IGNORECASE)
_REDACTED = "*********(redacted)"


@records.kept_as_json
@dataclass(frozen=True)
class SparkOptions:
    """What a session or batch asks of Spark. Memory in Spark's notation ("2g"); None and [] mean not asked."""

    name: str | None = None
    proxy_user: str | None = None
    driver_memory: str | None = None
    driver_cores: int | None = None
    executor_memory: str | None = None
    executor_cores: int | None = None
    num_executors: int | None = None
    queue: str | None = None
    jars: list[str] = field(default_factory=list)
    py_files: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)
    conf: dict[str, str] = field(default_factory=dict)

    def fields_as_conf(self) -> dict[str, str]:
        """The fields that are single properties to Spark, by the property's key; without those not asked."""
        values = ((key, getattr(self, name)) for key, name in FIELDS.items())
        return {key: str(value) for key, value in values if value not in (None, 0)}


# by the property that it becomes: a field of one value
FIELDS = {
    "spark.app.name": "name",
    "spark.driver.memory": "driver_memory",
    "spark.driver.cores": "driver_cores",
    "spark.executor.memory": "executor_memory",
    "spark.executor.cores": "executor_cores",
    "spark.executor.instances": "num_executors",
    "spark.yarn.queue": "queue",
}


def redact(conf: Mapping[str, str]) -> dict[str, str]:
    """The conf as it may be shown: a value is hidden if it or its key names a secret, as in Spark's own UI."""
    return {key: _REDACTED if _SECRET.search(key) or _SECRET.search(value) else value for key, value in conf.items()}


def redact_args(args: list[str]) -> list[str]:
    """The arguments as they may be shown: without what follows `password=` or `--password`, and the like."""
    shown, hide = [], False
    for arg in args:
        shown.append(_REDACTED if hide else _without_value(arg))
        hide = arg.startswith("-") and "=" not in arg and _SECRET.search(arg) is not None
    return shown


def _without_value(arg: str) -> str:
    named = _SECRET.search(arg)
    at = arg.find("=", named.end()) if named else -1
    return arg if at < 0 else arg[: at + 1] + _REDACTED
