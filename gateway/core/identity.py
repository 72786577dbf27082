"""Who asks, and whose records that lets one see. With authentication off everybody is the anonymous administrator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

DEFAULT_PROJECT = "default"


@dataclass(frozen=True)
class Principal:
    """`user` is None for the anonymous one. What it makes belongs to it and to `project`.

    It sees what is its own and all of its `projects`; an administrator sees everything, and may do everything.
    """

    user: str | None = None
    project: str = DEFAULT_PROJECT
    projects: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    administrator: bool = False

    def may(self, scope: str) -> bool:
        return self.administrator or scope in self.scopes


ANONYMOUS = Principal(administrator=True)


def visible_to(principal: Principal, table: str) -> tuple[str, dict[str, Any]]:
    """A condition of SQL over the columns `owner` and `project` of `table`, and its values; "(TRUE)" for all rows."""
    parts, values = visible_parts(principal, table)
    return f"({' OR '.join(parts)})", values


def visible_parts(principal: Principal, table: str) -> tuple[list[str], dict[str, Any]]:
    """As `visible_to`, in parts of which any has to hold, each over one column alone: an index can serve it."""
    if principal.administrator:
        return ["TRUE"], {}
    values = {f"project_{at}": name for at, name in enumerate(sorted(principal.projects))}
    of_projects = [f"{table}.project = :{name}" for name in values]
    return [f"{table}.owner = :viewer", *of_projects], {"viewer": principal.user, **values}
