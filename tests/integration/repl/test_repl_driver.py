"""A real driver: Spark, kernel and interpreters under spark-submit, asked as the gateway asks."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.integration.repl.driver_process import LAUNCH, Client, DriverProcess, wait_until

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning", "default::DeprecationWarning")

numbers = count()
TEXT = "text/plain"
OURS = os.path.dirname(LAUNCH)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DriverProcess]:
    folder = tmp_path_factory.mktemp("d")
    os.mkfifo(folder / "wakeup")
    listener = os.open(folder / "wakeup", os.O_RDONLY | os.O_NONBLOCK)
    driver = DriverProcess(folder, wakeup="wakeup", output_limit=60_000_000, sql_rows=10)
    try:
        driver.ready()
        driver.woken = wait_until(lambda: readable(listener), 5)  # type: ignore[attr-defined]
        yield driver
    finally:
        driver.close()
        os.close(listener)


def readable(listener: int) -> bytes:
    try:
        return os.read(listener, 10)
    except BlockingIOError:
        return b""


@pytest.fixture
def client(driver: DriverProcess) -> Iterator[Client]:
    client = Client(driver.connection_file)
    yield client
    client.close()


def text(client: Client, code: str) -> str:
    output = client.run(next(numbers), code)["output"]
    assert output["status"] == "ok", output
    return str(output["data"][TEXT])


def sql(client: Client, code: str) -> dict[str, Any]:
    output = client.run(next(numbers), code, "sql")["output"]
    assert output["status"] == "ok", output
    return dict(output["data"]["application/json"])


def test_ready_file(driver: DriverProcess) -> None:
    said = driver.ready()
    assert said["app_id"].startswith("local-")
    assert said["ui_url"].startswith("http://")
    assert said["spark_version"][0] in "34"
    assert said["python_version"].startswith("3.")
    os.kill(said["pid"], 0)
    assert stat.S_IMODE((driver.folder / "ready.json").stat().st_mode) == 0o600
    assert driver.woken == b"\0"  # type: ignore[attr-defined]


def test_reply_has_the_envelope_and_the_drivers_times(client: Client) -> None:
    before = time.time() * 1000
    statement = next(numbers)
    reply = client.run(statement, "1+1")
    assert reply["output"] == {"status": "ok", "execution_count": statement, "data": {TEXT: "2"}}
    assert (reply["status"], reply["execution_count"]) == ("ok", statement)
    assert before - 1 <= reply["started"] <= reply["completed"] <= time.time() * 1000 + 1


def test_namespace(client: Client) -> None:
    assert "SparkSession" in text(client, "spark")
    assert text(client, "sqlContext.sparkSession is spark and sc is spark.sparkContext") == "True"
    assert text(client, "HiveContext.__name__, StreamingContext.__name__") == "('HiveContext', 'StreamingContext')"
    assert text(client, "import cloudpickle as c\nc is cloudpickle and c.loads(c.dumps(3))") == "3"
    assert text(client, "spark.range(1)") == "DataFrame[id: bigint]"
    assert text(client, "type(spark.getActiveSession()) is type(spark)") == "True"
    assert (
        text(
            client,
            "import os\nfrom pyspark import SparkFiles\nos.getcwd() == os.path.realpath(SparkFiles.getRootDirectory())",
        )
        == "True"
    )
    assert client.run(next(numbers), "import magics")["output"]["ename"] == "ModuleNotFoundError"
    assert client.run(next(numbers), "input()")["output"]["ename"] == "EOFError"


def test_classes_and_functions_reach_the_executors(client: Client) -> None:
    code = "class A:\n  def __init__(self, x): self.x = x\ndef f(x): return A(x * k)\nk = 3\n"
    assert text(client, code + "sc.parallelize(range(4), 2).map(f).map(lambda a: a.x).sum()") == "18"


def test_job_group_and_description(client: Client) -> None:
    statement = next(numbers)
    reply = client.run(statement, "\n# count\nspark.range(3).count()\nsc.getLocalProperty('spark.jobGroup.id')")
    assert reply["output"]["data"][TEXT] == f"'seat-0-statement-{statement}'"
    assert text(client, "# first line\nsc.getLocalProperty('spark.job.description')") == "'# first line'"


def test_sql(client: Client) -> None:
    result = sql(client, "-- a comment\n\n/* another */ select 1 as a, cast(1.50 as decimal(4,2)) as d;\n")
    assert result["data"] == [[1, 1.5]]
    assert [field["name"] for field in result["schema"]["fields"]] == ["a", "d"]
    assert sql(client, "create or replace temp view v as select 2 b") == {
        "schema": {"type": "struct", "fields": []},
        "data": [],
    }
    assert text(client, "spark.table('v').count()") == "1"
    assert sql(client, "select a.b, c.b from v a, v c")["data"] == [[2, 2]]
    assert "truncated" not in sql(client, "select * from range(10)")
    assert sql(client, "select * from range(11)")["truncated"] is True


# Each Spark type of the contract, and how its value is written; with the first version that knows it.
VALUES: list[tuple[str, Any, str]] = [
    ("timestamp'2020-01-02 03:04:05.678'", "2020-01-01T18:04:05Z", "3"),
    ("timestamp'9999-12-31 23:59:59'", "9999-12-31T14:59:59Z", "3"),
    ("timestamp'+12345-01-01 09:00:00'", "+12345-01-01T00:00:00Z", "3"),
    ("timestamp_ntz'2020-01-02 03:04:05.678'", "2020-01-02T03:04:05", "3"),
    ("date'2020-01-02'", "2020-01-02", "3"),
    ("date'-0044-03-15'", "-0044-03-15", "3"),
    ("X'00ff'", [0, -1], "3"),
    ("double('NaN')", None, "3"),
    ("double('-Infinity')", "-Infinity", "3"),
    ("float(0.1)", 0.1, "3"),
    ("1.50BD", 1.5, "3"),
    ("cast('a' as char(3))", "a", "3"),
    ("null", None, "3"),
    ("interval '1' day", "INTERVAL '1' DAY", "3"),
    ("interval '1-2' year to month", "INTERVAL '1-2' YEAR TO MONTH", "3"),
    ("make_interval(1, 2)", "1 years 2 months", "3"),
    ("map(1, 'a')", {"1": "a"}, "3"),
    ("map(timestamp'1970-01-01 09:00:00', date'2020-01-02')", {"1970-01-01T00:00:00Z": "2020-01-02"}, "3"),
    ("map(array(1, 2), 3)", {"[1, 2]": 3}, "3"),
    ("array(null, array(1))", [None, [1]], "3"),
    ("named_struct('a', 1)", {"a": 1}, "3"),
    ("named_struct('a', date'2020-01-02', 'A', array(interval '1' month))",
     {"a": "2020-01-02", "A": ["INTERVAL '1' MONTH"]}, "3"),
    ("if(id = 0, null, named_struct('a', timestamp'2020-01-01'))", None, "3"),
    ("parse_json('{\"a\": [1, 2.50, null]}')", {"a": [1, 2.5, None]}, "4"),
    ("array(struct(parse_json('1') v, date'2020-01-02' d))", [{"v": 1, "d": "2020-01-02"}], "4"),
]  # fmt: skip


def test_sql_values(client: Client, driver: DriverProcess) -> None:
    known = [value for value in VALUES if value[2] <= driver.ready()["spark_version"]]
    sql(client, "set spark.sql.session.timeZone=Asia/Tokyo")
    row = sql(client, f"select {', '.join(query for query, *_ in known)} from range(1)")["data"][0]
    sql(client, "reset spark.sql.session.timeZone")
    assert {query: value for (query, *_), value in zip(known, row)} == {query: value for query, value, _ in known}


def test_sql_decimals_keep_their_digits(client: Client) -> None:
    query = "select cast('12345678901234567890.12345678901234567' as decimal(38, 17))"
    assert "[12345678901234567890.12345678901234567]" in client.run(next(numbers), query, "sql")["output_json"]


def test_several_sql_statements(client: Client) -> None:
    text_ = "create or replace temp view many as select 1 a; -- ';'\nselect 'not this';\nselect a, ';' b from many;"
    assert sql(client, text_)["data"] == [[1, ";"]]
    output = client.run(next(numbers), "create or replace temp view w as select 5 a;\nselect nope;select 3", "sql")[
        "output"
    ]
    assert output["evalue"].startswith("statement 2 of 3 failed: select nope; those before it are done; those after")
    assert "UNRESOLVED_COLUMN" in output["evalue"]
    assert sql(client, "select * from w")["data"] == [[5]]


def test_a_sql_script_is_one_statement(client: Client, driver: DriverProcess) -> None:
    if driver.ready()["spark_version"] < "4":
        pytest.skip("Spark 3.5 has no SQL scripts")
    script = (
        "begin declare n int = 1; while n < 5 do set n = n + 1; end while; select n, case n when 5 then 'yes' end; end"
    )
    assert sql(client, f"select 1; {script};")["data"] == [[5, "yes"]]


def test_cancel_stops_the_rest_of_a_sql_text(client: Client) -> None:
    sql(client, "set my.steps=0")
    steps = "".join(f"set my.steps={step};" for step in range(1, 3001))
    statement, message = started(client, steps, "sql")
    wait_until(lambda: client.ask("cancel_request", statement=statement)["running"])
    reply = client.reply(message)
    assert reply is not None and "those after it were not run" in reply["output"]["evalue"]
    assert 0 <= int(sql(client, "set my.steps")["data"][0][1]) < 3000


@pytest.mark.parametrize(
    ("query", "message"),
    [("select nope", "nope"), ("selec 1", "selec"), ("", "pos 0"), (";", "SYNTAX"), ("-- nothing", "pos 10"),
     ("select 1; select 'a", "statement 2 of 2"), ("select raise_error('boom')", "boom")],
)  # fmt: skip
def test_sql_errors(client: Client, query: str, message: str) -> None:
    output = client.run(next(numbers), query, "sql")["output"]
    assert (output["status"], output["ename"]) == ("error", "Error")
    assert message in output["evalue"]
    assert "\tat " not in output["evalue"]
    assert output["traceback"] and not any(frame.startswith("\t") for frame in output["traceback"])


def test_big_output_and_its_limit(client: Client) -> None:
    assert len(text(client, "print('x' * 50_000_000)")) == 50_000_000
    assert text(client, "print('x' * 70_000_000)").endswith("\n[output cut: the limit is 60000000 bytes]")


def test_child_output_goes_to_the_log(client: Client, driver: DriverProcess) -> None:
    assert text(client, "import os, subprocess, sys\nos.system('echo from-a-child')") == "0"
    assert (
        text(client, "print('mine')\nsubprocess.run(['echo', 'another-child'], stdout=sys.stdout).returncode")
        == "mine\n0"
    )
    assert text(client, "1+1") == "2"
    wait_until(lambda: "from-a-child" in driver.log() and "another-child" in driver.log(), 5)


def test_the_streams_are_those_of_a_script(client: Client) -> None:
    code = (
        "import faulthandler, sys\nfaulthandler.enable()\nfaulthandler.disable()\n"
        "sys.stdout.reconfigure(encoding='utf-8', line_buffering=True)\n"
        "print('first', file=sys.__stdout__)\nprint('last', file=sys.__stderr__)\n"
        "sys.__stdout__ is sys.stdout, sys.stdout.fileno() > 0"
    )
    assert text(client, code) == "first\n(True, True)\nlast"


def test_a_forked_child_prints_to_the_log(client: Client, driver: DriverProcess) -> None:
    code = (
        "import os\npid = os.fork()\nif pid == 0:\n  print('forked', flush=True)\n  os._exit(0)\n_ = os.waitpid(pid, 0)"
    )
    assert text(client, code) == ""
    wait_until(lambda: "forked" in driver.log(), 5)


def test_no_line_of_the_driver_is_shown(client: Client) -> None:
    code = (
        "import threading, warnings\ndef fails(): raise ValueError\nwarnings.warn('far', stacklevel=9)\n"
        "one = threading.Thread(target=fails)\none.start()\none.join()\nspark.range(1).foreach(None)"
    )
    statement = next(numbers)
    output = client.run(statement, code)["output"]
    assert "sys:1: UserWarning: far" in output["data"][TEXT]
    assert f'File "<cell {statement}>", line 2, in fails' in output["data"][TEXT]
    assert output["traceback"][1].startswith(f'  File "<cell {statement}>", line 7, in <module>\n    spark.range(1)')
    assert OURS not in str(output)


def cancel(client: Client, statement: int, reply_id: str) -> tuple[dict[str, Any], float]:
    """Cancel as the gateway does, every 0.3 s until it ends: the reply and the seconds it took."""
    start = time.monotonic()
    while time.monotonic() - start < 20:
        client.ask("cancel_request", statement=statement)
        if reply := client.reply(reply_id, 0.3):
            return reply, time.monotonic() - start
    raise AssertionError("not cancelled")


def started(client: Client, code: str, kind: str = "pyspark") -> tuple[int, str]:
    """A statement that has begun."""
    statement = next(numbers)
    message = client.send(statement, code, kind)
    wait_until(lambda: client.ask("cancel_request", statement=-1) == {"running": False})
    return statement, message


@pytest.mark.parametrize(
    "code",
    [
        "kept = 5\nwhile True: pass",
        "import time\ntime.sleep(100)",
        "import time\ndef f():\n  try: time.sleep(100)\n  except KeyboardInterrupt: time.sleep(100)\nf()",
        "sc._jvm.java.lang.Thread.sleep(100_000)",
        "while True:\n  try: spark.range(10).count()\n  except Exception: pass",
        "import os\nos.system('sleep 100; true')",
        "import threading\nthreading.Event().wait()",
        "class A:\n  def __repr__(self):\n    while True: pass\nA()",
        "class E(Exception):\n  def __str__(self):\n    while True: pass\nraise E",
        "import time\ndef waits():\n  time.sleep(60)\nwaits()",
    ],
)  # fmt: skip
def test_cancel_of_code(client: Client, code: str) -> None:
    text(client, "kept = 5")
    statement, message = started(client, f"open('/tmp/{os.getpid()}-go', 'w').close()\n" + code)
    wait_until(lambda: Path(f"/tmp/{os.getpid()}-go").exists())
    reply, seconds = cancel(client, statement, message)
    os.unlink(f"/tmp/{os.getpid()}-go")
    assert seconds < 2
    assert reply["output"]["execution_count"] == statement
    told = "".join(reply["output"].get("traceback", []))
    assert ("os.system" in code or f'File "<cell {statement}>", line ' in told) and OURS not in told
    assert text(client, "kept, spark.range(7).count()") == "(5, 7)"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("spark.range(10**13).selectExpr('sum(sqrt(id))').collect()", "pyspark"),
        ("sc.parallelize(range(8), 8).foreach(lambda x: __import__('time').sleep(100))", "pyspark"),
        ("select sum(sqrt(id)) from range(10000000000000)", "sql"),
    ],
)
def test_cancel_of_spark_jobs(client: Client, code: str, kind: str) -> None:
    before = int(text(client, "len(sc.statusTracker().getActiveJobsIds())"))
    assert before == 0
    statement, message = started(client, code, kind)
    assert client.reply(message, 3) is None
    reply, seconds = cancel(client, statement, message)
    assert seconds < 2
    assert "cancelled" in reply["output"]["evalue"]
    assert text(client, "len(sc.statusTracker().getActiveJobsIds())") == "0"
    assert sql(client, "select count(*) from range(7)")["data"] == [[7]]


def test_cancel_of_what_does_not_run(client: Client) -> None:
    statement = next(numbers)
    assert client.ask("cancel_request", statement=statement) == {"running": False}
    client.run(statement, "1")
    assert client.ask("cancel_request", statement=statement) == {"running": False}
    assert text(client, "2") == "2"


def test_progress_rises(client: Client) -> None:
    statement, message = started(
        client, "sc.parallelize(range(12), 12).foreach(lambda x: __import__('time').sleep(0.2))"
    )
    seen = []
    while (reply := client.reply(message, 0.1)) is None:
        seen.append(client.ask("progress_request", statement=statement)["progress"])
    assert reply["status"] == "ok"
    assert seen == sorted(seen)
    assert any(0.0 < share < 1.0 for share in seen)
    assert client.ask("progress_request", statement=statement) == {"progress": 1.0}
    assert client.ask("progress_request", statement=statement + 1) == {"progress": 0.0}


def test_r_that_cannot_start_says_why_and_the_other_languages_work(client: Client) -> None:
    text(client, "spark.conf.set('spark.r.shell.command', '/nowhere/R')")
    output = client.run(next(numbers), "1", "sparkr")["output"]
    assert output["ename"] == "InterpreterError"
    assert output["evalue"].startswith("Fail to start interpreter: there is no program /nowhere/R")
    assert text(client, "spark.conf.unset('spark.r.shell.command'); 1") == "1"


def test_a_statement_sent_again_runs_once(client: Client, driver: DriverProcess) -> None:
    text(client, "runs = 0")
    code = "runs += 1\nimport time\ntime.sleep(1)\nruns"
    statement = next(numbers)
    client.send(statement, code)
    second = Client(driver.connection_file)
    try:
        assert second.run(statement, code)["output"]["data"] == {TEXT: "1"}
        assert second.run(statement, code)["output"]["data"] == {TEXT: "1"}
        assert second.run(statement - 1, code)["output"]["ename"] == "AlreadyRan"
        assert second.ask("forget_request", statement=statement) == {}
        assert second.run(statement, code)["ename"] == "AlreadyRan"
    finally:
        second.close()
    assert text(client, "runs") == "1"


def test_a_killed_client_loses_nothing(client: Client, driver: DriverProcess) -> None:
    statement = next(numbers)
    code = "import time\nprint('a' * 1_000_000)\ntime.sleep(1)"
    script = (
        f"import sys; sys.path[:0] = {sys.path!r}\nfrom pathlib import Path\n"
        "from tests.integration.repl.driver_process import Client\n"
        f"client = Client(Path({str(driver.connection_file)!r}))\nclient.send({statement}, {code!r})\n"
        f"while client.ask('progress_request', statement={statement - 1})['progress'] < 1.0: pass\n"
        "client.ask('kernel_info_request')\nprint('sent', flush=True)\nclient.reply('never', 60)"
    )
    sender = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert sender.stdout is not None
    try:
        assert sender.stdout.readline() == "sent\n"
        os.kill(sender.pid, signal.SIGKILL)
    finally:
        sender.kill()
        sender.wait()
        sender.stdout.close()
    reply = client.run(statement, code)
    assert len(reply["output"]["data"][TEXT]) == 1_000_000


def test_failure_does_not_abort_what_is_queued(client: Client) -> None:
    messages = [client.send(next(numbers), code) for code in ("1/0", "1+1", "2+2")]
    replies = [client.reply(message) for message in messages]
    assert [reply and reply["status"] for reply in replies] == ["error", "ok", "ok"]


def test_control_answers_from_many_clients_while_code_runs(client: Client, driver: DriverProcess) -> None:
    statement, message = started(
        client, "n = 0\nimport time\nend = time.time() + 2\nwhile time.time() < end: n += spark.range(5).count()"
    )
    failures: list[BaseException] = []

    def ask() -> None:
        own = Client(driver.connection_file)
        try:
            for _ in range(30):
                assert 0.0 <= own.ask("progress_request", statement=statement)["progress"] <= 1.0
                assert own.ask("cancel_request", statement=statement + 1) == {"running": False}
        except BaseException as exc:  # noqa: BLE001
            failures.append(exc)
        finally:
            own.close()

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reply = client.reply(message)
    assert reply is not None and reply["status"] == "ok"
    assert failures == []


def test_jupyter_requests_work(client: Client) -> None:
    assert client.ask("kernel_info_request")["implementation"] == "spark-gateway"
    _, message = started(client, "import time\ntime.sleep(100)")
    wait_until(lambda: client.ask("interrupt_request")["status"] == "ok" and client.reply(message, 0.3))


def candidates(client: Client, code: str, kind: str = "pyspark", cursor: int | None = None) -> list[str]:
    """What is offered at `cursor`, or at the end; asked until there is an answer, for the first one takes its time."""
    cursor = len(code) if cursor is None else cursor
    asked = {"kind": kind, "code": code, "cursor": cursor}
    return list(wait_until(lambda: client.ask("candidates_request", **asked)["candidates"]))


def test_completion_of_python(client: Client) -> None:
    text(client, "orders = spark.range(1).selectExpr('id', '1 as amount')")
    assert candidates(client, "spark.ra") == ["range"]
    assert candidates(client, "spark.catalog.listT") == ["listTables"]
    assert candidates(client, "orders.")[:2] == ["id", "amount"]
    assert candidates(client, "orders.groupBy('id').ag") == ["agg"]
    assert candidates(client, "orders.rdd.mapPartitionsW")[0] == "mapPartitionsWithIndex"
    assert candidates(client, "x = [1]\nlen(sc.parallelize(x).map(str).saveAsT")[0] == "saveAsTextFile"
    assert candidates(client, "spark.range(1).selectE") == ["selectExpr"]
    assert candidates(client, "orde.x", cursor=4) == ["orders"]
    assert candidates(client, "import pysp") == ["pyspark"]


def test_completion_of_sql(client: Client) -> None:
    sql(
        client, "create or replace temp view orders_seen as select 1 as customer, 2 as `odd name`; create database shop"
    )
    assert "SELECT" in candidates(client, "SEL", "sql")
    assert "date_trunc" in candidates(client, "select date_t", "sql")
    assert candidates(client, "select cus from orders_seen", "sql", 10) == ["customer"]
    assert candidates(client, "select * from orders_seen o where o.", "sql") == ["customer", "`odd name`"]
    assert candidates(client, "select * from orders_s", "sql") == ["orders_seen"]
    assert candidates(client, "select * from sho", "sql") == ["shop"]
    assert "range" in candidates(client, "select * from rang", "sql")


def test_completion_answers_while_code_runs_and_delays_no_cancel(client: Client) -> None:
    text(client, "x = 1\nstop = False\nclass Slow:\n  def __dir__(self):\n    while not stop: pass\nslow = Slow()")
    statement, message = started(client, "while True: pass")
    assert "x" in candidates(client, "x")
    assert candidates(client, "select * from rang", "sql")
    cancel(client, statement, message)
    before = time.monotonic()
    assert client.ask("candidates_request", kind="pyspark", code="slow.", cursor=5) == {"candidates": []}
    assert time.monotonic() - before < 4
    text(client, "stop = True")
    assert "x" in candidates(client, "x")


def test_plots(client: Client) -> None:
    data = client.run(next(numbers), "import matplotlib.pyplot as plt\nl = plt.plot([1, 2])\n%matplot plt")["output"][
        "data"
    ]
    assert list(data) == ["image/png"]
    assert text(client, "plt.get_backend().lower(), plt.get_fignums()") == "('agg', [])"


def test_tables_of_spark_values(client: Client) -> None:
    code = "df = spark.sql(\"select 1 b, 'x' a\")\nrows = df.collect()\n"
    kind = "application/vnd.livy.table.v1+json"
    by_name = client.run(next(numbers), code + "%table rows")["output"]["data"][kind]
    in_order = client.run(next(numbers), "%table df")["output"]["data"][kind]
    assert [header["name"] for header in by_name["headers"]] == ["a", "b"]
    assert (in_order["headers"][0], in_order["data"]) == ({"name": "b", "type": "INT_TYPE"}, [[1, "x"]])
    assert client.run(next(numbers), "%json rows")["output"]["data"] == {"application/json": [{"b": 1, "a": "x"}]}


def test_user_code_may_stop_and_restart_spark(client: Client) -> None:
    assert text(client, "spark.stop()") == ""
    assert "has been stopped" in client.run(next(numbers), "select 1", "sql")["output"]["evalue"]
    assert text(client, "6 * 7") == "42"
    text(
        client,
        "from pyspark.sql import SparkSession\nspark = SparkSession.builder.getOrCreate()\nsc = spark.sparkContext",
    )
    assert text(client, "spark.range(4).count()") == "4"
    assert sql(client, "select 1")["data"] == [[1]]


def test_shutdown_request_ends_the_driver(client: Client, driver: DriverProcess) -> None:
    """Last in this module: it ends the shared driver."""
    client.send(next(numbers), "while True: pass")
    assert client.ask("shutdown_request", restart=False)["status"] == "ok"
    assert driver.process.wait(15) == 0
