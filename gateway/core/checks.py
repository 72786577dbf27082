"""What a request may ask of Spark, refused by the name of its field. Contract §4.3."""

from __future__ import annotations

import re

from gateway.core import paths
from gateway.core.errors import InvalidRequest
from gateway.core.options import SparkOptions
from gateway.core.settings import ClusterSettings, Settings

_FILE_LIST_KEYS = (
    "spark.jars",
    "spark.files",
    "spark.archives",
    "spark.submit.pyFiles",
    "spark.yarn.dist.archives",
    "spark.yarn.dist.files",
    "spark.yarn.dist.jars",
    "spark.yarn.archive",
    "spark.yarn.jar",
    "spark.yarn.jars",
)


def check(options: SparkOptions, settings: Settings, here: ClusterSettings, file: str | None = None) -> None:
    """Refuse what may not be asked of the cluster `here`. `file` is a batch's application. Raises InvalidRequest."""
    forbidden = sorted(set(options.conf) & set(settings.conf_blacklist))
    if forbidden:
        raise InvalidRequest(f"Blacklisted configuration values in session config: {', '.join(forbidden)}")
    _check_sizes(options)
    for name in ("jars", "py_files", "files", "archives"):
        for path in getattr(options, name):
            paths.check(_wire(name), path, settings, here)
    for key in _FILE_LIST_KEYS:
        for path in filter(None, re.split(r"[,\s]+", options.conf.get(key, ""))):
            paths.check(key, path, settings, here)
    if file is not None:
        paths.check("file", file, settings, here)


def _check_sizes(options: SparkOptions) -> None:
    for name in ("driver_memory", "executor_memory"):
        size = getattr(options, name)
        if size is not None and not re.fullmatch(r"\d{1,12}([kmgtp]b?|b)?", size.strip(), re.IGNORECASE):
            raise InvalidRequest(
                f"{_wire(name)} '{size}' is not a size: give a whole number and a unit, such as 512m or 2g"
            )
    for name in ("driver_cores", "executor_cores", "num_executors"):
        number = getattr(options, name)
        if number is not None and not 0 <= number < 2**31:
            raise InvalidRequest(f"{_wire(name)} is {number}: give a whole number from 1 up")


def _wire(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
