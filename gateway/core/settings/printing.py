"""How settings are shown: on the command line, and as a page of the docs."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from gateway.core.options import redact
from gateway.core.settings.fields import Settings, without_password

_PAGE_HEAD = """# Settings

Each can be given in the environment (`SPARK_GATEWAY_PORT=9000`) or in a TOML file (`port = 9000`): the file that
`--config` or `SPARK_GATEWAY_CONFIG` names, else `~/.config/spark-gateway/gateway.toml`. The environment wins. An
unknown or unfit setting stops the start with the field and the fix.

Durations are a number with `ms`, `s`, `m`, `h` or `d`, such as `90s`. Lists are `a,b` in the environment and arrays in
the file; pairs are `k=v,k2=v2` there and a table here. `clusters` and `permanent_sessions` are tables of tables
here, and text in TOML there; see [operations.md](operations.md). The settings from
`spark_home` to `hive` are those that each cluster may have of its own. This page is written by
`python -m gateway settings --markdown`.

| setting | default | meaning |
|---|---|---|"""


def describe(settings: Settings) -> list[tuple[str, str, str]]:
    """(name, value as text, meaning) of every setting, for the command line and the docs; no secret is in it."""
    shown = dataclasses.replace(settings, store=without_password(settings.store))
    return [
        (field.name, as_text(_without_secrets(getattr(shown, field.name))), field.metadata["meaning"])
        for field in dataclasses.fields(shown)
    ]


def _without_secrets(value: Any) -> Any:
    """Of tables of whatever depth: their values whose key or own text names a secret are hidden, as in answers."""
    if not isinstance(value, dict):
        return value
    texts = redact({key: item for key, item in value.items() if isinstance(item, str)})
    return {key: texts.get(key, _without_secrets(item)) for key, item in value.items()}


def page() -> str:
    """The settings page of the docs; the same in whatever environment it is written."""
    defaults = Settings(data_dir=Path("~/.local/share/spark-gateway"), cache_dir=Path("~/.cache/spark-gateway"))
    rows = [
        f"| `{name}` | {f'`{value}`' if value else 'empty'} | {meaning} |"
        for name, value, meaning in describe(defaults)
    ]
    return "\n".join([_PAGE_HEAD, *rows])


def as_text(value: Any) -> str:
    if isinstance(value, timedelta):
        return _duration_text(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(as_text, value))
    if isinstance(value, dict):
        if any(isinstance(item, dict) for item in value.values()):
            return "\n".join(f"{key} = {_inline(item)}" for key, item in value.items())
        return ",".join(f"{key}={item}" for key, item in value.items())
    return str(value)


def _inline(value: Any) -> str:
    """A value of a cluster's table in TOML, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_inline(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


def _duration_text(value: timedelta) -> str:
    microseconds = value // timedelta(microseconds=1)
    for suffix, unit in (("d", 86400 * 10**6), ("h", 3600 * 10**6), ("m", 60 * 10**6), ("s", 10**6), ("ms", 1000)):
        if microseconds and microseconds % unit == 0:
            return f"{microseconds // unit}{suffix}"
    return f"{microseconds}us" if microseconds else "0s"
