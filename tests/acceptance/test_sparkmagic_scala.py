"""A notebook in sparkmagic's Spark kernel, which speaks Scala, against the program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.program import Program
from tests.acceptance.rest import Rest
from tests.acceptance.sparkmagic import Outputs, run_notebook, shown, stream

# In order; each is a cell. RAN is filled in: the path of files to be made.
CELLS = {
    "an expression": "1 + 1",
    "println": 'println("λ 🤔 \\"quoted\\"")',
    "many lines": '(0 until 3000).foreach(i => println(i + " " + "x" * 100))',
    "values": "val x = 5\nvar y = x * 2",
    "else on a new line": 'if (x > 7)\n  "big"\nelse\n  "small"',
    "a leading dot": "List(1, 2, 3)\n  .map(_ * x)\n  .sum",
    "a case class": (
        'case class Person(id: Long, name: String)\nval people = Seq(Person(1, "Ada"), Person(2, "Zoë")).toDS()\n'
        'people.map(p => p.copy(name = p.name + "!")).createOrReplaceTempView("people")'
    ),
    "sql": "%%sql -o df\nSELECT * FROM people ORDER BY id",
    "local use of df": "%%local\nprint(len(df), list(df.columns), list(df['name']))",
    "spark -o": '%%spark -o twice\nval twice = spark.table("people").selectExpr("id * 2 as twice")',
    "local use of twice": "%%local\nprint(sorted(twice['twice']))",
    "make local text": "%%local\ntext = 'sent from here'",
    "send text": "%%send_to_spark -i text -t str -n sent",
    "text arrived": "println(sent)",
    "an error": 'println("before")\n1 / 0',
    "not compiled": 'val n: Int = "text"',
    "incomplete": "List(1, 2).map(",
    "interrupt plain code": 'new java.io.File(RAN + "1").createNewFile()\nwhile (true) {}',
    "after the first interrupt": "x",
    "interrupt a spark job": (
        'val marker = RAN + "2"\nsc.parallelize(1 to 2, 2).map { i =>\n  new java.io.File(marker).createNewFile()\n'
        "  Thread.sleep(600000)\n  i\n}.count()"
    ),
    "after the second interrupt": "println(x + spark.range(7).count())",
    "cleanup": "%%cleanup -f",
}

INTERRUPTED = {"interrupt plain code": "1", "interrupt a spark job": "2"}


@pytest.fixture(scope="module")
def notebook(
    program: Program, clients_python: Path, clients_environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Outputs]:
    """The outputs of every cell."""
    folder = tmp_path_factory.mktemp("notebook")
    here = {"username": "", "password": "", "url": program.url, "auth": "None"}
    ran = str(folder / "ran")
    cells = [
        {
            "name": name,
            "source": source.replace("RAN", json.dumps(ran)),
            "interrupt": ran + INTERRUPTED[name] if name in INTERRUPTED else None,
        }
        for name, source in CELLS.items()
    ]
    settings = {"kernel_scala_credentials": here}
    return run_notebook("sparkkernel", settings, cells, clients_python, clients_environ, folder)


def test_the_first_cell_starts_a_scala_session(notebook: dict[str, Outputs]) -> None:
    text = stream(notebook["an expression"])
    assert text.startswith("Starting Spark application\n")
    assert text.endswith("SparkSession available as 'spark'.\nres1: Int = 2\n")
    (table,) = shown(notebook["an expression"], "text/html")
    assert "<td>spark</td><td>idle</td>" in table


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("println", 'λ 🤔 "quoted"\n'),
        ("many lines", "".join(f"{i} {'x' * 100}\n" for i in range(3000))),
        ("values", "x: Int = 5\ny: Int = 10\n"),
        ("else on a new line", "res4: String = small\n"),
        ("a leading dot", "res5: Int = 30\n"),
        ("local use of df", "2 ['id', 'name'] ['Ada!', 'Zoë!']\n"),
        ("local use of twice", "[2, 4]\n"),
        ("send text", "Successfully passed 'text' as 'sent' to Spark kernel"),
        ("text arrived", "sent from here\n"),
        ("after the second interrupt", "12\n"),
    ],
)
def test_a_cell_shows(cell: str, text: str, notebook: dict[str, Outputs]) -> None:
    assert stream(notebook[cell]) == text
    assert not stream(notebook[cell], "stderr")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("an error", "java.lang.ArithmeticException: / by zero"),
        ("not compiled", "error: type mismatch;"),
        ("incomplete", "incomplete statement"),
    ],
)
def test_a_cell_fails_with(cell: str, message: str, notebook: dict[str, Outputs]) -> None:
    assert message in stream(notebook[cell], "stderr")


@pytest.mark.parametrize("cell", list(INTERRUPTED))
def test_a_cell_is_interrupted(cell: str, notebook: dict[str, Outputs]) -> None:
    assert stream(notebook[cell], "stderr") == "Interrupted by user\n"


def test_the_session_goes_on_after_an_interrupt(notebook: dict[str, Outputs]) -> None:
    assert stream(notebook["after the first interrupt"]).endswith(": Int = 5\n")


def test_cleanup_leaves_no_session(notebook: dict[str, Outputs], rest: Rest) -> None:
    assert notebook["cleanup"] == []
    assert rest.get("/sessions")["total"] == 0
