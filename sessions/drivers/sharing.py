"""Which sessions share a Spark application, and what one may ask of an application that is there already.

An application is shared by sessions of one owner and project that name it, on one cluster. What is fixed when Spark
starts is the application's; what Spark SQL lets a session set is each session's own. Starts nothing and stores nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.core import clusters, conf_values, submit
from gateway.core.faults import Code, Fault
from gateway.core.options import FIELDS, SparkOptions, redact
from gateway.core.settings import ClusterSettings, Settings
from sessions.drivers.models import Driver
from sessions.drivers.profiles import MEMORY_STEP, WITHOUT_EFFECT, is_local, is_set_later
from sessions.models import APPLICATION

_NAME = "spark.app.name"
_OF_GATEWAY = {APPLICATION, clusters.KEY, _NAME}
_DEFAULTS = {conf_values.DRIVER_MEMORY: "1g", conf_values.EXECUTOR_MEMORY: "1g"}  # Spark's own
_LISTS = {
    "spark.jars": "jars",
    "spark.submit.pyFiles": "pyFiles",
    "spark.files": "files",
    "spark.archives": "archives",
    "spark.jars.packages": "conf.spark.jars.packages",
}


@dataclass(frozen=True)
class Sharing:
    """A session is to share an application: `application` is the one to be started where there is none yet.

    At most `most` sessions share one. `is_default`: the session has not named it, and gets a driver of its own where it
    does not fit.
    """

    application: Driver
    here: ClusterSettings
    most: int
    is_default: bool

    @property
    def name(self) -> str:
        return self.application.shared or ""

    def fits(self, other: Driver) -> bool:
        """Whether `other`, of the same owner, project and name, is on the same cluster, and acts for the same user."""
        own, of_other = self.application.options, other.options
        cluster = own.conf.get(clusters.KEY) == of_other.conf.get(clusters.KEY)
        return cluster and own.proxy_user == of_other.proxy_user


def sharing_of(
    name: str, options: SparkOptions, settings: Settings, application: Driver, *, is_default: bool = False
) -> Sharing:
    """How a session with these options, which name their cluster, shares; `application` was made of them."""
    here = clusters.chosen(options.conf, settings)
    shared = dataclasses.replace(application, options=_of_application(name, options), shared=name)
    return Sharing(shared, here, settings.shared_application_sessions, is_default)


def _of_application(name: str, options: SparkOptions) -> SparkOptions:
    """What of a session's options its application is started with."""
    conf = {key: text for key, text in options.conf.items() if key != _NAME and not is_set_later(key)}
    return dataclasses.replace(options, name=name, conf=conf)


def set_in_session(options: SparkOptions) -> dict[str, str]:
    """What of a session's conf its own Spark SQL is set to."""
    return {key: text for key, text in options.conf.items() if key.startswith("spark.sql.") and is_set_later(key)}


def differences(application: SparkOptions, asked: SparkOptions, here: ClusterSettings) -> Iterator[Fault]:
    """What a session asks for that an application which is there cannot be any more. What it leaves out, it takes."""
    unseen = _OF_GATEWAY | set(_LISTS) | (WITHOUT_EFFECT if is_local(here) else set())
    there = {**_DEFAULTS, **submit.conf_of(application, here, Path("/"), {})}
    wanted = {**asked.conf, **asked.fields_as_conf()}
    for key, text in wanted.items():
        if key not in unseen and not is_set_later(key) and not _is_same(key, text, there):
            had = redact({key: there[key]})[key] if key in there else "not set"
            field = _wire(FIELDS[key]) if key in FIELDS and key in asked.fields_as_conf() else f"conf.{key}"
            yield _fault(field, f"{field} is {redact({key: text})[key]}, and there it is {had}", text)
    for key, listed in _listed(asked).items():
        has = _parted(there.get(key, ""))
        for path in listed:
            if path not in has:
                yield _fault(_LISTS[key], f"{_LISTS[key]} has {path}, which it was started without", path)


def _fault(field: str, reason: str, value: str) -> Fault:
    fix = f"leave it out, or name another application in conf {APPLICATION}"
    return Fault(field, Code.MISFIT, f"the shared application runs already: {reason}", fix, value)


def _is_same(key: str, text: str, there: Mapping[str, str]) -> bool:
    if key not in there:
        return False
    one, other = conf_values.spelt({key: text})[key], conf_values.spelt({key: there[key]})[key]
    return one.strip() == other.strip() or (_size(key, one) is not None and _size(key, one) == _size(key, other))


def _size(key: str, text: str) -> int | None:
    """How much memory is asked for, in the steps in which drivers that are started ahead have it."""
    size = conf_values.size(key, text) if key in _DEFAULTS else None
    return None if size is None else -(-size // MEMORY_STEP)


def _listed(options: SparkOptions) -> dict[str, list[str]]:
    fields: tuple[list[str], ...] = (options.jars, options.py_files, options.files, options.archives, [])
    return {key: [*own, *_parted(options.conf.get(key, ""))] for key, own in zip(_LISTS, fields)}


def _parted(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _wire(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
