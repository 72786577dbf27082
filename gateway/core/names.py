"""How a record is referred to: by its number, or by a name that no number could be mistaken for."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.core.errors import InvalidRequest
from gateway.core.faults import Code, Fault

LARGEST_ID = 2**31 - 1
_LONGEST = 200  # characters of an id that a client chose


def as_reference(ref: str) -> int | str:
    """An id if it is all digits, else a name. Raises InvalidRequest for a number that cannot be an id."""
    if not (ref.isascii() and ref.isdigit()):
        return ref
    if len(ref) > 10 or int(ref) > LARGEST_ID:
        raise InvalidRequest(Fault.not_whole(ref))
    return int(ref)


def faults(subject: str, name: str | None) -> Iterator[Fault]:
    """Why this is no name for a record of this kind: a path could not tell it from an id, or not hold it."""
    if name is not None and (not name or (name.isascii() and name.isdigit()) or name in (".", "..")):
        fix = "give one that is not empty, not digits alone, and not . or .."
        yield Fault("name", Code.NAME, f"the {subject} name '{name}' cannot be asked for", fix, name)


def check_chosen(chosen: str) -> None:
    """Raises InvalidRequest for an id of a client's choice that no path could hold, or tell from a number."""
    odd = not 0 < len(chosen) <= _LONGEST or not chosen.isprintable() or "/" in chosen or chosen in (".", "..")
    if odd or (chosen.isascii() and chosen.isdigit()):
        fix = f"give 1 to {_LONGEST} printable characters without a slash, not digits alone, and not . or .."
        raise InvalidRequest(Fault("id", Code.MISFIT, f"id {chosen!r:.80}", fix, chosen))
