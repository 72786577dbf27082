"""What an operator may set: each setting's meaning, unit and default, and the one place the environment is read.

Values come from the environment (`SPARK_GATEWAY_PORT=9000`), then a TOML file (`port = 9000`), then the
default. Anything unknown or unfit stops the start with the field and the fix.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, get_type_hints

from gateway.core.durations import parse_duration
from gateway.core.errors import Misconfigured

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PREFIX = "SPARK_GATEWAY_"
_PAGE_HEAD = """# Settings

Each can be given in the environment (`SPARK_GATEWAY_PORT=9000`) or in a TOML file (`port = 9000`): the file that
`--config` or `SPARK_GATEWAY_CONFIG` names, else `~/.config/spark-gateway/gateway.toml`. The environment wins. An
unknown or unfit setting stops the start with the field and the fix.

Durations are a number with `ms`, `s`, `m`, `h` or `d`, such as `90s`. Lists are `a,b` in the environment and arrays in
the file; pairs are `k=v,k2=v2` there and a table here. `clusters` and `permanent_sessions` are tables of tables
here, and text in TOML there; see [operations.md](operations.md). This page is written by
`python -m gateway settings --markdown`.

| setting | default | meaning |
|---|---|---|"""
FILE_VARIABLE = PREFIX + "CONFIG"

DEFAULT_CLUSTER = "default"
_CLUSTER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
# what a cluster may have of its own
_OF_CLUSTERS = (
    "spark_home",
    "java_home",
    "python",
    "master",
    "deploy_mode",
    "driver_host",
    "spark_conf",
    "hive",
    "sparkr_library",
)


def _setting(default: Any, meaning: str) -> Any:
    if isinstance(default, (dict, list)):
        return dataclasses.field(default_factory=default.copy, metadata={"meaning": meaning})
    return dataclasses.field(default=default, metadata={"meaning": meaning})


def _home(variable: str, fallback: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / fallback) / "spark-gateway"


@dataclass(frozen=True)
class Settings:
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
        _home("XDG_DATA_HOME", ".local/share"), "Folder of the store, logs and drivers' work folders."
    )
    cache_dir: Path = _setting(_home("XDG_CACHE_HOME", ".cache"), "Folder of what can be made again.")
    retention: timedelta = _setting(timedelta(days=1), "How long ended sessions and batches stay readable.")
    event_retention: timedelta = _setting(timedelta(days=30), "How long events are kept.")

    # Spark
    spark_home: str = _setting("", "Spark installation; empty: the bundled pyspark.")
    java_home: str = _setting("", "Java 17 or newer; empty: found by itself.")
    python: str = _setting(
        "",
        "Python of sessions and Python batches; empty: that of `.venv-session`, which `make setup` makes with numpy,"
        " pandas, pyarrow and matplotlib, or where it is missing the gateway's own.",
    )
    master: str = _setting("local[*]", "Spark master of every session and batch.")
    deploy_mode: str = _setting("client", "Spark deploy mode of batches; sessions run in client mode.")
    driver_host: str = _setting(
        "127.0.0.1", "Address drivers bind to and executors call back; one the cluster's workers can reach."
    )
    spark_history_url: str = _setting("", "Address of a Spark history server, for clients that ask for one.")
    spark_conf: dict[str, str] = _setting({}, "Spark conf under every session and batch; their own conf wins.")
    conf_blacklist: list[str] = _setting(
        ["spark.submit.deployMode", "spark.submit.proxyUser.allowCustomClasspathInClusterMode"],
        "Conf keys a request may not set.",
    )
    any_local_path: bool = _setting(
        True, "Let requests name any local file: whoever may run code here may read it anyway."
    )
    local_path_whitelist: list[str] = _setting([], "Folders requests may name files of when any_local_path is false.")
    impersonation: bool = _setting(False, "Pass proxyUser on to Spark (--proxy-user); otherwise it is ignored.")
    sparkr_library: str = _setting(
        "", "Folder that holds Spark's R package SparkR; empty: R/lib of the Spark installation, then R's own library."
    )
    hive: bool = _setting(False, "Give sessions the Hive catalog instead of the in-memory one.")
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
    driver_start_timeout: timedelta = _setting(timedelta(minutes=10), "A driver that is not ready by then is stopped.")
    session_idle_timeout: timedelta = _setting(
        timedelta(hours=1),
        "A session without work for this long is deleted, unless it asked for another time; 0: never.",
    )
    session_ttl: timedelta = _setting(
        timedelta(0), "A session this old is deleted, unless it asked for another time; 0: never."
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
        _check(self)

    def on(self, cluster: str) -> Settings:
        """The settings in force on a cluster: its own over these, conf key by key. Raises KeyError."""
        own = {} if cluster == DEFAULT_CLUSTER else dict(self.clusters[cluster])
        own["spark_conf"] = {**self.spark_conf, **own.get("spark_conf", {})}
        return dataclasses.replace(self, **own, clusters={}, default_cluster=DEFAULT_CLUSTER)

    @property
    def cluster_names(self) -> list[str]:
        return [DEFAULT_CLUSTER, *self.clusters]

    @property
    def store_path(self) -> Path:
        return self.data_dir / "gateway.db"

    @property
    def lease_path(self) -> Path:
        return self.data_dir / "supervisor.lock"

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
    "max_statements_waiting": 1,
    "statements_retained": 1,
    "max_jobs_waiting": 1,
    "max_jobs_running": 1,
    "jobs_retained": 1,
    "upload_limit": 1024,
    "session_uploads_limit": 1024,
    "statement_output_limit": 1024,
    "log_limit": 65536,
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
    if settings.deploy_mode not in ("client", "cluster"):
        raise Misconfigured(f"setting deploy_mode is '{settings.deploy_mode}': give client or cluster")
    if settings.livy_jars and not Path(settings.livy_jars).is_absolute():
        raise Misconfigured(f"setting livy_jars is '{settings.livy_jars}': give a folder from the root, as /opt/livy")
    if settings.url_prefix and (not settings.url_prefix.startswith("/") or settings.url_prefix.endswith("/")):
        raise Misconfigured(f"setting url_prefix is '{settings.url_prefix}': give a path like /livy, or nothing")
    _check_clusters(settings)
    if not is_loopback(settings.host) and not settings.allow_remote_without_authentication:
        raise Misconfigured(
            f"setting host is {settings.host}, not a loopback address, and there is no authentication yet: whoever"
            " reaches it could run code as you; listen on 127.0.0.1, or set allow_remote_without_authentication = true"
        )


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


def load(environ: Mapping[str, str], file: Path | None = None) -> Settings:
    """Settings from `environ` and a TOML file.

    The file is `file`, else the one SPARK_GATEWAY_CONFIG names, else ~/.config/spark-gateway/gateway.toml if it
    is there. Raises Misconfigured, naming the field and the fix.
    """
    known = {field.name for field in dataclasses.fields(Settings)}
    values: dict[str, Any] = {}
    for name, value in _read_file(environ, file).items():
        if name not in known:
            raise Misconfigured(f"unknown setting {name} in the settings file: {_nearest(name, known)}")
        values[name] = _from_toml(name, value)
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or variable == FILE_VARIABLE:
            continue
        name = variable[len(PREFIX) :].lower()
        if name not in known:
            raise Misconfigured(f"unknown setting {variable} in the environment: {_nearest(name, known)}")
        values[name] = _from_text(name, text)
    return Settings(**values)


def describe(settings: Settings) -> list[tuple[str, str, str]]:
    """(name, value as text, meaning) of every setting, for the command line and the docs."""
    return [
        (field.name, as_text(getattr(settings, field.name)), field.metadata["meaning"])
        for field in dataclasses.fields(settings)
    ]


def page() -> str:
    """The settings page of the docs; the same in whatever environment it is written."""
    defaults = Settings(data_dir=Path("~/.local/share/spark-gateway"), cache_dir=Path("~/.cache/spark-gateway"))
    rows = [
        f"| `{name}` | {f'`{value}`' if value else 'empty'} | {meaning} |"
        for name, value, meaning in describe(defaults)
    ]
    return "\n".join([_PAGE_HEAD, *rows])


def as_text(value: Any) -> str:
    if isinstance(value, timedelta):
        return _duration_text(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(value)
    if isinstance(value, dict):
        if any(isinstance(item, dict) for item in value.values()):
            return "\n".join(f"{key} = {_inline(item)}" for key, item in value.items())
        return ",".join(f"{key}={item}" for key, item in value.items())
    return str(value)


def _inline(value: Any) -> str:
    """A value of a cluster's table in TOML, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_inline(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


def _duration_text(value: timedelta) -> str:
    microseconds = value // timedelta(microseconds=1)
    for suffix, unit in (("d", 86400 * 10**6), ("h", 3600 * 10**6), ("m", 60 * 10**6), ("s", 10**6), ("ms", 1000)):
        if microseconds and microseconds % unit == 0:
            return f"{microseconds // unit}{suffix}"
    return f"{microseconds}us" if microseconds else "0s"


def _read_file(environ: Mapping[str, str], file: Path | None) -> dict[str, Any]:
    named = file or (Path(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else None)
    path = named or _home("XDG_CONFIG_HOME", ".config") / "gateway.toml"
    if named is None and not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise Misconfigured(f"the settings file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Misconfigured(f"the settings file {path} is not TOML: {error}") from error


def _nearest(name: str, known: set[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, known, 1)
    return f"did you mean {close[0]}?" if close else "see `python -m gateway settings` for all there are"


def _kind(name: str) -> Any:
    return get_type_hints(Settings)[name]


def _from_toml(name: str, value: Any) -> Any:
    kind = _kind(name)
    if kind in (timedelta, Path) and isinstance(value, str):
        return _from_text(name, value)
    if kind == list[str] and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    if kind == dict[str, str] and isinstance(value, dict):
        return {key: as_text(item) for key, item in _flat(value)}
    if kind == dict[str, dict[str, Any]] and isinstance(value, dict):
        if name == "clusters":
            return {cluster: _cluster(cluster, table) for cluster, table in value.items()}
        if all(isinstance(table, dict) for table in value.values()):
            return value
    if kind in (str, int, bool) and type(value) is kind:
        return value
    raise Misconfigured(f"setting {name} is {value!r} in the settings file: give {_example(kind)}")


def _cluster(cluster: str, table: Any) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise Misconfigured(f"setting clusters.{cluster} is {table!r}: give a table of settings")
    for name in table:
        if name not in _OF_CLUSTERS:
            raise Misconfigured(
                f"setting clusters.{cluster}.{name}: a cluster has no such setting; give {', '.join(_OF_CLUSTERS)}"
            )
    try:
        return {name: _from_toml(name, value) for name, value in table.items()}
    except Misconfigured as error:
        raise Misconfigured(f"cluster {cluster}: {error}") from None


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The members of a table by their dotted names: to TOML an unquoted `spark.ui.port` is a table in a table."""
    for key, item in table.items():
        if isinstance(item, dict):
            yield from _flat(item, f"{prefix}{key}.")
        else:
            yield prefix + key, item


def _from_text(name: str, text: str) -> Any:
    kind = _kind(name)
    try:
        if kind is bool:
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.strip().lower()]
        if kind is int:
            return int(text)
        if kind is timedelta:
            return parse_duration(text)
        if kind is Path:
            return Path(text).expanduser().absolute()
        if kind == list[str]:
            return [item.strip() for item in text.split(",") if item.strip()]
        if kind == dict[str, dict[str, Any]]:
            return _from_toml(name, tomllib.loads(text))
        if kind == dict[str, str]:
            return dict(item.strip().split("=", 1) for item in text.split(",") if item.strip())
    except (KeyError, ValueError):
        raise Misconfigured(f"setting {name} is '{text}': give {_example(kind)}") from None
    return text


def _example(kind: Any) -> str:
    return {
        bool: "true or false",
        int: "a whole number",
        timedelta: 'a duration such as "90s", "10m" or "1h"',
        Path: "a path, as text",
        str: "text",
        dict[str, dict[str, Any]]: "tables in TOML, such as [clusters.old] or [permanent_sessions.daily]",
    }.get(kind, "a list such as a,b (in TOML: an array of texts)" if kind == list[str] else "pairs such as k=v,k2=v2")
