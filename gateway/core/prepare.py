"""The set-up's step that builds what lets sessions start faster. Run as a module; never fails, for it is a comfort."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gateway.core import class_archive, clusters, installation
from gateway.core.errors import GatewayError
from gateway.core.settings import Settings, reading


def main(arguments: list[str]) -> int:
    """Build the class archives that are missing, one for each cluster, in the folder given or the settings' own."""
    try:
        settings = reading.load(os.environ)
    except GatewayError as error:
        _tell(error)
        return 0
    for name in settings.cluster_names:
        try:
            _prepare(name, settings, Path(arguments[0]) if arguments else settings.cache_dir)
        except GatewayError as error:
            _tell(error)
    return 0


def _prepare(cluster: str, settings: Settings, cache_dir: Path) -> None:
    here, java = clusters.examine(cluster, settings)
    home = installation.spark_home(here)
    if class_archive.java_options(cache_dir, java, home):
        return
    what = f"the classes of Spark {installation.spark_version(home)}"
    print(f"Preparing {what} so that sessions start faster (once, about 20 s)", flush=True)
    class_archive.build(cache_dir, java, home, here.python or sys.executable)


def _tell(error: GatewayError) -> None:
    print(f"Sessions will start slower, without a class archive: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
