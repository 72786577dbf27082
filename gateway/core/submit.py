"""The spark-submit call that an application becomes: its conf, command line and environment. Starts nothing.

Everything that can be a property travels in a private properties file, not on the command line, where any
user of the machine could read a secret. Field mapping: contract §4.1.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from gateway.core import conf_values, installation
from gateway.core.options import SparkOptions
from gateway.core.settings import ClusterSettings
from gateway.core.settings.reading import PREFIX


def conf_of(options: SparkOptions, here: ClusterSettings, folder: Path, defaults: Mapping[str, str]) -> dict[str, str]:
    """The whole conf of an application whose work folder is `folder`.

    Weakest first: the installation's spark-defaults.conf, `defaults`, the settings' spark_conf, the request's
    conf, the request's fields, and what the gateway alone decides.
    """
    conf = {
        "spark.ui.port": "0",  # the fixed default gives up after 16 applications on one host
        "spark.driver.host": here.driver_host,
        "spark.driver.bindAddress": here.driver_host,
        "spark.local.dir": str(folder / "tmp"),
        **installation.default_conf(installation.spark_home(here)),
        **defaults,
        **here.spark_conf,
        **options.conf,
        **{key: text for key, text in options.fields_as_conf().items() if text},
    }
    lists = {
        "spark.jars": options.jars,
        "spark.submit.pyFiles": options.py_files,
        "spark.files": options.files,
        "spark.yarn.dist.archives" if here.master.startswith("yarn") else "spark.archives": options.archives,
    }
    for key, values in lists.items():
        if joined := ",".join([*values, *filter(None, [conf.get(key, "")])]):
            conf[key] = joined
    return conf_values.spelt(conf) | {"spark.master": here.master}


def command(
    here: ClusterSettings,
    properties: Path,
    application: str,
    args: Iterable[str] = (),
    *,
    class_name: str | None = None,
    deploy_mode: str = "client",
    proxy_user: str | None = None,
) -> list[str]:
    """The command line that runs `application` with the conf in the file `properties`."""
    words = [str(installation.spark_home(here) / "bin" / "spark-submit"), "--properties-file", str(properties)]
    words += ["--deploy-mode", deploy_mode]
    if class_name:
        words += ["--class", class_name]
    if proxy_user:
        words += ["--proxy-user", proxy_user]
    return [*words, _resource(application), *args]


def _resource(application: str) -> str:
    """The application as Spark reads it: behind # it sees no path, and its script leaves out a carriage return."""
    if application.startswith("/") and re.search(r"[#\r]", application):
        return Path(application).as_uri()
    return application


def temporary_folder(folder: Path) -> str:
    """The JVM option that keeps temporary files in `folder`, as one word of SPARK_SUBMIT_OPTS.

    A JVM that is killed leaves its temporary files behind; there they go with the work folder.
    """
    text = re.sub(r'(["\\])', r"\\\1", str(folder))
    return f'"-Djava.io.tmpdir={text}"'


def environ(
    here: ClusterSettings, java_home: Path, submit_options: Iterable[str], python: str, driver_python: str | None = None
) -> dict[str, str]:
    """The environment of spark-submit. `submit_options` are JVM options that the user's conf need not know of.

    `driver_python` is the driver's where it differs from the executors' `python`.
    """
    return {
        **plain_environ(),
        "SPARK_HOME": str(installation.spark_home(here)),
        "JAVA_HOME": str(java_home),
        "SPARK_LOCAL_IP": here.driver_host,  # Spark's own UI binds to this, to every address without it
        "SPARK_SUBMIT_OPTS": " ".join(submit_options),
        "SPARK_LAUNCHER_OPTS": _LAUNCHER,
        "PYSPARK_PYTHON": python,
        "PYSPARK_DRIVER_PYTHON": driver_python or python,
    }


# Of the short-lived JVM in which spark-submit makes the command of the real one: half of its time was its own start.
_LAUNCHER = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto"


def plain_environ() -> dict[str, str]:
    """The environment of whatever the gateway starts: its own, without its settings, in UTF-8."""
    own = (PREFIX, "PYSPARK_", "SPARK_", "PYTHONIOENCODING", "PGPASSWORD", "PROMETHEUS_MULTIPROC_DIR")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(own)}
    return {**kept, **({} if _speaks_utf8() else {"LC_ALL": "C.UTF-8"}), "PYTHONUNBUFFERED": "1"}


@functools.cache
def _speaks_utf8() -> bool:
    """Whether what is started from here takes arguments, paths and text for UTF-8: Java goes by the locale.

    A locale that is not installed, of which `locale` complains, is none.
    """
    try:
        asked = subprocess.run(["locale", "charmap"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError:
        return False
    return asked.stdout.strip() == b"UTF-8" and not asked.stderr
