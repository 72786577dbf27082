"""Reads what a run has written since the last look: its event log, its report, its log, each from an offset on.

One look reads a bounded number of bytes, and only whole lines; what follows of it is a value, so that it can be stored
in one transaction, or thrown away and read again. Takes a while: for a thread. Knows no store.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from gateway.core import records
from gateway.platform.runs.evidence import Evidence
from gateway.platform.runs.tally import Tally

_A_LOOK = 4 << 20  # bytes of the event log that one look reads at most, and the longest line of it that counts
_A_LOOK_AT_LOG = 1 << 20  # of the log; what a run has written beyond that since the last look is passed over
_EVENT_FILE = re.compile(r"events_(\d+)_[^.]*")  # what has an ending is compressed
_KEPT_FILES = 10  # of the event log, the newest; and the first, which says what the application is


@dataclass(frozen=True)
class Position:
    """Everything before `offset` of `file` is read. `within`: in a line that is too long, which is skipped to its end.

    `file` is a path below the folder of the event log, "" for a file that is the only one of its kind.
    """

    file: str = ""
    offset: int = 0
    within: bool = False


@records.kept_as_json
@dataclass(frozen=True)
class Reading:
    """All that was made of what a run wrote, and how far it was read.

    `reported` is the percent that its program tells of itself; None: it does not.
    """

    events: Position = Position()
    report: Position = Position()
    log: Position = Position()
    tally: Tally = field(default_factory=Tally)
    evidence: Evidence = field(default_factory=Evidence)
    reported: int | None = None

    @property
    def percent(self) -> int:
        """Of a run that has not ended: what its program says, else as Spark's tasks tell."""
        return self.tally.percent if self.reported is None else self.reported


def look(before: Reading, events: Path, report: Path | None, log: Path) -> Reading:
    """What is known after one more look; equal to `before` when there was nothing new. `report`: None: it has none."""
    tally = copy.deepcopy(before.tally)
    lines, at = _events_after(events, before.events)
    for line in lines:
        tally.take(line)
    told, at_report = _lines(report, before.report, _A_LOOK) if report else ([], before.report)
    said, at_log = _lines(log, _near_end(log, before.log), _A_LOOK_AT_LOG)
    return Reading(
        events=at,
        report=at_report,
        log=at_log,
        tally=tally,
        evidence=before.evidence.after(line.decode("utf-8", "replace") for line in said),
        reported=_reported(told, before.reported),
    )


def forget_read(events: Path, at: Position, limit: int) -> None:
    """Remove files of an event log of more than `limit` bytes that were read: all but the first and the newest ten."""
    files = _event_files(events)
    if at.file in files and sum(_size(events / file) for file in files) > limit:
        for file in files[1 : max(0, min(files.index(at.file), len(files) - _KEPT_FILES))]:
            with suppress(OSError):
                (events / file).unlink()


def _events_after(events: Path, at: Position) -> tuple[list[bytes], Position]:
    """Of one file: a look that finds nothing more in one which another follows, is done with it."""
    files = _event_files(events)  # before it is read: when one follows, what is there is all of it
    if not at.file and files:
        at = Position(files[0])
    following = _following(at.file, files)
    lines, after = _lines(events / at.file, at, _A_LOOK)
    return (lines, Position(following[0])) if following and after == at else (lines, after)


def _following(file: str, files: list[str]) -> list[str]:
    """Those after it; after one that is gone, those of the same application."""
    if file in files:
        return files[files.index(file) + 1 :]
    gone = Path(file)
    return [one for one in files if Path(one).parent == gone.parent and _number(one) > _number(file)]


def _event_files(events: Path) -> list[str]:
    """In the order they were written. A folder is one application's, and not touched any more once the next begins."""
    try:
        folders = sorted((folder.stat().st_mtime_ns, folder) for folder in events.glob("eventlog_v2_*"))
        found = [
            sorted((_number(name), f"{folder.name}/{name}") for name in os.listdir(folder)) for _, folder in folders
        ]
    except OSError:
        return []  # it is just being removed, or not ours to read
    return [file for files in found for number, file in files if number]


def _number(file: str) -> int:
    """Which of its application's files it is, from 1; 0: it is no file of events."""
    found = _EVENT_FILE.fullmatch(Path(file).name)
    return int(found[1]) if found else 0


def _near_end(path: Path, at: Position) -> Position:
    """The place in a log from which a look reaches its end. A log may also be cut: then all of the rest is new."""
    size = _size(path)
    if at.offset > size:
        return Position(offset=max(0, size - _A_LOOK_AT_LOG), within=size > _A_LOOK_AT_LOG)
    if size - at.offset > _A_LOOK_AT_LOG:
        return Position(offset=size - _A_LOOK_AT_LOG, within=True)
    return at


def _lines(path: Path, at: Position, limit: int) -> tuple[list[bytes], Position]:
    """The whole lines from a place on, of `limit` bytes at most, and the place after them."""
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return [], at
            file.seek(at.offset)
            block = file.read(limit)
    except OSError:
        return [], at
    end = block.rfind(b"\n") + 1
    if not end:
        too_long = len(block) == limit
        skipped = len(block) if at.within or too_long else 0
        return [], dataclasses.replace(at, offset=at.offset + skipped, within=at.within or too_long)
    lines = block[:end].split(b"\n")[:-1]
    return lines[at.within :], Position(at.file, at.offset + end)


def _open_at_once(path: str, flags: int) -> int:
    """The batch may have put anything in a file's place: a FIFO is not waited for, and no link is followed."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _reported(lines: list[bytes], before: int | None) -> int | None:
    """The last `progress` that a program of ours has reported, in percent."""
    for line in lines:
        try:
            percent = json.loads(line)["progress"]
            before = min(99, max(0, int(percent)))
        except (ValueError, LookupError, TypeError, RecursionError, OverflowError):
            continue
    return before
