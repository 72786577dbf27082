"""Who may import whom. Reads the imports of every file and refuses an arrow that points the wrong way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
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
    "compat": ("compat", "gateway.core", "gateway.web", "sessions.", "batches."),
    "gateway.platform": ("gateway.platform", "gateway.core", "gateway.web", "sessions.", "batches."),
    "gateway.console": ("gateway.console", "gateway.core", "gateway.web", "sessions.", "batches."),
    "gateway.web": ("gateway.web", "gateway.core"),
    "gateway.core": ("gateway.core",),
    "gateway": (),
    "sessions": ("sessions", "gateway.core"),
    "sessions.repl": (),
    "batches": ("batches", "gateway.core"),
}
# of another room's files, protocols and pages may use these alone
PUBLIC_FILES = ("service", "models", "states")

HTTP_LIBRARIES = ("flask", "flask_smorest", "marshmallow", "webargs", "werkzeug", "gunicorn")
STORE_LIBRARIES = ("sqlite3", "sqlite_utils")
KERNEL_LIBRARIES = ("jupyter_client", "zmq")
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
        return module == "gateway.core.database" or module.rpartition(".")[2] in ("store", "driver_store")
    if top in KERNEL_LIBRARIES:
        return module in ("sessions.driver", "sessions.kernel_client") or _inside(module, "sessions.repl")
    if top in SPARK_LIBRARIES:
        return _inside(module, "sessions.repl")
    return True


def _may_import_own(module: str, name: str) -> bool:
    if module in COMPOSITION_ROOTS:
        return True
    if _inside(module, "sessions.repl"):
        return _inside(name, "sessions.repl")
    room = max((room for room in ARROWS if _inside(module, room)), key=len)
    if not any(name.startswith(prefix) if prefix.endswith(".") else _inside(name, prefix) for prefix in ARROWS[room]):
        return False
    own = name.partition(".")[0] == module.partition(".")[0]
    return own or not name.startswith(("sessions.", "batches.")) or bool(set(name.split(".")[1:3]) & set(PUBLIC_FILES))


def _speaks_http(module: str) -> bool:
    if module == "gateway.app" or _inside(module, "gateway.web") or _inside(module, "gateway.console"):
        return True
    last = module.rpartition(".")[2]
    return last.endswith(("routes", "schemas")) or (_inside(module, "compat") and last == "translate")


def _inside(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


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
        ("compat.livy.routes", "from sessions import store"),
        ("compat.livy.routes", "from sessions.jobs.store import JobStore"),
        ("gateway.console.routes", "from sessions.driver import Launcher"),
        ("gateway.platform.jobs.service", "import batches.store"),
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
        ("sessions.service", "import sqlite3"),
        ("gateway.core.events", "from sqlite_utils import Database"),
        ("sessions.runner", "from jupyter_client import KernelClient"),
        ("gateway.app", "import pyspark"),
        ("sessions.driver", "import pyspark.sql"),
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
        ("compat.livy.translate", "from flask import request\nfrom batches.models import Batch"),
        ("sessions.service", "from gateway.core import logs, names\nfrom sessions.store import SessionStore"),
        ("sessions.store", "import sqlite3"),
        ("sessions.repl.sql", "from pyspark.sql import Row\nfrom .rows import rows"),
        ("sessions.driver", "from jupyter_client.connect import write_connection_file"),
        ("gateway.supervisor", "from batches.reconcile import BatchPass"),
        ("gateway.app", "from flask import Flask"),
    ],
)
def test_the_checker_lets_a_right_arrow_pass(module: str, source: str) -> None:
    assert wrong_arrows(module, source) == []


def test_the_checker_looks_at_every_room() -> None:
    rooms = {module_of(path).partition(".")[0] for path in project_files()}
    assert rooms == {"wsgi", *ROOMS}
