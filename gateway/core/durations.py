"""Durations as users write them: Livy's grammar, so that settings and requests speak the same one.

Digits with an optional suffix `us ms s m min h d`, any case, spaces around; no suffix means milliseconds.
Source: contract §2.6 (Livy's `ClientConf`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from gateway.core.faults import Code, Fault

_SECONDS = {"us": 1e-6, "ms": 1e-3, "": 1e-3, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_MAXIMUM = timedelta(days=36500)


def faults(field: str, text: str | None) -> Iterator[Fault]:
    """Why this is no duration; nothing when it is one, or None."""
    try:
        parse_duration("0" if text is None else text)
    except ValueError as error:
        yield Fault(field, Code.MISFIT, str(error), value=text or "")


def parse_duration(text: str) -> timedelta:
    """The duration that `text` writes. Raises ValueError, saying what is wrong."""
    found = re.fullmatch(r"(-?[0-9]+)([a-z]*)", text.strip().lower())
    if found is None:
        raise ValueError(f"Invalid time string: {text}" if text else 'Invalid time string: "')
    number, suffix = int(found[1]), found[2]
    if suffix not in _SECONDS:
        raise ValueError(f'Invalid suffix: "{suffix}"')
    if number < 0:
        raise ValueError(f"Invalid value: {number}")
    try:
        return min(timedelta(seconds=number * _SECONDS[suffix]), _MAXIMUM)
    except OverflowError:
        return _MAXIMUM
