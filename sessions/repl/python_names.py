"""What could stand at the end of a piece of Python: jedi's answer, and for Spark's objects what their classes say.

Decides what may be looked at while a statement runs: the namespace and what is in it. Nothing is called, and of
properties only those of the session and the context are read. jedi comes with IPython, and so with the kernel; it
cannot read pyspark, which a driver has from a zip file.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from functools import cached_property
from typing import Any, get_origin

import jedi

from .columns import names_of
from .values import is_spark_frame

jedi.settings.allow_unsafe_interpreter_executions = False

_MAGIC = re.compile(r"^%\w+[ \t]+", re.MULTILINE)
_MEMBER = re.compile(r"\s*\.\s*(\w*)$")
_START = re.compile(r"(?<![\w.])[^\W\d]")
_LONGEST = 2000  # characters of an expression that is looked at


def names(text: str, namespace: dict[str, Any]) -> list[str]:
    """Identifiers that could end `text`, best first; those that begin with an underscore only when it does too."""
    namespace = dict(namespace)  # a statement may change it meanwhile
    text = _MAGIC.sub("", text)
    # jedi also completes keys and paths in quotes, which are no identifiers.
    found = [*_of_spark(text, namespace), *(found.name for found in jedi.Interpreter(text, [namespace]).complete())]
    private = re.search(r"\b_\w*$", text) is not None
    return [name for name in dict.fromkeys(found) if name.isidentifier() and (private or not name.startswith("_"))]


def _of_spark(text: str, namespace: dict[str, Any]) -> list[str]:
    """Columns and members of the object of pyspark before the last dot, if that is what stands there."""
    member = _MEMBER.search(text)
    owner = _last_expression(text[: member.start()][-_LONGEST:]) if member is not None else None
    if member is None or owner is None:
        return []
    try:
        kind, live = _resolved(owner, namespace)
    except (AttributeError, KeyError):
        return []
    columns = names_of(live) if is_spark_frame(live) else []
    members = dir(kind) if _is_sparks(kind) else []
    return [name for name in (*columns, *members) if name.startswith(member[1])]


def _last_expression(text: str) -> ast.expr | None:
    """The longest chain of names, members and calls that ends `text`."""
    for start in _START.finditer(text):
        try:
            node = ast.parse(f"({text[start.start() :]})", mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        if isinstance(node, (ast.Name, ast.Attribute, ast.Call)):
            return node
    return None


def _resolved(node: ast.expr, namespace: dict[str, Any]) -> tuple[type, Any]:
    """The class of what `node` stands for, and the object itself when it exists already.

    Raises KeyError, and AttributeError where only running the code could tell.
    """
    if isinstance(node, ast.Name):
        return type(namespace[node.id]), namespace[node.id]
    if isinstance(node, ast.Attribute):
        return _member(*_resolved(node.value, namespace), node.attr)
    if isinstance(node, ast.Call):
        _, called = _resolved(node.func, namespace)
        return called if isinstance(called, type) else _result(called), None
    raise AttributeError


def _member(kind: type, live: Any, name: str) -> tuple[type, Any]:
    found = inspect.getattr_static(kind if live is None else live, name)
    if not isinstance(found, (property, cached_property)):
        return type(found), found
    if live is not None and _is_sparks(kind) and kind.__name__ in ("SparkSession", "SparkContext"):
        value = getattr(live, name)
        return type(value), value
    return _result(found.fget if isinstance(found, property) else found.func), None


def _result(function: Any) -> type:
    """The class that a function of pyspark says it returns. Raises AttributeError when it does not say."""
    if not inspect.isfunction(function) or not function.__module__.startswith("pyspark."):
        raise AttributeError
    said = function.__annotations__.get("return")
    said = get_origin(said) or said
    if isinstance(said, type):
        return said
    said = str(said).strip("'\"").partition("[")[0]
    for scope in (function.__globals__, vars(sys.modules["pyspark.sql"]), vars(sys.modules["pyspark"])):
        result = scope.get(said)
        if isinstance(result, type):
            return result
    raise AttributeError(said)


def _is_sparks(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "pyspark"
