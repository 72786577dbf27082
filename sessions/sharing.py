"""Which sessions may share a Spark application, and which one it is. Stores nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from gateway.core.faults import Code, Fault
from gateway.core.options import SparkOptions
from gateway.core.settings import Settings
from sessions.drivers import sharing
from sessions.drivers.models import Driver
from sessions.drivers.sharing import Sharing
from sessions.models import APPLICATION, Kind, SessionRequest

KINDS = (Kind.PYSPARK, Kind.SQL, Kind.SHARED)  # what has an interpreter of its own in an application of many
_LONGEST_NAME = 200


def faults(request: SessionRequest) -> Iterator[Fault]:
    """What a session that names an application may not be."""
    name = request.options.conf.get(APPLICATION, "")
    if not name:
        return
    if len(name) > _LONGEST_NAME or not name.isprintable():
        fix = f"give 1 to {_LONGEST_NAME} printable characters"
        yield Fault(f"conf.{APPLICATION}", Code.MISFIT, f"{APPLICATION} is {name!r:.80}", fix, name)
    if request.kind not in KINDS:
        reason = f"kind is {request.kind.value}, which cannot share a Spark application"
        fix = (
            f"give {', '.join(kind.value for kind in KINDS[:-1])} or {KINDS[-1].value}, or leave out conf {APPLICATION}"
        )
        yield Fault("kind", Code.MISFIT, reason, fix, request.kind.value)


def of_request(request: SessionRequest, options: SparkOptions, settings: Settings, now: datetime) -> Sharing | None:
    """How a session shares that is opened with these options; None: it has an application of its own."""
    named = options.conf.get(APPLICATION)
    is_default = named is None and request.kind in KINDS and not request.permanent
    name = settings.shared_application if is_default else named
    return _of(name, options, settings, now, is_default=is_default) if name else None


def of_lost(lost: Driver, settings: Settings, now: datetime) -> Sharing | None:
    """How a session goes on that has lost this driver; None: as one with an application of its own."""
    return _of(lost.shared, lost.options, settings, now, is_default=False) if lost.shared else None


def _of(name: str, options: SparkOptions, settings: Settings, now: datetime, *, is_default: bool) -> Sharing:
    application = Driver.wanted(settings.data_dir, options, now)
    return sharing.sharing_of(name, options, settings, application, is_default=is_default)
