"""Tells the gateway how the start went.

Decides the form of the message: a file that appears complete or not at all, then one byte on a FIFO for those who wait.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping


def tell(path: str, facts: Mapping[str, object], wakeup: str | None) -> None:
    """Write `facts` to `path`, readable by the owner only, and wake whoever waits on the FIFO `wakeup`."""
    draft = f"{path}.{os.getpid()}"
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(facts, file)
    os.rename(draft, path)
    if wakeup is not None:
        _wake(wakeup)


def _wake(fifo: str) -> None:
    try:
        end = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return  # nobody listens: they will look by themselves
    try:
        os.write(end, b"\0")
    except OSError:
        return
    finally:
        os.close(end)
