"""A driver as something that runs: launched, found ready, and told why it ended. Knows no session and no store.

The driver's folder is its handle: everything a restarted gateway needs to take it up again is in there.
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jupyter_client.connect import write_connection_file

from gateway.core import applications, ends, logs, private_files, submit
from gateway.core.applications import Application
from gateway.core.clusters import Clusters
from gateway.core.places.place import End, Place
from gateway.core.settings import ClusterSettings, Settings
from sessions.drivers import sharing
from sessions.drivers.models import Driver

# Stands for a seat's interpreter, which the application forks, in the seat's folder, $0. It asks for it through the
# FIFO $1, hears through a FIFO of its own that it runs, and then its exit code. Has nobody that FIFO open any more, the
# application is gone, and all its interpreters with it.
_SEAT = """
[ -p "$1" ] || exit 75
exec 4<>"$0/end" 3<"$0/end"
printf '%s\\n' "$0" > "$1"
read -r runs <&3
exec 4>&-
read -r code <&3 || exit 75
exit "$code"
"""
WITHOUT_APPLICATION = 75  # the exit code of a seat whose application is gone

_LAUNCH = Path(__file__).parents[1] / "repl" / "launch.py"


@dataclass(frozen=True)
class Ready:
    """What a driver says once Spark is up; or the error that kept Spark from starting.

    `warm`: one that was started ahead has run what is slow the first time.
    """

    app_id: str | None = None
    ui_url: str | None = None
    error: str | None = None
    warm: bool = False


class Launcher:
    """Starts drivers at a place in client deploy mode, each for its cluster."""

    def __init__(self, clusters: Clusters, place: Place, settings: Settings) -> None:
        self._clusters, self._place, self._settings = clusters, place, settings

    def launch(self, driver: Driver) -> None:
        """Start the driver, unless it was started already. Raises OSError, Misconfigured."""
        if self._place.find(driver.folder):
            return
        if driver.application is not None:
            self._seat(driver, driver.folder.with_name(driver.application))
            return
        cluster, folder = self._clusters.of(driver.options), driver.folder
        options = self._prepare(driver)
        (folder / "repl").mkdir(exist_ok=True)
        if driver.shared is not None:
            _make_fifo(_seats_fifo(folder))
        application = Application(
            folder,
            _conf(driver, cluster.settings),
            str(_LAUNCH),
            [str(options)],
            proxy_user=driver.options.proxy_user,
            python_of_archives=True,
        )
        applications.start(application, cluster, self._settings, self._place)

    def _seat(self, driver: Driver, application: Path) -> None:
        """Have the application fork an interpreter for the seat: a shell asks for it, and ends when it does."""
        self._prepare(driver)
        _make_fifo(driver.folder / "end")
        logs.note(driver.log, f"this session shares the Spark application {driver.shared}")
        command = ["/bin/sh", "-c", _SEAT, str(driver.folder), str(_seats_fifo(application))]
        self._place.start(driver.folder, command, submit.plain_environ())

    def _prepare(self, driver: Driver) -> Path:
        """What a driver finds in its folder; the file with its options."""
        folder, here = driver.folder, self._clusters.of(driver.options).settings
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        socket = self._place.socket(folder)
        write_connection_file(str(driver.connection_file), ip=socket.ip, transport=socket.transport)
        driver.connection_file.chmod(0o600)
        options = folder / "options.json"
        private_files.write_private(options, json.dumps(_kernel_options(driver, self._settings, here)))
        return options


def _seats_fifo(application: Path) -> Path:
    """Where the folders of seats are written for which an application is to fork interpreters."""
    return application / "seats"


def _make_fifo(path: Path) -> None:
    with suppress(FileExistsError):
        os.mkfifo(path, 0o600)


def _kernel_options(driver: Driver, settings: Settings, here: ClusterSettings) -> dict[str, object]:
    asked = driver.options.conf.get("livy.rsc.sql.num-rows", "")
    return {
        "connection_file": str(driver.connection_file),
        "ready_file": str(driver.folder / "ready.json"),
        "left_file": str(_left_file(driver)),
        "wakeup": str(settings.wakeup_path),
        "orphan_timeout": settings.orphan_timeout.total_seconds(),
        "sql_rows": int(asked) if asked.isdigit() and int(asked) > 0 else settings.sql_rows,
        "output_limit": settings.statement_output_limit,
        "kernel_path": [entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))],
        "kernel_abi": sysconfig.get_config_var("SOABI"),
        "livy_jars": settings.livy_jars,
        "sparkr_library": here.sparkr_library,
        "scala_cache": str(settings.cache_dir / "scala"),
        "warm_up": None if driver.profile is None else settings.warm_languages,
        "seat": driver.seat,
        "seats": str(_seats_fifo(driver.folder)) if _is_of_many(driver) else "",
        "conf": sharing.set_in_session(driver.options) if driver.application is not None else {},
    }


def _is_of_many(driver: Driver) -> bool:
    return driver.shared is not None and driver.application is None


def _conf(driver: Driver, here: ClusterSettings) -> dict[str, str]:
    defaults = {
        "spark.app.name": "spark-gateway-session",
        "spark.sql.warehouse.dir": str(driver.folder / "warehouse"),
        "spark.sql.catalogImplementation": "hive" if here.hive else "in-memory",
    }
    if driver.shared is not None:
        defaults["spark.scheduler.mode"] = "FAIR"  # between the pools of its seats
    conf = submit.conf_of(driver.options, here, driver.folder, defaults)
    return {
        # A cancelled task spins on its interrupted thread until its Python worker is gone: by default 2 s longer.
        "spark.python.task.killTimeout": "100ms",
        **conf,
        # Spark must know before it starts where executors find the classes that the Scala interpreter makes.
        "spark.repl.class.outputDir": str(driver.folder / "repl"),
    }


def readiness(driver: Driver) -> Ready | None:
    """What the driver wrote when Spark was up; None before that."""
    said = _read(driver.folder / "ready.json")
    return None if said is None else Ready(said.get("app_id"), said.get("ui_url"), said.get("error"), "warm" in said)


def _left_file(driver: Driver) -> Path:
    """Where a driver writes why it ends itself."""
    return driver.folder / "left.json"


def _reason_of_leaving(driver: Driver) -> str | None:
    """Why the driver has ended itself; None when it has not."""
    said = _read(_left_file(driver))
    return None if said is None else said.get("reason")


def _read(path: Path) -> dict[str, str] | None:
    """The texts in a file of a driver's; None when it is not there or something else: a session's code may write it."""
    try:
        said = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    texts = {name: str(value) for name, value in said.items() if value is not None}
    return {name: text.encode("utf-8", "replace").decode("utf-8") for name, text in texts.items()}


def reason_of_end(driver: Driver, end: End) -> str:
    """Why the driver ended, in one sentence, as far as its end and its folder tell."""
    if left := _reason_of_leaving(driver):
        return left
    said = readiness(driver)
    if said is not None and said.error:
        return f"Spark did not start: {said.error}"
    return ends.reason(
        "driver" if driver.application is None else "interpreter",
        driver.folder,
        end,
        "ended by itself with exit code {code}; its log says more",
    )
