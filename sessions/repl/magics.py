"""What the magics of Python do: %json, %table, %matplot (contract livy §3.2).

Decides what each one's mime type holds; which lines are magics is `magic_lines`' business. Nothing a user passes may
end the interpreter: every failure is an ordinary exception.
"""

from __future__ import annotations

import ast
import base64
import io
import json
from collections.abc import Callable
from typing import Any

from .magic_lines import Chunk
from .table import table
from .values import jsonable

Data = dict[str, Any]


class UnknownMagic(Exception):
    """A percent line that names no magic."""

    __module__ = "__main__"  # so that tracebacks show the bare name, as the contract does


def step(chunk: Chunk, file: str) -> Callable[[Data], Data]:
    """What a magic line of `file` does, as a function of the namespace; that raises UnknownMagic or TypeError."""
    name, _, argument = chunk.text[1:].partition(" ")

    def run(namespace: Data) -> Data:
        if not name:
            raise UnknownMagic("magic command not specified")
        if name not in MAGICS:
            raise UnknownMagic(f"unknown magic command '{name}'")
        if not argument.strip():
            raise TypeError(f"%{name} needs the name of a variable, as in: %{name} x")
        return MAGICS[name](evaluate(chunk, len(chunk.text) - len(argument.lstrip()), file, namespace))

    return run


def evaluate(chunk: Chunk, start: int, file: str, namespace: Data) -> Any:
    """The value of a magic's argument, which begins at `start` of its line: a name in Livy, any expression here."""
    source = "\n" * chunk.line + chunk.text[start:]
    tree = compile(source, file, "eval", ast.PyCF_ONLY_AST, dont_inherit=True)
    for node in ast.walk(tree):
        if isinstance(node, (ast.expr, ast.keyword, ast.arg)):
            node.col_offset += start
            node.end_col_offset = (node.end_col_offset or 0) + start
    assert isinstance(tree, ast.Expression)
    return eval(compile(tree, file, "eval", dont_inherit=True), namespace)  # noqa: S307 - the user's own code


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
