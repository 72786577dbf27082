"""The protocols spoken here, as data: which paths are whose, and who words what goes wrong there. Knows none of them.

A protocol hands in its `Dialect`. The longest of all owned paths that fits a request says whose it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response

from gateway.core.errors import GatewayError, Misconfigured
from gateway.web.front.polls import Poll


@dataclass(frozen=True)
class Dialect:
    """One protocol.

    `paths`: it owns each of them and all below; "/" owns what nobody else does.
    `answer` words an error of ours; `refuse` one of HTTP's own, by status and reason.
    `error_schema`: both, as the API's description shows them.
    `slashes`: its paths that are served with a slash at the end too. Never by a redirect: clients do not repeat a
    POST there.
    `polls`: the reads that are answered without Flask.
    """

    name: str
    paths: tuple[str, ...]
    blueprints: tuple[Blueprint, ...]
    answer: Callable[[GatewayError], Response]
    refuse: Callable[[int, str], Response]
    error_schema: dict[str, Any]
    slashes: tuple[str, ...] = ()
    polls: tuple[Poll, ...] = ()

    def name_of(self, blueprint: Blueprint) -> str:
        """What a blueprint is called among those of all dialects."""
        return self.name if blueprint.name == self.name else f"{self.name}_{blueprint.name}"


class Dialects:
    """All dialects, by the paths they own."""

    def __init__(self) -> None:
        self._owners: dict[str, Dialect] = {}

    def add(self, dialect: Dialect) -> None:
        """Raises Misconfigured when one of its paths is another's already."""
        for path in dialect.paths:
            owner = self._owners.setdefault(path, dialect)
            if owner is not dialect:
                raise Misconfigured(f"dialects {owner.name} and {dialect.name} both own {path}: let one of them go")

    def of(self, path: str) -> Dialect:
        """The dialect that is spoken at a path."""
        while path not in self._owners and path != "/":
            path = path.rpartition("/")[0] or "/"
        return self._owners[path]
