"""Which Python an application's driver and executors run on: one of the request's, of its archives, or the cluster's.

Who names none gets the environment of sessions/requirements.txt, which `make setup` makes beside the gateway's own.

Decides as spark-submit does, and adds what it leaves out: in client deploy mode a Python inside an archive must be on
the gateway's host before Spark starts. `gateway/core/unpack.py` brings it there. Starts nothing itself.
https://spark.apache.org/docs/latest/api/python/user_guide/python_packaging.html
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gateway.core import unpack
from gateway.core.faults import Code, Fault
from gateway.core.options import SparkOptions
from gateway.core.settings import ClusterSettings

# Spark's own keys, and those with which clients set the variable that Spark reads where its driver runs; first wins.
_FOR_DRIVER = (
    "spark.pyspark.driver.python",
    "spark.pyspark.python",
    "spark.yarn.appMasterEnv.PYSPARK_DRIVER_PYTHON",
    "spark.yarn.appMasterEnv.PYSPARK_PYTHON",
)
_FOR_EXECUTORS = ("spark.pyspark.python", "spark.executorEnv.PYSPARK_PYTHON", "spark.yarn.appMasterEnv.PYSPARK_PYTHON")
_ARCHIVE_KEYS = ("spark.archives", "spark.yarn.dist.archives")
_TAKEN = (
    "exit",
    "exit.part",
    "left.json",
    "log",
    "pid",
    "ready.json",
    "repl",
    "report.jsonl",
    "spark-events",
    "tmp",
    "warehouse",
    unpack.FAILURE,
)  # in a working folder
_FORMATS = (".tar.gz", ".tgz", ".tar", ".zip")
_ENVIRONMENT = Path(__file__).parents[2] / ".venv-session"


@dataclass(frozen=True)
class Archive:
    """A file that Spark unpacks into a folder called `name`; `path` is None when it is not on this host."""

    name: str
    path: Path | None


@dataclass(frozen=True)
class Pythons:
    """Programs as spark-submit wants them named. `unpack` are the archives to unpack first.

    `undecided`: nobody named a Python, so the first archive of `unpack` with one in it is to be unpacked and used.
    """

    driver: str
    executors: str
    unpack: list[Archive]
    undecided: bool = False

    def command(self, archive_limit: int) -> list[str]:
        """What to put in front of the spark-submit call, if something is to be unpacked: at most so many bytes."""
        if not self.unpack:
            return []
        options = {
            "archives": [(str(archive.path), archive.name) for archive in self.unpack],
            "undecided": self.undecided,
            "limit": archive_limit,
        }
        return [sys.executable, "-I", unpack.__file__, json.dumps(options)]


def default(here: ClusterSettings) -> str:
    """The Python of who names none: the cluster's, else that of the environment for sessions, else the gateway's own.

    An environment of another version of Python is none: its sessions could not use the gateway's kernel.
    """
    if here.python:
        return here.python
    python = _ENVIRONMENT / "bin" / "python"
    packages = _ENVIRONMENT / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return str(python) if python.exists() and packages.exists() else sys.executable


def choose(conf: Mapping[str, str], here: ClusterSettings, *, of_archives: bool) -> Pythons:
    """The Pythons of an application with this conf, started in client deploy mode.

    `of_archives`: a Python in an archive is the application's own even if no conf says so.
    """
    fallback = default(here)
    driver, executors = _first(conf, _FOR_DRIVER), _first(conf, _FOR_EXECUTORS)
    archives = [archive for archive in archives_of(conf) if _can_be_unpacked(archive)]
    if driver is None and executors is None:
        return Pythons(fallback, fallback, archives if of_archives else [], undecided=True)
    on_this_host = [driver, executors if _is_local(here) else None]
    inside = {_folder(named[1]) for named in on_this_host if named}
    return Pythons(
        driver[1] if driver else fallback,
        executors[1] if executors else fallback,
        [archive for archive in archives if archive.name in inside],
    )


def faults(options: SparkOptions, here: ClusterSettings) -> Iterator[Fault]:
    """The Pythons that cannot be started in client deploy mode, by their conf keys."""
    conf = {**here.spark_conf, **options.conf}
    archives = [_archive(text) for text in options.archives] + archives_of(conf)
    driver, executors = _first(conf, _FOR_DRIVER), _first(conf, _FOR_EXECUTORS)
    for named in dict.fromkeys([driver, executors if _is_local(here) else None]):
        if named:
            yield from _faults(*named, archives)


def failure(folder: Path) -> str | None:
    """Why an archive could not be unpacked in this working folder; None if that did not happen."""
    try:
        return (folder / unpack.FAILURE).read_text("utf-8")
    except OSError:
        return None


def archives_of(conf: Mapping[str, str]) -> list[Archive]:
    """The archives of a conf, the first of each name."""
    texts = [text.strip() for key in _ARCHIVE_KEYS for text in conf.get(key, "").split(",") if text.strip()]
    found: dict[str, Archive] = {}
    for archive in map(_archive, texts):
        found.setdefault(archive.name, archive)
    return list(found.values())


def _faults(key: str, python: str, archives: list[Archive]) -> Iterator[Fault]:
    folder = _folder(python)
    if folder is None:
        if shutil.which(python) is None:
            fix = "there is no such program on the gateway's host"
            yield Fault(f"conf.{key}", Code.MISFIT, f"{key} is '{python}'", fix, python)
        return
    found = next((archive for archive in archives if archive.name == folder), None)
    if found is None or not _can_be_unpacked(found):
        fix = (
            "give an absolute path, or ./NAME/bin/python and in archives /path/to/file#NAME, on the gateway's host and"
            f" one of {', '.join(_FORMATS)}"
        )
        yield Fault(f"conf.{key}", Code.MISFIT, f"{key} is '{python}'", fix, python)


def _folder(python: str) -> str | None:
    """The archive's folder that a relative path begins with; None for an absolute path or a program's name."""
    path = os.path.normpath(python)
    return path.partition("/")[0] if "/" in path and not path.startswith("/") else None


def _archive(text: str) -> Archive:
    """One entry of a list of archives: a path or URL, with the folder's name behind # (else the file's)."""
    path, _, name = text.partition("#")
    return Archive(name or path.rpartition("/")[2], _here(path))


def _here(path: str) -> Path | None:
    try:
        parts = urlsplit(path)
    except ValueError:
        return None  # no path and no URL, as its own check says
    return Path(unquote(parts.path) if parts.scheme else path) if parts.scheme in ("", "file") else None


def _can_be_unpacked(archive: Archive) -> bool:
    return (
        archive.path is not None
        and archive.path.name.endswith(_FORMATS)
        and re.fullmatch(r"[\w.+-]+", archive.name) is not None
        and not archive.name.startswith(".")
        and archive.name not in _TAKEN
    )


def _first(conf: Mapping[str, str], keys: tuple[str, ...]) -> tuple[str, str] | None:
    """The first of the keys that has a value, with it."""
    return next(((key, conf[key]) for key in keys if conf.get(key)), None)


def _is_local(here: ClusterSettings) -> bool:
    """Whether executors run in the driver's JVM, and so in its folder."""
    return here.master.startswith("local")
