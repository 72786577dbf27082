"""A driver as a process: launched, found ready, and told why it ended. Knows no session and no store.

The driver's folder is its handle: everything a restarted gateway needs to take it up again is in there.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from jupyter_client.connect import write_connection_file

from gateway.core import logs, packages, processes, pythons, spark
from gateway.core.clusters import Clusters
from gateway.core.settings import Settings
from sessions.models import Driver

_LAUNCH = Path(__file__).parent / "repl" / "launch.py"
_LONGEST_SOCKET_PATH = 100  # of the 107 bytes that a Unix socket's path may have


@dataclass(frozen=True)
class Ready:
    """What a driver says once Spark is up; or the error that kept Spark from starting."""

    app_id: str | None = None
    ui_url: str | None = None
    error: str | None = None


class Launcher:
    """Starts drivers on this host in client deploy mode, each for its cluster."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    def launch(self, driver: Driver) -> processes.Process:
        """Start the driver's process, unless it was started already. Raises OSError, Misconfigured."""
        if (started := processes.find(driver.folder)) is not None:
            return started
        cluster, folder = self._clusters.of(driver.options), driver.folder
        settings = cluster.settings
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "tmp").mkdir(exist_ok=True)
        (folder / "repl").mkdir(exist_ok=True)
        properties = folder / "spark.properties"
        conf = packages.settle(_conf(driver, settings), settings, folder)
        spark.write_properties(properties, conf)
        _write_connection_file(driver)
        spark.write_private(folder / "options.json", json.dumps(_kernel_options(driver, settings)))
        chosen = pythons.choose(conf, settings, of_archives=True)
        command = spark.submit_command(
            settings, driver.options, properties, str(_LAUNCH), [str(folder / "options.json")]
        )
        options = [*cluster.jvm_options, spark.temporary_folder(folder / "tmp")]
        environ = spark.submit_environ(settings, cluster.java.home, options, chosen.executors, chosen.driver)
        return processes.start(folder, [*chosen.command(settings), *command], environ)


def _kernel_options(driver: Driver, settings: Settings) -> dict[str, object]:
    asked = driver.options.conf.get("livy.rsc.sql.num-rows", "")
    return {
        "connection_file": str(driver.connection_file),
        "ready_file": str(driver.folder / "ready.json"),
        "left_file": str(driver.folder / "left.json"),
        "wakeup": str(settings.wakeup_path),
        "orphan_timeout": settings.orphan_timeout.total_seconds(),
        "sql_rows": int(asked) if asked.isdigit() and int(asked) > 0 else settings.sql_rows,
        "output_limit": settings.statement_output_limit,
        "kernel_path": [entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))],
        "kernel_abi": sysconfig.get_config_var("SOABI"),
        "livy_jars": settings.livy_jars,
        "sparkr_library": settings.sparkr_library,
        "scala_cache": str(settings.cache_dir / "scala"),
    }


def _conf(driver: Driver, settings: Settings) -> dict[str, str]:
    defaults = {
        "spark.app.name": "spark-gateway-session",
        "spark.sql.warehouse.dir": str(driver.folder / "warehouse"),
        "spark.sql.catalogImplementation": "hive" if settings.hive else "in-memory",
    }
    conf = spark.conf_of(driver.options, settings, driver.folder, defaults)
    return {
        # A cancelled task spins on its interrupted thread until its Python worker is gone: by default 2 s longer.
        "spark.python.task.killTimeout": "100ms",
        **conf,
        # Spark must know before it starts where executors find the classes that the Scala interpreter makes.
        "spark.repl.class.outputDir": str(driver.folder / "repl"),
    }


def readiness(driver: Driver) -> Ready | None:
    """What the driver wrote when Spark was up; None before that."""
    try:
        said = json.loads((driver.folder / "ready.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return Ready(said.get("app_id"), said.get("ui_url"), said.get("error"))


def _reason_of_leaving(driver: Driver) -> str | None:
    """Why the driver has ended itself; None when it has not."""
    try:
        return str(json.loads((driver.folder / "left.json").read_text("utf-8"))["reason"])
    except (OSError, ValueError):
        return None


def reason_of_end(driver: Driver) -> str:
    """Why the driver's process ended, in one sentence, as far as its folder tells."""
    if failure := pythons.failure(driver.folder) or packages.failure(driver.log):
        return failure
    if left := _reason_of_leaving(driver):
        return left
    said = readiness(driver)
    if said is not None and said.error:
        return f"Spark did not start: {said.error}"
    code = processes.exit_code(driver.folder)
    if any("java.lang.OutOfMemoryError" in line for line in logs.own_tail(driver.log, 200)):
        return "the driver ran out of memory; ask for more with driverMemory"
    if code is None:
        return "the driver's processes were killed from outside"
    if code == 128 + signal.SIGKILL:
        return "the driver was killed (signal 9); if nobody did that, the machine ran out of memory"
    if code > 128:
        return f"the driver was ended by signal {code - 128}"
    return f"the driver ended by itself with exit code {code}; its log says more"


def clear(folder: Path, *, keep_log: bool) -> None:
    """Remove what a driver that is gone has left in its folder; the log too unless `keep_log`."""
    if not keep_log:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for entry in folder.iterdir() if folder.exists() else ():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != "log":
            entry.unlink(missing_ok=True)


def _write_connection_file(driver: Driver) -> None:
    """Unix sockets in the driver's private folder; TCP with signed messages where their path would be too long."""
    socket = str(driver.folder / "kernel")
    if len(socket) <= _LONGEST_SOCKET_PATH:
        write_connection_file(str(driver.connection_file), ip=socket, transport="ipc")
    else:
        write_connection_file(str(driver.connection_file), ip="127.0.0.1")
    driver.connection_file.chmod(0o600)
