"""Livy's own Python client and its tests, unchanged, against the program. Not part of `make test`: see docs/livy.md.

They are on no registry. LIVY_SOURCE names a source checkout of Livy, as `git clone` gives it:
`make python_api LIVY_SOURCE=<checkout>`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.acceptance.program import Program

SUITE = "integration-test/src/test/resources/test_python_api.py"
OWN_TESTS = "python-api/src/test/python/livy-tests/client_test.py"

FILES = {
    "add_file.txt": "hello from addfile",
    "add_module.py": "def test_add_pyfile(): return 'hello from addpyfile'\n",
    "upload_file.txt": "hello from uploadfile",
    "upload_module.py": "def test_upload_pyfile(): return 'hello from uploadpyfile'\n",
}

# What a user of the client does. A fresh client submits at once: its session is still starting.
PROGRAM = """
import concurrent.futures, sys, threading, time
from livy.client import HttpClient

url, add_file, add_module, upload_file, upload_module, jar = sys.argv[1:]
client = HttpClient(url + "/", conf_dict={"spark.app.name": "by Livy's client"})

def count(context):
    return context.sc.parallelize([10, 20, 30], 2).count()

def fail(context):
    return "hello" + 1

def nothing(context):
    return None

def files(context):
    from pyspark import SparkFiles
    import add_module, upload_module
    names = ("add_file.txt", "upload_file.txt")
    texts = [open(SparkFiles.get(name)).read() for name in names]
    return texts + [add_module.test_add_pyfile(), upload_module.test_upload_pyfile()]

def wait(context):
    import time
    time.sleep(1)
    return "waited"

handle = client.submit(count)
queued = threading.Event()
handle.add_queued_callback(lambda _: queued.set())
assert handle.result(180) == 3
assert queued.is_set(), "a job sent before the session is idle is queued"

slow = client.submit(wait)
running = threading.Event()
slow.add_running_callback(lambda _: running.set())
assert slow.result(30) == "waited" and running.is_set()

assert client.run(count).result(60) == 3
assert client.submit(nothing).result(30) is None
said = str(client.submit(fail).exception(30))
assert said.startswith("org.apache.livy.repl.PythonJobException: Client job error:Traceback"), said
assert "TypeError: " in said, said

for added in (client.add_file("file:" + add_file), client.add_pyfile(add_module), client.add_jar("file:" + jar),
              client.upload_file(upload_file), client.upload_pyfile(upload_module)):
    assert added.result(30) == b"", added.result()
said = client.submit(files).result(60)
assert said == ["hello from addfile", "hello from uploadfile", "hello from addpyfile", "hello from uploadpyfile"], said

again = HttpClient("%s/sessions/%d" % (url, client._session_id), load_defaults=False)
assert again.submit(count).result(60) == 3
again.stop(False)
client.stop(True)
print("all of it")
"""


@pytest.fixture(scope="module")
def source() -> Path:
    named = os.environ.get("LIVY_SOURCE")
    if not named:
        pytest.fail("LIVY_SOURCE is not set: name a source checkout of Livy")
    checkout = Path(named).absolute()
    assert (checkout / SUITE).exists(), f"LIVY_SOURCE is {checkout}: there is no {SUITE} in it"
    return checkout


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return [tmp_path / name for name in FILES]


@pytest.fixture
def jar(tmp_path: Path) -> Path:
    with zipfile.ZipFile(tmp_path / "some.jar", "w") as archive:
        archive.writestr("some/resource.txt", "in a jar")
    return tmp_path / "some.jar"


def test_a_program_of_its_client(
    source: Path, program: Program, files: list[Path], jar: Path, clients_python: Path, clients_environ: dict[str, str]
) -> None:
    environ = {**clients_environ, "PYTHONPATH": str(source / "python-api/src/main/python")}
    ran = run([clients_python, "-c", PROGRAM, program.url, *files, jar], environ)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.endswith("all of it\n")
    assert "Traceback" not in ran.stderr, ran.stderr


def test_its_integration_suite_passes(
    source: Path, program: Program, files: list[Path], clients_python: Path, clients_environ: dict[str, str]
) -> None:
    names = ("ADD_FILE_URL", "ADD_PYFILE_URL", "UPLOAD_FILE_URL", "UPLOAD_PYFILE_URL")
    environ = {**clients_environ, "LIVY_END_POINT": program.url, **dict(zip(names, map(str, files)))}
    assert passed(run(pytest_of(clients_python, source / SUITE), environ)) == 9


def test_its_own_tests_pass(source: Path, clients_python: Path, clients_environ: dict[str, str]) -> None:
    environ = {**clients_environ, "PYTHONPATH": str(source / "python-api/src/main/python")}
    command = pytest_of(clients_python, source / OWN_TESTS)
    if sys.version_info < (3, 12):
        assert passed(run(command, environ)) == 12
    else:  # reading its own configuration files needs a method that Python has no more
        assert passed(run([*command, "-k", "not with_default_config"], environ)) == 11


def pytest_of(python: Path, file: Path) -> list[object]:
    return [python, "-m", "pytest", file, "-rA", "-p", "no:cacheprovider", "--rootdir", file.parent]


def run(command: list[object], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), env=environ, capture_output=True, text=True, timeout=300)


def passed(ran: subprocess.CompletedProcess[str]) -> int:
    """How many tests passed, none having failed."""
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = re.search(r"(\d+) passed", ran.stdout)
    assert found, ran.stdout
    return int(found[1])
