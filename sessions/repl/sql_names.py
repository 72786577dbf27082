"""What could stand at a place of a SQL text: columns, tables, databases, functions and Spark's keywords.

Decides which of them, by what stands before the place. All names come from the live session; no query is run for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .columns import names_of
from .sql_text import tokens

_NAME = r"(?:\w+|`[^`]*`)(?: \. (?:\w+|`[^`]*`))*"
_NO_ALIAS = (
    r"(?!(?:JOIN|INNER|LEFT|RIGHT|FULL|CROSS|NATURAL|ON|USING|WHERE|GROUP|ORDER|HAVING|LIMIT|UNION|SET|VALUES)\b)"
)
_TABLE = re.compile(rf"({_NAME})(?: (?:AS )?({_NO_ALIAS}\w+))?", re.IGNORECASE)
_LISTED = rf"{_NAME}(?: (?:AS )?{_NO_ALIAS}\w+)?"
_TABLE_LIST = re.compile(
    rf"\b(?:FROM|JOIN|INTO|TABLE|UPDATE|DESCRIBE|DESC) ({_LISTED}(?: , {_LISTED})*)", re.IGNORECASE
)
_BEFORE_TABLE = {"FROM", "JOIN", "INTO", "TABLE", "UPDATE", "DESCRIBE", "DESC"}
_MOST_TABLES = 20  # whose columns are looked up for one completion


class SqlNames:
    """The names one session knows. The session may have been stopped: then Spark's errors come through."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def at(self, code: str, cursor: int) -> list[str]:
        """Names that could end the text before `cursor`, best first; what stands after it only tells tables."""
        prefix = re.findall(r"\w*$", code[:cursor])[0]
        words = [word for word, _ in tokens(code[: cursor - len(prefix)])]
        last = words[-1].upper() if words else ""
        if is_open(last):
            return []
        if last == ".":
            return fitting(prefix, self._below(qualifier(words), tables(code)))
        if last in _BEFORE_TABLE:
            return [*fitting(prefix, self._tables()), *in_case(prefix, self._functions("tableFunctionRegistry"))]
        columns = [name for table in list(tables(code).values())[:_MOST_TABLES] for name in self._columns(table)]
        sparks = [*self._functions("functionRegistry"), *self._keywords()]
        return [*fitting(prefix, columns), *in_case(prefix, sparks), *fitting(prefix, self._tables())]

    def _below(self, owner: str, named: dict[str, str]) -> list[str]:
        """What `owner` has: columns if it is a table or its alias, tables if it is a database."""
        return self._columns(named.get(owner.lower(), owner)) or self._rows(f"SHOW TABLES IN {owner}", "tableName")

    def _columns(self, table: str) -> list[str]:
        try:
            return names_of(self._session.table(table))
        except Exception:  # noqa: BLE001 - there is no such table, or not yet
            return []

    def _tables(self) -> list[str]:
        """Tables and views of the current database, then the databases."""
        return [*self._rows("SHOW TABLES", "tableName"), *self._rows("SHOW DATABASES", "namespace")]

    def _rows(self, command: str, column: str) -> list[str]:
        try:
            return [row[column] for row in self._session.sql(command).collect()]
        except Exception:  # noqa: BLE001 - not a database, or a catalog that cannot list
            return []

    def _functions(self, registry: str) -> list[str]:
        state = self._session._jsparkSession.sessionState()
        found = getattr(state, registry)().listFunction().mkString(" ")
        # Spark 4.3 says system.builtin.abs, 3.5 says abs.
        return sorted({name.rpartition(".")[2].strip("`") for name in found.split()})

    def _keywords(self) -> list[str]:
        found = self._session._jvm.org.apache.spark.sql.catalyst.util.SQLKeywordUtils.keywords()
        return list(found.mkString(" ").split())


def is_open(word: str) -> bool:
    """True for a quoted part that is not closed yet: nothing of SQL stands in there."""
    quoted = word.lstrip("rR")
    return quoted[:1] in ("'", '"', "`") and (len(quoted) == 1 or quoted[-1] != quoted[0])


def qualifier(words: list[str]) -> str:
    """The name before the dot that `words` ends with, with all its own parts."""
    parts: list[str] = []
    while len(words) > 1 and words[-1] == ".":
        parts.insert(0, words[-2])
        words = words[:-2]
    return ".".join(parts)


def tables(code: str) -> dict[str, str]:
    """The tables that `code` names: by alias, or by their last name where they have none, in lower case."""
    plain = " ".join("''" if word[0] in "'\"" else word for word, _ in tokens(code))
    found = {}
    for several in _TABLE_LIST.findall(plain):
        for name, alias in _TABLE.findall(several):
            last = alias or re.findall(r"\w+|`[^`]*`", name)[-1]
            found[last.strip("`").lower()] = name.replace(" . ", ".")
    return found


def fitting(prefix: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that begin with `prefix` in any case, as SQL writes them: in backticks where it needs them."""
    chosen = (name for name in dict.fromkeys(names) if name.lower().startswith(prefix.lower()))
    return [name if name.isidentifier() else f"`{name.replace('`', '``')}`" for name in chosen]


def in_case(prefix: str, names: Iterable[str]) -> list[str]:
    """Those of `names`, which have no case of their own, that begin with `prefix`, in the case the user writes in."""
    upper = not prefix or prefix.isupper()
    return [name.upper() if upper else name.lower() for name in fitting(prefix, filter(str.isidentifier, names))]
