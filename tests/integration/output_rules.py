"""Every output rule of contract §3 as a piece of code, and what Livy 0.9.0 (Spark 3.5.6) answered to it.

`python -m tests.integration.output_rules URL` asks the Livy at URL anew and writes its answers to `livy_outputs.json`.
R was never recorded: no SparkR was at hand, so its answers there are those that the contract reads in Livy's source.
"""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

Output = dict[str, Any]

RECORDED = Path(__file__).with_name("livy_outputs.json")


@dataclass(frozen=True)
class Rule:
    """One rule: `code` in language `kind`. `why` says why our answer differs, None where it is Livy's own."""

    kind: str
    code: str
    why: str | None = None
    alone: bool = False  # ends the session: it gets one of its own

    @property
    def key(self) -> str:
        return f"{self.kind}: {self.code}"


PLACED = "the lines of the cell are named and shown"
KEPT = "what was printed before the error is kept"
SURVIVES = "the interpreter survives"
WHOLE = "a text is read as a whole"
NOTHING = "nothing to show is no text"
LEGIBLE = "as R itself writes it"
READABLE = "structs are readable objects"

RULES = [
    # ---- pyspark, §3.2
    Rule("pyspark", "1+1"),
    Rule("pyspark", 'print("trail  \\n\\n")'),
    Rule("pyspark", "x=5"),
    Rule("pyspark", ""),
    Rule("pyspark", "   "),
    Rule("pyspark", "# a comment"),
    Rule("pyspark", "None"),
    Rule("pyspark", 'print("hi")\n1+1'),
    Rule("pyspark", 'import sys\n_ = sys.stderr.write("err\\n")\nprint("out")\n7'),
    Rule("pyspark", "1\n2\n3"),
    Rule("pyspark", "for i in range(2):\n  i"),
    Rule("pyspark", '"str"'),
    Rule("pyspark", "spark.range(1)"),
    Rule("pyspark", "input()", PLACED),
    Rule("pyspark", "1/0", PLACED),
    Rule("pyspark", "def f(): return 1/0\ndef g(): return f()\ng()", PLACED),
    Rule("pyspark", "{}['x']", PLACED),
    Rule("pyspark", "(", PLACED),
    Rule("pyspark", "foo", PLACED),
    Rule("pyspark", "import sys; sys.exit(3)", PLACED),
    Rule("pyspark", "exit()", PLACED),
    Rule("pyspark", "raise KeyboardInterrupt", PLACED),
    Rule("pyspark", 'print("before")\n1/0', f"{KEPT}; {PLACED}"),
    Rule("pyspark", "j = {'a': [1, 2.5, None, 'x']}\n%json j"),
    Rule("pyspark", "t = [[1, 'a'], [2, 'b']]\n%table t"),
    Rule("pyspark", "t = [{'b': 1, 'a': True}, {'a': False}]\n%table t", "rows are as long as the headers"),
    Rule(
        "pyspark",
        "import datetime, decimal\nt = [[None, 1.5, datetime.date(2020, 1, 2), decimal.Decimal('1.50')]]\n%table t",
    ),
    Rule("pyspark", "t = [[[1, 2], {'ab': 1}]]\n%table t", "maps are left as they are"),
    Rule("pyspark", "t = []\n%table t"),
    Rule("pyspark", "t = 7\n%table t"),
    Rule("pyspark", "j = 1\nprint('printed')\n%json j"),
    Rule("pyspark", "j = 1\n%json j\nk = 2"),
    Rule("pyspark", "%foo"),
    Rule("pyspark", "%"),
    Rule("pyspark", "%json nowhere", "an ordinary error"),
    Rule("pyspark", "%json", SURVIVES),
    Rule("pyspark", "j = b'bytes'\n%json j", SURVIVES),
    Rule("pyspark", "j = float('nan')\n%json j", "as in SQL results"),
    Rule("pyspark", "t = [[1], ['a']]\n%table t", SURVIVES),
    Rule("pyspark", "t = [[1], [2.5]]\n%table t", SURVIVES),
    Rule("pyspark", "import os; _ = os.system('echo hi')", "the line goes to the log; later statements work"),
    Rule("pyspark", "import os; os._exit(1)", "the reason is said", alone=True),
    # ---- spark, §3.3
    Rule("spark", "1+1"),
    Rule("spark", "val x=5\nval y=6"),
    Rule("spark", "var v = 1"),
    Rule("spark", 'println("hi")\n1+1'),
    Rule("spark", 'print("noeol")'),
    Rule("spark", ""),
    Rule("spark", "   "),
    Rule("spark", "// a comment"),
    Rule("spark", "class A"),
    Rule("spark", "case class B(x: Int)"),
    Rule("spark", "object C"),
    Rule("spark", "trait D"),
    Rule("spark", "import java.util.Date"),
    Rule("spark", "def f(x:Int)={\n x+1\n}\nf(2)"),
    Rule("spark", "def g[T](x: T, n: Int = 2): Seq[T] = Seq.fill(n)(x)"),
    Rule("spark", "lazy val z = 3"),
    Rule("spark", "val (a, b) = (1, 2)"),
    Rule("spark", "spark.range(100).count()"),
    Rule("spark", "sc.parallelize(1 to 10).sum()"),
    Rule("spark", "sc."),
    Rule("spark", "("),
    Rule("spark", "foo"),
    Rule("spark", "1/0"),
    Rule("spark", 'println("before")\n1/0', KEPT),
    Rule("spark", 'val n: Int = "text"'),
    Rule("spark", "if (true)\n  1\nelse\n  2", WHOLE),
    Rule("spark", "List(1, 2)\n  .map(_ + 1)\n  .sum", WHOLE),
    Rule("spark", 'System.err.println("err")', "System.err is output too"),
    Rule("spark", ":help"),
    Rule("spark", 'val j = Map("a" -> 1)\nj\n%json j'),
    Rule("spark", "val j = List(1, 2)\n%json j"),
    Rule("spark", "sc.parallelize(1 to 20)\n%json"),
    Rule("spark", 'val t = List((1, "a"), (2, "b"))\nt\n%table t'),
    Rule("spark", 'case class Row2(a: Int, b: String)\nval t = List(Row2(1, "x"))\nt\n%json t'),
    Rule("spark", "val t = List(List(1, null), List(2, 3.5))\nt\n%table t", "a column of several types is widened"),
    Rule("spark", "%json nowhere"),
    Rule("spark", "1\n%foo", KEPT),
    Rule("spark", "1\n%json\n2", "each value of a text is shown"),
    Rule("spark", "System.exit(0)", "the reason is said", alone=True),
    # ---- sql, §3.4
    Rule("sql", "select 1 as a"),
    Rule("sql", "select 1;"),
    Rule("sql", "select 1; select 2", "several statements give the last result"),
    Rule("sql", "", "Spark 4 has a class of its own for this error"),
    Rule("sql", "create or replace temporary view v as select 1 as x"),
    Rule("sql", "select * from v"),
    Rule("sql", "select * from nowhere"),
    Rule("sql", "selec 1"),
    Rule("sql", "select id from range(2000)", "a result that was cut says so"),
    Rule("sql", "select null as n, double('NaN') as d, double('Infinity') as i, float('-Infinity') as f"),
    Rule("sql", "select 1.50 as d"),
    Rule("sql", "select date '2020-01-02' as d"),
    Rule("sql", "select timestamp '2020-01-02 03:04:05.678+00:00' as t"),
    Rule("sql", "select timestamp_ntz '2020-01-02 03:04:05.678' as t", "every type has a JSON form"),
    Rule("sql", "select X'01ff' as b"),
    Rule("sql", "select array(1, 2) as a, map('k', 1) as m"),
    Rule("sql", "select named_struct('x', 1, 'y', 'a') as s", READABLE),
    Rule("sql", "select array(named_struct('x', 1)) as s", READABLE),
    Rule("sql", "select true as t, 1Y as y, 2S as s, 3L as l, float(1.5) as f, 2.5D as d, 'x' as c"),
    Rule("sql", "select interval '1' day as d, interval '2' month as m", "every type has a JSON form"),
    # ---- sparkr, §3.5
    Rule("sparkr", "1+1"),
    Rule("sparkr", "x <- 5"),
    Rule("sparkr", "invisible(3)"),
    Rule("sparkr", "1\n2\n3"),
    Rule("sparkr", 'print("a")\nprint("b")'),
    Rule("sparkr", 'cat("hi\\n")'),
    Rule("sparkr", "", NOTHING),
    Rule("sparkr", "# a comment", NOTHING),
    Rule("sparkr", 'warning("careful")', "its text"),
    Rule("sparkr", "foo", LEGIBLE),
    Rule("sparkr", 'cat("before\\n"); stop("boom")', "what was printed is kept apart, the calls are the traceback"),
    Rule("sparkr", "(", LEGIBLE),
    Rule("sparkr", "plot(1:3)", "no text of the device"),
]

LONGEST = 240  # characters of an answer in the table


class Server:
    """Asks a Livy-like server; a session is used for all rules of its kind for as long as it lives."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: dict[str, Any] | None = None

    def answer(self, rule: Rule) -> Output | str:
        """The output; or, in a word, what became of the session that gave none."""
        if self._session is None or self._session["kind"] != rule.kind or rule.alone:
            self.close()
            self._session = self._open(rule.kind)
        path = f"/sessions/{self._session['id']}"
        asked = requests.post(f"{self._url}{path}/statements", json={"code": rule.code, "kind": rule.kind}, timeout=60)
        asked.raise_for_status()
        output = self._wait(path, f"{path}/statements/{asked.json()['id']}")
        if rule.alone or isinstance(output, str) or self._get(path)["state"] != "idle":
            self.close()
        return output

    def close(self) -> None:
        if self._session is not None:
            requests.delete(f"{self._url}/sessions/{self._session['id']}", timeout=60)
            self._session = None

    def _open(self, kind: str) -> dict[str, Any]:
        session = requests.post(f"{self._url}/sessions", json={"kind": kind}, timeout=60).json()
        end = time.monotonic() + 120
        while (state := self._get(f"/sessions/{session['id']}")["state"]) != "idle":
            assert state == "starting" and time.monotonic() < end, f"the session is {state}"
            time.sleep(0.1)
        return dict(session)

    def _wait(self, session: str, statement: str) -> Output | str:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            state = self._get(session).get("state", "dead")  # before the output, which a session's end may bring
            found = self._get(statement)
            if found.get("output"):
                return dict(found["output"])
            if state in ("dead", "error", "killed"):
                return f"session {state}"
            time.sleep(0.05)
        return "no answer"

    def _get(self, path: str) -> dict[str, Any]:
        answer = requests.get(f"{self._url}{path}", timeout=60)
        return dict(answer.json()) if answer.ok else {}


def recorded() -> dict[str, str]:
    """Livy's answers as `shown` shows them, by the key of the rule."""
    return dict(json.loads(RECORDED.read_text("utf-8")))


def shown(output: Output | str) -> str:
    """The output as the table shows it: short, and without what differs from run to run and from machine to machine."""
    text = output if isinstance(output, str) else _ok(output) if output["status"] == "ok" else _error(output)
    for pattern, word in (
        (r"res\d+: ", "res0: "),
        (r"<console>:\d+", "<console>:1"),
        (r"<cell \d+>", "<cell 0>"),
        (r"\\n *[~^]+\\n", r"\\n"),  # each version of Python marks other parts of a line
        (r"\d+ elided", "1 elided"),
        (r"@[0-9a-f]{5,}", "@0"),
        (r"/tmp/\d+", "/tmp/0"),
        (r'(\[[A-Z_.]{8,}\])[^"]*', r"\1 …"),  # Spark's words for an error change with its version, its class does not
    ):
        text = re.sub(pattern, word, text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _ok(output: Output) -> str:
    return ", ".join(f"{mime} {_value(mime, value)}" for mime, value in output["data"].items())


def _value(mime: str, value: Any) -> str:
    if mime == "image/png":
        return "…"
    if isinstance(value, dict) and {"schema", "data"} <= set(value):
        columns = [f"{field['name']} {_type(field['type'])}" for field in value["schema"]["fields"]]
        cut = ", truncated" if value.get("truncated") else ""
        return f"({', '.join(columns)}{cut}) {_json(value['data'])}"
    return _json(value)


def _type(described: Any) -> str:
    return str(described["type"] if isinstance(described, dict) else described)


def _error(output: Output) -> str:
    lines = output["traceback"]
    java = [
        line
        for line in lines
        if re.fullmatch(r"[\w.$/]+\(([\w$]+\.(java|scala):\d+|Unknown Source|Native Method)\)", line)
    ]
    rest = [line for line in lines if line not in java]
    told = f"{output['ename']}: {_json(output['evalue'].rstrip())} {_json(rest)}{' and Java frames' if java else ''}"
    return f"{told}, {_ok(output)}" if output.get("data") else told


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def main(url: str) -> None:
    """Ask the Livy at `url` every rule but R's."""
    known, server = recorded() if RECORDED.exists() else {}, Server(url)
    try:
        for rule in RULES:
            if rule.kind != "sparkr":
                known[rule.key] = shown(server.answer(rule))
                print(rule.key, "->", known[rule.key], flush=True)
    finally:
        server.close()
    kept = {rule.key: known[rule.key] for rule in RULES if rule.key in known}
    RECORDED.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
