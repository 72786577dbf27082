"""The Scala REPL's words, brought from Scala 2.13's form to that of 2.12."""

from __future__ import annotations

import pytest

from sessions.repl import scala_text


@pytest.mark.parametrize(
    ("said", "names", "echo"),
    [
        ("val res0: Int = 2\n", ["res0"], "res0: Int = 2\n"),
        ("val a: Int = 1\nvar b: String = x\n", ["a", "b"], "a: Int = 1\nb: String = x\n"),
        ("val a: Int = 1\nval b: Int = 2\n", ["x$1", "a", "b"], "a: Int = 1\nb: Int = 2\n"),
        ("lazy val z: Int // unevaluated", ["z"], "z: Int = <lazy>\n"),
        ("lazy val z: Int // unevaluated\nval y: Int = 1\n", ["z", "y"], "z: Int = <lazy>\ny: Int = 1\n"),
        ("val s: String =\nval t: no name of ours\n", ["s"], "s: String =\nval t: no name of ours\n"),
        ("class A\nobject A\n", ["A", "A"], "defined class A\ndefined object A\n"),
        ("trait T\ntype X\n", ["T", "X"], "defined trait T\ndefined type alias X\n"),
        ("def f(x: Int): Int\n", ["f"], "f: (x: Int)Int\n"),
        ("def f: Int\n", ["f"], "f: Int\n"),
        ("def f(): Int => Int\n", ["f"], "f: ()Int => Int\n"),
        ("def g[T](a: T)(implicit o: Ordering[T]): T\n", ["g"], "g: [T](a: T)(implicit o: Ordering[T])T\n"),
        ("def h(x: (Int, List[Int])): String\n", ["h"], "h: (x: (Int, List[Int]))String\n"),
        ("def ++(x: Int): Int\n", ["++"], "++: (x: Int)Int\n"),
        ("def a b(x: Int): Int\n", ["a b"], "a b: (x: Int)Int\n"),
        ("def `a b`: Int\n", ["a b"], "`a b`: Int\n"),
        ("def unheard of\n", [], "def unheard of\n"),
        ('def k(x: "("): Int\n', ["k"], 'k: (x: "("): Int\n'),
        ("import java.util.Date\n", [], "import java.util.Date\n"),
        ("", [], ""),
        ("val foo: Foo = $line26.$read$$iw$Foo@7b72\n", ["foo"], "foo: Foo = Foo@7b72\n"),
    ],
)
def test_an_echo_has_the_form_of_scala_2_12(said: str, names: list[str], echo: str) -> None:
    assert scala_text.echo(said, names) == echo


@pytest.mark.parametrize(
    "said",
    [
        "res0: Int = 2\n",
        "s: String =\nval s: Int = 1\n",
        "defined class A\ndefined object A\n",
        "f: (x: Int)Int\n",
        "z: Int = <lazy>\n",
    ],
)
def test_an_echo_of_scala_2_12_stays_as_it_is(said: str) -> None:
    assert scala_text.echo(said, ["res0", "s", "A", "f", "z"]) == said


def test_names_of_the_wrappers_are_left_out() -> None:
    frame = "  at $line32.$read$$iw$$iw$$iw.f(<console>:23)\n"
    assert scala_text.told(f"java.lang.Exception: no\n{frame}") == (
        "java.lang.Exception: no",
        ["  at f(<console>:23)\n"],
    )
    assert scala_text.echo("foo: Foo = $line32.$read$$iw$$iw$$iw$Foo@77\n", ["foo"]) == "foo: Foo = Foo@77\n"


def test_an_assignment_is_told_by_its_variable() -> None:
    assert scala_text.mutated("// mutated v\n") == "v"
    assert scala_text.mutated("v: Int = 2\n") is None
    assert scala_text.renamed("val $ires3: Int = 2\n", "v") == "v: Int = 2\n"
    assert scala_text.renamed("$ires3: Int = 2\n", "v") == "v: Int = 2\n"


def test_a_complaint_begins_with_its_message_and_the_users_line() -> None:
    said = (
        '         "a"\n         ^\nOn line 3: error: type mismatch;\n'
        '        found   : String("a")\n        required: Int\n'
        "       foo\n       ^\nOn line 4: error: not found: value foo\n"
    )
    assert scala_text.complaint(said) == (
        '<console>:2: error: type mismatch;\n found   : String("a")\n required: Int\n         "a"\n         ^\n'
        "<console>:3: error: not found: value foo\n       foo\n       ^\n"
    )


def test_a_complaint_of_scala_2_12_stays_as_it_is() -> None:
    said = "<console>:25: error: not found: value foo\n       foo\n       ^\n"
    assert scala_text.complaint(said) == said
    assert scala_text.told(said) == ("<console>:25: error: not found: value foo", ["       foo\n", "       ^\n"])


def test_candidates_are_plain_names_each_once_and_not_too_many() -> None:
    assert scala_text.names(["to", "to", "!=", "", "def to: Int", "toByte"]) == ["to", "toByte"]
    assert len(scala_text.names(f"n{number}" for number in range(10_000))) == scala_text.MOST_NAMES
