"""Batches run real Spark applications to their end, in order, and leave nothing behind."""

from __future__ import annotations

import json
import re
import shutil
import urllib.request
from pathlib import Path

import pytest

from gateway.core import installation, processes
from tests.integration.running_gateway import SOON, START, Batch, Gateway, wait_until


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Where a test writes its application."""
    return tmp_path / "application.py"


def test_pi_of_spark_s_own_examples_runs_to_success(gateway: Gateway) -> None:
    pi = installation.spark_home(gateway.settings.on("default")) / "examples" / "src" / "main" / "python" / "pi.py"
    batch = gateway.new_batch(pi, args=["2"], name="pi").wait_for("success")
    assert any(line.startswith("Pi is roughly 3.1") for line in batch.log)
    assert gateway.get("/batches/pi")["id"] == batch.id


def test_jar_runs_with_its_class_and_arguments(gateway: Gateway, jar: Path, tmp_path: Path) -> None:
    named = Path(shutil.copy(jar, tmp_path / "a #%20ü.jar"))
    batch = gateway.new_batch(named, className="example.Main", args=["a b", "c"]).wait_for("success")
    assert [line for line in batch.log if line.startswith(("rows=", "first argument="))] == [
        *("rows=50", "first argument=a b")
    ]


def test_arguments_arrive_to_the_letter(gateway: Gateway, script: Path) -> None:
    script.write_text("import json, sys\nprint('arguments ' + json.dumps(sys.argv[1:]))\n", "utf-8")
    script = script.rename(script.with_name("a #, %20?[ü]\n.py"))
    sent = ["two words", "it's", 'a "quote"', "ä€𝄞", "", "$HOME `id` \\ *", "--conf", "-x=1", "line\nbreak"]
    batch = gateway.new_batch(script, args=sent).wait_for("success")
    assert json.loads(batch.wait_for_line("arguments ").removeprefix("arguments ")) == sent


def test_fields_of_a_batch_reach_spark(gateway: Gateway, script: Path) -> None:
    script.with_name("beside.py").write_text("VALUE = 5\n", "utf-8")
    script.with_name("data.txt").write_text("some data", "utf-8")
    script.write_text(
        "import beside, json\n"
        "from pyspark import SparkFiles\n"
        "from pyspark.sql import SparkSession\n"
        "sc = SparkSession.builder.getOrCreate().sparkContext\n"
        "conf = sc.getConf()\n"
        "print('seen ' + json.dumps([beside.VALUE, open(SparkFiles.get('data.txt')).read(), sc.master,\n"
        "    conf.get('spark.app.name'), conf.get('spark.driver.memory'), conf.get('spark.my.key')]))\n",
        "utf-8",
    )
    batch = gateway.new_batch(
        script,
        name="fields of a batch",
        driverMemory="600MB",
        pyFiles=[str(script.with_name("beside.py"))],
        files=[str(script.with_name("data.txt"))],
        conf={"spark.my.key": "a = b"},
    ).wait_for("success")
    assert json.loads(batch.wait_for_line("seen ").removeprefix("seen ")) == [
        *(5, "some data", "local[2]", "fields of a batch", "600m", "a = b")
    ]


def test_failing_script_is_dead_and_its_traceback_is_in_the_log(gateway: Gateway, script: Path) -> None:
    script.write_text("def inner():\n    raise ValueError('on purpose')\ninner()\n", "utf-8")
    batch = gateway.new_batch(script).wait_for("dead")
    assert batch.exit_code == 1
    text = "\n".join(batch.log)
    assert "Traceback (most recent call last):" in text and "ValueError: on purpose" in text
    assert batch.log[-1] == "spark-gateway: the batch ended with exit code 1"


@pytest.mark.parametrize(("code", "state"), [(0, "success"), (3, "dead")])
def test_script_that_ends_at_once(gateway: Gateway, script: Path, code: int, state: str) -> None:
    script.write_text(f"import sys; sys.exit({code})\n", "utf-8")
    batch = gateway.new_batch(script).wait_for(state)
    assert batch.exit_code == code
    assert processes.family(batch.folder) == []
    assert not (batch.folder / "tmp").exists()


def test_the_page_of_a_batch_shows_how_far_it_is_its_spark_jobs_and_why_it_failed(
    gateway: Gateway, script: Path
) -> None:
    go = script.with_name("go")
    script.write_text(
        "import os, sys, time\n"
        "from pyspark.sql import SparkSession\n"
        "sc = SparkSession.builder.getOrCreate().sparkContext\n"
        "go = sys.argv[1]\n"
        "def last_waits(n):\n"
        "    while n == 19 and not os.path.exists(go): time.sleep(0.05)\n"
        "sc.parallelize(range(20), 20).foreach(last_waits)\n"
        "sc.parallelize(range(2), 2).map(lambda n: 1 // n).count()\n",
        "utf-8",
    )
    batch = gateway.new_batch(script, args=[str(go)])

    own = f"/ui/batch/{batch.id}/log"

    def shows(path: str, *words: str) -> bool:
        page = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", gateway.call("GET", path).text))
        return all(re.search(word, page) for word in words)

    some = (r"\b[1-9]\d %", "1 running")
    wait_until(lambda: shows(own, *some) and shows("/ui", *some), START, "part of its tasks")
    go.touch()
    batch.wait_for("dead")
    wait_until(lambda: shows(own, "SPK009: a task failed as often as it may", "ZeroDivisionError"), SOON, "the reason")
    assert shows(own, "99 %", "1 succeeded, 1 failed") and shows("/ui", "99 %", "1 succeeded, 1 failed")
    ((state, code),) = gateway.query("SELECT state, error ->> 'code' FROM runs WHERE batch = ?", batch.id)
    assert (state, code) == ("failed", "SPK009")


def test_application_that_is_not_there_is_refused(gateway: Gateway) -> None:
    before = gateway.get("/batches")["total"]
    answer = gateway.call("POST", "/batches", {"file": "/nowhere/app.py"})
    assert answer.status_code == 400 and "there is no file /nowhere/app.py" in answer.json()["msg"]
    assert gateway.get("/batches")["total"] == before


def test_class_that_is_not_in_the_jar_is_told(gateway: Gateway, jar: Path) -> None:
    batch = gateway.new_batch(jar, className="example.Nowhere").wait_for("dead")
    assert any("example.Nowhere" in line for line in batch.log)


def test_running_batch_shows_its_application_and_delete_ends_all_of_it(gateway: Gateway, script: Path) -> None:
    script.write_text(
        "import os, subprocess, time\n"
        "from pyspark.sql import SparkSession\n"
        "subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "sc = SparkSession.builder.getOrCreate().sparkContext\n"
        "print('id ' + sc.applicationId)\n"
        "sc.parallelize(range(2), 2).map(lambda _: time.sleep(600)).count()\n",
        "utf-8",
    )
    batch = gateway.new_batch(script)
    told = batch.wait_for_line("id ").removeprefix("id ")
    document = wait_until(lambda: found if (found := batch.document)["appId"] else None, SOON, "the application's id")
    assert (document["state"], document["appId"]) == ("running", told)
    with urllib.request.urlopen(f"{document['appInfo']['sparkUiUrl']}/api/v1/applications", timeout=30) as answer:
        assert json.load(answer)[0]["id"] == told

    folder = batch.folder

    def workers() -> bool:
        lines = [" ".join(process.cmdline()) for process in processes.family(folder)]
        return any("pyspark.daemon" in line for line in lines) and any(line == "sleep 600" for line in lines)

    wait_until(workers, SOON, "its Python workers and its own child")
    batch.delete()
    assert processes.family(folder) == []
    assert not folder.exists()
    assert gateway.call("GET", batch.path).status_code == 404


def test_long_log_is_paged_whole(gateway: Gateway, script: Path) -> None:
    script.write_text("for n in range(30_000): print(f'line {n} ' + 'ä' * (n % 50))\n", "utf-8")
    batch = gateway.new_batch(script).wait_for("success")
    total = gateway.get(f"{batch.path}/log?size=0")["total"]
    pages = [gateway.get(f"{batch.path}/log?from={start}&size=7000")["log"] for start in range(0, total, 7000)]
    lines = [line for page in pages for line in page]
    assert len(lines) == total
    assert [line for line in lines if line.startswith("line ")] == [
        f"line {n} " + "ä" * (n % 50) for n in range(30_000)
    ]
    assert gateway.get(f"{batch.path}/log?size=3")["log"] == lines[-3:]


def test_many_batches_run_in_order_and_never_more_than_allowed(gateway: Gateway, script: Path) -> None:
    script.write_text("print('ran')\n", "utf-8")
    waiting = [gateway.new_batch(script) for _ in range(10)]
    most = 0

    def ended() -> bool:
        nonlocal most
        states = [one["state"] for one in gateway.get("/batches?from=0&size=1000")["sessions"]]
        most = max(most, states.count("running"))
        return not {"starting", "running"} & set(states)

    wait_until(ended, 5 * START, "all have ended")
    assert [batch.state for batch in waiting] == ["success"] * 10
    assert most == 2
    order = gateway.query("SELECT id FROM batches WHERE id >= ? ORDER BY started", waiting[0].id)
    assert [number for (number,) in order] == [batch.id for batch in waiting]


def test_waiting_batch_that_is_deleted_never_runs(gateway: Gateway, script: Path) -> None:
    mark = script.with_name("ran")
    script.write_text("import sys, time; time.sleep(float(sys.argv[1])); open(sys.argv[2], 'w')\n", "utf-8")
    running = [gateway.new_batch(script, args=["600", str(mark)]) for _ in range(2)]
    waiting = gateway.new_batch(script, args=["0", str(mark)])
    for batch in running:
        batch.wait_for("running")
    assert waiting.state == "starting"
    waiting.delete()
    for batch in running:
        batch.delete()
    assert not mark.exists()


def test_batch_killed_from_outside_is_dead(gateway: Gateway, script: Path) -> None:
    script.write_text("print('begun')\nimport time; time.sleep(600)\n", "utf-8")
    batch = gateway.new_batch(script)
    batch.wait_for_line("begun")
    next(one for one in processes.family(batch.folder) if one.name() == "java").kill()
    batch.wait_for("dead", seconds=SOON)
    assert "killed (signal 9)" in batch.log[-1]
    assert processes.family(batch.folder) == []


def test_batch_that_outlives_the_supervisor_is_taken_up_by_the_next(gateway: Gateway, tmp_path: Path) -> None:
    go, script = tmp_path / "go", tmp_path / "application.py"
    script.write_text(
        "import os, sys, time\nprint('begun')\n"
        "while not os.path.exists(sys.argv[1]): time.sleep(0.05)\n"
        "print('ending'); sys.exit(int(sys.argv[2]))\n",
        "utf-8",
    )
    batches: list[Batch] = [gateway.new_batch(script, args=[str(go), code]) for code in ("0", "9")]
    for batch in batches:
        batch.wait_for_line("begun")
    gateway.kill_supervisor()
    go.touch()
    wait_until(lambda: not any(processes.family(batch.folder) for batch in batches), START, "both have ended")
    assert [batch.state for batch in batches] == ["running", "running"]
    gateway.start_supervisor()
    assert [batch.wait_for("success", "dead", seconds=SOON).state for batch in batches] == ["success", "dead"]
    assert [batch.exit_code for batch in batches] == [0, 9]
