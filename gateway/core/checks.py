"""What a request may ask of Spark, and what not, by the name of its field. Contract §4.3."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.core import conf_values, paths
from gateway.core.faults import Code, Fault
from gateway.core.options import FIELDS, SparkOptions
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


def _wire(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def faults(
    options: SparkOptions, settings: Settings, here: ClusterSettings, file: str | None = None
) -> Iterator[Fault]:
    """What may not be asked of the cluster `here`. `file` is a batch's application."""
    if forbidden := ", ".join(sorted(set(options.conf) & set(settings.conf_blacklist))):
        yield Fault(
            "conf", Code.SETTING, f"conf has what may not be chosen here: {forbidden}", "leave it out", forbidden
        )
    fields = options.fields_as_conf()
    named = {key: _wire(FIELDS[key]) for key in fields}
    yield from conf_values.faults({**options.conf, **fields}, named)
    for name in ("jars", "py_files", "files", "archives"):
        for path in getattr(options, name):
            yield from paths.faults(_wire(name), path, settings, here)
    for key in _FILE_LIST_KEYS:
        for path in filter(None, re.split(r"[,\s]+", options.conf.get(key, ""))):
            yield from paths.faults(key, path, settings, here)
    if file is not None:
        yield from paths.faults("file", file, settings, here)
