"""Maven packages of an application (conf spark.jars.packages): where Ivy keeps them, and what failed.

Spark's own place, ~/.ivy2, is shared by all applications without a lock: two that start together on an empty cache
end with each other's half-written files. Here downloads are shared under Ivy's lock, and each application has its
own copies. Downloads nothing itself.
https://ant.apache.org/ivy/history/latest-milestone/settings/lock-strategies.html
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.sax.saxutils import quoteattr

from gateway.core import installation, logs, private_files
from gateway.core.faults import Code, Fault
from gateway.core.settings import ClusterSettings

_KEY = "spark.jars.packages"
_PLACE, _SETTINGS = "spark.jars.ivy", "spark.jars.ivySettings"
_FAILURE = re.compile(r"RuntimeException: \[((?:unresolved dependency|download failed): .*)\]")
_LOG_LINES = 200  # from the end of a log, in which the failure is looked for

# The repositories of Spark's own set-up. The local one is not the first: Maven leaves descriptions without jars in it.
_IVY_SETTINGS = """<ivysettings>
  <settings defaultResolver="default"/>
  <caches default="shared" lockStrategy="artifact-lock-nio">
    <cache name="shared" basedir={cache} lockStrategy="artifact-lock-nio"/>
  </caches>
  <resolvers>
    <chain name="default">
      <ibiblio name="central" m2compatible="true" root={central}/>
      <ibiblio name="local-m2-cache" m2compatible="true" root={local}/>
      <ibiblio name="spark-packages" m2compatible="true" root="https://repos.spark-packages.org/"/>
    </chain>
  </resolvers>
</ivysettings>
"""


def faults(conf: Mapping[str, str]) -> Iterator[Fault]:
    """What is no Maven coordinate in the list of packages."""
    for one in filter(None, map(str.strip, conf.get(_KEY, "").split(","))):
        if not re.fullmatch(r"[^:/\s]+([:/][^:/\s]+){2}", one):
            reason = f"{_KEY}: '{one}' is not a package"
            yield Fault(f"conf.{_KEY}", Code.MISFIT, reason, "give groupId:artifactId:version", one)


def settle(conf: Mapping[str, str], here: ClusterSettings, cache_dir: Path, folder: Path) -> dict[str, str]:
    """The conf of an application in client deploy mode, with the places that Ivy is to use for its packages.

    Writes Ivy's settings into the work folder. A conf that has no packages, or names a place itself, stays as it is.
    """
    if not conf.get(_KEY) or conf.get(_PLACE) or conf.get(_SETTINGS):
        return dict(conf)
    # Versions of Ivy do not read each other's caches.
    cache = cache_dir / "packages" / f"spark-{installation.spark_version(installation.spark_home(here))}"
    file = folder / "ivysettings.xml"
    text = _IVY_SETTINGS.format(
        cache=quoteattr(str(cache)),
        central=quoteattr(os.environ.get("DEFAULT_ARTIFACT_REPOSITORY", "https://repo1.maven.org/maven2/")),
        local=quoteattr((Path.home() / ".m2" / "repository").as_uri()),
    )
    private_files.write_private(file, text)
    return {**conf, _PLACE: str(folder / "tmp" / "ivy"), _SETTINGS: str(file)}


def failure(log: Path) -> str | None:
    """Why the packages of an application that has ended could not be had; None if that was not it."""
    for line in logs.own_tail(log, _LOG_LINES):
        if found := _FAILURE.search(line):
            return f"{_KEY} could not be resolved: {found[1]}"
    return None
