"""The way of outputs that are too large to be held: from the driver's file into the store and out of it, in pieces.

Decides how large a piece is, and what becomes of it when somebody else is quicker. Knows no protocol.
"""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from sessions.drivers.kernel_client import OutputFile
from sessions.statements.models import LargeOutput, Statement
from sessions.statements.store import StatementStore

PIECE = 256 * 1024  # bytes that are read at once


class Torn(Exception):
    """An output is not there as a whole, or no more."""


def take(store: StatementStore, statement: Statement, file: OutputFile) -> int | None:
    """Store what is in the file; how many pieces that are. None: the statement does not run any more.

    Beginning again does no harm. Raises Torn, OSError, UnicodeDecodeError.
    """
    number = 0
    for text in read(file):
        if not store.keep(statement.session, statement.id, number, text):
            return None
        number += 1
    return number


def read(file: OutputFile) -> Iterator[str]:
    """The text in the file, cut at characters' borders. Raises Torn, OSError, UnicodeDecodeError."""
    decoder, left = codecs.getincrementaldecoder("utf-8")(), file.size
    # Code of the session's own can write there: no link is followed, and nothing is waited for.
    descriptor = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as opened:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size != file.size:
            raise Torn(f"{file.path} is not the file of {file.size} bytes that the driver has written")
        while left and (data := opened.read(min(PIECE, left))):
            left -= len(data)
            yield decoder.decode(data, final=not left)
    if left:
        raise Torn(f"{file.path} has become shorter")


def output_of(store: StatementStore, statement: Statement) -> LargeOutput:
    """A large output in the store; its pieces raise Torn when the statement goes meanwhile."""

    def pieces() -> Iterator[str]:
        for number in range(statement.pieces):
            text = store.piece(statement.session, statement.id, number)
            if text is None:
                raise Torn(f"statement {statement.session}/{statement.id} was removed while it was read")
            yield text

    return LargeOutput(pieces)


def beginning(store: StatementStore, statement: Statement, limit: int) -> Statement:
    """The statement, with no more than the first `limit` characters of a large output as its output."""
    if not statement.pieces:
        return statement
    begun, length = [], 0
    with suppress(Torn):
        for piece in output_of(store, statement).pieces():
            begun.append(piece)
            length += len(piece)
            if length >= limit:
                break
    return replace(statement, output="".join(begun)[:limit])
