"""Where SQL statements end, by Spark's rules for quotes, comments and scripting blocks."""

from __future__ import annotations

import time

import pytest

from sessions.repl.sql_text import split

BLOCK = """BEGIN
  DECLARE n INT = 1; -- ;
  IF n = 1 THEN SELECT if(true, 1, 2); ELSEIF n = 2 THEN SELECT 2; END IF;
  WHILE n < 3 DO SET n = n + 1; END WHILE;
  outer: LOOP LEAVE outer; END LOOP outer;
  REPEAT SET n = n - 1; UNTIL n = 0 END REPEAT;
  FOR r AS SELECT 1 AS begin, r.end, r.case DO SELECT r; END FOR;
  CASE WHEN n = 1 THEN SELECT CASE n WHEN 1 THEN 2 END; END CASE;
  BEGIN SELECT 4; END;
END"""


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("", []),
        (" \n\t", []),
        (";", []),
        ("; ;;\n", []),
        ("-- only a comment", []),
        ("/* ; */ -- ;\n;", []),
        ("select 1", ["select 1"]),
        ("select 1;", ["select 1"]),
        ("select 1;;select 2 ; ", ["select 1", "select 2"]),
        ("select 1; -- the end", ["select 1"]),
        ("-- a;b\nselect 1;select 2", ["-- a;b\nselect 1", "select 2"]),
        ("select 1 --\\\n;still\n;b", ["select 1 --\\\n;still", "b"]),
        ("select 1 - -2;b", ["select 1 - -2", "b"]),
        ("a /* ; /* ; */ ; */;b", ["a /* ; /* ; */ ; */", "b"]),
        ("select /*+ BROADCAST(a), ';' */ 1;b", ["select /*+ BROADCAST(a), ';' */ 1", "b"]),
        ("a / b * c;d", ["a / b * c", "d"]),
        ("';';b", ["';'", "b"]),
        ('";";b', ['";"', "b"]),
        ("`;`;b", ["`;`", "b"]),
        ("'it''s;';b", ["'it''s;'", "b"]),
        ("`a``;`;b", ["`a``;`", "b"]),
        (r"'\';';b", [r"'\';'", "b"]),
        (r"'\\';b", [r"'\\'", "b"]),
        (r'"\";";b', [r'"\";"', "b"]),
        (r"r'\';b';c'", [r"r'\'", "b';c'"]),
        (r'R"\";b', [r'R"\"', "b"]),
        (r"bar'\';b'", [r"bar'\';b'"]),
        ("$$a;b$$;c", ["$$a;b$$", "c"]),
        ("$x$;$$;$x$;c", ["$x$;$$;$x$", "c"]),
        ("set a=${b};c", ["set a=${b}", "c"]),
        ("'--';'/*';c", ["'--'", "'/*'", "c"]),
        ("-- it's\na;b", ["-- it's\na", "b"]),
        ("/* it's */ a;b", ["/* it's */ a", "b"]),
        ("'\n;\n';b", ["'\n;\n'", "b"]),
        ("sélect ';é';b", ["sélect ';é'", "b"]),
    ],
)
def test_statements(text: str, statements: list[str]) -> None:
    assert split(text) == statements


@pytest.mark.parametrize("text", ["a;'b;c", 'a;"b;c', "a;`b;c", "a;/* b;c", "a;r'b;c"])
def test_what_is_never_closed_is_left_for_spark_to_refuse(text: str) -> None:
    assert split(text) == ["a", text[2:]]


@pytest.mark.parametrize(
    "text", [BLOCK, BLOCK.lower(), f"one: {BLOCK} one", f"-- c\n/* d */ {BLOCK}", f"begin {BLOCK}; end"]
)
def test_a_scripting_block_is_one_statement(text: str) -> None:
    assert split(f"a; {text}; b;") == ["a", text, "b"]


def test_a_block_that_is_never_closed_goes_to_the_end() -> None:
    assert split("begin if a then b; end if; c; d") == ["begin if a then b; end if; c; d"]


@pytest.mark.parametrize("first", ["select case when a then begin", "select begin", "use begin"])
def test_only_a_leading_begin_makes_a_block(first: str) -> None:
    assert split(f"{first}; b") == [first, "b"]


def test_a_long_text_is_split_in_no_time() -> None:
    text = "insert into t values ('" + "x;" * 500_000 + "');" + "select 1;" * 10_000 + "/*" * 100_000
    before = time.perf_counter()
    assert len(split(text)) == 10_002
    assert time.perf_counter() - before < 5
