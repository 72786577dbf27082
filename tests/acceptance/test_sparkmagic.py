"""A notebook in sparkmagic's PySpark kernel against the program, by each protocol: what its user sees in each cell."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.program import Program
from tests.acceptance.rest import Rest
from tests.acceptance.sparkmagic import Cell, Outputs, run_notebook, shown, stream

TRICKY = "λ 🤔 'single' \"double\" '''three''' \\ back\\slash {} %s <b>&amp;"

# In order; each is a cell. RAN, URL, OTHER and OWN are filled in: the path of files to be made, the gateway's address,
# the ids of two sessions.
CELLS = {
    "an expression": "1 + 1",
    "print": f"print({TRICKY!r})",
    "many lines": "for i in range(3000): print(i, 'x' * 100)",
    "make a table": "spark.range(5).selectExpr('id', \"concat('n', id, 'é') as name\").createOrReplaceTempView('t')",
    "sql": "%%sql -o df\nSELECT * FROM t WHERE id > 1 ORDER BY id",
    "local use of df": "%%local\nprint(len(df), list(df.columns), df['id'].sum(), list(df['name']))",
    "spark -o": "%%spark -o doubled\ndoubled = spark.table('t').selectExpr('id * 2 as twice')",
    "local use of doubled": "%%local\nprint(sorted(doubled['twice']))",
    "sql that is wrong": "%%sql\nSELECT nothing FROM nowhere",
    "logs": "%%logs",
    "an error": "def half(x):\n    return 1 / x\nprint('before')\nhalf(0)",
    "a syntax error": "if True print(1)",
    "make local text": "%%local\ntext = 'it is \"λ\"'",
    "make local frame": "%%local\nimport pandas\nframe = pandas.DataFrame({'a': [1, 2], 'b': ['x', 'ü']})",
    "send text": "%%send_to_spark -i text -t str -n sent",
    "text arrived": "print(sent)",
    "send frame": "%%send_to_spark -i frame -t df",
    "frame arrived": "print(frame.count(), [row.b for row in frame.orderBy('a').collect()])",
    "keep": "kept = 'still here'",
    "interrupt plain code": "import time\nopen(RAN + '1', 'w').close()\ntime.sleep(600)",
    "after the first interrupt": "kept",
    "interrupt a spark job": (
        "def slow(x):\n    import time\n    open(RAN + '2', 'w').close()\n    time.sleep(600)\n"
        "sc.parallelize([1, 2], 2).map(slow).count()"
    ),
    "after the second interrupt": "print(kept, spark.range(7).count())",
    "plot": "import matplotlib.pyplot as plt\nlines = plt.plot([1, 2, 4])",
    "show plot": "%matplot plt",
    "configure without force": '%%configure\n{"driverMemory": "700m"}',
    "configure": '%%configure -f\n{"driverMemory": "700m", "conf": {"spark.sql.shuffle.partitions": 3}}',
    "configured": "print(sc.getConf().get('spark.driver.memory'), spark.conf.get('spark.sql.shuffle.partitions'))",
    "nothing kept": "kept",
    "delete own": "%%delete -f -s OWN",
    "make other": "%%local\nimport requests\nrequests.post(URL + '/sessions', json={'kind': 'pyspark'}).status_code",
    "info with other": "%%info",
    "delete other": "%%delete -f -s OTHER",
    "info without other": "%%info",
    "cleanup": "%%cleanup -f",
}

# protocol: where it answers, and the headers that sparkmagic is configured to send
DOORS: dict[str, tuple[str, dict[str, str]]] = {
    "livy": ("", {}),
    "lighter": ("/lighter/api", {"X-Compatibility-Mode": "sparkmagic"}),
}

INTERRUPTED = {"interrupt plain code": "1", "interrupt a spark job": "2"}


@pytest.fixture(scope="module", params=DOORS)
def door(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def own(rest: Rest, door: str) -> int:
    """The id of the notebook's second session, which %%configure makes. Ids count up."""
    number = int(rest.post("/sessions", {"kind": "pyspark"})["id"])
    rest.delete(f"/sessions/{number}")
    return number + 2


@pytest.fixture(scope="module")
def other(own: int) -> int:
    """The id of a session that is not the notebook's."""
    return own + 1


@pytest.fixture(scope="module")
def notebook(
    program: Program,
    clients_python: Path,
    clients_environ: dict[str, str],
    door: str,
    own: int,
    other: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Outputs]:
    """The outputs of every cell."""
    folder = tmp_path_factory.mktemp("notebook")
    place, headers = DOORS[door]
    url = program.url + place
    here = {"username": "", "password": "", "url": url, "auth": "None"}
    settings = {"kernel_python_credentials": here, "custom_headers": headers}
    asked = cells(str(folder / "ran"), url, own, other)
    outputs = run_notebook("pysparkkernel", settings, asked, clients_python, clients_environ, folder)
    assert list(outputs) == list(CELLS)
    return outputs


def cells(ran: str, url: str, own: int, other: int) -> Iterator[Cell]:
    for name, text in CELLS.items():
        source = text.replace("RAN", repr(ran)).replace("URL", repr(url))
        source = source.replace("OTHER", str(other)).replace("OWN", str(own))
        yield {"name": name, "source": source, "interrupt": ran + INTERRUPTED[name] if name in INTERRUPTED else None}


def test_the_first_cell_starts_a_session_and_shows_its_value(notebook: dict[str, Outputs]) -> None:
    outputs = notebook["an expression"]
    text = stream(outputs)
    assert text.startswith("Starting Spark application\n")
    assert text.endswith("SparkSession available as 'spark'.\n2")
    (table,) = shown(outputs, "text/html")
    assert "<td>pyspark</td><td>idle</td>" in table
    assert "<td>local-" in table
    assert 'href="http://127.0.0.1:' in table
    assert not stream(outputs, "stderr")


def test_print_arrives_unchanged(notebook: dict[str, Outputs]) -> None:
    assert stream(notebook["print"]) == TRICKY


def test_long_output_arrives_whole(notebook: dict[str, Outputs]) -> None:
    assert stream(notebook["many lines"]) == "\n".join(f"{i} {'x' * 100}" for i in range(3000))


def test_sql_fills_a_local_data_frame(notebook: dict[str, Outputs]) -> None:
    assert stream(notebook["local use of df"]) == "3 ['id', 'name'] 9 ['n2é', 'n3é', 'n4é']\n"


def test_spark_fills_a_local_data_frame(notebook: dict[str, Outputs]) -> None:
    assert stream(notebook["local use of doubled"]) == "[0, 2, 4, 6, 8]\n"


def test_wrong_sql_shows_spark_s_words(notebook: dict[str, Outputs]) -> None:
    text = stream(notebook["sql that is wrong"], "stderr")
    assert text.startswith("An error was encountered:\n[TABLE_OR_VIEW_NOT_FOUND] The table or view `nowhere`")


def test_info_lists_all_sessions_and_marks_its_own(notebook: dict[str, Outputs], own: int, other: int) -> None:
    assert shown(notebook["make other"], "text/plain") == ["201"]
    table = shown(notebook["info with other"], "text/html")[-1]
    assert f"<td>{own}</td>" in table
    assert f"<td>{other}</td>" in table
    assert table.count("✔") == 1


def test_logs_are_the_driver_s(notebook: dict[str, Outputs], door: str) -> None:
    text = stream(notebook["logs"])
    assert text.startswith("stdout: \n") == (door == "livy")
    assert "SparkContext" in text


def test_an_error_shows_what_was_printed_its_message_and_frames(notebook: dict[str, Outputs]) -> None:
    told = re.sub(r"<cell \d+>|\n *[~^]+(?=\n)", "", stream(notebook["an error"], "stderr"))
    assert told == (
        "An error was encountered:\ndivision by zero\nbefore\nTraceback (most recent call last):\n"
        '  File "", line 4, in <module>\n    half(0)\n  File "", line 2, in half\n    return 1 / x\n'
        "ZeroDivisionError: division by zero\n\n"
    )


def test_a_syntax_error_points_at_the_place(notebook: dict[str, Outputs]) -> None:
    text = re.sub(r"<cell \d+>", "<cell>", stream(notebook["a syntax error"], "stderr"))
    assert text.startswith('An error was encountered:\ninvalid syntax (<cell>, line 1)\n  File "<cell>", line 1\n')
    assert "if True print(1)" in text


def test_local_text_is_sent_to_spark(notebook: dict[str, Outputs]) -> None:
    assert stream(notebook["send text"]) == "Successfully passed 'text' as 'sent' to Spark kernel"
    assert stream(notebook["text arrived"]) == 'it is "λ"'


def test_a_local_data_frame_is_sent_to_spark(notebook: dict[str, Outputs]) -> None:
    assert stream(notebook["send frame"]) == "Successfully passed 'frame' as 'frame' to Spark kernel"
    assert stream(notebook["frame arrived"]) == "2 ['x', 'ü']"


def test_plain_code_is_interrupted_and_the_session_goes_on(notebook: dict[str, Outputs]) -> None:
    assert stream(notebook["interrupt plain code"], "stderr") == "Interrupted by user\n"
    assert stream(notebook["after the first interrupt"]) == "'still here'"


def test_a_spark_job_is_interrupted_and_the_session_goes_on(notebook: dict[str, Outputs]) -> None:
    assert stream(notebook["interrupt a spark job"], "stderr") == "Interrupted by user\n"
    assert stream(notebook["after the second interrupt"]) == "still here 7"


def test_a_plot_is_a_picture(notebook: dict[str, Outputs]) -> None:
    (picture,) = shown(notebook["show plot"], "image/png")
    assert base64.b64decode(picture).startswith(b"\x89PNG\r\n")


def test_configure_needs_force_for_a_running_session(notebook: dict[str, Outputs]) -> None:
    assert "please include the -f argument" in stream(notebook["configure without force"], "stderr")


def test_configure_starts_a_new_session_as_asked(notebook: dict[str, Outputs]) -> None:
    assert stream(notebook["configure"]).startswith("Starting Spark application\n")
    assert stream(notebook["configured"]) == "700m 3"
    assert "name 'kept' is not defined" in stream(notebook["nothing kept"], "stderr")


def test_delete_takes_other_sessions_only(notebook: dict[str, Outputs], other: int) -> None:
    assert "Cannot delete this kernel's session" in stream(notebook["delete own"], "stderr")
    assert notebook["delete other"] == []
    assert f"<td>{other}</td>" not in shown(notebook["info without other"], "text/html")[-1]


def test_cleanup_leaves_no_session(notebook: dict[str, Outputs], rest: Rest) -> None:
    assert notebook["cleanup"] == []
    assert rest.get("/sessions") == {"from": 0, "total": 0, "sessions": []}
