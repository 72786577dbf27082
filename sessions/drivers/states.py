"""The states of a driver, and the moves between them that are legal."""

from __future__ import annotations

from enum import Enum


class DriverState(str, Enum):
    REQUESTED = "requested"
    LAUNCHING = "launching"
    READY = "ready"
    GONE = "gone"


DRIVER_MOVES = {
    DriverState.REQUESTED: {DriverState.LAUNCHING, DriverState.GONE},
    DriverState.LAUNCHING: {DriverState.READY, DriverState.GONE},
    DriverState.READY: {DriverState.GONE},
    DriverState.GONE: set(),
}
