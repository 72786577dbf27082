"""The `livy` package's own integration suite, and its batch class, against the program."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

from gateway.core import sparkr
from gateway.core.options import SparkOptions
from gateway.core.settings import DEFAULT_CLUSTER, reading
from tests.acceptance.program import Program

SUITE = "tests/test_integration.py"

PASSES = {
    f"{SUITE}::test_session[SessionKind.SPARK-params0]",
    f"{SUITE}::test_session[SessionKind.PYSPARK-params1]",
    f"{SUITE}::test_sql_session",
}

# Passes where SparkR is present, which is in no registry.
R = f"{SUITE}::test_session[SessionKind.SPARKR-params2]"

# Every other test of the suite, and why it cannot pass here.
CANNOT = {
    f"{SUITE}::test_batch_job": "it submits a jar for Spark 1.6 that is downloaded from another host",
}

SCRIPT = """
import sys
print("arguments:", sys.argv[1:])
sys.exit(int(sys.argv[1]))
"""

SUBMIT = """
import json, sys
from livy import LivyBatch
url, file, *args = sys.argv[1:]
conf = {"spark.ui.enabled": False}
batch = LivyBatch.create(url, file=file, args=args, name="by-livy", driver_memory="512m", spark_conf=conf)
state = batch.wait()
print(json.dumps({"state": state.value, "log": batch.log(from_=0, size=1000)}))
batch.kill()
"""


def test_its_own_integration_suite_passes(
    program: Program, clients_python: Path, clients_environ: dict[str, str]
) -> None:
    suite = clients_python.parent.parent / "livy-0.8.0"
    assert (suite / SUITE).exists(), f"{suite} is missing: run `make clients`"
    options = ["-c", "pyproject.toml", "--rootdir", ".", "-p", "no:cacheprovider"]  # its settings, not this project's
    options += ["-rA", "-W", "ignore::FutureWarning", "--integration", program.url]
    has_r = sparkr.missing(SparkOptions(), reading.load(os.environ).on(DEFAULT_CLUSTER)) is None
    passes, left_out = (PASSES | {R}, set(CANNOT)) if has_r else (PASSES, {*CANNOT, R})
    options += [word for name in left_out for word in ("--deselect", name)]
    ran = subprocess.run(
        [clients_python, "-m", "pytest", SUITE, *options],
        cwd=suite,
        env=clients_environ,
        capture_output=True,
        text=True,
        timeout=240,
    )
    said = ran.stdout + ran.stderr
    assert ran.returncode == 0, said
    assert set(re.findall(r"^PASSED (.+)$", ran.stdout, re.MULTILINE)) == passes, said
    assert f"{len(passes)} passed, {len(left_out)} deselected" in ran.stdout.splitlines()[-1], said


def test_its_batch_runs_a_local_script(
    program: Program, clients_python: Path, clients_environ: dict[str, str], tmp_path: Path
) -> None:
    ended = submit(program, clients_python, clients_environ, tmp_path, "0", 'a "b"', "λ")
    assert ended["state"] == "success"
    assert "arguments: ['0', 'a \"b\"', 'λ']" in ended["log"]


def test_its_batch_is_dead_when_the_script_fails(
    program: Program, clients_python: Path, clients_environ: dict[str, str], tmp_path: Path
) -> None:
    ended = submit(program, clients_python, clients_environ, tmp_path, "3")
    assert ended["state"] == "dead"
    assert any("the batch ended with exit code 3" in line for line in ended["log"]), ended["log"]


def submit(
    program: Program, python: Path, environ: dict[str, str], folder: Path, *args: str
) -> dict[str, str | list[str]]:
    """State and log of a batch at its end, as the package saw them."""
    script = folder / "script.py"
    script.write_text(SCRIPT)
    ran = subprocess.run(
        [python, "-c", SUBMIT, program.url, script, *args], env=environ, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return dict(json.loads(ran.stdout))
