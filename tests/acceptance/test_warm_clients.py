"""What real clients send by default is given a warm driver, and the program's end leaves none behind."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.acceptance.program import Program, eventually
from tests.acceptance.rest import START, Rest
from tests.acceptance.sparkmagic import run_notebook, stream

LIVY_PACKAGE = """
import sys
from livy import LivySession, SessionKind
with LivySession.create(sys.argv[1], kind=SessionKind.PYSPARK) as session:
    print(session.run("print(spark.range(3).count())").text)
"""

# what sparkmagic's own example of a configuration asks for
EXAMPLE = {
    "kind": "pyspark",
    "driverMemory": "1000M",
    "executorCores": 2,
    "heartbeatTimeoutInSecond": 60,
    "name": "remotesparkmagics-sample",
}


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    program = Program(tmp_path_factory.mktemp("gateway"), warm=True)
    try:
        program.start()
        yield program
        wait_for_a_warm_one(program)
        program.stop()
        eventually(lambda: not program.drivers(), within=2 * START, what="a driver that is nobody's ends by itself")
    finally:
        program.reap()


def metric(program: Program, name: str) -> int:
    told = requests.get(f"{program.url}/metrics", headers={"Accept": "text/plain"}, timeout=60).text
    found = re.search(rf"^{re.escape(name)} (\d+)", told, re.MULTILINE)
    assert found, told
    return int(found[1])


def given(program: Program) -> int:
    return metric(program, 'spark_gateway_driver_claims{state="warm"}')


def wait_for_a_warm_one(program: Program) -> None:
    name = 'spark_gateway_drivers_ahead{state="warm"}'
    eventually(lambda: metric(program, name), within=2 * START, what="a driver is warm")


def test_sparkmagic_s_example_is_idle_at_once(warm: Program) -> None:
    wait_for_a_warm_one(warm)
    rest, before = Rest(warm), given(warm)
    session = rest.post("/sessions", EXAMPLE)
    assert session["state"] == "idle" and given(warm) == before + 1
    rest.delete(f"/sessions/{session['id']}")


def test_the_livy_package_has_one(warm: Program, clients_python: Path, clients_environ: dict[str, str]) -> None:
    wait_for_a_warm_one(warm)
    before = given(warm)
    ran = subprocess.run(
        [clients_python, "-c", LIVY_PACKAGE, warm.url], capture_output=True, text=True, env=clients_environ, timeout=120
    )
    assert "3" in ran.stdout, ran.stdout + ran.stderr
    assert given(warm) == before + 1


def test_sparkmagic_has_one(
    warm: Program, clients_python: Path, clients_environ: dict[str, str], tmp_path: Path
) -> None:
    wait_for_a_warm_one(warm)
    before = given(warm)
    here = {"username": "", "password": "", "url": warm.url, "auth": "None"}
    cell = {"name": "first", "source": "print(spark.range(7).count())", "interrupt": None}
    outputs = run_notebook(
        "pysparkkernel", {"kernel_python_credentials": here}, [cell], clients_python, clients_environ, tmp_path
    )
    assert "7" in stream(outputs["first"])
    assert given(warm) == before + 1
