"""Where settings come from. The one place that knows their variables and their file.

Values come from the environment (`SPARK_GATEWAY_PORT=9000`), then a TOML file (`port = 9000`), then the
default. Anything unknown or unfit stops the start with the field and the fix.
"""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, get_type_hints

from gateway.core.durations import parse_duration
from gateway.core.errors import Misconfigured
from gateway.core.settings.fields import ClusterSettings, Settings
from gateway.core.settings.printing import as_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PREFIX = "SPARK_GATEWAY_"
FILE_VARIABLE = PREFIX + "CONFIG"

_TABLES = (dict[str, str], dict[str, dict[str, Any]])
_OF_CLUSTERS = [field.name for field in dataclasses.fields(ClusterSettings)]


def load(environ: Mapping[str, str], file: Path | None = None) -> Settings:
    """Settings from `environ` and a TOML file.

    The file is `file`, else the one SPARK_GATEWAY_CONFIG names, else ~/.config/spark-gateway/gateway.toml if it
    is there. Raises Misconfigured, naming the field and the fix.
    """
    known = {field.name for field in dataclasses.fields(Settings)}
    values: dict[str, Any] = {
        "data_dir": _home(environ, "XDG_DATA_HOME", ".local/share"),
        "cache_dir": _home(environ, "XDG_CACHE_HOME", ".cache"),
    }
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


def _home(environ: Mapping[str, str], variable: str, fallback: str) -> Path:
    return Path(environ.get(variable) or Path.home() / fallback) / "spark-gateway"


def _read_file(environ: Mapping[str, str], file: Path | None) -> dict[str, Any]:
    named = file or (Path(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else None)
    path = named or _home(environ, "XDG_CONFIG_HOME", ".config") / "gateway.toml"
    if named is None and not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise Misconfigured(f"the settings file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Misconfigured(f"the settings file {path} is not TOML: {error}") from error


def _nearest(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"did you mean {close[0]}?" if close else "see `python -m gateway settings` for all there are"


def _type_of(name: str) -> Any:
    return get_type_hints(Settings)[name]


def _from_toml(name: str, value: Any) -> Any:
    wanted = _type_of(name)
    if wanted in (timedelta, Path) and isinstance(value, str):
        return _from_text(name, value)
    if wanted == list[str] and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    if wanted == dict[str, str] and isinstance(value, dict):
        return {key: as_text(item) for key, item in _flat(value)}
    if wanted == dict[str, dict[str, Any]] and isinstance(value, dict):
        if name == "clusters":
            return {cluster: _cluster(cluster, table) for cluster, table in value.items()}
        if all(isinstance(table, dict) for table in value.values()):
            return value
    if wanted in (str, int, bool) and type(value) is wanted:
        return value
    raise _misfit(name, repr(value), " in the settings file")


def _cluster(cluster: str, table: Any) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise Misconfigured(f"setting clusters.{cluster} is no table: give a table of settings")
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
    wanted = _type_of(name)
    try:
        if wanted is bool:
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.strip().lower()]
        if wanted is int:
            return int(text)
        if wanted is timedelta:
            return parse_duration(text)
        if wanted is Path:
            return Path(text).expanduser().absolute()
        if wanted == list[str]:
            return [item.strip() for item in text.split(",") if item.strip()]
        if wanted == dict[str, dict[str, Any]]:
            return _from_toml(name, tomllib.loads(text))
        if wanted == dict[str, str]:
            return dict(item.strip().split("=", 1) for item in text.split(",") if item.strip())
    except (KeyError, ValueError):
        raise _misfit(name, f"'{text}'") from None
    return text


def _misfit(name: str, value: str, where: str = "") -> Misconfigured:
    """Of pairs and tables, which may hold secrets, the value is not told."""
    wanted = _type_of(name)
    told = "not readable" if wanted in _TABLES else value
    return Misconfigured(f"setting {name} is {told}{where}: give {_example(wanted)}")


def _example(wanted: Any) -> str:
    return {
        bool: "true or false",
        int: "a whole number",
        timedelta: 'a duration such as "90s", "10m" or "1h"',
        Path: "a path, as text",
        str: "text",
        dict[str, dict[str, Any]]: "tables in TOML, such as [clusters.old] or [permanent_sessions.daily]",
    }.get(
        wanted, "a list such as a,b (in TOML: an array of texts)" if wanted == list[str] else "pairs such as k=v,k2=v2"
    )
