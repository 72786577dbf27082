"""Files that nobody wants any more: removed by a thread, one tree after another, so that the event loop goes on.

What is to vanish is moved into a folder of the trash's own first, and what is to be emptied is linked from there: each
one step, however much is in it. So what a killed process has left half-removed, its successor removes.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path


class Trash:
    """`folder` belongs to it alone. Entries called `keep` stay in folders that are emptied."""

    def __init__(self, folder: Path, keep: str) -> None:
        self._folder, self._keep = folder, keep
        self._work: deque[Callable[[], None]] = deque()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Go on with what an earlier process has left."""
        for path in self._folder.glob("*"):
            self._later(partial(_empty, path, self._keep) if path.is_symlink() else partial(_remove, path))

    def take(self, path: Path) -> None:
        """Have `path` removed with all in it: it is gone at once. Nothing there is no error."""
        moved = self._new()
        try:
            path.rename(moved)
        except FileNotFoundError:
            return
        except OSError:
            moved = path  # on another file system: it goes from where it is
        self._later(partial(_remove, moved))

    def empty(self, folder: Path) -> None:
        """Have all in `folder` removed but what is kept."""
        link = self._new()
        with suppress(OSError):
            link.symlink_to(folder)
            self._later(partial(_empty, link, self._keep))

    def _new(self) -> Path:
        with suppress(OSError):  # on a full disk: then nothing can be moved here, and is removed where it is
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self._folder / uuid.uuid4().hex

    def _later(self, work: Callable[[], None]) -> None:
        self._work.append(work)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while self._work:
            await asyncio.to_thread(self._work.popleft())


def _empty(link: Path, keep: str) -> None:
    """Remove all but `keep` from the folder that `link` points to, then the link."""
    with suppress(OSError):
        for path in link.readlink().iterdir():
            if path.name != keep:
                _remove(path)
    link.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    with suppress(OSError):
        if not path.is_dir() or path.is_symlink():
            path.unlink(missing_ok=True)
            return
        shutil.rmtree(path, ignore_errors=True)
        if path.exists():
            _make_writable(path)
            shutil.rmtree(path, ignore_errors=True)


def _make_writable(folder: Path) -> None:
    """Folders that may not be written to keep what is in them; caches of downloaded packages have such."""
    folder.chmod(0o700)
    for parent, names, _ in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink():
                with suppress(OSError):
                    path.chmod(0o700)
