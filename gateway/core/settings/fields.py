"""The settings: each one's meaning, unit and default, and which values are refused.

Two kinds of record, neither of which stands for the other: all settings, and those in force on one cluster. Knows
nothing of where values come from.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from gateway.core import conf_values
from gateway.core.errors import Misconfigured

DEFAULT_CLUSTER = "default"
WARM_LANGUAGES = {"pyspark", "sql", "spark"}
_CLUSTER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def _setting(default: Any, meaning: str) -> Any:
    if isinstance(default, (dict, list)):
        return dataclasses.field(default_factory=default.copy, metadata={"meaning": meaning})
    return dataclasses.field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class _OfCluster:
    """What each cluster may have of its own."""

    spark_home: str = _setting("", "Spark installation; empty: the bundled pyspark.")
    java_home: str = _setting("", "Java 17 or newer; empty: found by itself.")
    python: str = _setting("", "Python of sessions and Python batches; empty: the gateway's own.")
    master: str = _setting("local[*]", "Spark master of every session and batch.")
    deploy_mode: str = _setting("client", "Spark deploy mode of batches; sessions run in client mode.")
    driver_host: str = _setting(
        "127.0.0.1", "Address drivers bind to and executors call back; one the cluster's workers can reach."
    )
    spark_conf: dict[str, str] = _setting({}, "Spark conf under every session and batch; their own conf wins.")
    sparkr_library: str = _setting(
        "", "Folder that holds Spark's R package SparkR; empty: R/lib of the Spark installation, then R's own library."
    )
    hive: bool = _setting(False, "Give sessions the Hive catalog instead of the in-memory one.")

    def __post_init__(self) -> None:
        if self.deploy_mode not in ("client", "cluster"):
            raise Misconfigured(f"setting deploy_mode is '{self.deploy_mode}': give client or cluster")
        for fault in conf_values.faults(self.spark_conf):
            raise Misconfigured(f"setting spark_conf: {fault}")


@dataclass(frozen=True)
class ClusterSettings(_OfCluster):
    """What is in force on one cluster."""


@dataclass(frozen=True)
class Settings(_OfCluster):
    """All settings; those of a cluster as they are for requests that choose none of `clusters`."""

    # where it listens
    host: str = _setting("127.0.0.1", "Address to listen on. Any other than loopback needs the next setting.")
    port: int = _setting(8998, "TCP port to listen on.")
    allow_remote_without_authentication: bool = _setting(
        False, "Listen on a non-loopback address although anybody who reaches it may run code as this user."
    )
    trusted_hosts: list[str] = _setting(
        ["127.0.0.1", "localhost", "[::1]"],
        "Host names a request may name in its Host header; an empty list allows any. Keeps web pages that"
        " point a name of theirs at this machine from using the gateway.",
    )
    url_prefix: str = _setting("", "A path such as /livy below which every route answers as well.")
    csrf_protection: bool = _setting(False, "Refuse writes without an X-Requested-By header, as Livy can.")
    web_workers: int = _setting(2, "Web processes.")
    web_threads: int = _setting(16, "Threads of each web process.")
    request_limit: int = _setting(64 * 2**20, "Largest request body, bytes.")

    # where it keeps things
    data_dir: Path = _setting(
        Path.home() / ".local/share/spark-gateway", "Folder of the store, logs and drivers' work folders."
    )
    cache_dir: Path = _setting(Path.home() / ".cache/spark-gateway", "Folder of what can be made again.")
    store: str = _setting(
        "",
        "Address of a PostgreSQL database for the store, such as postgresql://gateway@db:5432/gateway, which several"
        " gateways may share; its password may also come from PGPASSWORD or ~/.pgpass. Empty: a SQLite file in"
        " `data_dir`.",
    )
    host_name: str = _setting(
        "",
        "Name of this host in the store, another one for each gateway of a store; empty: what the host was called when"
        " `data_dir` was first used.",
    )
    retention: timedelta = _setting(timedelta(days=1), "How long ended sessions and batches stay readable.")
    event_retention: timedelta = _setting(timedelta(days=30), "How long events are kept.")

    # Spark
    spark_history_url: str = _setting("", "Address of a Spark history server, for clients that ask for one.")
    conf_blacklist: list[str] = _setting(
        ["spark.submit.deployMode", "spark.submit.proxyUser.allowCustomClasspathInClusterMode"],
        "Conf keys a request may not set.",
    )
    any_local_path: bool = _setting(
        True, "Let requests name any local file: whoever may run code here may read it anyway."
    )
    local_path_whitelist: list[str] = _setting([], "Folders requests may name files of when any_local_path is false.")
    impersonation: bool = _setting(False, "Pass proxyUser on to Spark (--proxy-user); otherwise it is ignored.")
    clusters: dict[str, dict[str, Any]] = _setting(
        {},
        "Further clusters by name, each a table of the settings that differ there; conf spark.gateway.cluster chooses.",
    )
    default_cluster: str = _setting(
        "default",
        "Cluster of requests that choose none; `default` is the one that the settings outside `clusters` make.",
    )
    archive_limit: int = _setting(
        10 * 2**30, "Largest unpacked size of an archive with a driver's Python in it, bytes; more ends the start."
    )

    # sessions
    max_sessions: int = _setting(100, "Live sessions at most; more are refused.")
    max_starting_drivers: int = _setting(
        0, "Drivers starting at the same time, further ones wait their turn; 0: as many as there are cores."
    )
    warm_drivers: int = _setting(
        1,
        "Drivers that are started ahead for sessions with default options, which then are idle at once; one takes about"
        " half a GiB.",
    )
    max_warm_drivers: int = _setting(
        2,
        "Drivers started ahead at most, with those for options that were asked for several times lately; 0: none. None"
        " is started where memory is short.",
    )
    warm_languages: list[str] = _setting(
        ["pyspark", "sql"],
        "Languages in which a driver that is started ahead has run something before anybody gets it: pyspark, sql,"
        " spark (which costs 100 MiB more).",
    )
    shared_application: str = _setting(
        "",
        "Name of the Spark application that sessions share which name none in conf spark.gateway.application, one for"
        " each owner and project; empty: each has an application of its own.",
    )
    shared_application_sessions: int = _setting(64, "Sessions that share one Spark application at most.")
    shared_application_linger: timedelta = _setting(
        timedelta(seconds=10), "How long a shared Spark application waits for another session when its last one ended."
    )
    driver_start_timeout: timedelta = _setting(timedelta(minutes=10), "A driver that is not ready by then is stopped.")
    session_idle_timeout: timedelta = _setting(
        timedelta(hours=1),
        "A session without work for this long is deleted, unless it asked for another time; 0: never.",
    )
    session_ttl: timedelta = _setting(
        timedelta(0), "A session this old is deleted, unless it asked for another time; 0: never."
    )
    restart_stuck_sessions: bool = _setting(
        False,
        "Give a session a new driver when a cancelled statement or job does not stop and its driver has to be ended;"
        " its variables are lost, and what waits runs without them. false: the session ends.",
    )
    orphan_timeout: timedelta = _setting(
        timedelta(hours=1),
        "A session that has had neither a supervisor on its host nor work for this long ends by itself; 0: never.",
    )
    max_statements_waiting: int = _setting(1000, "Unfinished statements of one session at most; more are refused.")
    statements_retained: int = _setting(1000, "Newest statements of one session that are kept.")
    statement_output_limit: int = _setting(100 * 2**20, "Largest text output of one statement, bytes; the rest is cut.")
    log_limit: int = _setting(
        256 * 2**20,
        "Largest log of a session or batch, bytes; of a longer one the middle is cut out, also while it grows.",
    )
    event_log_limit: int = _setting(
        2**30, "Spark's event log of one batch, bytes; of a longer one files that are read are removed from the middle."
    )
    sql_rows: int = _setting(1000, "Rows of a SQL result at most; conf livy.rsc.sql.num-rows of a session wins.")
    max_jobs_waiting: int = _setting(1000, "Unfinished jobs of one session at most; more are refused.")
    max_jobs_running: int = _setting(16, "Jobs of one session that run at the same time; further ones wait in order.")
    jobs_retained: int = _setting(1000, "Newest jobs of one session that are kept.")
    upload_limit: int = _setting(100 * 2**20, "Largest upload to a session, bytes.")
    session_uploads_limit: int = _setting(2**30, "All uploads to one session together at most, bytes.")
    livy_jars: str = _setting(
        "",
        "Folder with the jars of livy-api and livy-client-http that Java jobs need in the driver; empty: the first Java"
        " job of a session has Spark fetch version 0.7.1 from Maven Central.",
    )

    permanent_sessions: dict[str, dict[str, Any]] = _setting(
        {},
        "Sessions that are always there, each a table by its id: kind and the fields of a session's request in small"
        " letters, such as driver_memory. One that a client deletes stays deleted until it has been taken out of here"
        " for a start.",
    )

    # batches
    max_batches_running: int = _setting(4, "Batches running at the same time; further ones wait in order.")
    max_batches_waiting: int = _setting(1000, "Batches waiting to run at most; more are refused.")

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)

    def on(self, cluster: str) -> ClusterSettings:
        """What is in force on a cluster: its own over these, conf key by key. Raises KeyError."""
        own = {} if cluster == DEFAULT_CLUSTER else self.clusters[cluster]
        shared = {field.name: getattr(self, field.name) for field in dataclasses.fields(_OfCluster)}
        conf = {**self.spark_conf, **own.get("spark_conf", {})}
        return ClusterSettings(**{**shared, **own, "spark_conf": conf})

    @property
    def authority(self) -> str:
        """Host and port as an address has them: an IPv6 one in brackets, with which it may have been given."""
        host = self.host.strip("[]")
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def cluster_names(self) -> list[str]:
        return [DEFAULT_CLUSTER, *self.clusters]

    @property
    def store_path(self) -> Path:
        return self.data_dir / "gateway.db"

    @property
    def wakeup_path(self) -> Path:
        return self.data_dir / "run" / "wakeup"


_SMALLEST = {
    "port": 0,
    "web_workers": 1,
    "web_threads": 1,
    "request_limit": 1024,
    "max_sessions": 1,
    "max_starting_drivers": 0,
    "warm_drivers": 0,
    "max_warm_drivers": 0,
    "shared_application_sessions": 1,
    "max_statements_waiting": 1,
    "statements_retained": 1,
    "max_jobs_waiting": 1,
    "max_jobs_running": 1,
    "jobs_retained": 1,
    "upload_limit": 1024,
    "session_uploads_limit": 1024,
    "statement_output_limit": 1024,
    "log_limit": 65536,
    "event_log_limit": 0,
    "sql_rows": 1,
    "archive_limit": 1024,
    "max_batches_running": 1,
    "max_batches_waiting": 1,
}


def _check(settings: Settings) -> None:
    for name, smallest in _SMALLEST.items():
        if getattr(settings, name) < smallest:
            raise Misconfigured(f"setting {name} is {getattr(settings, name)}: give a whole number from {smallest} up")
    if settings.port > 65535:
        raise Misconfigured(f"setting port is {settings.port}: give a number from 0 to 65535")
    if unknown := set(settings.warm_languages) - WARM_LANGUAGES:
        raise Misconfigured(f"setting warm_languages has '{unknown.pop()}': give some of pyspark, sql and spark")
    if settings.livy_jars and not Path(settings.livy_jars).is_absolute():
        raise Misconfigured(f"setting livy_jars is '{settings.livy_jars}': give a folder from the root, as /opt/livy")
    if settings.url_prefix and (not settings.url_prefix.startswith("/") or settings.url_prefix.endswith("/")):
        raise Misconfigured(f"setting url_prefix is '{settings.url_prefix}': give a path like /livy, or nothing")
    if settings.store and not settings.store.startswith(("postgresql://", "postgres://")):
        raise Misconfigured(
            f"setting store is '{without_password(settings.store)}': give the address of a PostgreSQL database, such as"
            " postgresql://gateway@db:5432/gateway, or nothing"
        )
    _check_clusters(settings)
    if not is_loopback(settings.host) and not settings.allow_remote_without_authentication:
        raise Misconfigured(
            f"setting host is {settings.host}, not a loopback address, and there is no authentication yet: whoever"
            " reaches it could run code as you; listen on 127.0.0.1, or set allow_remote_without_authentication = true"
        )


def without_password(address: str) -> str:
    """The address of a store as it may be shown."""
    address = re.sub(r"//([^:/@]*):.*@", r"//\1:***@", address)
    return re.sub(r"(password=)[^&]*", r"\1***", address, flags=re.IGNORECASE)


def _check_clusters(settings: Settings) -> None:
    for name in settings.clusters:
        if name == DEFAULT_CLUSTER or not _CLUSTER_NAME.fullmatch(name):
            raise Misconfigured(
                f"setting clusters has one named '{name}': give letters, digits, - and _; {DEFAULT_CLUSTER} is the name"
                " of what the settings outside clusters make"
            )
        try:
            settings.on(name)
        except Misconfigured as error:
            raise Misconfigured(f"cluster {name}: {error}") from None
    if settings.default_cluster not in settings.cluster_names:
        raise Misconfigured(
            f"setting default_cluster is '{settings.default_cluster}': give one of {', '.join(settings.cluster_names)}"
        )


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
