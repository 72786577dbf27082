"""The states of a driver, and the moves between them that are legal."""

from __future__ import annotations

from enum import Enum


class DriverState(str, Enum):
    """`WARM`: Spark is up, and the driver is nobody's yet, or does not know yet whose it is."""

    REQUESTED = "requested"
    LAUNCHING = "launching"
    WARM = "warm"
    READY = "ready"
    GONE = "gone"


DRIVER_MOVES = {
    DriverState.REQUESTED: {DriverState.LAUNCHING, DriverState.GONE},
    DriverState.LAUNCHING: {DriverState.WARM, DriverState.READY, DriverState.GONE},
    DriverState.WARM: {DriverState.READY, DriverState.GONE},
    DriverState.READY: {DriverState.GONE},
    DriverState.GONE: set(),
}
