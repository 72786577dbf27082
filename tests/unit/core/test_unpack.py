"""Unpacking: whole or not at all, nothing outside, and then the command."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from gateway.core import pythons, unpack


def run(
    folder: Path, archive: Path, *, undecided: bool = False, limit: int = 10**6
) -> subprocess.CompletedProcess[str]:
    """Unpack into `folder`/env, then say which Python it would be."""
    folder.mkdir(exist_ok=True)
    options = {"archives": [(str(archive), "env")], "undecided": undecided, "limit": limit}
    command = [sys.executable, "-I", unpack.__file__, json.dumps(options), "sh", "-c", "echo ran $PYSPARK_PYTHON"]
    environ = {**os.environ, "PYSPARK_PYTHON": "given"}
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)


def tar(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as file:
        for member in members:
            file.addfile(member, io.BytesIO(b"x" * member.size) if member.isreg() else None)
    return path


def member(name: str, **changed: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for field, value in {"mode": 0o755, **changed}.items():
        setattr(info, field, value)
    return info


PYTHON = member("bin/python", type=tarfile.SYMTYPE, linkname=sys.executable)


def test_a_packed_environment_is_the_python_when_none_was_named(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tar.gz", PYTHON, member("pyvenv.cfg", size=3))
    assert run(tmp_path / "1", archive, undecided=True).stdout == "ran ./env/bin/python\n"
    assert run(tmp_path / "2", archive).stdout == "ran given\n"
    assert (tmp_path / "1" / "env" / "bin" / "python").readlink() == Path(sys.executable)


def test_an_archive_of_data_changes_nothing(tmp_path: Path) -> None:
    assert run(tmp_path / "1", tar(tmp_path / "a.tar.gz", PYTHON), undecided=True).stdout == "ran given\n"


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\x00cut"])
def test_data_that_cannot_be_read_is_left_to_spark(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(content)
    assert run(tmp_path / "1", tmp_path / "a.tar.gz", undecided=True).stdout == "ran given\n"


def test_programs_in_a_zip_stay_programs(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        info = zipfile.ZipInfo("bin/python")
        info.external_attr = (stat.S_IFREG | 0o755) << 16
        file.writestr(info, "#!/bin/sh\n")
        file.writestr("conda-meta/history", "")
        file.writestr("../outside", "")
    assert run(tmp_path / "1", tmp_path / "a.zip", undecided=True).stdout == "ran ./env/bin/python\n"
    assert (tmp_path / "1" / "env" / "outside").exists()


@pytest.mark.parametrize(
    "members",
    [
        [member("../outside")],
        [member("link", type=tarfile.SYMTYPE, linkname="/tmp")],
        [member("bin", type=tarfile.SYMTYPE, linkname="../..")],
        [PYTHON, member("bin/python", size=1)],
        [member("pipe", type=tarfile.FIFOTYPE)],
        [member("a", size=600_000), member("b", size=600_000)],
    ],
    ids=["a path up", "a link out", "a folder out", "through a link", "no file", "too much"],
)
def test_what_is_not_safe_is_not_there_at_all(members: list[tarfile.TarInfo], tmp_path: Path) -> None:
    before = os.stat(sys.executable).st_size
    done = run(tmp_path / "1", tar(tmp_path / "a.tar.gz", *members))
    assert done.returncode == 1 and done.stdout == "" and "a.tar.gz cannot be unpacked: " in done.stderr
    assert pythons.failure(tmp_path / "1") == done.stderr.strip()
    assert not (tmp_path / "1" / "env").exists() and not (tmp_path / "outside").exists()
    assert os.stat(sys.executable).st_size == before


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\x00cut"])
@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip"])
def test_what_is_no_archive_is_a_reason(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    done = run(tmp_path / "1", tmp_path / name)
    assert done.returncode == 1 and f"{name} cannot be unpacked: " in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(("field", "value"), [(6, 99), (8, 1)], ids=["a later format", "a password"])
def test_a_zip_that_python_cannot_read_is_a_reason(field: int, value: int, tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("bin/python", "x")
        file.writestr("pyvenv.cfg", "x")
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\1\2") + field] = value
    archive.write_bytes(content)
    done = run(tmp_path / "1", archive)
    assert done.returncode == 1 and pythons.failure(tmp_path / "1") == done.stderr.strip()
    assert "a.zip cannot be unpacked: " in done.stderr
