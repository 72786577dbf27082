"""Run in front of spark-submit, as one process with it: unpacks archives with a Python in them, then becomes it.

In the application's own process, so that a large archive keeps nobody else waiting, and is stopped with it. Decides
which Python it is when nobody has said. A script of the standard library alone: see `gateway/core/pythons.py`.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

MOST_MEMBERS = 1_000_000
FAILURE = "unpacking"  # the file in the working folder that says why it failed
_PYTHON = "bin/python"
_SIGNS = ("pyvenv.cfg", "conda-meta/")  # of what venv-pack and conda-pack have packed
_TELLING = (_PYTHON, *_SIGNS)


Member = TypeVar("Member")


class Refused(Exception):
    """The message says why, in a sentence."""


def main(arguments: list[str]) -> None:
    """`unpack.py OPTIONS COMMAND...`: never returns."""
    options: dict[str, Any] = json.loads(arguments[0])
    archives = options["archives"]
    if options["undecided"]:
        archives = [one for one in archives if holds_python(Path(one[0]))][:1]
    try:
        for archive, name in archives:
            unpack(Path(archive), name, options["limit"])
    except Exception as error:  # noqa: BLE001 - the formats' modules raise all kinds, also for a password
        reason = f"{archive} cannot be unpacked: {error}"
        print(reason, file=sys.stderr)
        Path(FAILURE).write_text(reason, "utf-8", "backslashreplace")
        sys.exit(1)
    if options["undecided"] and archives:
        os.environ["PYSPARK_DRIVER_PYTHON"] = os.environ["PYSPARK_PYTHON"] = f"./{archives[0][1]}/{_PYTHON}"
    os.execvp(arguments[1], arguments[1:])  # noqa: S606 - that is the job


def unpack(archive: Path, name: str, limit: int) -> None:
    """Unpack into the folder `name` of the working folder, which is there only when all of it is.

    Raises Refused, OSError and what the formats' modules raise.
    """
    place = Path("tmp", "archives", name)
    place.mkdir(parents=True)
    if archive.name.endswith(".zip"):
        _unzip(archive, place, limit)
    else:
        _untar(archive, place, limit)
    Path(name).symlink_to(place)


def holds_python(archive: Path) -> bool:
    """Whether it is an environment that venv-pack or conda-pack has packed. What cannot be read is left to Spark."""
    try:
        with zipfile.ZipFile(archive) if archive.name.endswith(".zip") else tarfile.open(archive) as file:
            members = file.namelist() if isinstance(file, zipfile.ZipFile) else (member.name for member in file)
            names = {name.removeprefix("./") for name in members if name.removeprefix("./").startswith(_TELLING)}
    except Exception:  # noqa: BLE001
        return False
    return _PYTHON in names and any(name.startswith(_SIGNS) for name in names)


# ---------------------------------------------------------------- formats


def _untar(archive: Path, place: Path, limit: int) -> None:
    if not hasattr(tarfile, "data_filter"):
        raise Refused(f"Python {sys.version.split()[0]} cannot do so safely; run the gateway on a newer one")
    with tarfile.open(archive) as tar:
        tar.extractall(place, _within(tar, lambda member: member.size, limit), filter=_safe)  # noqa: S202 - filtered


def _safe(member: tarfile.TarInfo, place: str) -> tarfile.TarInfo | None:
    """As the `data` filter: nothing lands outside. What venv-pack links to a system's Python stays a link to it."""
    folder, _, file = member.name.removeprefix("./").rpartition("/")
    if member.issym() and folder == "bin" and file.startswith("python") and os.path.isabs(member.linkname):
        return member.replace(mode=0o777, deep=False)
    return tarfile.data_filter(member, place)


def _unzip(archive: Path, place: Path, limit: int) -> None:
    with zipfile.ZipFile(archive) as file:
        for member in _within(file.infolist(), lambda member: member.file_size, limit):
            path = Path(file.extract(member, place))  # which leaves out `..` and a leading /
            if (mode := member.external_attr >> 16) and stat.S_ISREG(mode):
                path.chmod(stat.S_IMODE(mode) & 0o755 | 0o600)


def _within(members: Iterable[Member], size: Callable[[Member], int], limit: int) -> Iterator[Member]:
    total = 0
    for count, member in enumerate(members, 1):
        total += size(member)
        if total > limit:
            raise Refused(f"it holds more than {limit} bytes (setting archive_limit)")
        if count > MOST_MEMBERS:
            raise Refused(f"it holds more than {MOST_MEMBERS} files")
        yield member


if __name__ == "__main__":
    main(sys.argv[1:])
