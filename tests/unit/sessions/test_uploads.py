"""Files that clients send: whole or not at all, private, below a limit, under a name that does no harm."""

from __future__ import annotations

import dataclasses
import io
import shutil
import stat
from pathlib import Path
from typing import cast

import pytest

from gateway.core.errors import InvalidRequest, LimitReached, SessionEnded, TooLarge
from gateway.core.places.place import Place
from gateway.core.settings import Settings
from sessions.jobs import uploads
from sessions.jobs.reconcile import UploadPass
from sessions.models import Session
from sessions.store import SessionStore


@pytest.fixture
def folder(settings: Settings) -> Path:
    return uploads.folder_of(settings, 7)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("a.jar", "a.jar"), ("../../etc/a b.txt", "a b.txt"), ("C:\\tmp\\rä.py", "rä.py"), ("/x/.hidden", ".hidden")],
)
def test_a_name_loses_its_folders(sent: str, kept: str) -> None:
    assert uploads.safe_name(sent) == kept


@pytest.mark.parametrize("sent", ["", ".", "..", "a/..", "a/", "a#b", "a%20b", "a*", "a\nb", "a\0b", "x:y", "x" * 201])
def test_a_name_that_spark_reads_otherwise_is_refused(sent: str) -> None:
    with pytest.raises(InvalidRequest, match="file name"):
        uploads.safe_name(sent)


def test_a_file_is_kept_privately(folder: Path, settings: Settings) -> None:
    path, _ = uploads.keep(io.BytesIO(b"some bytes"), "a.txt", folder, settings)
    assert path.read_bytes() == b"some bytes" and path.name == "a.txt"
    assert path.is_relative_to(folder)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert all(stat.S_IMODE(one.stat().st_mode) == 0o700 for one in (folder, path.parent))


@pytest.mark.parametrize("name", ["a.txt", "part"])
def test_the_same_file_again_is_the_one_that_is_there(name: str, folder: Path, settings: Settings) -> None:
    """A client whose answer was lost sends again; Spark takes a name from one path only."""
    first, other, again = (
        uploads.keep(io.BytesIO(text), name, folder, settings) for text in (b"text", b"else", b"text")
    )
    assert again.path == first.path != other.path
    assert [kept.is_new for kept in (first, other, again)] == [True, True, False]
    assert first.path.read_bytes() == b"text"
    assert len(list((folder).iterdir())) == 2


def test_too_large_a_file_leaves_nothing(folder: Path, settings: Settings) -> None:
    small = dataclasses.replace(settings, upload_limit=2000)
    assert uploads.keep(io.BytesIO(b"x" * 2000), "a.txt", folder, small)
    with pytest.raises(TooLarge, match="larger than 2000 bytes"):
        uploads.keep(io.BytesIO(b"x" * 2001), "b.txt", folder, small)
    assert [file.name for file in folder.glob("*/*")] == ["a.txt"]


def test_too_many_files_are_refused(folder: Path, settings: Settings) -> None:
    small = dataclasses.replace(settings, session_uploads_limit=3000)
    uploads.keep(io.BytesIO(b"x" * 2000), "a.txt", folder, small)
    with pytest.raises(LimitReached, match="4000 bytes and may have 3000"):
        uploads.keep(io.BytesIO(b"y" * 2000), "b.txt", folder, small)
    assert len(list(folder.glob("*"))) == 1


def test_a_session_that_is_deleted_meanwhile_has_ended(folder: Path, settings: Settings) -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            shutil.rmtree(folder)
            self.read = super().read  # type: ignore[method-assign]
            return b"text"

    with pytest.raises(SessionEnded):
        uploads.keep(Slow(), "a.txt", folder, settings)
    assert not folder.exists()


@pytest.mark.parametrize("name", ["#part", "a.txt"])
def test_what_another_request_takes_away_meanwhile_is_no_end_of_the_session(
    name: str, folder: Path, settings: Settings
) -> None:
    other = folder / "other"
    other.mkdir(parents=True)
    (other / name).symlink_to("gone")  # listed, and not there when it is looked at
    kept = uploads.keep(io.BytesIO(b"text"), "a.txt", folder, settings)
    assert kept.is_new and kept.path.read_bytes() == b"text"


def test_what_is_taken_away_while_it_comes_leaves_nothing(folder: Path, settings: Settings) -> None:
    class Cut(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            for part in folder.glob("*/*"):
                part.unlink()
            return super().read(size)

    with pytest.raises(SessionEnded):
        uploads.keep(Cut(b"text"), "a.txt", folder, settings)
    assert list(folder.iterdir()) == []


class RemovingPlace:
    """Removes at once, as far as it is asked to."""

    def remove(self, path: Path) -> None:
        shutil.rmtree(path)


def test_what_was_sent_goes_with_its_session_and_no_sooner(
    settings: Settings, session_store: SessionStore, idle_session: Session, add_session, clock
) -> None:
    ended, forgotten = add_session(), add_session()
    for session in (idle_session, ended, forgotten):
        uploads.keep(io.BytesIO(b"text"), "a.txt", uploads.folder_of(settings, session.id), settings)
    session_store.end(ended.id, "why", clock())
    session_store.remove(forgotten.id, "why", clock())
    stranger = settings.data_dir / uploads.FOLDER / "lost+found"
    stranger.mkdir()
    UploadPass(session_store, settings, cast(Place, RemovingPlace()))()
    left = (settings.data_dir / uploads.FOLDER).iterdir()
    assert {folder.name for folder in left} == {str(idle_session.id), stranger.name}
