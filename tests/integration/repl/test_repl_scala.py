"""Scala in a real driver, asked as the gateway asks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from tests.integration.repl.driver_process import Client, DriverProcess, wait_until

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning", "default::DeprecationWarning")

numbers = count()
TEXT = "text/plain"
LIMIT = 100_000
START = 120.0  # seconds the first statement may take: it starts the interpreter


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DriverProcess]:
    folder = tmp_path_factory.mktemp("d")
    (folder / "repl").mkdir()
    driver = DriverProcess(folder, f"spark.repl.class.outputDir={folder}/repl", output_limit=LIMIT)
    try:
        driver.ready()
        yield driver
    finally:
        driver.close()


@pytest.fixture(scope="module")
def client(driver: DriverProcess) -> Iterator[Client]:
    client = Client(driver.connection_file)
    assert candidates(client, "sc.par") == []  # the interpreter does not start for a completion
    first = client.reply(client.send(next(numbers), "1+1", "spark"), START)
    assert first is not None and first["output"]["data"] == {TEXT: "res0: Int = 2\n"}
    yield client
    client.close()


def scala(client: Client, code: str) -> dict[str, Any]:
    return dict(client.run(next(numbers), code, "spark")["output"])


def text(client: Client, code: str) -> str:
    output = scala(client, code)
    assert output["status"] == "ok", output
    return str(output["data"][TEXT])


def failure(client: Client, code: str) -> tuple[str, str, list[str]]:
    output = scala(client, code)
    assert output["status"] == "error", output
    return output["ename"], output["evalue"], output["traceback"]


def candidates(client: Client, code: str) -> list[str]:
    return list(
        client.request("candidates_request", {"kind": "spark", "code": code, "cursor": len(code)})["candidates"]
    )


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("val x=5\nval y=6", "x: Int = 5\ny: Int = 6\n"),
        ('print("noeol")', "noeol"),
        ("", ""),
        (" \n// only a comment", ""),
        ("class A", "defined class A\n"),
        ("case class B(n: Int)\nobject B", "defined class B\ndefined object B\n"),
        ("trait T; type I = Int", "defined trait T\ndefined type alias I\n"),
        ("import java.util.Date", "import java.util.Date\n"),
        ("def f(x:Int)={\n x+1\n}", "f: (x: Int)Int\n"),
        ("def g[T](a: T)(implicit o: Ordering[T]): T = a", "g: [T](a: T)(implicit o: Ordering[T])T\n"),
        ("lazy val later = 3", "later: Int = <lazy>\n"),
        ("var v = 1\nv = 2", "v: Int = 1\nv: Int = 2\n"),
        ('val (one, two) = (1, "b")', "one: Int = 1\ntwo: String = b\n"),
        ('System.out.print("a"); System.err.print("b"); Console.err.println("c")', "abc\n"),
        ('println("first")\nval z = 1\nprintln("last")', "first\nz: Int = 1\nlast\n"),
        ("@transient\nprivate val hidden = 1", ""),
    ],
)
def test_text_of_good_scala(code: str, expected: str, client: Client) -> None:
    assert text(client, code) == expected


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("if (true)\n  1\nelse\n  2", "1"),
        ("List(1, 2)\n  .map(_ + 1)\n\n  .sum", "5"),
        ("{ 1 }\n(\n2)", "2"),
        ("def even(n: Int): Boolean = n == 0 || odd(n - 1)\ndef odd(n: Int) = n != 0 && even(n - 1)\neven(4)", "true"),
        ("class C private (val n: Int)\n\n// its companion\nobject C { def make = new C(7) }\nC.make.n", "7"),
        ('val s = """\n%json no magic\n"""\ns.length', "16"),
    ],
)  # fmt: skip
def test_code_of_several_lines(code: str, value: str, client: Client) -> None:
    assert text(client, code).endswith(f" = {value}\n")


def test_results_are_numbered_one_by_one(client: Client) -> None:
    first, second = text(client, "1+1\n2+2").splitlines()
    number = int(first.split(":")[0].removeprefix("res"))
    assert (first, second) == (f"res{number}: Int = 2", f"res{number + 1}: Int = 4")
    assert text(client, f"res{number} + res{number + 1}") == f"res{number + 2}: Int = 6\n"


def test_failures(client: Client) -> None:
    assert failure(client, "(") == ("Error", "incomplete statement", [])
    ename, evalue, traceback = failure(client, "foo")
    assert ename == "Error" and evalue.startswith("<console>:") and evalue.endswith(": error: not found: value foo")
    assert traceback == ["       foo\n", "       ^\n"]
    ename, evalue, traceback = failure(client, "1/0")
    assert (ename, evalue) == ("Error", "java.lang.ArithmeticException: / by zero")
    assert len(traceback) == 1 and traceback[0].endswith(" elided\n")
    assert "  at deep(<console>:" in "".join(failure(client, 'def deep: Int = sys.error("no")\ndeep')[2])
    assert failure(client, "throw new ThreadDeath")[1] == "java.lang.ThreadDeath"
    assert text(client, "40 + 2").endswith("Int = 42\n")


def test_a_failure_without_a_text_is_told_by_its_class(client: Client) -> None:
    code = "class Mute extends Exception { override def getMessage = throw new Exception }\nthrow new Mute"
    assert failure(client, code)[:2] == ("Error", "Mute")


def test_a_long_failure_is_cut_and_says_so(client: Client) -> None:
    _, evalue, traceback = failure(client, f'throw new Exception("x" * {2 * LIMIT})')
    assert len(evalue) == LIMIT and traceback == [f"[output cut: the limit is {LIMIT} bytes]"]


def test_code_that_breaks_the_compiler(client: Client) -> None:
    deep = "+".join(['"a"'] * 20_000)
    assert failure(client, deep) == ("Error", "the compiler failed: java.lang.StackOverflowError", [])


def test_output_before_a_failure_is_kept(client: Client) -> None:
    output = scala(client, 'val kept = 1\nprintln("before")\nthrow new Exception("a\\nb", new Exception("inner"))\n2')
    assert output["evalue"] == "java.lang.Exception: a"
    assert output["traceback"][0] == "b\n" and "Caused by: java.lang.Exception: inner\n" in output["traceback"]
    assert output["data"] == {TEXT: "kept: Int = 1\nbefore\n"}
    assert text(client, "kept").endswith(": Int = 1\n")


def test_output_over_the_limit_is_cut_and_says_so(client: Client) -> None:
    printed = text(client, f'for (_ <- 1 to 20) println("x" * {LIMIT // 10})')
    assert LIMIT <= len(printed) < LIMIT + 100 and printed.endswith(f"[output cut: the limit is {LIMIT} bytes]")


def test_spark_and_its_implicits(client: Client) -> None:
    code = """case class Person(name: String, age: Int)
        val people = Seq(Person("a", 1), Person("b", 2)).toDS
        val older = udf((age: Int) => age + 1)
        people.map(p => p.copy(age = p.age * 10)).filter($"age" > 10).select(older($"age")).as[Int].collect().toList"""
    assert text(client, code).endswith("List[Int] = List(21)\n")
    assert "true" in text(client, "spark.sparkContext == sc && sqlContext.sparkSession == spark")


def test_views_are_shared_with_the_other_languages(client: Client) -> None:
    text(client, 'spark.range(3).createOrReplaceTempView("scalas")')
    assert client.run(next(numbers), "spark.table('scalas').count()")["output"]["data"] == {TEXT: "3"}
    client.run(next(numbers), "spark.range(4).createOrReplaceTempView('pythons')")
    assert text(client, 'sql("select count(*) from pythons").as[Long].head').endswith("Long = 4\n")


def test_magics_give_the_named_value(client: Client) -> None:
    text(client, 'case class Q(a: Int, b: Option[String])\nval qs = Seq(Q(1, Some("x")), Q(2, None))')
    assert scala(client, "%json qs")["data"] == {"application/json": [{"a": 1, "b": "x"}, {"a": 2, "b": None}]}
    table = {
        "headers": [{"name": "a", "type": "BIGINT_TYPE"}, {"name": "b", "type": "STRING_TYPE"}],
        "data": [[1, "x"], [2, None]],
    }
    for value in ("qs", "qs.toDF", 'qs.map(q => Map("a" -> q.a, "b" -> q.b))'):
        assert scala(client, f"%table {value}")["data"] == {"application/vnd.livy.table.v1+json": table}
    assert scala(client, "%json sc.parallelize(1 to 99)")["data"] == {"application/json": list(range(1, 11))}
    assert len(scala(client, "%table spark.range(2000)")["data"]["application/vnd.livy.table.v1+json"]["data"]) == 1000


def test_a_percent_sign_in_a_literal_or_comment_is_no_magic(client: Client) -> None:
    code = 'val q = """\n%late%\n"""\n/*\n%json nothing\n*/\nval found = List(q)\n%json found'
    assert scala(client, code)["data"] == {"application/json": ["\n%late%\n"]}


VECTORS = """import org.apache.spark.ml.linalg.{Matrices, Vectors}
val vectors = Seq(
  (1.0, Vectors.dense(0.1, 0.9), Matrices.dense(1, 1, Array(2.0))),
  (0.0, Vectors.sparse(3, Array(1), Array(0.5)), null))
vectors.toDF("label", "probability", "matrix").createOrReplaceTempView("predictions")
spark.table("predictions").selectExpr("array(probability, null) a", "map('k', struct(probability p)) m",
  "map(probability, label) k", "if(label = 1, struct(date'2020-01-02' d, probability p), null) s"
).createOrReplaceTempView("nested")"""
DENSE = {"type": 1, "size": None, "indices": None, "values": [0.1, 0.9]}
SPARSE = {"type": 0, "size": 3, "indices": [1], "values": [0.5]}
MATRIX = {"type": 1, "numRows": 1, "numCols": 1, "colPtrs": None, "rowIndices": None, "values": [2.0],
          "isTransposed": False}  # fmt: skip
PREDICTIONS = [[1.0, DENSE, MATRIX], [0.0, SPARSE, None]]


def test_user_defined_values_are_what_spark_stores_in_every_language(client: Client) -> None:
    """A vector of Spark's needs numpy in Python, which a driver's Python may not have."""
    table, sql, python = (
        "application/vnd.livy.table.v1+json",
        "application/json",
        "frame = spark.table('predictions')\n",
    )
    text(client, VECTORS)
    client.run(next(numbers), "import sys\nsys.modules['pyspark.ml'] = None")
    try:
        found = client.run(next(numbers), "select label, probability, matrix from predictions", "sql")["output"]
        assert found["data"][sql]["data"] == PREDICTIONS
        found = client.run(next(numbers), f"{python}%table frame")["output"]
        assert found["data"][table]["data"] == PREDICTIONS
        assert [header["type"] for header in found["data"][table]["headers"]] == ["DOUBLE_TYPE", "MAP_TYPE", "MAP_TYPE"]
        found = client.run(next(numbers), f"{python}%json frame")["output"]
        assert [list(row.values()) for row in found["data"]["application/json"]] == PREDICTIONS
        found = client.run(next(numbers), "select * from nested", "sql")["output"]["data"][sql]["data"]
        assert found[0] == [[DENSE, None], {"k": {"p": DENSE}}, {"{1, null, null, [0.1, 0.9]}": 1.0},
                            {"d": "2020-01-02", "p": DENSE}]  # fmt: skip
        assert found[1][3] is None
    finally:
        client.run(next(numbers), "del sys.modules['pyspark.ml']")
    assert scala(client, '%table spark.table("predictions")')["data"][table]["data"] == PREDICTIONS
    assert scala(client, "%json vectors")["data"]["application/json"][0] == {"_1": 1.0, "_2": DENSE, "_3": MATRIX}
    assert scala(client, '%json spark.table("nested").select("s")')["data"]["application/json"][1] == {"s": None}


POINTS = """from pyspark.sql import types
class PointUDT(types.UserDefinedType):
    sqlType = classmethod(lambda kind: types.ArrayType(types.DoubleType()))
    module = classmethod(lambda kind: "__main__")
    scalaUDT = classmethod(lambda kind: "")
    serialize = lambda self, point: [point.x, point.y]
    deserialize = lambda self, parts: Point(*parts)
class Point:
    __UDT__ = PointUDT()
    def __init__(self, x, y): self.x, self.y = x, y
fields = [types.StructField("p", PointUDT()), types.StructField("ps", types.ArrayType(PointUDT()))]
points = spark.createDataFrame([(Point(1.0, 2.0), [Point(3.0, 4.0)])], types.StructType(fields))
points.createOrReplaceTempView("points")
rows = points.collect()
"""


def test_a_user_s_own_types_of_python(client: Client) -> None:
    found = client.run(next(numbers), f"{POINTS}%json rows")["output"]
    assert found["data"] == {"application/json": [{"p": [1.0, 2.0], "ps": [[3.0, 4.0]]}]}
    found = client.run(next(numbers), "select * from points", "sql")["output"]
    assert found["data"]["application/json"]["data"] == [[[1.0, 2.0], [[3.0, 4.0]]]]


def test_magics_without_a_name_take_what_is_before_them(client: Client) -> None:
    assert scala(client, "Seq(1, 2)\n%json")["data"] == {"application/json": [1, 2]}
    assert failure(client, "%json nothing") == ("NameError", "Value nothing does not exist", [])
    assert failure(client, "println(1)\n%table")[0] == "NameError"
    assert failure(client, "%foo x") == ("UnknownMagic", "Unknown magic command foo", [])


def test_mixed_and_odd_values_end_nothing(client: Client) -> None:
    mixed = scala(client, '%table Seq[Any](1, "a", 2.5, null)')["data"]["application/vnd.livy.table.v1+json"]
    assert mixed["headers"] == [{"name": "0", "type": "STRING_TYPE"}]
    assert [type(row[0]) for row in mixed["data"]] == [str, str, str, type(None)]
    _, evalue, traceback = failure(client, "val own = new java.util.ArrayList[Any]; own.add(own)\n%json own")
    assert "nested" in evalue and "Gateway" not in "".join(traceback), "no frame of ours"
    assert scala(client, "%json Double.NaN")["data"] == {"application/json": None}


def test_completion(client: Client) -> None:
    text(client, "val words = List(1)")
    wait_until(lambda: candidates(client, "sc.par") == ["parallelize"])
    wait_until(lambda: "headOption" in candidates(client, "val n = 1\nwords.hea"))
    wait_until(lambda: "headOption" in candidates(client, 'val s = "\U0001f600"; words.hea'))
    compilers = 'Thread.getAllStackTraces.keySet.stream.filter(_.getName.contains("Presentation Compiler")).count'
    wait_until(lambda: text(client, compilers).endswith(" = 0\n"))


def test_output_between_statements_goes_to_the_log(driver: DriverProcess, client: Client) -> None:
    late = 'new Thread(() => { Thread.sleep(500); println("from" + "beyond") }).start()'
    assert "frombeyond" not in text(client, late)
    wait_until(lambda: "frombeyond" in driver.log())
    assert "frombeyond" not in text(client, "1")


@pytest.mark.parametrize(
    "code",
    [
        "Thread.sleep(600000)",
        "while (true) {}",
        "while (true) try Thread.sleep(100) catch { case _: InterruptedException => }",
        "spark.range(4).map(i => { Thread.sleep(600000); i.longValue }).count()",
        "new java.net.ServerSocket(0).accept()",
        'throw new Exception { override def toString = { while (true) {}; "" } }',
    ],
)
def test_cancel_stops_the_code_and_leaves_the_session(code: str, client: Client) -> None:
    text(client, "val before = 7")
    statement = next(numbers)
    message = client.send(statement, f'println("started")\n{code}\nprintln("never")', "spark")
    reply, deadline = None, time.monotonic() + 30
    while reply is None and time.monotonic() < deadline:
        client.ask("cancel_request", statement=statement)
        reply = client.reply(message, 0.3)
    assert reply is not None
    assert reply["output"]["evalue"] == "the statement was cancelled"
    assert "never" not in json.dumps(reply["output"])
    assert text(client, "before").endswith(": Int = 7\n")
    assert text(client, "spark.range(10).count()").endswith(": Long = 10\n")
