"""What can be wrong with a request, as data. How it is said is each protocol's own matter; what is here is plain."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Code(str, Enum):
    """What kind of fault it is, in a word that stays."""

    UNREADABLE = "unreadable"  # no JSON, or a header that cannot be
    EMPTY = "empty"  # no body at all
    UNMARKED = "unmarked"  # without the header that only this API's own clients send
    UNKNOWN = "unknown"  # a member that there is not
    MISSING = "missing"
    MISFIT = "misfit"  # a value that cannot be
    NOT_WHOLE = "notWhole"  # a number in a URL that is none
    NAME = "name"  # one that cannot be told from an id, or be asked for
    TAKEN = "taken"
    LIMIT = "limit"
    SETTING = "setting"  # of Spark, that may not be chosen
    RELATIVE = "relative"  # a path that is not absolute
    OUTSIDE = "outside"  # a path that may not be used
    ABSENT = "absent"  # a file that is not there
    LANGUAGE = "language"  # none that the code could be in


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    `field`: the member it is about, as the client wrote it; None: none of them. `reason`: what is wrong with it, as a
    sentence that names the member. `fix`: what would do. `value`: what was given, for those who quote it.
    """

    field: str | None
    code: Code
    reason: str
    fix: str = ""
    value: str = ""

    def __str__(self) -> str:
        return f"{self.reason}: {self.fix}" if self.fix else self.reason

    @classmethod
    def not_whole(cls, text: str) -> Fault:
        """Of a number in a URL; `text` is what stands there."""
        return cls(None, Code.NOT_WHOLE, f"'{text:.80}' is not a whole number of 32 bits", "give one", text)
