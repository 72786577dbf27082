"""Which lines are magics: those where a statement could begin, in Python and in Scala."""

from __future__ import annotations

import pytest

from sessions.repl.magic_lines import PYTHON, SCALA, Chunk, split

CODE_OF_BOTH = [
    'q = """\n%late%\n"""',
    'q = """ \\""\n%late%\n"""',
    'f("a", [\n%late\n])',
    "f(\n(1)\n%late)",
    'f(")",\n%late)',
    "f(0,\n% g( )\n% h)",
    '{\n"}"\n%late\n}',
]
CODE_OF_PYTHON = [
    "q = '''it's\n%late%\n'''",
    "10 \\\n% 3",
    "10 \\\r\n% 3",
    "'a\\\n% ('",
    "'a\\\r\n% ('",
    'rb"""\n%late \\"""\n%late"""',
    'def f():\n  """Doc.\n\n%json late\n  """',
    "f(  # (\n%late)",
    "f'{x[\"a\"]}' + (\n%late)",
]
CODE_OF_SCALA = [
    "/*\n%late\n*/",
    '/* /* */ "\n%late\n*/',
    'val q = """ \\"""" + f(\n%late)',
    "f('\"',\n%late\n)",
    "f('\\'', // )\n%late\n)",
    "f(`)`,\n%late\n)",
    "val f = {\n%late\n}",
    's"${ f("x") } (" + (\n%late)',
]
BEFORE_A_MAGIC = [
    "x = 1",
    "",
    "x = 1)",
    'q = ""',
    'q = "(',
    "x = [(1, {2: 3})]",
]
BEFORE_A_MAGIC_OF_PYTHON = [
    "# it's (",
    "q = '(",
    'q = "\\""',
    'q = "a\\\\"',
    "def f():\n  return 1",
    "x = 7 // 2",
    "q = ''''a'''",
    'q = r"\\""',
]
BEFORE_A_MAGIC_OF_SCALA = [
    "// it's (",
    "/* ( /* */ */",
    "val c = '('",
    "val s = 'sym",
    'val s = """"a""""',
    "val x = 7 # 2",
]


@pytest.mark.parametrize("code", CODE_OF_BOTH + CODE_OF_PYTHON)
def test_python_that_only_looks_like_a_magic(code: str) -> None:
    assert split(f"{code}\n%json x", PYTHON) == [
        Chunk(f"{code}\n", 0, False), Chunk("%json x", code.count("\n") + 1, True),
    ]  # fmt: skip


@pytest.mark.parametrize("code", CODE_OF_BOTH + CODE_OF_SCALA)
def test_scala_that_only_looks_like_a_magic(code: str) -> None:
    assert split(f"{code}\n%json x", SCALA) == [
        Chunk(f"{code}\n", 0, False), Chunk("%json x", code.count("\n") + 1, True),
    ]  # fmt: skip


@pytest.mark.parametrize("code", BEFORE_A_MAGIC + BEFORE_A_MAGIC_OF_PYTHON)
def test_a_magic_after_python(code: str) -> None:
    assert [chunk.is_magic for chunk in split(f"{code}\n%json x\ny", PYTHON)][-2:] == [True, False]


@pytest.mark.parametrize("code", BEFORE_A_MAGIC + BEFORE_A_MAGIC_OF_SCALA)
def test_a_magic_after_scala(code: str) -> None:
    assert [chunk.is_magic for chunk in split(f"{code}\n%json x\ny", SCALA)][-2:] == [True, False]


def test_code_keeps_its_lines_and_what_a_magic_holds_is_its_own() -> None:
    chunks = split("%json it's (\n\n%table [ \r\nx\n %y\n%", PYTHON)
    assert [(chunk.text, chunk.line) for chunk in chunks] == [
        ("%json it's (", 0), ("%table [", 2), ("\nx\n %y\n", 2), ("%", 5),
    ]  # fmt: skip
    assert chunks[2].placed == "\n\n\nx\n %y\n"
    assert split(" \n\n", PYTHON) == split("", PYTHON) == []
