"""How a failure of Python code is told: as Python itself prints it, without the frames of this package.

Decides which frames and how many parts of a group of failures are shown. Knows nothing of who ran the code.
"""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Iterator
from traceback import StackSummary, TracebackException
from types import TracebackType

HEADER = "Traceback (most recent call last):\n"

OUR_FILES = os.path.join(os.path.dirname(__file__), "")

# Python's own limits, 15 and 10, leave failures unnamed. What is too long is cut by the size of an answer.
MOST_OF_A_GROUP = 1000
DEEPEST_GROUP = 50


def traceback_lines(exc: BaseException) -> list[str]:
    """The traceback of `exc` with its notes, causes and, of a group, all failures; one item a frame.

    There is no header when none of its frames is the user's. Raises what the text of the exception raises.
    """
    told = TracebackException.from_exception(exc, compact=True)
    for part in _parts(told):
        _leave_out_ours(part.stack)
        part.max_group_width, part.max_group_depth = MOST_OF_A_GROUP, DEEPEST_GROUP  # type: ignore[attr-defined]
    return list(told.format())


def frame_lines(frames: TracebackType | None) -> list[str]:
    """The header and the user's frames alone, for an exception whose own text cannot be had."""
    stack = traceback.extract_tb(frames)
    _leave_out_ours(stack)
    return [HEADER, *stack.format()] if stack else []


def _parts(told: TracebackException) -> Iterator[TracebackException]:
    """`told` and all that it was caused by or has gathered."""
    left = [told]
    while left:
        part = left.pop()
        yield part
        # Python 3.10 knows groups only from the package exceptiongroup, which adds this member.
        others = (part.__cause__, part.__context__, *(getattr(part, "exceptions", None) or ()))
        left.extend(other for other in others if other is not None)


def _leave_out_ours(stack: StackSummary) -> None:
    stack[:] = [frame for frame in stack if not frame.filename.startswith(OUR_FILES)]


def hide_our_lines() -> None:
    """Let warnings that blame the caller of the user's code say what they say in a script, `sys:1`."""
    original = warnings.formatwarning

    def formatted(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        if filename.startswith(OUR_FILES):
            filename, lineno, line = "sys", 1, ""
        return original(message, category, filename, lineno, line)

    warnings.formatwarning = formatted
