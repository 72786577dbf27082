"""Which sessions a driver can serve that is started before anybody asks for it: its profile.

A profile is all that is fixed when a driver starts, and whose the driver is to be. Name, lifetime and what Spark lets a
session set by itself are told to the driver when it is claimed. Starts nothing and stores nothing.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.core import clusters, conf_values, installation, pythons, records, submit
from gateway.core.conf_values import DRIVER_MEMORY
from gateway.core.events import Belonging
from gateway.core.options import SparkOptions, redact
from gateway.core.settings import ClusterSettings, Settings

MEMORY_STEP = 128 << 20  # bytes; sizes that differ by less are one: the driver has the larger
_DEFAULT_MEMORY = "1g"  # Spark's own
_BESIDE_HEAP = 600 << 20  # bytes: the JVM's own, and Python

_NAME = "spark.app.name"

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
# What makes no difference to a driver that does all the work itself; its session is shown what it asked for.
WITHOUT_EFFECT = {"spark.driver.cores", "spark.executor.cores", "spark.executor.instances", "spark.executor.memory"}

_LISTS = ("spark.jars", "spark.files", "spark.archives", "spark.submit.pyFiles")
_PYTHONS = ("spark.pyspark.python", "spark.pyspark.driver.python")
_REPL = Path(__file__).parents[1] / "repl"


@dataclass(frozen=True)
class Profile:
    """`options` are those that a driver of this profile is started with. Without a `key` none can be started ahead."""

    key: str
    options: SparkOptions


def profile_of(options: SparkOptions, whose: Belonging, settings: Settings) -> Profile:
    """The profile of a session's options, which name their cluster. Raises InvalidRequest when that is not there.

    No driver is started ahead on the cores of a cluster, which it would hold for nobody; with secrets of a user's, who
    is to have them known only while the session is there; and with files that may have changed unseen.
    """
    here = clusters.chosen(options.conf, settings)
    fixed = _fixed(options, here)
    conf = submit.conf_of(fixed, here, Path("/"), {})
    stamps = _stamps([*_listed(conf), *_of_installation(here)])
    if stamps is None or not is_local(here) or redact(fixed.conf) != fixed.conf or _names_files(fixed.conf):
        return Profile("", fixed)
    facts = [
        {name: str(value) for name, value in dataclasses.asdict(here).items()},
        [settings.sql_rows, settings.statement_output_limit, settings.livy_jars, settings.impersonation],
        [pythons.default(here), settings.warm_languages, str(settings.orphan_timeout), _code()],
        json.loads(records.to_json(fixed)),
        [conf, stamps],
        [whose.owner, whose.project],
    ]
    return Profile(hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest(), fixed)


def set_when_claimed(options: SparkOptions) -> dict[str, str]:
    """What of a session's conf its driver is told when it is claimed, by key, without its name."""
    asked = {**options.conf, **options.fields_as_conf()}
    shown = {DRIVER_MEMORY, *WITHOUT_EFFECT}
    return {key: text for key, text in asked.items() if key != _NAME and (is_set_later(key) or key in shown)}


def name_of(options: SparkOptions) -> str | None:
    """The name of the session's application, None when it asks for none."""
    return options.name or options.conf.get(_NAME)


def is_local(here: ClusterSettings) -> bool:
    """Whether drivers there do all the work themselves, without executors."""
    return here.master == "local" or here.master.startswith("local[")


def is_set_later(key: str) -> bool:
    """Whether a key of conf says nothing that is fixed once Spark runs."""
    if key.startswith("livy."):
        return True  # no key of Spark's
    return key.startswith("spark.sql.") and key not in _FIXED and not key.startswith(_FIXED_FAMILIES)


def _fixed(options: SparkOptions, here: ClusterSettings) -> SparkOptions:
    """What a driver of the profile is started with."""
    without = {_NAME, DRIVER_MEMORY, *WITHOUT_EFFECT}
    conf = {key: text for key, text in options.conf.items() if key not in without and not is_set_later(key)}
    return dataclasses.replace(
        options,
        name=None,
        driver_memory=_memory(options, here),
        driver_cores=None,
        executor_cores=None,
        executor_memory=None,
        num_executors=None,
        queue=None,
        conf=conf,
    )


def _memory(options: SparkOptions, here: ClusterSettings) -> str | None:
    asked = submit.conf_of(options, here, Path("/"), {}).get(DRIVER_MEMORY)
    if asked is None and _environment_of(here).exists():
        return None  # it may say so there
    size = conf_values.size(DRIVER_MEMORY, asked or _DEFAULT_MEMORY)
    return asked if size is None else f"{-(-size // MEMORY_STEP) * MEMORY_STEP >> 20}m"


def memory_of(options: SparkOptions) -> int:
    """Bytes that a driver with these options of a profile may come to take."""
    return (conf_values.size(DRIVER_MEMORY, options.driver_memory or _DEFAULT_MEMORY) or 0) + _BESIDE_HEAP


def _names_files(conf: Mapping[str, str]) -> bool:
    """Whether files, or places on a network, are named elsewhere than in a list: in Java's options, say."""
    return any("/" in text for key, text in conf.items() if key not in _LISTS and key not in _PYTHONS)


def _listed(conf: Mapping[str, str]) -> list[str]:
    return [path.strip() for key in _LISTS for path in conf.get(key, "").split(",") if path.strip()]


def _environment_of(here: ClusterSettings) -> Path:
    """A script of the Spark installation that its own scripts run first."""
    return installation.spark_home(here) / "conf" / "spark-env.sh"


def _of_installation(here: ClusterSettings) -> list[str]:
    script = _environment_of(here)
    return [str(script)] if script.exists() else []


def _stamps(paths: Iterable[str]) -> list[str] | None:
    """What tells whether the files are those of before; None when nothing does."""
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


@functools.cache
def _code() -> int:
    """What tells whether a driver runs the same code of ours as one that is started now."""
    return max(file.stat().st_mtime_ns for file in _REPL.iterdir())
