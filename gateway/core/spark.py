"""Spark applications as they are asked for, and the spark-submit call each becomes. Starts nothing itself.

Everything that can be a property travels in a private properties file, not on the command line, where any
user of the machine could read a secret. Field mapping: contract §4.1. Checks of paths and conf: contract §4.3.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from gateway.core.errors import InvalidRequest, Misconfigured
from gateway.core.settings import PREFIX, Settings

# Spark's own default of spark.redaction.regex
_SECRET = re.compile(r"secret|password|token|access[.]?key", re.IGNORECASE)
_REDACTED = "*********(redacted)"
_FILE_LIST_KEYS = (
    "spark.jars",
    "spark.files",
    "spark.archives",
    "spark.submit.pyFiles",
    "spark.yarn.dist.archives",
    "spark.yarn.dist.files",
    "spark.yarn.dist.jars",
    "spark.yarn.archive",
    "spark.yarn.jar",
    "spark.yarn.jars",
)


@dataclass(frozen=True)
class SparkOptions:
    """What a session or batch asks of Spark. Memory in Spark's notation ("2g"); None and [] mean not asked."""

    name: str | None = None
    proxy_user: str | None = None
    driver_memory: str | None = None
    driver_cores: int | None = None
    executor_memory: str | None = None
    executor_cores: int | None = None
    num_executors: int | None = None
    queue: str | None = None
    jars: list[str] = field(default_factory=list)
    py_files: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)
    conf: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def redact(conf: Mapping[str, str]) -> dict[str, str]:
    """The conf as it may be shown: a value is hidden if it or its key names a secret, as in Spark's own UI."""
    return {key: _REDACTED if _SECRET.search(key) or _SECRET.search(value) else value for key, value in conf.items()}


def redact_args(args: list[str]) -> list[str]:
    """The arguments as they may be shown: without what follows `password=` or `--password`, and the like."""
    shown, hide = [], False
    for arg in args:
        shown.append(_REDACTED if hide else _without_value(arg))
        hide = arg.startswith("-") and "=" not in arg and _SECRET.search(arg) is not None
    return shown


def _without_value(arg: str) -> str:
    named = _SECRET.search(arg)
    at = arg.find("=", named.end()) if named else -1
    return arg if at < 0 else arg[: at + 1] + _REDACTED


# ---------------------------------------------------------------- checks


def check(options: SparkOptions, settings: Settings, file: str | None = None) -> None:
    """Refuse what may not be asked. `file` is a batch's application. Raises InvalidRequest, naming the field."""
    forbidden = sorted(set(options.conf) & set(settings.conf_blacklist))
    if forbidden:
        raise InvalidRequest(f"Blacklisted configuration values in session config: {', '.join(forbidden)}")
    _check_sizes(options)
    for name in ("jars", "py_files", "files", "archives"):
        for path in getattr(options, name):
            check_path(name, path, settings)
    for key in _FILE_LIST_KEYS:
        for path in filter(None, re.split(r"[,\s]+", options.conf.get(key, ""))):
            check_path(key, path, settings)
    if file is not None:
        check_path("file", file, settings)


def _check_sizes(options: SparkOptions) -> None:
    for name in ("driver_memory", "executor_memory"):
        size = getattr(options, name)
        if size is not None and not re.fullmatch(r"\d{1,12}([kmgtp]b?|b)?", size.strip(), re.IGNORECASE):
            raise InvalidRequest(
                f"{_wire(name)} '{size}' is not a size: give a whole number and a unit, such as 512m or 2g"
            )
    for name in ("driver_cores", "executor_cores", "num_executors"):
        number = getattr(options, name)
        if number is not None and not 0 <= number < 2**31:
            raise InvalidRequest(f"{_wire(name)} is {number}: give a whole number from 1 up")


def _wire(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def check_path(name: str, path: str, settings: Settings) -> None:
    """Refuse a path that field `name` may not hold. Raises InvalidRequest.

    The first two texts are Livy's own, which its users search for.
    """
    try:
        parts = urlsplit(path)
    except ValueError as error:
        raise InvalidRequest(f"{_wire(name)}: '{path}' is no path and no URL: {error}") from None
    if parts.scheme not in ("", "file"):
        return
    plain = unquote(parts.path) if parts.scheme else path.split("#", 1)[0]
    if not plain.startswith("/"):
        raise InvalidRequest(f"requirement failed: Path '{path}' is not absolute.")
    real = os.path.realpath(plain)
    if not settings.any_local_path and not any(
        os.path.commonpath([real, os.path.realpath(folder)]) == os.path.realpath(folder)
        for folder in settings.local_path_whitelist
    ):
        raise InvalidRequest(f"requirement failed: Local path {plain} cannot be added to user sessions.")
    # A pattern is expanded by Spark itself; a cluster, or another default file system, may hold what this host has not.
    elsewhere = settings.deploy_mode != "client" or (not parts.scheme and _has_default_file_system(settings))
    if "*" not in plain and not elsewhere and not os.path.exists(real):
        raise InvalidRequest(f"{_wire(name)}: there is no file {plain} on the gateway's host")


def _has_default_file_system(settings: Settings) -> bool:
    """Whether a path without a scheme may mean another file system than this host's (Hadoop's fs.defaultFS)."""
    return settings.master.startswith(("yarn", "k8s")) or "HADOOP_CONF_DIR" in os.environ


# ---------------------------------------------------------------- the spark-submit call


def spark_home(settings: Settings) -> Path:
    """The Spark installation to use. Raises Misconfigured when there is none."""
    if settings.spark_home:
        home = Path(settings.spark_home)
    else:
        found = importlib.util.find_spec("pyspark")
        if found is None or not found.submodule_search_locations:
            raise Misconfigured("no Spark: install pyspark (pip install -r requirements.txt), or set spark_home")
        home = Path(next(iter(found.submodule_search_locations)))
    if not (home / "bin" / "spark-submit").exists():
        raise Misconfigured(
            f"setting spark_home is '{home}': there is no bin/spark-submit in it; name a Spark installation"
        )
    return home


def spark_version(home: Path) -> str:
    """The version of an installation, read from the name of its core jar; empty when there is none."""
    found = sorted(home.glob("jars/spark-core_*.jar"))
    return found[0].stem.partition("-core_")[2].partition("-")[2] if found else ""


def conf_of(options: SparkOptions, settings: Settings, folder: Path, defaults: Mapping[str, str]) -> dict[str, str]:
    """The whole conf of an application whose work folder is `folder`.

    Weakest first: the installation's spark-defaults.conf, `defaults`, the settings' spark_conf, the request's
    conf, the request's fields, and what the gateway alone decides.
    """
    conf = {
        "spark.ui.port": "0",  # the fixed default gives up after 16 applications on one host
        "spark.driver.host": settings.driver_host,
        "spark.driver.bindAddress": settings.driver_host,
        "spark.local.dir": str(folder / "tmp"),
        **_installed_defaults(spark_home(settings)),
        **defaults,
        **settings.spark_conf,
        **options.conf,
    }
    fields = {
        "spark.app.name": options.name,
        "spark.driver.memory": options.driver_memory,
        "spark.driver.cores": options.driver_cores,
        "spark.executor.memory": options.executor_memory,
        "spark.executor.cores": options.executor_cores,
        "spark.executor.instances": options.num_executors,
        "spark.yarn.queue": options.queue,
    }
    conf |= {key: str(value) for key, value in fields.items() if value not in (None, 0, "")}
    lists = {
        "spark.jars": options.jars,
        "spark.submit.pyFiles": options.py_files,
        "spark.files": options.files,
        "spark.yarn.dist.archives" if settings.master.startswith("yarn") else "spark.archives": options.archives,
    }
    for key, values in lists.items():
        if joined := ",".join([*values, *filter(None, [conf.get(key, "")])]):
            conf[key] = joined
    return conf | {"spark.master": settings.master}


def submit_command(
    settings: Settings,
    options: SparkOptions,
    properties: Path,
    application: str,
    args: Iterable[str] = (),
    class_name: str | None = None,
    deploy_mode: str = "client",
) -> list[str]:
    """The command line that runs `application` with the conf in the file `properties`."""
    command = [str(spark_home(settings) / "bin" / "spark-submit"), "--properties-file", str(properties)]
    command += ["--deploy-mode", deploy_mode]
    if class_name:
        command += ["--class", class_name]
    if settings.impersonation and options.proxy_user:
        command += ["--proxy-user", options.proxy_user]
    return [*command, application, *args]


def temporary_folder(folder: Path) -> str:
    """The JVM option that keeps temporary files in `folder`, as one word of SPARK_SUBMIT_OPTS.

    A JVM that is killed leaves its temporary files behind; there they go with the work folder.
    """
    text = re.sub(r'(["\\])', r"\\\1", str(folder))
    return f'"-Djava.io.tmpdir={text}"'


def submit_environ(
    settings: Settings, java_home: Path, submit_options: Iterable[str], python: str, driver_python: str | None = None
) -> dict[str, str]:
    """The environment of spark-submit. `submit_options` are JVM options that the user's conf need not know of.

    `driver_python` is the driver's where it differs from the executors' `python`.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith((PREFIX, "PYSPARK_", "SPARK_"))}
    return {
        **kept,
        "SPARK_HOME": str(spark_home(settings)),
        "JAVA_HOME": str(java_home),
        "SPARK_LOCAL_IP": settings.driver_host,  # Spark's own UI binds to this, to every address without it
        "SPARK_SUBMIT_OPTS": " ".join(submit_options),
        "PYSPARK_PYTHON": python,
        "PYSPARK_DRIVER_PYTHON": driver_python or python,
        "PYTHONUNBUFFERED": "1",
    }


def write_properties(path: Path, conf: Mapping[str, str]) -> None:
    """Write a Java properties file that only this user may read."""
    lines = [f"{_escape(key, ' :=#!')}={_escape(value, '')}\n" for key, value in sorted(conf.items())]
    write_private(path, "".join(lines))


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user may read, whole or not at all."""
    part = path.with_name(path.name + ".part")
    with open(
        os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text)
    part.rename(path)


def _escape(text: str, special: str) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    text = text.replace("\f", "\\f")
    text = re.sub(f"([{re.escape(special)}])", r"\\\1", text) if special else text
    return "\\" + text if text.startswith(" ") else text


def _installed_defaults(home: Path) -> dict[str, str]:
    """spark-defaults.conf, which spark-submit skips when it is given a properties file."""
    folder = Path(os.environ.get("SPARK_CONF_DIR") or home / "conf")
    try:
        text = (folder / "spark-defaults.conf").read_text("utf-8")
    except OSError:
        return {}
    pairs = (re.split(r"\s*[=:]\s*|\s+", line.strip(), maxsplit=1) for line in text.splitlines())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and not pair[0].startswith("#")}
