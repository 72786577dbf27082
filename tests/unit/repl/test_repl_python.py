"""Python text and its envelope: the tables of contract livy §3.2, and what Livy's interpreter died of."""

from __future__ import annotations

import io
import json
import linecache
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessions.repl.cells import Cells
from sessions.repl.output import Stream
from sessions.repl.python import PythonInterpreter, new_main
from sessions.repl.python_errors import hide_our_lines

HEADER = "Traceback (most recent call last):\n"
Run = Callable[[str], dict[str, Any]]


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def interpreter(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> PythonInterpreter:
    streams = [Stream("stdout", log), Stream("stderr", log)]
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    monkeypatch.setattr(linecache, "cache", linecache.cache.copy())
    return PythonInterpreter(new_main(), streams, output_limit=10_000)


@pytest.fixture
def run(interpreter: PythonInterpreter) -> Run:
    def execute(code: str) -> dict[str, Any]:
        envelope = interpreter.execute(code, 7, "group")
        assert envelope["execution_count"] == 7
        json.dumps(envelope, allow_nan=False).encode("utf-8")
        return envelope

    return execute


def frame(line: int, text: str, name: str = "<module>", cell: int = 7) -> str:
    """A line of a cell as a traceback shows it."""
    return f'  File "<cell {cell}>", line {line}, in {name}\n    {text}\n'


def without_carets(envelope: dict[str, Any]) -> dict[str, Any]:
    """The envelope without the marks below lines, of which each version of Python has its own."""
    return {**envelope, "traceback": [re.sub(r"\n *[~^]+\n$", "\n", line) for line in envelope["traceback"]]}


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("x=5", ""),
        ("", ""),
        ("  \n ", ""),
        ("# comment", ""),
        ("None", ""),
        ("1+1", "2"),
        ("1;", "1"),
        ('print("trail  \\n\\n")', "trail"),
        ('print("hi")\n1+1', "hi\n2"),
        ('import sys\nsys.stderr.write("err\\n")\nprint("out")\n7', "out\n7\nerr"),
        ("1\n2\n3", "3"),
        ("for i in range(2):\n  i", "0\n1"),
        ('"str"', "'str'"),
        ("1\r\n2\r\n", "2"),
        ("10\n_ = 3\n_", "3"),
        ("x = 41\nx + 1", "42"),
        ("__name__", "'__main__'"),
        ("10 %\\\n3", "1"),
        ("import asyncio\nasyncio.run(asyncio.sleep(0, 5))", "5"),
        ("print('\\ud800')", "\\ud800"),
        ("'\\U0001f600 é'", "'\U0001f600 é'"),
        ("import sys\nsys.stdout.buffer.write(b'bytes\\n')\nNone", "bytes"),
        ("import sys\nsys.stdout.close()\nprint('still')", "still"),
        ("from __future__ import annotations\ndef f(x: nowhere): pass\nf.__annotations__", "{'x': 'nowhere'}"),
    ],
)
def test_text_of_good_code(run: Run, code: str, text: str) -> None:
    assert run(code) == {"status": "ok", "execution_count": 7, "data": {"text/plain": text}}


@pytest.mark.parametrize(
    ("code", "ename", "evalue", "traceback"),
    [
        (
            "1/0",
            "ZeroDivisionError",
            "division by zero",
            [HEADER, frame(1, "1/0"), "ZeroDivisionError: division by zero\n"],
        ),
        (
            "def f():\n  1/0\nf()",
            "ZeroDivisionError",
            "division by zero",
            [HEADER, frame(3, "f()"), frame(2, "1/0", "f"), "ZeroDivisionError: division by zero\n"],
        ),
        ("{}['a']", "KeyError", "'a'", [HEADER, frame(1, "{}['a']"), "KeyError: 'a'\n"]),
        ("import sys\nsys.exit(3)", "SystemExit", "3", [HEADER, frame(2, "sys.exit(3)"), "SystemExit: 3\n"]),
        ("raise SystemExit", "SystemExit", "", [HEADER, frame(1, "raise SystemExit"), "SystemExit\n"]),
        (
            "\r\nfoo\r\n",
            "NameError",
            "name 'foo' is not defined",
            [HEADER, frame(2, "foo"), "NameError: name 'foo' is not defined\n"],
        ),
        (
            "try:\n  1/0\nexcept Exception as e:\n  raise ValueError('v') from e",
            "ValueError",
            "v",
            [
                HEADER,
                frame(2, "1/0"),
                "ZeroDivisionError: division by zero\n",
                "\nThe above exception was the direct cause of the following exception:\n\n",
                HEADER,
                frame(4, "raise ValueError('v') from e"),
                "ValueError: v\n",
            ],
        ),
        ("%foo x", "UnknownMagic", "unknown magic command 'foo'", ["UnknownMagic: unknown magic command 'foo'\n"]),
        (
            "%%json x",
            "UnknownMagic",
            "unknown magic command '%json'",
            ["UnknownMagic: unknown magic command '%json'\n"],
        ),
        ("%", "UnknownMagic", "magic command not specified", ["UnknownMagic: magic command not specified\n"]),
    ],
)
def test_failures(run: Run, code: str, ename: str, evalue: str, traceback: list[str]) -> None:
    expected = {"status": "error", "execution_count": 7, "ename": ename, "evalue": evalue, "traceback": traceback}
    assert without_carets(run(code)) == expected
    assert run("1")["data"] == {"text/plain": "1"}


@pytest.mark.parametrize(
    "code", ["(", "x = = 1", "if True:", "return 1", "await f()", "a = '\x00'", "  1", "nonlocal x"]
)
def test_syntax_errors_have_no_header_and_run_nothing(run: Run, code: str) -> None:
    envelope = run(code)
    assert envelope["ename"] in {"SyntaxError", "IndentationError", "ValueError"}
    assert HEADER not in envelope["traceback"]
    assert envelope["traceback"][-1].startswith(envelope["ename"])


@pytest.mark.parametrize(
    "code",
    [
        "import io, sys\nsys.stdout = io.StringIO()\nsys.stdout.close()",
        "import sys\nsys.stdout = sys.stderr = None\n1/0",
        "import contextlib\nheld = contextlib.redirect_stderr(None)\nheld.__enter__()",
    ],
)
def test_a_redirection_ends_with_its_statement(run: Run, code: str) -> None:
    run(code)
    assert run("print('out')\nimport sys\n_ = sys.stderr.write('err')")["data"] == {"text/plain": "out\nerr"}


def test_shape_of_a_syntax_error(run: Run) -> None:
    lines = run("(")["traceback"]
    assert lines[:3] == ['  File "<cell 7>", line 1\n', "    (\n", "    ^\n"]


def test_nothing_runs_when_the_text_does_not_compile(run: Run) -> None:
    run("y = 1\nreturn")
    assert run("y")["ename"] == "NameError"


@pytest.mark.parametrize(
    ("code", "ename"),
    [
        ("def f(): f()\nf()", "RecursionError"),
        ("raise MemoryError", "MemoryError"),
        ("class A:\n  def __repr__(self): raise ValueError('r')\nA()", "ValueError"),
        ("class E(Exception):\n  def __str__(self): raise ValueError('s')\nraise E", "E"),
        ("class E(Exception):\n  def __str__(self): raise SystemExit\nraise E", "E"),
        ("10**5000", "ValueError"),
        ("class A:\n  def __repr__(self): raise SystemExit(1)\nA()", "SystemExit"),
        ("raise ValueError('\\ud801')", "ValueError"),
    ],
)
def test_hostile_code_is_answered(run: Run, code: str, ename: str) -> None:
    envelope = run(code)
    assert (envelope["status"], envelope["ename"]) == ("error", ename)
    assert isinstance(envelope["evalue"], str)


NOTED = """
class Noted(Exception):
    __notes__ = ["try again"]
    def __str__(self): return "twice"
try:
    1/0
except ZeroDivisionError:
    raise Noted
"""
GROUP = """
def fails():
    deep = ExceptionGroup("deep", [OSError("inner")])
    raise ExceptionGroup("two failed", [KeyError("left"), ValueError("right"), deep, *many]) from TypeError("why")
many = [RuntimeError(f"number {n}") for n in range(20)]
fails()
"""


def test_notes_and_what_came_before_are_told(run: Run) -> None:
    lines = without_carets(run(NOTED))["traceback"]
    assert lines == [
        HEADER, frame(6, "1/0"), "ZeroDivisionError: division by zero\n",
        "\nDuring handling of the above exception, another exception occurred:\n\n",
        HEADER, frame(8, "raise Noted"), "Noted: twice\n", *(["try again\n"] if sys.version_info >= (3, 11) else []),
    ]  # fmt: skip


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no groups of exceptions")
def test_every_failure_of_a_group_is_named(run: Run) -> None:
    envelope = run(GROUP)
    assert envelope["evalue"] == "two failed (23 sub-exceptions)"
    told = "".join(envelope["traceback"])
    for named in ("TypeError: why", "KeyError: 'left'", "ValueError: right", "OSError: inner", "number 19"):
        assert named in told
    assert 'File "<cell 7>", line 4, in fails' in told and str(Path(__file__).parents[3]) not in told


def test_a_text_that_fails_costs_no_frames(run: Run) -> None:
    lines = without_carets(run("class E(Exception):\n  def __str__(self): raise SystemExit\nraise E"))["traceback"]
    assert lines == [HEADER, frame(3, "raise E"), "E\n"]


def test_many_causes_are_cut_and_say_so(run: Run) -> None:
    chained = "e = None\nfor n in range(500):\n  e, e_ = ValueError(n), e\n  e.__cause__ = e_\nraise e"
    lines = run(chained)["traceback"]
    assert lines[-1] == "[output cut: the limit is 10000 bytes]" and sum(map(len, lines)) < 10_100


def test_a_function_is_told_by_the_cell_that_defines_it(interpreter: PythonInterpreter) -> None:
    interpreter.execute("def f():\n  return 1/0", 1, "group")
    lines = without_carets(interpreter.execute("\nf()", 2, "group"))["traceback"]
    assert lines[1:3] == [frame(2, "f()", cell=2), frame(2, "return 1/0", "f", cell=1)]
    assert interpreter.execute("import inspect\nprint(inspect.getsource(f))", 3, "group")["data"] == {
        "text/plain": "def f():\n  return 1/0"
    }


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 marks no part of a line")
@pytest.mark.parametrize("code", ["x = wrong + 1", "x = 1\n%json [1, wrong]", "%json  wrong.x"])
def test_the_part_of_a_line_that_failed_is_marked(run: Run, code: str) -> None:
    line, marks = run(code)["traceback"][1].splitlines()[1:]
    assert line[marks.index("^") :].startswith("wrong") and marks.count("^") == len("wrong")


def test_old_cells_are_forgotten() -> None:
    cells = Cells(most_cells=3, most_text=100)
    names = [cells.add(number, "x" * 20) for number in range(-5, 0)]
    assert [bool(linecache.getline(name, 1)) for name in names] == [False, False, True, True, True]
    cells.add(-6, "y" * 90)
    assert [bool(linecache.getline(name, 1)) for name in (*names, "<cell -6>")] == [False] * 5 + [True]
    cells.add(-7, "z" * 101)
    assert not linecache.getline("<cell -6>", 1) and not linecache.getline("<cell -7>", 1)


def test_a_warning_is_at_the_line_that_asked_for_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    hide_our_lines()
    code = "import warnings\ndef f(level): warnings.warn(f'{level} up', stacklevel=level)\n"
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        run(f"{code}f(1)\nf(2)\nf(3)")
    told = "".join(warnings.formatwarning(one.message, one.category, one.filename, one.lineno) for one in found)
    assert told.splitlines() == [
        "<cell 7>:2: UserWarning: 1 up", "  def f(level): warnings.warn(f'{level} up', stacklevel=level)",
        "<cell 7>:4: UserWarning: 2 up", "  f(2)",
        "sys:1: UserWarning: 3 up",
    ]  # fmt: skip


def test_output_before_a_failure_is_kept(run: Run) -> None:
    envelope = run("print('before')\n1/0")
    assert envelope["data"] == {"text/plain": "before"}
    assert envelope["evalue"] == "division by zero"


def test_output_is_cut_with_a_visible_last_line(run: Run) -> None:
    text = run("print('é' * 20_000)\nprint('more')")["data"]["text/plain"]
    assert text.splitlines()[-1] == "[output cut: the limit is 10000 bytes]"
    assert len(text.encode()) < 10_100


def test_a_huge_message_is_cut_too(run: Run) -> None:
    assert len(run("raise ValueError('x' * 50_000)")["evalue"]) < 10_100


def test_printing_after_the_statement_goes_to_the_log(run: Run, log: io.StringIO) -> None:
    run("import threading\ngo, done = threading.Event(), threading.Event()")
    run("import sys\nout = sys.stdout")
    run("def late():\n  go.wait()\n  print('late', file=out)\n  done.set()\nthreading.Thread(target=late).start()")
    sys.modules["__main__"].__dict__["go"].set()
    assert sys.modules["__main__"].__dict__["done"].wait(5)
    assert log.getvalue() == "late\n"
    assert run("1")["data"] == {"text/plain": "1"}


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("sys.stdout.reconfigure(encoding='utf-8', line_buffering=True)\nprint('ö')", "ö"),
        ("sys.stderr.reconfigure(errors='replace', newline='\\r\\n')\nprint('ö', 'ü', sep='\\n', file=sys.stderr)",
         "ö\r\nü"),
        ("sys.stdout.reconfigure(encoding='ascii', errors='replace')\nprint('ö')", "?"),
        ("sys.stdout.reconfigure(encoding='latin-1')\n_ = sys.stdout.buffer.write(b'\\xf6')\nsys.stdout.encoding",
         "ö'latin-1'"),
        ("for byte in 'ö€\U0001f600'.encode(): _ = sys.stdout.buffer.write(bytes([byte]))", "ö€\U0001f600"),
        ("_ = sys.stdout.buffer.write(b'half \\xc3')", "half \\xc3"),
        ("_ = sys.stdout.buffer.write(memoryview(b'view'))\nsys.stdout.buffer.writelines([b'1', b'2'])", "view12"),
        ("sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')\nprint('wrapped ö')", "wrapped ö"),
        ("sys.stdout = io.TextIOWrapper(sys.stdout.detach(), encoding='utf-8')\nprint('detached')", "detached"),
        ("sys.stdout = codecs.getwriter('utf-8')(sys.stdout.buffer)\nprint('written')", "written"),
        ("sys.stdout.writelines(['a', 'b'])\nprint('c', flush=True)", "abc"),
        ("with sys.stdout as out: print('in', file=out)\nprint(out.closed)", "in\nFalse"),
        ("with contextlib.redirect_stdout(sys.stderr): print('err')\nprint('out')", "out\nerr"),
        ("out = sys.stdout\nout.isatty(), out.readable(), out.writable(), out.seekable(), out.line_buffering",
         "(False, False, True, False, False)"),
        ("out = sys.stdout\nout.encoding, out.errors, out.name, out.mode, out.buffer.name, out.newlines",
         "('utf-8', 'backslashreplace', '<stdout>', 'w', '<stdout>', None)"),
        ("isinstance(sys.stderr, io.TextIOWrapper), hasattr(sys.stderr.buffer, 'readinto')", "(True, True)"),
        ("del sys.stdout, sys.stderr", ""),
        ("class Stuck:\n  def flush(self): raise SystemExit\nsys.stdout = Stuck()", ""),
    ],
)  # fmt: skip
def test_a_stream_is_what_it_is_in_a_script(run: Run, code: str, text: str) -> None:
    run("import codecs, contextlib, io, sys")
    assert run(code) == {"status": "ok", "execution_count": 7, "data": {"text/plain": text}}
    run("for stream in (sys.stdout, sys.stderr): stream.reconfigure(encoding='utf-8', newline='\\n')")
    assert run("print('on', file=sys.stderr)\nprint('and')")["data"] == {"text/plain": "and\non"}


@pytest.mark.parametrize(
    ("code", "ename"),
    [
        ("sys.stdout.read()", "UnsupportedOperation"),
        ("sys.stdout.seek(0)", "UnsupportedOperation"),
        ("sys.stdout.truncate(0)", "UnsupportedOperation"),
        ("sys.stdout.write(b'bytes')", "TypeError"),
        ("sys.stdout.buffer.write('text')", "TypeError"),
        ("sys.stdout.buffer.write(5)", "TypeError"),
        ("sys.stdout.reconfigure(encoding='nothing')", "LookupError"),
        ("sys.stdout.reconfigure(colour='red')", "TypeError"),
        ("sys.stdout.reconfigure(encoding='ascii')\nprint('ö')", "UnicodeEncodeError"),
    ],
)
def test_a_stream_refuses_what_it_refuses_in_a_script(run: Run, code: str, ename: str) -> None:
    assert run(f"import sys\n{code}")["ename"] == ename


def test_what_a_wrapper_holds_back_is_in_the_answer_of_a_failure(run: Run) -> None:
    code = "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer)\nprint('held')\n1/0"
    assert run(code)["data"] == {"text/plain": "held"}


def test_a_logger_keeps_working_in_later_statements(run: Run) -> None:
    run("import logging, sys\nlog = logging.Logger('l')\nlog.addHandler(logging.StreamHandler(sys.stdout))")
    assert run("log.error('seen')")["data"] == {"text/plain": "seen"}


def test_future_statements_last(run: Run) -> None:
    run("from __future__ import annotations")
    assert run("def f(x: nowhere): pass")["status"] == "ok"


def test_classes_belong_to_main(run: Run) -> None:
    assert run("class A: pass\nimport pickle\ntype(pickle.loads(pickle.dumps(A()))) is A")["data"] == {
        "text/plain": "True"
    }


def test_last_value_is_underscore(run: Run) -> None:
    run("6 * 7")
    assert run("_")["data"] == {"text/plain": "42"}


@pytest.mark.parametrize(
    ("code", "data"),
    [
        ("x = {'a': 1}\n%json x", {"application/json": {"a": 1}}),
        ("print('p')\nx = 1\n%json x", {"application/json": 1, "text/plain": "p"}),
        ("x = 1\n%json x\nx", {"text/plain": "1"}),
        (
            "x = [1]\n%json x\n%table x",
            {"application/vnd.livy.table.v1+json": {"headers": [{"name": "0", "type": "INT_TYPE"}], "data": [[1]]}},
        ),
        ("x = [1]\n%json x  ", {"application/json": [1]}),
        ("x = 1\n%json [x, x + 1]", {"application/json": [1, 2]}),
        ('q = """\n%late%\n"""\nfound = [q]\n%json found', {"application/json": ["\n%late%\n"]}),
        ("x = (10\n% 4)\n%json x\ny = [10\n% 3]\n%json y", {"application/json": [1]}),
    ],
)
def test_magics(run: Run, code: str, data: dict[str, Any]) -> None:
    assert run(code)["data"] == data


@pytest.mark.parametrize("magic", ["json", "table", "matplot"])
def test_magics_do_not_end_the_interpreter(run: Run, magic: str) -> None:
    undefined = run(f"%{magic} x")
    assert (undefined["ename"], undefined["evalue"]) == ("NameError", "name 'x' is not defined")
    missing = run(f"%{magic}")
    assert (missing["ename"], missing["evalue"]) == (
        "TypeError",
        f"%{magic} needs the name of a variable, as in: %{magic} x",
    )
    assert run("a = []\na.append(a)\n%json a")["ename"] == "ValueError"
    assert run("big = 1 << 20_000\n%json big")["ename"] == "ValueError"
    assert run("long = 'x' * 20_000\n%json long")["ename"] == "ValueError"
    assert run("plt = 1\n%matplot plt")["ename"] == "TypeError"
    assert run("1")["data"] == {"text/plain": "1"}


def test_line_numbers_survive_magics(run: Run) -> None:
    lines = without_carets(run("x = 1\n%json x\ndef f():\n  1/0\nf()"))["traceback"]
    assert lines[1:3] == [frame(5, "f()"), frame(4, "1/0", "f")]


@pytest.mark.parametrize("magic", ["json", "table", "matplot"])
def test_a_failing_magic_is_told_by_its_line(run: Run, magic: str) -> None:
    envelope = without_carets(run(f"x = 1\n%{magic} x + nothing"))
    assert envelope["traceback"] == [
        HEADER, frame(2, f"%{magic} x + nothing"), "NameError: name 'nothing' is not defined\n"
    ]  # fmt: skip
    assert run(f"1\n%{magic}  x[")["traceback"][:2] == ['  File "<cell 7>", line 2\n', "    x[\n"]


def test_matplot_sends_the_figure_once(run: Run) -> None:
    run(
        "class Pyplot:\n  closed = []\n  def gcf(self): return self\n"
        "  def savefig(self, f, format): f.write(format.encode())\n  def close(self, fig): self.closed.append(fig)\n"
        "plt = Pyplot()"
    )
    assert run("%matplot plt")["data"] == {"image/png": "cG5n"}
    assert run("plt.closed == [plt]")["data"] == {"text/plain": "True"}
