"""Who may import whom. Reads the imports of every file and refuses an arrow that points the wrong way."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("gateway", "sessions", "batches", "compat")

COMPOSITION_ROOTS = (
    "gateway.app",
    "gateway.__main__",
    "gateway.server",
    "gateway.supervisor",
    "gateway.stores",
    "gateway.doctor",
    "gateway.stop",
)

# room: what of the project it may import; the longest matching room counts
ARROWS = {
    "wsgi": ("gateway.app",),
    "compat": ("gateway.core", "gateway.web", "sessions.", "batches."),
    "gateway.platform": ("gateway.core", "gateway.web"),
    "gateway.platform.runs": ("gateway.platform.runs", "gateway.core", "batches."),
    "gateway.platform.queries": ("gateway.platform.queries", "gateway.core", "sessions."),
    "gateway.console": ("gateway.console", "gateway.platform.", "gateway.core", "gateway.web", "sessions.", "batches."),
    "gateway.web": ("gateway.web", "gateway.core"),
    "gateway.core": ("gateway.core",),
    "gateway": (),
    "sessions": ("sessions", "gateway.core"),
    "sessions.repl": (),
    "batches": ("batches", "gateway.core"),
}
# of another feature's files, protocols, pages and features may use these alone
FEATURES = ("sessions", "batches", "gateway.platform.runs")
PUBLIC_FILES = ("service", "models", "states")

HTTP_LIBRARIES = ("flask", "flask_smorest", "marshmallow", "webargs", "werkzeug", "gunicorn")
STORE_LIBRARIES = ("sqlite3", "sqlite_utils", "psycopg", "psycopg_pool")
KERNEL_LIBRARIES = ("jupyter_client", "zmq")
KERNEL_FILES = ("sessions.drivers.launch", "sessions.drivers.kernel_client")
SPARK_LIBRARIES = ("pyspark", "py4j", "ipykernel", "IPython")


def imports_of(source: str, module: str) -> Iterator[str]:
    """Every module that the source of `module` imports, wherever in the file; relative ones spelt out."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(module.split(".")[: -node.level]) if node.level else ""
            name = ".".join(filter(None, [base, node.module]))
            yield from (f"{name}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and _name(node.func) in ("__import__", "import_module"):
            yield from (str(one.value) for one in node.args[:1] if isinstance(one, ast.Constant))


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def wrong_arrows(module: str, source: str) -> list[str]:
    """What `module` imports and may not, each as "module -> imported"."""
    return [f"{module} -> {name}" for name in imports_of(source, module) if not _may_import(module, name)]


def _may_import(module: str, name: str) -> bool:
    top = name.partition(".")[0]
    if top in (*ROOMS, "wsgi", "tests"):
        return _may_import_own(module, name)
    if top in HTTP_LIBRARIES:
        return _speaks_http(module)
    if top in STORE_LIBRARIES:
        return _inside(module, "gateway.core.store")
    if top in KERNEL_LIBRARIES:
        return module in ("sessions.drivers.launch", "sessions.drivers.kernel_client") or _inside(
            module, "sessions.repl"
        )
    if top in SPARK_LIBRARIES:
        return _inside(module, "sessions.repl")
    return True


def _may_import_own(module: str, name: str) -> bool:
    if module in COMPOSITION_ROOTS:
        return True
    if _inside(module, "sessions.repl"):
        return _inside(name, "sessions.repl")
    if not any(name.startswith(one) if one.endswith(".") else _inside(name, one) for one in _allowed(module)):
        return False
    if any(_inside(module, room) and _inside(name, room) for room in FEATURES):
        return True
    return not name.startswith(tuple(f"{room}." for room in FEATURES)) or bool(set(name.split(".")) & set(PUBLIC_FILES))


def _allowed(module: str) -> tuple[str, ...]:
    if _inside(module, "compat"):  # each protocol its own folder, never another's
        return (".".join(module.split(".")[:2]), *ARROWS["compat"])
    return ARROWS[max((room for room in ARROWS if _inside(module, room)), key=len)]


def _speaks_http(module: str) -> bool:
    if module == "gateway.app" or _inside(module, "gateway.web") or _inside(module, "gateway.console"):
        return True
    last = module.rpartition(".")[2]
    return last.endswith(("routes", "schemas")) or (_inside(module, "compat") and last == "dialect")


def _inside(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


def circles(imports: Mapping[str, set[str]]) -> list[str]:
    """One circle of each folder in which there is any, as "a -> b -> a"; `imports` are modules of the project.

    What lies in a folder, files and folders beside each other, must have an order: a folder counts as the whole of
    what is below it. So a circle of files is found in the folder that holds them all.
    """
    folders: dict[tuple[str, ...], dict[str, set[str]]] = {}
    for module, names in imports.items():
        for name in names - {module}:
            here, there = _place(module), _place(name)
            depth = next(at for at, (a, b) in enumerate(zip(here, there)) if a != b)
            entry, other = (".".join(place[: depth + 1]) for place in (here, there))
            folders.setdefault(here[:depth], {}).setdefault(entry, set()).add(other)
    return [" -> ".join(found) for found in map(_circle, folders.values()) if found]


def _place(module: str) -> tuple[str, ...]:
    """The folders of a module and its name. `gateway` is no room: its rooms and roots stand beside the other rooms."""
    first, *rest = module.split(".")
    return (f"gateway.{rest[0]}", *rest[1:]) if first == "gateway" else (first, *rest)


def _circle(graph: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        ring = error.args[1][:0:-1]
        first = ring.index(min(ring))
        return [*ring[first:], *ring[: first + 1]]
    return []


def project_imports() -> dict[str, set[str]]:
    """What each module of the project imports of the project, wherever in its file."""
    sources = {module_of(path): path.read_text("utf-8") for path in project_files()}
    found = {}
    for module, source in sources.items():
        named = (_module_that_has(name, sources) for name in imports_of(source, module))
        found[module] = {one for one in named if one}
    return found


def _module_that_has(name: str, modules: Mapping[str, str]) -> str | None:
    """The module that an imported name is, or is in; None when it is none of the project."""
    while name:
        for module in (name, f"{name}.__init__"):
            if module in modules:
                return module
        name = name.rpartition(".")[0]
    return None


def project_files() -> list[Path]:
    found = [ROOT / "wsgi.py"]
    for room in ROOMS:
        found += sorted((ROOT / room).rglob("*.py"))
    return found


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", project_files(), ids=module_of)
def test_imports_only_what_its_room_may(path: Path) -> None:
    assert wrong_arrows(module_of(path), path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", sorted((ROOT / "sessions" / "repl").glob("*.py")), ids=module_of)
def test_the_drivers_side_imports_its_own_files_relatively(path: Path) -> None:
    """It is loaded under another name: an absolute import would load the gateway's copy, or none."""
    absolute = [
        node
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] in ROOMS
    ]
    assert absolute == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("wsgi", "from gateway.supervisor import run"),
        ("wsgi", "import sessions.service"),
        ("compat.livy.routes", "from sessions.store import SessionStore"),
        ("compat.livy.routes", "from batches.reconcile import BatchPass"),
        ("compat.livy.routes", "from gateway.app import create_app"),
        ("compat.livy.routes", "from compat.lighter.schemas import SubmitBatch"),
        ("compat.lighter.schemas", "from compat import livy"),
        ("compat.livy.translate", "from flask import request"),
        ("compat.livy.routes", "from sessions import store"),
        ("compat.livy.routes", "from sessions.jobs.store import JobStore"),
        ("gateway.console.routes", "from sessions.drivers.launch import Launcher"),
        ("gateway.platform.jobs.service", "import batches.store"),
        ("gateway.platform.queries.service", "from sessions.jobs.store import JobStore"),
        ("gateway.platform.queries.service", "from batches.service import BatchService"),
        ("gateway.platform.queries.service", "from gateway.platform.runs import models"),
        ("sessions.service", "from gateway.platform.queries.models import Limits"),
        ("gateway.platform.runs.service", "import batches.store"),
        ("gateway.platform.runs.service", "from sessions.service import SessionService"),
        ("gateway.platform.runs.service", "from compat.livy import translate"),
        ("gateway.platform.jobs.service", "from batches.service import BatchService"),
        ("gateway.console.routes", "from gateway.platform.runs.store import RunStore"),
        ("batches.service", "from gateway.platform.runs.service import RunService"),
        ("compat.livy.routes", "from gateway.platform.runs.service import RunService"),
        ("sessions.service", "from batches.service import BatchService"),
        ("batches.service", "import sessions.models"),
        ("sessions.service", "from gateway.web.api import Api"),
        ("sessions.service", "from compat.livy import translate"),
        ("sessions.service", "def late():\n    from batches import store"),
        ("sessions.repl.kernel", "from sessions.models import Kind"),
        ("sessions.repl.kernel", "from ..models import Kind"),
        ("sessions.repl.kernel", "from gateway.core import logs"),
        ("gateway.core.logs", "from sessions import models"),
        ("gateway.core.logs", "from gateway.web import api"),
        ("gateway.core.errors", "from werkzeug.exceptions import NotFound"),
        ("sessions.service", "import flask"),
        ("sessions.models", "from marshmallow import Schema"),
        ("gateway.core.translate", "import flask"),
        ("sessions.store", "import sqlite3"),
        ("gateway.core.events", "from sqlite_utils import Database"),
        ("sessions.statements.runner", "from jupyter_client import KernelClient"),
        ("gateway.app", "import pyspark"),
        ("sessions.drivers.launch", "import pyspark.sql"),
        ("batches.submit", "def f():\n    __import__('pyspark')"),
        ("batches.submit", "import importlib\nimportlib.import_module('sessions.store')"),
    ],
)
def test_the_checker_refuses_a_wrong_arrow(module: str, source: str) -> None:
    assert len(wrong_arrows(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("wsgi", "from gateway.app import create_app"),
        ("compat.livy.routes", "from sessions.service import SessionService\nfrom compat.livy import schemas"),
        ("compat.livy.translate", "from batches.models import Batch"),
        ("compat.livy.dialect", "from flask import request\nfrom compat.livy.routes import version_blueprint"),
        ("sessions.service", "from gateway.core import logs, names\nfrom sessions.store import SessionStore"),
        ("gateway.core.store.sqlite", "import sqlite3"),
        ("sessions.repl.sql", "from pyspark.sql import Row\nfrom .rows import rows"),
        ("sessions.drivers.launch", "from jupyter_client.connect import write_connection_file"),
        ("gateway.supervisor", "from batches.reconcile import BatchPass"),
        ("gateway.platform.runs.reconcile", "from batches.service import BatchService"),
        ("gateway.console.views", "from gateway.platform.runs.models import Run"),
        ("gateway.app", "from flask import Flask"),
    ],
)
def test_the_checker_lets_a_right_arrow_pass(module: str, source: str) -> None:
    assert wrong_arrows(module, source) == []


def test_no_files_and_no_folders_import_each_other_in_a_circle() -> None:
    assert circles(project_imports()) == []


@pytest.mark.parametrize(
    ("imports", "circle"),
    [
        ({"core.a": {"core.b"}, "core.b": {"core.a"}}, "core.a -> core.b -> core.a"),
        ({"x.a": {"x.b.c"}, "x.b.c": {"x.d"}, "x.d": {"x.a"}}, "x.a -> x.b -> x.d -> x.a"),
        ({"one.a": {"two.b"}, "two.c": {"one.d"}}, "one -> two -> one"),
        ({"x.one.a": {"x.two.b"}, "x.two.c": {"x.one.d"}}, "x.one -> x.two -> x.one"),
        ({"x.a": {"x.inner.b"}, "x.inner.c": {"x.a"}}, "x.a -> x.inner -> x.a"),
        ({"x.__init__": {"x.a"}, "x.a": {"x.__init__"}}, "x.__init__ -> x.a -> x.__init__"),
        (
            {"gateway.app": {"gateway.stores"}, "gateway.stores": {"gateway.app"}},
            "gateway.app -> gateway.stores -> gateway.app",
        ),
        ({"gateway.app": {"sessions.a"}, "sessions.a": {"gateway.app"}}, "gateway.app -> sessions -> gateway.app"),
    ],
)
def test_a_circle_is_found(imports: dict[str, set[str]], circle: str) -> None:
    assert circles(imports) == [circle]


@pytest.mark.parametrize(
    "imports",
    [
        {"gateway.app": {"sessions.a", "gateway.core.b"}, "sessions.a": {"gateway.core.b"}},
        {"x.a": {"x.inner.b"}, "x.inner.b": {"x.c"}},
        {"x.a": {"x.a"}, "x.b": {"x.a", "x.__init__"}},
    ],
)
def test_an_order_is_no_circle(imports: dict[str, set[str]]) -> None:
    assert circles(imports) == []


def test_imports_inside_functions_count_for_circles() -> None:
    assert "sessions.permanent" in project_imports()["gateway.doctor"]


def test_the_checker_looks_at_every_room() -> None:
    rooms = {module_of(path).partition(".")[0] for path in project_files()}
    assert rooms == {"wsgi", *ROOMS}
