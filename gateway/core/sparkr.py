"""Whether this host has what sessions in R need: R, and Spark's own R package, SparkR. Installs neither.

The driver looks in the same places (`sessions/repl/sparkr.py`); this is asked before one is started.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from gateway.core import installation, submit
from gateway.core.options import SparkOptions
from gateway.core.settings import ClusterSettings

_PROGRAM = "spark.r.shell.command"
_PATIENCE = 20.0  # seconds for R to say what is in its library
_ASK = 'cat(nzchar(system.file(package = "SparkR")))'
_knowing: set[str] = set()  # programs that have found it, and are not asked again


def missing(options: SparkOptions, here: ClusterSettings) -> str | None:
    """What an R session with `options` lacks on this host and what to do, in a sentence; None when nothing."""
    home = installation.spark_home(here)
    conf = {**installation.default_conf(home), **here.spark_conf}
    own = conf.get(_PROGRAM) or os.environ.get("SPARKR_DRIVER_R") or "R"
    program = options.conf.get(_PROGRAM) or own
    if shutil.which(program) is None:
        return (
            f"sparkr needs R, and there is no program {program} on the gateway's host: install R (Debian's package is"
            f" r-base-core), or name it in {_PROGRAM}"
        )
    if here.sparkr_library:
        return None if _holds(Path(here.sparkr_library)) else _not_in_setting(here)
    library = home / "R" / "lib"
    if _holds(library) or program != own or _knows(own):  # what a client names is run by its driver alone
        return None
    return (
        f"sparkr needs Spark's R package SparkR, which is neither in {library} nor in R's own library: copy it there"
        " from a full Spark distribution of the same version, or name the folder that holds it in the setting"
        " sparkr_library"
    )


def _not_in_setting(here: ClusterSettings) -> str:
    return f"setting sparkr_library is '{here.sparkr_library}': there is no package SparkR in that folder"


def _holds(library: Path) -> bool:
    return (library / "SparkR" / "DESCRIPTION").is_file()


def _knows(program: str) -> bool:
    """Whether R finds SparkR by itself."""
    if program in _knowing:
        return True
    command = [program, "--no-echo", "--no-save", "--no-restore", "-e", _ASK]
    try:
        ran = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            env=submit.plain_environ(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    if ran.returncode == 0 and ran.stdout.endswith("TRUE"):
        _knowing.add(program)
    return program in _knowing
