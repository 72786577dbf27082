"""This host as a place: processes under small shells, ended with all they started. Their ends wake it, no look does.

What takes long — a look at all processes, the removal of a folder, a look at logs — is done by threads; the event
loop, in which a place lives, hears of the outcome. One look serves all that is being stopped when it begins.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from gateway.core import logs, processes
from gateway.core.places.place import End, Ladder, Socket
from gateway.core.processes import Process
from gateway.core.settings import Settings
from gateway.core.trash import Trash

log = logging.getLogger(__name__)

_LONGEST_SOCKET_PATH = 100  # of the 107 bytes that a Unix socket's path may have
_OUT_OF_MEMORY = "java.lang.OutOfMemoryError"
_LAST_LINES = 200  # of a log, in which that is looked for
_LOG = "log"


class LocalPlace:
    """`trash` is a folder for what is being removed; `wake` has the supervisor look at the rows again."""

    def __init__(self, name: str, trash: Path, wake: Callable[[], None]) -> None:
        self.name, self._wake, self._trash = name, wake, Trash(trash, _LOG)
        self._watched: dict[Path, int] = {}  # what runs: a descriptor that becomes readable when it ends
        self._ended: set[Path] = set()
        self._undone: dict[Path, Callable[[], None]] = {}  # what there was no descriptor for: the next pass does it
        self._standing: dict[Path, tuple[int, datetime]] = {}  # what is being stopped: the step last taken, and when
        self._asked: dict[Path, signal.Signals | None] = {}  # what the next look at all processes is to tell them
        self._looking: asyncio.Task[None] | None = None
        self._quiet: set[Path] = set()  # what was being stopped, and has nothing running any more
        self._settled: set[Path] = set()  # since logs were last looked at
        self._cutting: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._trash.begin()

    # ------------------------------------------------------------ starting, and the end

    def start(self, folder: Path, command: Sequence[str], environ: Mapping[str, str]) -> None:
        process = processes.start(folder, command, environ)
        self._try(folder, partial(self._follow, process))

    def find(self, folder: Path) -> bool:
        process = processes.find(folder)
        if process is None:
            return False
        if folder not in self._watched and folder not in self._ended:
            self._try(folder, partial(self._follow, process))
        return True

    def ended_in(self, parent: Path) -> list[str]:
        undone, self._undone = self._undone, {}
        for folder, work in undone.items():
            self._try(folder, work)
        return [folder.name for folder in self._ended if folder.parent.name == parent.name]

    def end_of(self, folder: Path) -> End:
        said = any(_OUT_OF_MEMORY in line for line in logs.own_tail(folder / _LOG, _LAST_LINES))
        return End(processes.exit_code(folder), out_of_memory=said)

    def _try(self, folder: Path, work: Callable[[], None]) -> None:
        """Do what takes a descriptor: that none is free says nothing of what runs in the folder."""
        try:
            work()
        except OSError as error:
            log.warning("cannot watch %s now: %s", folder, error, extra={"action": "watch"})
            self._undone[folder] = work

    def _follow(self, process: Process) -> None:
        if not self._watch(process.folder, processes.watch(process)):
            self._on_end(process.folder)

    def _watch(self, folder: Path, descriptor: int | None) -> bool:
        if descriptor is None:
            return False
        self._close(folder)
        self._watched[folder] = descriptor
        asyncio.get_running_loop().add_reader(descriptor, self._try, folder, partial(self._on_end, folder))
        return True

    def _on_end(self, folder: Path) -> None:
        self._close(folder)
        if folder in self._standing:
            self._look(folder, None)  # it may have left something behind
            return
        first = processes.find(folder)  # what ended may have been a second start, which ends at once
        if first is None or not self._watch(folder, processes.watch(first)):
            self._ended.add(folder)
            self._wake()

    def _close(self, folder: Path) -> None:
        descriptor = self._watched.pop(folder, None)
        if descriptor is not None:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)

    # ------------------------------------------------------------ stopping

    def stop(self, folder: Path, ladder: Ladder, now: datetime) -> bool:
        if folder in self._quiet:
            return True
        step, since = self._standing.get(folder, (-1, now))
        if step < 0 or abs(now - since) >= ladder[step][1]:  # a clock that was set back must not stay it
            step = min(step + 1, len(ladder) - 1)
            number, patience = ladder[step]
            self._standing[folder] = (step, now)
            self._look(folder, number)
            asyncio.get_running_loop().call_later(patience.total_seconds(), self._wake)
        return False

    def _look(self, folder: Path, number: signal.Signals | None) -> None:
        """Look at all processes for those of the folder, and tell them; one look serves all that ask before it."""
        self._asked[folder] = number or self._asked.get(folder)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._answer())

    async def _answer(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, {}
            found = await asyncio.to_thread(processes.signal_all, asked)
            for folder, pids in found.items():
                if not pids:
                    self._quiet.add(folder)
                elif folder not in self._watched and not self._watch(folder, processes.descriptor_of(pids[0])):
                    self._look(folder, None)
            self._wake()

    # ------------------------------------------------------------ what is left

    def settle(self, folder: Path, note: str | None) -> None:
        logs.finish(folder / _LOG)
        if note:
            logs.note(folder / _LOG, note)
        self._close(folder)
        self._undone.pop(folder, None)
        self._standing.pop(folder, None)
        self._ended.discard(folder)
        self._quiet.discard(folder)
        self._settled.add(folder)

    def clear(self, folder: Path) -> None:
        self._trash.empty(folder)

    def remove(self, path: Path) -> None:
        self._trash.take(path)

    def cut_logs(self, limit: int) -> None:
        if self._cutting is None or self._cutting.done():
            folders, self._settled = self._settled | self._watched.keys(), set()
            self._cutting = asyncio.get_running_loop().create_task(asyncio.to_thread(_cut, folders, limit))

    # ------------------------------------------------------------ reaching it

    def socket(self, folder: Path) -> Socket:
        """A Unix socket in the private folder; TCP with signed messages where its path would be too long for one."""
        path = str(folder / "kernel")
        return Socket("ipc", path) if len(path) <= _LONGEST_SOCKET_PATH else Socket("tcp", "127.0.0.1")

    def ports(self, folder: Path) -> list[int]:
        return processes.listening_ports(folder)


def host_name(settings: Settings) -> str:
    """What rows call this host: as the setting says, else as the host was called when its data folder was first used.

    The latter is kept in the file `host` there, so that drivers are found again when the host is given another name.
    """
    if settings.host_name:
        return settings.host_name
    file, part = settings.data_dir / "host", settings.data_dir / f"host.{os.getpid()}"
    if not file.exists():
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        part.write_text(socket.gethostname())
        with suppress(FileExistsError):  # another process was first
            os.link(part, file)
        part.unlink()
    return file.read_text()


def _cut(folders: set[Path], limit: int) -> None:
    for folder in folders:
        logs.cut(folder / _LOG, limit)
