"""Files that clients send for a session: kept privately in a folder of the session's, and gone with it.

Decides which names are safe and how much one session may send. A file is there whole or not at all.
"""

from __future__ import annotations

import filecmp
import os
import re
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from gateway.core.errors import InvalidRequest, LimitReached, SessionEnded, TooLarge
from gateway.core.faults import Code, Fault
from gateway.core.settings import Settings

FOLDER = "uploads"  # below the data folder: a folder for each session that was sent something
_BLOCK = 1 << 20
# What Spark and Hadoop read in a path as nothing else: no # % ? * : and no quotes.
_SAFE_NAME = re.compile(r"[\w .+@=,~()-]+")
_PART = "#part"  # what is still on its way; no safe name


class Kept(NamedTuple):
    """A file of the session's; `is_new` is False when an earlier request had brought it already."""

    path: Path
    is_new: bool


def safe_name(sent: str) -> str:
    """The file's own name without the folders a client may have put before it. Raises InvalidRequest."""
    name = re.split(r"[/\\]", sent)[-1]
    if not _SAFE_NAME.fullmatch(name) or name.strip(". ") == "" or len(name.encode("utf-8")) > 200:
        fix = "give one of letters, digits, spaces and . _ - + @ = , ~ ( )"
        raise InvalidRequest(Fault("file", Code.MISFIT, f"file name '{name:.80}' cannot be kept", fix, name))
    return name


def folder_of(settings: Settings, session: int) -> Path:
    """Where a session's are. Not with its driver, which it may lose and be given another one."""
    return settings.data_dir / FOLDER / str(session)


def keep(sent: BinaryIO, name: str, session_folder: Path, settings: Settings) -> Kept:
    """Write what is sent to a folder of its own below the session's, unless the same file is there already.

    `name` is a safe one. Raises TooLarge, LimitReached when the session has sent too much in all, and SessionEnded
    when the session was deleted meanwhile.
    """
    session_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = session_folder / secrets.token_hex(16)
    try:
        folder.mkdir(mode=0o700)
        _copy(sent, folder / _PART, settings.upload_limit)
        _check_sum(folder.parent, settings.session_uploads_limit)
        if known := _sent_before(folder / _PART, name):
            return Kept(known, is_new=False)
        return Kept((folder / _PART).rename(folder / name), is_new=True)
    except FileNotFoundError:
        drop(folder)
        raise SessionEnded("dead") from None
    except BaseException:
        drop(folder)
        raise


def drop(folder: Path) -> None:
    """Remove an upload that nobody is going to use."""
    shutil.rmtree(folder, ignore_errors=True)


def _copy(sent: BinaryIO, path: Path, limit: int) -> None:
    size = 0
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb") as file:
        while block := sent.read(_BLOCK):
            size += len(block)
            if size > limit:
                raise TooLarge(f"the upload is larger than {limit} bytes (setting upload_limit)")
            file.write(block)


def _sent_before(part: Path, name: str) -> Path | None:
    """The same file from an earlier request, whose answer may have been lost: Spark takes each name from one path."""
    for known in _files(part.parent.parent):
        with suppress(FileNotFoundError):
            if known.name == name and filecmp.cmp(part, known, shallow=False):
                drop(part.parent)
                return known
    return None


def _files(uploads: Path) -> list[Path]:
    """What was sent, or is being sent: other requests rename and drop theirs meanwhile."""
    found: list[Path] = []
    for folder in uploads.iterdir():
        with suppress(FileNotFoundError):
            found.extend(folder.iterdir())
    return found


def _check_sum(uploads: Path, limit: int) -> None:
    total = 0
    for file in _files(uploads):
        with suppress(FileNotFoundError):
            total += file.stat().st_size
    if total > limit:
        raise LimitReached(
            f"with this the session's uploads have {total} bytes and may have {limit} (setting session_uploads_limit)"
        )
