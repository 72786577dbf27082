"""How tables come to be what they are: named steps, each applied once, in order. Knows no table and no database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.core.store.database import Database


@dataclass(frozen=True)
class Step:
    """`was`: the step of an earlier version that did the same; a store that has had it does not need this one."""

    name: str
    apply: Callable[[Database], None]
    was: str | None


class Migrations:
    """The steps of one room's tables. A step that has landed is never edited: a change is a new one at the end."""

    def __init__(self, room: str) -> None:
        self.room = room
        self.steps: list[Step] = []

    def __call__(self, was: str | None = None) -> Callable[[Callable[[Database], None]], Callable[[Database], None]]:
        def add(apply: Callable[[Database], None]) -> Callable[[Database], None]:
            self.steps.append(Step(f"{self.room}.{apply.__name__}", apply, was))
            return apply

        return add
