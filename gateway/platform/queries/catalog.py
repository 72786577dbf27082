"""The catalog of a cluster: its databases, their tables, the first rows of one.

All SQL is written here. Names come from users and stand in it as quoted identifiers, whatever they hold.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.identity import Principal
from gateway.platform.queries.models import STANDARD, Answer, Limits
from gateway.platform.queries.service import QueryService

_FIRST = "default"  # the database that is shown first, where there is one of this name
_PREVIEW = Limits(rows=100)


@dataclass(frozen=True)
class Contents:
    """All databases, and the tables of the one named `database`; `cut`: there are more.

    `in_memory`: there are none because Spark's catalog is in the memory of each application, which finds it empty.
    """

    databases: list[str]
    database: str
    tables: list[str]
    cut: bool
    in_memory: bool


class CatalogService:
    """Of one cluster. Every verb raises what `QueryService.ask` does, and gives None while Spark starts."""

    def __init__(self, queries: QueryService, cluster: str) -> None:
        self._queries, self._cluster = queries, cluster

    def contents(self, principal: Principal, database: str | None) -> Contents | None:
        """What is in the catalog, with the tables of this database, or of the first."""
        databases = self._ask(principal, "SHOW DATABASES")
        if databases is None:
            return None
        names = _column(databases, 0)
        shown = database or (names[0] if names and _FIRST not in names else _FIRST)
        tables = self._ask(principal, f"SHOW TABLES IN {quoted(shown)}")
        kind = self._ask(principal, "SET spark.sql.catalogImplementation")
        if tables is None or kind is None:
            return None
        in_memory = not tables.rows and _column(kind, 1) == ["in-memory"]
        return Contents(names, shown, _column(tables, 1), databases.cut or tables.cut, in_memory)

    def preview(self, principal: Principal, database: str, table: str) -> Answer | None:
        """The first rows of a table or view."""
        return self._ask(principal, f"SELECT * FROM {quoted(database)}.{quoted(table)}", _PREVIEW)

    def _ask(self, principal: Principal, sql: str, limits: Limits = STANDARD) -> Answer | None:
        return self._queries.ask(principal, self._cluster, sql, limits)


def quoted(name: str) -> str:
    """A name as SQL takes it for one identifier, and for nothing else.

    https://spark.apache.org/docs/latest/sql-ref-identifier.html
    """
    return f"`{name.replace('`', '``')}`"


def _column(answer: Answer, place: int) -> list[str]:
    return [row[place] for row in answer.rows]
