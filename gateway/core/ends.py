"""Why a driver or batch ended, in one sentence, as far as its end and its folder tell. Knows neither of them."""

from __future__ import annotations

import signal
from pathlib import Path

from gateway.core import packages, pythons
from gateway.core.places.place import End


def reason(what: str, folder: Path, end: End, by_itself: str) -> str:
    """`what` ended, a driver or batch. `by_itself` words an exit code of its own, which stands for its {code}."""
    if failure := pythons.failure(folder) or packages.failure(folder / "log"):
        return failure
    if end.out_of_memory:
        return f"the {what} ran out of memory; ask for more with driverMemory"
    if end.code is None:
        return f"the {what}'s processes were killed from outside"
    if end.code == 128 + signal.SIGKILL:
        return f"the {what} was killed (signal 9); if nobody did that, the machine ran out of memory"
    if end.code > 128:
        return f"the {what} was ended by signal {end.code - 128}"
    return f"the {what} " + by_itself.format(code=end.code)
