"""The Python of a session or batch, packed in an archive or named; and what is said about one that will not do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import venv_pack

from gateway.core import installation
from gateway.core.settings import ClusterSettings
from tests.integration.running_gateway import START, Gateway, wait_until
from tests.integration.standalone import standalone

# What both sides see: their Python, and a package that only the packed environment has.
SEEN = "import sys, only_packed; seen = [sys.prefix, only_packed.VALUE]"
ON_EXECUTORS = f"""
def look(_):
    {SEEN}
    return seen
import json; print(json.dumps(sc.parallelize([0], 1).map(look).first()))
"""


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real environment of this Python, packed by venv-pack, with some megabytes that take a moment to unpack."""
    folder = tmp_path_factory.mktemp("packed")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (packages,) = environment.glob("lib/python3*/site-packages")
    (packages / "only_packed").mkdir()
    (packages / "only_packed" / "__init__.py").write_text("VALUE = 'from the archive'\n")
    (packages / "only_packed" / "data").write_bytes(os.urandom(30 * 2**20))
    venv_pack.pack(prefix=str(environment), output=str(folder / "env.tar.gz"))
    return folder / "env.tar.gz"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """With a cluster that has a worker apart."""
    with standalone(installation.spark_home(ClusterSettings()), tmp_path_factory.mktemp("apart")) as apart:
        small = {"spark.cores.max": "1", "spark.executor.memory": "512m"}
        running = Gateway(
            tmp_path_factory.mktemp("gateway"), clusters={"apart": {"master": apart.url, "spark_conf": small}}
        )
        try:
            yield running.open()
        finally:
            running.close()


def test_a_packed_environment_is_the_python_of_driver_and_executors_apart(gateway: Gateway, packed: Path) -> None:
    conf = {"spark.gateway.cluster": "apart", "spark.pyspark.python": "./environment/bin/python"}
    session = gateway.new_session(kind="pyspark", archives=[f"{packed}#environment"], conf=conf).wait_for("idle")
    session.text(SEEN)
    assert session.value("seen") == [str(session.folder / "environment"), "from the archive"]
    prefix, value = json.loads(session.text(ON_EXECUTORS))
    assert value == "from the archive"
    assert prefix.endswith("/environment") and not prefix.startswith(str(session.folder))
    session.delete()


def test_without_a_word_about_python_it_is_the_sessions_too_and_a_killed_supervisor_is_no_matter(
    gateway: Gateway, packed: Path
) -> None:
    session = gateway.new_session(kind="pyspark", archives=[f"{packed}#any-name"])
    wait_until((session.folder / "tmp" / "archives").exists, START, "unpacking has begun")
    gateway.kill_supervisor()
    gateway.start_supervisor()
    session.wait_for("idle").text(SEEN)
    assert session.value("seen") == [str(session.folder / "any-name"), "from the archive"]
    assert json.loads(session.text(ON_EXECUTORS)) == [str(session.folder / "any-name"), "from the archive"]
    # The kernel's packages come from the gateway's Python, behind those of the environment.
    assert session.value("__import__('ipykernel').__file__.startswith(sys.prefix)") is False
    folder = session.folder
    session.delete()
    wait_until(lambda: not (folder / "any-name").exists(), START, "nothing of it is left")


def test_a_batch_takes_its_python_from_an_archive_when_conf_says_so(
    gateway: Gateway, packed: Path, tmp_path: Path
) -> None:
    script = tmp_path / "application.py"
    script.write_text(f"{SEEN}\nprint('seen', *seen)\n")
    conf = {"spark.pyspark.python": "./environment/bin/python"}
    batch = gateway.new_batch(script, archives=[f"{packed}#environment"], conf=conf).wait_for("success")
    assert batch.wait_for_line("seen ") == f"seen {batch.folder}/environment from the archive"
    wait_until(lambda: not (batch.folder / "environment").exists(), START, "nothing of it is left")


def test_an_archive_that_cannot_be_unpacked_is_the_reason_of_the_end(gateway: Gateway, tmp_path: Path) -> None:
    evil = tmp_path / "evil.tar.gz"
    with tarfile.open(evil, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../../outside"))
    conf = {"spark.pyspark.python": "./environment/bin/python"}
    session = gateway.new_session(archives=[f"{evil}#environment"], conf=conf).wait_for("dead")
    assert "evil.tar.gz cannot be unpacked: " in session.log and "outside the destination" in session.log


def test_a_python_without_a_kernel_that_cannot_use_the_gateways_says_so(gateway: Gateway, tmp_path: Path) -> None:
    """A stand-in for a Python of another version: the same one, whose compiled modules would be called otherwise."""
    python = tmp_path / "python"
    python.write_text(
        f'#!{sys.executable} -S\nimport os, sys, sysconfig\nsysconfig.get_config_var = lambda name: "other"\n'
        'sys.argv.pop(0); import runpy\nrunpy.run_path(sys.argv[0], run_name="__main__")\n'
    )
    python.chmod(0o755)
    session = gateway.new_session(conf={"spark.pyspark.driver.python": str(python)}).wait_for("dead")
    assert "has no ipykernel" in session.log and "pip install ipykernel" in session.log


@pytest.mark.parametrize(
    ("key", "python"),
    [
        ("spark.pyspark.python", "/nowhere/python"),
        ("spark.pyspark.driver.python", "./environment/bin/python"),
        ("spark.yarn.appMasterEnv.PYSPARK_PYTHON", "no-such-python"),
    ],
)
def test_a_python_that_is_not_there_is_refused_at_once(gateway: Gateway, key: str, python: str) -> None:
    answer = gateway.call("POST", "/sessions", {"conf": {key: python}})
    assert answer.status_code == 400 and f"{key} is '{python}'" in answer.text
