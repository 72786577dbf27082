"""A Spark application started at a place: its conf written into its folder, and spark-submit called there.

Knows neither drivers nor batches; what either of them needs in its folder besides, it puts there itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.core import packages, private_files, pythons, submit
from gateway.core.clusters import Cluster
from gateway.core.places.place import Place
from gateway.core.settings import Settings


@dataclass(frozen=True)
class Application:
    """`file` is what spark-submit is to run, in `folder` and with this whole `conf`.

    `python_of_archives`: a Python in an archive is the application's own even if no conf says so.
    """

    folder: Path
    conf: Mapping[str, str]
    file: str
    args: Sequence[str]
    class_name: str | None = None
    proxy_user: str | None = None
    deploy_mode: str = "client"
    python_of_archives: bool = False


def start(application: Application, cluster: Cluster, settings: Settings, place: Place) -> None:
    """Start it. Raises OSError, Misconfigured."""
    here, folder, conf = cluster.settings, application.folder, dict(application.conf)
    (folder / "tmp").mkdir(exist_ok=True)
    in_client = application.deploy_mode == "client"
    if in_client:
        conf = packages.settle(conf, here, settings.cache_dir, folder)
    private_files.write_properties(folder / "spark.properties", conf)
    command = submit.command(
        here,
        folder / "spark.properties",
        application.file,
        application.args,
        class_name=application.class_name,
        deploy_mode=application.deploy_mode,
        proxy_user=application.proxy_user if settings.impersonation else None,
    )
    chosen = pythons.choose(conf, here, of_archives=application.python_of_archives)
    unpack = chosen.command(settings.archive_limit) if in_client else []
    jvm_options = [*cluster.jvm_options, submit.temporary_folder(folder / "tmp")]
    environ = submit.environ(here, cluster.java.home, jvm_options, chosen.executors, chosen.driver)
    place.start(folder, [*unpack, *command], environ)
