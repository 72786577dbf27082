"""A Spark installation: where it is, of which version, and the conf that it brings."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

from gateway.core.errors import Misconfigured
from gateway.core.settings import ClusterSettings


def spark_home(here: ClusterSettings) -> Path:
    """The Spark installation of a cluster. Raises Misconfigured when there is none."""
    if here.spark_home:
        home = Path(here.spark_home)
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


def default_conf(home: Path) -> dict[str, str]:
    """spark-defaults.conf, which spark-submit skips when it is given a properties file."""
    folder = Path(os.environ.get("SPARK_CONF_DIR") or home / "conf")
    try:
        text = (folder / "spark-defaults.conf").read_text("utf-8")
    except OSError:
        return {}
    pairs = (re.split(r"\s*[=:]\s*|\s+", line.strip(), maxsplit=1) for line in text.splitlines())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and not pair[0].startswith("#")}
