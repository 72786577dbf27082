"""The lines that start with a percent sign: %json, %table, %matplot (contract livy §3.2).

Decides what is a magic line and what its mime type holds. Nothing a user passes may end the interpreter: every failure
is an ordinary exception.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from typing import Any

from .table import table
from .values import jsonable

Data = dict[str, Any]


class UnknownMagic(Exception):
    """A percent line that names no magic."""

    __module__ = "__main__"  # so that tracebacks show the bare name, as the contract does


def is_magic(chunk: str) -> bool:
    """True for a chunk that is a magic line."""
    return chunk.startswith("%")


def split(code: str) -> list[str]:
    """The text as chunks, each a magic line or code; code keeps its line numbers by leading empty lines."""
    chunks: list[str] = []
    pending: list[str] = []
    for number, line in enumerate([*code.split("\n"), None]):
        if line is not None and not is_magic(line):
            pending.append(line)
            continue
        if any(part.strip() for part in pending):
            chunks.append("\n" * (number - len(pending)) + "\n".join(pending))
        pending = []
        if line is not None:
            chunks.append(line.rstrip())
    return chunks


def step(line: str) -> Callable[[Data], Data]:
    """What a magic line does, as a function of the namespace. Raises UnknownMagic or TypeError when that runs."""
    name, _, argument = line[1:].partition(" ")

    def run(namespace: Data) -> Data:
        if not name:
            raise UnknownMagic("magic command not specified")
        if name not in MAGICS:
            raise UnknownMagic(f"unknown magic command '{name}'")
        if not argument.strip():
            raise TypeError(f"%{name} needs the name of a variable, as in: %{name} x")
        return MAGICS[name](evaluate(argument.strip(), namespace))

    return run


def evaluate(argument: str, namespace: Data) -> Any:
    """The value of a magic's argument: a name in Livy, any expression here."""
    return eval(compile(argument, "<stdin>", "eval", dont_inherit=True), namespace)  # noqa: S307 - the user's own code


def as_json(value: Any) -> Data:
    """The value as JSON."""
    return {"application/json": jsonable(value)}


def as_table(value: Any) -> Data:
    """The value as Livy's table."""
    return {"application/vnd.livy.table.v1+json": table(value)}


def as_image(pyplot: Any) -> Data:
    """The current figure as PNG. It is closed then, so that the next plot starts on an empty one."""
    if not hasattr(pyplot, "gcf"):
        raise TypeError(f"%matplot needs matplotlib.pyplot, not {type(pyplot).__name__}")
    figure = pyplot.gcf()
    image = io.BytesIO()
    figure.savefig(image, format="png")
    if hasattr(pyplot, "close"):
        pyplot.close(figure)
    return {"image/png": base64.b64encode(image.getvalue()).decode("ascii")}


MAGICS: dict[str, Callable[[Any], Data]] = {"json": as_json, "table": as_table, "matplot": as_image}


def check_size(data: Data, limit: int) -> None:
    """Raise ValueError for a result over `limit` bytes: half a JSON document is of no use to anybody."""
    size = sum(len(value) if isinstance(value, str) else len(json.dumps(value)) for value in data.values())
    if size > limit:
        raise ValueError(f"the result has {size} bytes; the limit is {limit}")
