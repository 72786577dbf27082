"""Named clusters: which one a request means, and what starting something there takes.

A cluster is a Spark installation with its Java, its Python and its master. It is a view of the settings: what it
does not name itself is as the settings outside `clusters` say. Starts nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.core import class_archive, installation, java
from gateway.core.errors import Misconfigured, refuse
from gateway.core.faults import Code, Fault
from gateway.core.java import Java
from gateway.core.options import SparkOptions
from gateway.core.settings import DEFAULT_CLUSTER, ClusterSettings, Settings

KEY = "spark.gateway.cluster"  # the conf key with which a request chooses


@dataclass(frozen=True)
class Cluster:
    """What starting something on it takes; `jvm_options` are words for SPARK_SUBMIT_OPTS."""

    settings: ClusterSettings
    java: Java
    jvm_options: list[str]


class Clusters:
    """All clusters of the settings, ready to start something on. Raises Misconfigured for one that is not."""

    def __init__(self, settings: Settings, jvm_options: Sequence[str]) -> None:
        self._settings = settings
        self._ready = {name: _ready(name, settings, jvm_options) for name in settings.cluster_names}

    def of(self, options: SparkOptions) -> Cluster:
        """The cluster that a record names. Raises Misconfigured when the settings have it no longer."""
        name = options.conf.get(KEY, self._settings.default_cluster)
        if name not in self._ready:
            raise Misconfigured(
                f"the settings have no cluster {name} any more; those there are: {_listed(self._ready)}"
            )
        return self._ready[name]


def chosen(conf: Mapping[str, str], settings: Settings) -> ClusterSettings:
    """What is in force on the cluster that a request's conf chooses. Raises InvalidRequest for an unknown one."""
    refuse(faults(conf, settings))
    return settings.on(conf.get(KEY, settings.default_cluster))


def faults(conf: Mapping[str, str], settings: Settings) -> Iterator[Fault]:
    """Why a request's conf chooses no cluster; nothing when it does, or leaves the choice."""
    name = conf.get(KEY, settings.default_cluster)
    if name not in settings.cluster_names:
        fix = f"there is no such cluster; give {_listed(settings.cluster_names)}"
        yield Fault(f"conf.{KEY}", Code.MISFIT, f"{KEY} is '{name}'", fix, name)


def record(options: SparkOptions, settings: Settings) -> SparkOptions:
    """The options with the cluster's name in their conf, so that a change of the default does not move them.

    Where there are no named clusters they stay as they are.
    """
    if not settings.clusters:
        return options
    return dataclasses.replace(options, conf={KEY: settings.default_cluster, **options.conf})


def examine(name: str, settings: Settings) -> tuple[ClusterSettings, Java]:
    """What is in force on a cluster, and its Java. Raises Misconfigured, naming the cluster, when it cannot be used."""
    here = settings.on(name)
    try:
        installation.spark_home(here)
        return here, java.find(here.java_home or None)
    except Misconfigured as error:
        raise error if name == DEFAULT_CLUSTER else Misconfigured(f"cluster {name}: {error}") from error


def _ready(name: str, settings: Settings, jvm_options: Sequence[str]) -> Cluster:
    here, found = examine(name, settings)
    archive = class_archive.java_options(settings.cache_dir, found, installation.spark_home(here))
    return Cluster(here, found, [*archive, *jvm_options])


def _listed(names: Mapping[str, object] | Sequence[str]) -> str:
    return " or ".join(names)
