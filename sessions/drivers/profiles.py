"""Which sessions a driver can serve that is started before anybody asks for it: its profile.

A profile is all that is fixed when a driver starts, and whose the driver is to be. Name, lifetime and what Spark lets a
session set by itself are told to the driver when it is claimed. Starts nothing and stores nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.core import clusters, conf_values, pythons, records, submit
from gateway.core.conf_values import DRIVER_MEMORY
from gateway.core.events import Belonging
from gateway.core.options import SparkOptions
from gateway.core.settings import ClusterSettings, Settings

_MEMORY_STEP = 128 << 20  # bytes; sizes that differ by less are one: the driver has the larger
_DEFAULT_MEMORY = "1g"  # Spark's own
_BESIDE_HEAP = 600 << 20  # bytes: the JVM's own, and Python

_NAME = "spark.app.name"
ROWS = "livy.rsc.sql.num-rows"

# Of Spark SQL's settings those that are fixed once Spark runs (3.5 and 4.3), and families in which there are such.
_FIXED_FAMILIES = (
    "spark.sql.artifact.", "spark.sql.avro.", "spark.sql.catalog.", "spark.sql.extensions", "spark.sql.hive.",
    "spark.sql.kafka.", "spark.sql.reflect.", "spark.sql.restrictedMode.", "spark.sql.streaming.ui.", "spark.sql.ui.",
    "spark.sql.warehouse.",
)  # fmt: skip
_FIXED = {
    "spark.sql.broadcastExchange.maxThreadThreshold",
    "spark.sql.cache.serializer",
    "spark.sql.catalogImplementation",
    "spark.sql.codegen.cache.maxEntries",
    "spark.sql.codegen.comments",
    "spark.sql.debug",
    "spark.sql.defaultUrlStreamHandlerFactory.enabled",
    "spark.sql.event.truncate.length",
    "spark.sql.filesourceTableRelationCacheSize",
    "spark.sql.globalTempDatabase",
    "spark.sql.legacy.hive.thriftServer.allowSettingSystemProperties",
    "spark.sql.legacy.sessionInitWithConfigDefaults",
    "spark.sql.metadataCacheTTLSeconds",
    "spark.sql.queryExecutionListeners",
    "spark.sql.resultQueryStage.maxThreadThreshold",
    "spark.sql.shuffleExchange.maxThreadThreshold",
    "spark.sql.sources.disabledJdbcConnProviderList",
    "spark.sql.sources.schemaStringLengthThreshold",
    "spark.sql.streaming.streamingQueryListeners",
    "spark.sql.subquery.maxThreadThreshold",
}
# What has no effect on a driver in client mode; and where it does all the work itself, nothing of executors has.
_OF_CLUSTER_MODE = {"spark.driver.cores"}
_OF_EXECUTORS = {"spark.executor.cores", "spark.executor.instances", "spark.executor.memory"}

# Lists of files, which may have changed when a session asks for them.
_LISTS = ("spark.jars", "spark.files", "spark.archives", "spark.submit.pyFiles")
_PATHS = ("extraClassPath", "extraLibraryPath", "spark.yarn.", "userClassPathFirst")


@dataclass(frozen=True)
class Profile:
    """`options` are those that a driver of this profile is started with. Without a `key` none can be started ahead."""

    key: str
    options: SparkOptions


def profile_of(options: SparkOptions, whose: Belonging, settings: Settings) -> Profile:
    """The profile of a session's options, which name their cluster.

    No driver can be started ahead for those that name files of which this host cannot tell whether they are the same.
    """
    here, stamps = clusters.chosen(options.conf, settings), _stamps(options)
    fixed = _fixed(options, here)
    if stamps is None:
        return Profile("", fixed)
    facts = [
        {name: str(value) for name, value in dataclasses.asdict(here).items()},
        [settings.sql_rows, settings.statement_output_limit, settings.livy_jars, settings.impersonation],
        [pythons.default(here), settings.warm_languages],
        json.loads(records.to_json(fixed)),
        stamps,
        [whose.owner, whose.project],
    ]
    return Profile(hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest(), fixed)


def set_when_claimed(options: SparkOptions) -> dict[str, str]:
    """What of a session's conf its driver is told when it is claimed, by key, without its name."""
    asked = {**options.conf, **options.fields_as_conf()}
    return {key: text for key, text in asked.items() if key != _NAME and (_is_set_later(key) or key in _SHOWN)}


def name_of(options: SparkOptions) -> str | None:
    """The name of the session's application, None when it asks for none."""
    return options.name or options.conf.get(_NAME)


_SHOWN = {*_OF_CLUSTER_MODE, *_OF_EXECUTORS, DRIVER_MEMORY}


def _is_set_later(key: str) -> bool:
    if key.startswith("livy."):
        return True  # no key of Spark's
    return key.startswith("spark.sql.") and key not in _FIXED and not key.startswith(_FIXED_FAMILIES)


def _fixed(options: SparkOptions, here: ClusterSettings) -> SparkOptions:
    without = {_NAME, DRIVER_MEMORY, *_OF_CLUSTER_MODE}
    executors = dataclasses.replace(options, name=None, driver_cores=None)
    if here.master == "local" or here.master.startswith("local["):
        without |= _OF_EXECUTORS
        executors = dataclasses.replace(
            executors, executor_cores=None, executor_memory=None, num_executors=None, queue=None
        )
    conf = {key: text for key, text in options.conf.items() if key not in without and not _is_set_later(key)}
    return dataclasses.replace(executors, driver_memory=_memory(options, here), conf=conf)


def _memory(options: SparkOptions, here: ClusterSettings) -> str:
    asked = submit.conf_of(options, here, Path("/"), {}).get(DRIVER_MEMORY) or _DEFAULT_MEMORY
    size = conf_values.size(DRIVER_MEMORY, asked)
    return asked if size is None else f"{-(-size // _MEMORY_STEP) * _MEMORY_STEP >> 20}m"


def memory_of(options: SparkOptions) -> int:
    """Bytes that a driver with these options of a profile may come to take."""
    return (conf_values.size(DRIVER_MEMORY, options.driver_memory or _DEFAULT_MEMORY) or 0) + _BESIDE_HEAP


def _stamps(options: SparkOptions) -> list[str] | None:
    """What tells whether the files are those of before; None when nothing does."""
    if any(part in key for key in options.conf for part in _PATHS):
        return None
    return _of_all([*options.jars, *options.py_files, *options.files, *options.archives, *_listed(options.conf)])


def _listed(conf: Mapping[str, str]) -> list[str]:
    return [path.strip() for key in _LISTS for path in conf.get(key, "").split(",") if path.strip()]


def _of_all(paths: Iterable[str]) -> list[str] | None:
    stamps = []
    for path in paths:
        plain = path.removeprefix("file:").partition("#")[0]
        try:
            found = Path(plain).stat()
        except (OSError, ValueError):
            return None
        if not plain.startswith("/") or Path(plain).is_dir():
            return None
        stamps.append(f"{path} {found.st_mtime_ns} {found.st_size} {found.st_ino}")
    return stamps
