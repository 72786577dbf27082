"""A place in memory: what is started there ends when a test says so. Kept honest by the tests of every place."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from gateway.core import logs
from gateway.core.places.place import End, Ladder, Socket


class FakePlace:
    """What is in `deaf` does not hear SIGTERM. `runs`: what was started and has not ended; `ends`: how it did.

    `started` are all folders in order, `commands` and `environs` what was started there; `told` the signals sent,
    `listening` the ports.
    """

    def __init__(self, name: str, wake: Callable[[], None]) -> None:
        self.name, self._wake = name, wake
        self.started: list[Path] = []
        self.commands: dict[Path, Sequence[str]] = {}
        self.environs: dict[Path, Mapping[str, str]] = {}
        self.runs: set[Path] = set()
        self.ends: dict[Path, End] = {}
        self.deaf: set[Path] = set()
        self.told: list[tuple[Path, signal.Signals]] = []
        self.listening: dict[Path, list[int]] = {}
        self._unsettled: set[Path] = set()
        self._standing: dict[Path, tuple[int, datetime]] = {}

    def begin(self) -> None:
        """Nothing is ever left half-removed."""

    def start(self, folder: Path, command: Sequence[str], environ: Mapping[str, str]) -> None:
        if folder not in self.started:
            self.started.append(folder)
            self.commands[folder], self.environs[folder] = command, environ
            self.runs.add(folder)
            (folder / "log").touch()

    def find(self, folder: Path) -> bool:
        if folder in self.started and folder not in self.runs:
            self._unsettled.add(folder)
        return folder in self.started

    def let_end(self, folder: Path, code: int | None) -> None:
        """End what runs there; None: as if killed from outside."""
        self.runs.discard(folder)
        said = "java.lang.OutOfMemoryError" in (folder / "log").read_text()
        self.ends[folder] = End(code, out_of_memory=said)
        self._unsettled.add(folder)
        self._wake()

    def ended_in(self, parent: Path) -> list[str]:
        return [folder.name for folder in self._unsettled if folder.parent.name == parent.name]

    def end_of(self, folder: Path) -> End:
        return self.ends.get(folder, End(None))

    def stop(self, folder: Path, ladder: Ladder, now: datetime) -> bool:
        if folder not in self.runs:
            return True
        step, since = self._standing.get(folder, (-1, now))
        if step < 0 or abs(now - since) >= ladder[step][1]:
            step = min(step + 1, len(ladder) - 1)
            self._standing[folder] = (step, now)
            number = ladder[step][0]
            self.told.append((folder, number))
            if number is signal.SIGKILL or folder not in self.deaf:
                self.let_end(folder, 128 + number)
        return False

    def settle(self, folder: Path, note: str | None) -> None:
        logs.finish(folder / "log")
        if note:
            logs.note(folder / "log", note)
        self._unsettled.discard(folder)
        self._standing.pop(folder, None)

    def clear(self, folder: Path) -> None:
        for path in folder.iterdir():
            if path.name != "log":
                self.remove(path)

    def remove(self, path: Path) -> None:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def cut_logs(self, limit: int) -> None:
        for folder in self.runs:
            logs.cut(folder / "log", limit)

    def socket(self, folder: Path) -> Socket:
        return Socket("ipc", str(folder / "kernel"))

    def ports(self, folder: Path) -> list[int]:
        return self.listening.get(folder, [])
