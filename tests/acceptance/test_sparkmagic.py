"""A notebook in sparkmagic's PySpark kernel against the program: what its user sees in each cell."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.program import Program
from tests.acceptance.rest import Rest

Outputs = list[dict[str, Any]]

TRICKY = "λ 🤔 'single' \"double\" '''three''' \\ back\\slash {} %s <b>&amp;"

# In order; each is a cell. RAN, OTHER and OWN are filled in: the path of files to be made, the ids of two sessions.
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
    "info": "%%info",
    "logs": "%%logs",
    "an error": "def half(x):\n    return 1 / x\nprint('before')\nhalf(0)",
    "a syntax error": "if True print(1)",
    "make local things": "%%local\nimport pandas\ntext = 'it is \"λ\"'\nframe = pandas.DataFrame({'a': [1, 2], 'b': ['x', 'ü']})",
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
    "delete other": "%%delete -f -s OTHER",
    "cleanup": "%%cleanup -f",
}

INTERRUPTED = {"interrupt plain code": "1", "interrupt a spark job": "2"}


@pytest.fixture(scope="module")
def other(rest: Rest) -> int:
    """The id of a session that is somebody else's. It need not even be ready."""
    return int(rest.post("/sessions", {"kind": "pyspark", "name": "other"})["id"])


@pytest.fixture(scope="module")
def notebook(
    program: Program,
    clients_python: Path,
    clients_environ: dict[str, str],
    other: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Outputs]:
    """The outputs of every cell."""
    folder = tmp_path_factory.mktemp("notebook")
    configuration = {"kernel_python_credentials": {"username": "", "password": "", "url": program.url, "auth": "None"}}
    (folder / "config.json").write_text(json.dumps(configuration))
    environ = {**clients_environ, "SPARKMAGIC_CONF_DIR": str(folder), "IPYTHONDIR": str(folder / "ipython")}
    ran = subprocess.run(
        [clients_python, Path(__file__).with_name("notebook.py")],
        input=json.dumps(list(cells(str(folder / "ran"), other))),
        env=environ,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    shown: dict[str, Outputs] = json.loads(ran.stdout)
    print(json.dumps(shown, indent=1, ensure_ascii=False)[:20000], file=sys.stderr)  # for whoever reads a failure
    return shown


def cells(ran: str, other: int) -> Iterator[dict[str, str | None]]:
    own = other + 2  # the notebook's second session, which %%configure makes
    words = {"RAN": repr(ran), "OTHER": str(other), "OWN": str(own)}
    for name, source in CELLS.items():
        for word, text in words.items():
            source = source.replace(word, text)
        yield {"name": name, "source": source, "interrupt": ran + INTERRUPTED[name] if name in INTERRUPTED else None}


def test_dump(notebook: dict[str, Outputs]) -> None:
    import pprint

    pprint.pprint({name: [str(o)[:600] for o in out] for name, out in notebook.items()}, width=200)
    assert 0
