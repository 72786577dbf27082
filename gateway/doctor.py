"""Is this machine fit to serve? Each check says what it found and what to do. Makes only the data folder."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gateway.core import clusters, installation, java, memory, pythons, sparkr
from gateway.core.errors import GatewayError, Misconfigured
from gateway.core.options import SparkOptions
from gateway.core.settings import DEFAULT_CLUSTER, ClusterSettings, Settings

Check = Callable[[Settings], str]

_DRIVER_MEMORY = 2**30  # bytes that one local session takes at least, with some room


@dataclass(frozen=True)
class Finding:
    what: str
    fine: bool
    says: str


def examine(settings: Settings) -> list[Finding]:
    """Every check, in the order in which one would mend things."""
    checks = {
        "Java": _java,
        "Spark": _spark,
        **_clusters(settings),
        "Python of sessions": _python,
        "R": _r,
        "permanent sessions": _permanent_sessions,
        "address": _address,
        "data folder": _data_folder,
        "store": _store,
        "supervisor": _supervisor,
        "memory": _memory,
        "warm drivers": _warm_drivers,
        "shared applications": _shared_applications,
    }
    findings = []
    for what, check in checks.items():
        try:
            findings.append(Finding(what, True, check(settings)))
        except GatewayError as error:
            findings.append(Finding(what, False, str(error)))
    return findings


def require_startable(settings: Settings) -> None:
    """Raises Misconfigured with the fix if serving cannot work."""
    checks = [_java, _spark, *_clusters(settings).values(), _permanent_sessions, _free_port, _data_folder]
    for check in [*checks, _store] if settings.store else checks:
        check(settings)


def where(settings: Settings) -> str:
    """The line that a start greets with."""
    more = f"; further clusters: {', '.join(settings.clusters)}" if settings.clusters else ""
    return (
        f"Spark Gateway on http://{settings.authority} ({_spark(settings)},"
        f" {_java(settings)}, master {settings.master}{more})"
    )


def _java(settings: Settings) -> str:
    found = java.find(settings.java_home or None)
    return f"Java {found.version} of {found.home}"


def _spark(settings: Settings) -> str:
    return _installation(settings.on(DEFAULT_CLUSTER))


def _installation(here: ClusterSettings) -> str:
    home = installation.spark_home(here)
    return f"Spark {installation.spark_version(home)} of {home}"


def _clusters(settings: Settings) -> dict[str, Check]:
    """A check for each named cluster."""
    return {f"cluster {name}": partial(_cluster, name) for name in settings.clusters}


def _cluster(name: str, settings: Settings) -> str:
    here, found = clusters.examine(name, settings)
    return f"{_installation(here)}, Java {found.version} of {found.home}, master {here.master}"


def _python(settings: Settings) -> str:
    chosen = pythons.default(settings.on(DEFAULT_CLUSTER))
    if shutil.which(chosen) is None:
        raise Misconfigured(f"setting python is '{chosen}': there is no such program here; name one, or leave it empty")
    # A fact and no fault, as the absence of R.
    lack = "the gateway's own; `make setup` makes one with numpy, pandas, pyarrow and matplotlib, in .venv-session"
    return lack if chosen == sys.executable else chosen


def _r(settings: Settings) -> str:
    # Nobody has to have R: its absence is a fact, not a fault.
    lack = sparkr.missing(SparkOptions(), settings.on(DEFAULT_CLUSTER))
    return f"no R sessions: {lack}" if lack else "R and SparkR are there"


def _permanent_sessions(settings: Settings) -> str:
    if not settings.permanent_sessions:
        return "none declared"
    from sessions import permanent  # only here, as for the store

    return ", ".join(permanent.declared(settings))


def _address(settings: Settings) -> str:
    return f"{settings.host}:{settings.port} is served already" if _is_supervised(settings) else _free_port(settings)


def _free_port(settings: Settings) -> str:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host.strip("[]"), settings.port))
        except OSError as error:
            raise Misconfigured(
                f"port {settings.port} on {settings.host} cannot be used ({error.strerror}): stop what listens there,"
                " or choose another with the setting port (SPARK_GATEWAY_PORT)"
            ) from error
    return f"{settings.host}:{settings.port} is free"


def _data_folder(settings: Settings) -> str:
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Misconfigured(f"{folder} cannot be made ({error.strerror}): set data_dir to a folder you own") from error
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise Misconfigured(f"{folder} cannot be written: set data_dir to a folder you own")
    if folder.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Misconfigured(f"{folder} is open to other users, and it holds secrets: chmod 700 {folder}")
    return f"{folder}, private"


def _store(settings: Settings) -> str:
    # Here, because a `serve` that only checks the port should not carry the store's modules for the rest of its life.
    from gateway import stores

    db = stores.open_store(settings)
    db.check()
    pending = db.pending(stores.MIGRATIONS)
    return f"{db.where}, {len(pending)} migrations to apply" if pending else db.where


def _supervisor(settings: Settings) -> str:
    return "runs" if _is_supervised(settings) else "does not run (`serve` starts it)"


def _is_supervised(settings: Settings) -> bool:
    from gateway import stores

    return stores.is_supervised(settings)


def _warm_drivers(settings: Settings) -> str:
    if not settings.max_warm_drivers:
        return "none (setting max_warm_drivers)"
    from gateway import stores
    from gateway.core.identity import ANONYMOUS
    from gateway.core.places.local import host_name
    from sessions.drivers.service import PoolService

    most = f"{min(settings.warm_drivers, settings.max_warm_drivers)} always, {settings.max_warm_drivers} at most"
    if free := _too_little_memory():
        most += f"; none is started now, since {free >> 20} MiB are free and {memory.reserve() >> 20} stay with users"
    db = stores.open_store(settings)
    if db.pending(stores.MIGRATIONS):
        return most
    pool = PoolService(stores.Stores(db, host_name(settings)).pool).look(ANONYMOUS)
    given = ", ".join(f"{number} {got.value}" for got, number in pool.given.items() if number)
    return f"{most}; {pool.warm} warm, {pool.starting} starting; sessions so far: {given or 'none'}"


def _shared_applications(settings: Settings) -> str:
    from gateway import stores
    from gateway.core.places.local import host_name

    most = f"{settings.shared_application_sessions} sessions in one at most"
    db = stores.open_store(settings)
    if db.pending(stores.MIGRATIONS):
        return most
    applications, sessions = stores.Stores(db, host_name(settings)).applications.counts()
    return f"{most}; {applications} now, with {sessions} sessions"


def _too_little_memory() -> int | None:
    free = memory.available()
    return free if free < memory.reserve() + _DRIVER_MEMORY else None


def _memory(settings: Settings) -> str:
    free = memory.available()
    if free < _DRIVER_MEMORY:
        raise Misconfigured(
            f"{free >> 20} MiB are free, a session needs about {_DRIVER_MEMORY >> 20}: free some memory"
        )
    return f"{free >> 30} GiB free, room for about {free // _DRIVER_MEMORY} sessions"
