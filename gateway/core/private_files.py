"""Files that only this user may read: text, and Java's properties."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path


def write_properties(path: Path, conf: Mapping[str, str]) -> None:
    """Write a Java properties file that only this user may read."""
    lines = [f"{_escape(key, ' :=#!')}={_escape(value, '')}\n" for key, value in sorted(conf.items())]
    write_private(path, "".join(lines))


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user may read, whole or not at all."""
    part = path.with_name(path.name + ".part")
    with open(
        os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text)
    part.rename(path)


def _escape(text: str, special: str) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    text = text.replace("\f", "\\f")
    text = re.sub(f"([{re.escape(special)}])", r"\\\1", text) if special else text
    return "\\" + text if text.startswith(" ") else text
