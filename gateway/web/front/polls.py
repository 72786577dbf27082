"""Polls: the reads that clients repeat all day, as functions that are quick enough for an event loop.

A protocol hands them in with its `Dialect`, beside the Flask view of the same route; both word the same document. What
is odd about a request (a header, a query, an error) is left to Flask by answering None, or by raising.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gateway.core.identity import Principal
from gateway.core.waiting import About

_PATHS, _LONGEST_PATH = 4096, 512  # paths that were asked for before, and their bytes at most
_TEXTS, _LONGEST_TEXT = 1024, 16 << 10  # texts that are remembered, and their characters at most


@dataclass(frozen=True)
class Asked:
    """One request: `values` are those of the route's parts in brackets, `query` as it was sent, names of `headers` in
    lower case.
    """

    principal: Principal
    values: tuple[str, ...]
    query: bytes
    headers: Mapping[bytes, bytes]


@dataclass(frozen=True)
class Held:
    """An answer that may soon be another one: it is held for `patience` seconds at most.

    `look` gives the answer as it is now, None for one that is Flask's to give, and whether that is the one that was
    waited for.
    """

    about: About
    patience: float
    look: Callable[[], tuple[str | None, bool]]


Answer = str | Held | None


@dataclass(frozen=True)
class Poll:
    """A GET of Flask's `route`, such as "/sessions/<ref>", whose answer is JSON text with the status 200."""

    route: str
    scope: str
    answer: Callable[[Asked], Answer]


class Polls:
    """All polls, by their paths."""

    def __init__(self, polls: Iterable[Poll]) -> None:
        self._polls = {f"p{at}": poll for at, poll in enumerate(polls)}
        patterns = (f"(?P<{name}>{_pattern(poll.route)})" for name, poll in self._polls.items())
        self._any = re.compile("|".join(patterns))
        self._looked_up = lru_cache(_PATHS)(self._at)

    def at(self, path: bytes) -> tuple[Poll, tuple[str, ...]] | None:
        """The poll that a path asks for, with the values of its parts; None: none, or not by a plain path."""
        return self._looked_up(path) if len(path) <= _LONGEST_PATH else None

    def _at(self, path: bytes) -> tuple[Poll, tuple[str, ...]] | None:
        found = self._any.fullmatch(path.decode("latin-1")) if b"%" not in path else None
        if found is None or not found.lastgroup:
            return None
        return self._polls[found.lastgroup], tuple(value for value in found.groups()[found.lastindex or 0 :] if value)


class Remembered:
    """Texts that are made anew only of what has changed: `make` gives the text of its arguments, which can be hashed.

    None for what takes too long. Long texts are not remembered, of which there would be too much.
    """

    def __init__(self, make: Callable[..., str | None]) -> None:
        self._make, self._texts = make, dict[tuple[Any, ...], str]()

    def __call__(self, *of: Any) -> str | None:
        text = self._texts.get(of)
        if text is None:
            text = self._make(*of)
            if text is not None and len(text) <= _LONGEST_TEXT:
                if len(self._texts) >= _TEXTS:
                    self._texts.clear()
                self._texts[of] = text
        return text


def _pattern(route: str) -> str:
    return re.sub("<[a-z]+>", "([A-Za-z0-9_.~-]+)", route.replace(".", r"\."))


def whole_numbers(query: bytes, names: Mapping[str, int]) -> dict[str, int] | None:
    """The values of a query of these names alone, each a whole number; the given ones of those that are not asked.

    None when it is another query.
    """
    asked: dict[str, int] = {}
    for part in filter(None, query.decode("latin-1").split("&")):
        name, _, value = part.partition("=")
        if name not in names or name in asked or not re.fullmatch("-?[0-9]{1,9}", value):
            return None
        asked[name] = int(value)
    return {**names, **asked}
