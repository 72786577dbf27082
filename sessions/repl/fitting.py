"""Makes the session's Python fit to hold the kernel: by its own ipykernel, else by the gateway's if both can load it.

Decides which Python will do, and says what is missing in one that will not. Runs before the rest of the package is
imported, in a Python that may be too old for that.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import sysconfig

from .ready import tell

OLDEST = (3, 10)


def require(options_file: str) -> None:
    """Add the gateway's packages behind the session's own if it has no kernel; its own win.

    Where that will not do, tell the gateway why and end the process.
    """
    with open(options_file, encoding="utf-8") as file:
        options = json.load(file)
    sys.path.extend(_missing(options))
    if reason := _unfitness():
        tell(
            os.path.join(os.path.dirname(options_file), options["ready_file"]), {"error": reason}, options.get("wakeup")
        )
        sys.exit(reason)


def _missing(options: dict[str, object]) -> list[str]:
    """The gateway's folders of packages, if the kernel is there alone and its compiled parts fit this Python."""
    same = options.get("kernel_abi") == sysconfig.get_config_var("SOABI")
    folders = options.get("kernel_path")
    return folders if isinstance(folders, list) and same and not _has_kernel() else []


def _unfitness() -> str | None:
    here = f"Python {sys.version_info[0]}.{sys.version_info[1]} of {sys.executable}"
    if sys.version_info < OLDEST:
        return f"{here} is too old for a session: choose one from {OLDEST[0]}.{OLDEST[1]} on"
    if not _has_kernel():
        return (
            f"{here} has no ipykernel, and is not the version of Python that could use the gateway's:"
            f" run `{sys.executable} -m pip install ipykernel` (before packing it, if it comes in an archive)"
        )
    return None


def _has_kernel() -> bool:
    return importlib.util.find_spec("ipykernel") is not None
