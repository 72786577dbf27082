"""What a run writes is read on from the last look: whole lines, so many bytes, whatever becomes of the files."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.platform.runs import evidence, reading
from gateway.platform.runs.reading import Position, Reading, forget_read, look
from gateway.platform.runs.tally import Counts

STORY = Path(__file__).with_name("story_4.3.jsonl").read_bytes()
APP = "eventlog_v2_app-1"


@dataclass
class Folder:
    """A batch's folder, and what is known of it so far."""

    path: Path
    known: Reading

    @property
    def events(self) -> Path:
        return self.path / "spark-events"

    def event_file(self, number: int = 1, app: str = APP) -> Path:
        folder = self.events / app
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"events_{number}_{app.removeprefix('eventlog_v2_')}"

    def look(self) -> Reading:
        self.known = look(self.known, self.events, self.path / "report.jsonl", self.path / "log")
        return self.known

    def look_all(self) -> Reading:
        before = None
        while before != self.known:
            before = self.known
            self.look()
        return self.known


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path, Reading())


def test_nothing_there_is_nothing_new(folder: Folder) -> None:
    assert folder.look() == Reading()
    folder.path = folder.path / "gone"
    assert folder.look() == Reading()


@pytest.mark.parametrize("step", [7, 1000, 10**6])
def test_lines_cut_anywhere_are_counted_once(folder: Folder, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    some = STORY[: 40 * step]
    whole = Folder(folder.path / "whole", Reading())
    whole.event_file().write_bytes(some[: some.rfind(b"\n") + 1])
    for at in range(0, len(some), step):
        with open(folder.event_file(), "ab") as file:
            file.write(some[at : at + step])
        folder.look()
    assert folder.look_all().tally == whole.look_all().tally
    assert folder.known.events.offset == some.rfind(b"\n") + 1


def test_a_look_reads_a_bounded_number_of_bytes(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    longest = max(map(len, STORY.splitlines())) + 1
    monkeypatch.setattr(reading, "_A_LOOK", longest)
    folder.event_file().write_bytes(STORY)
    looks = 0
    while (before := folder.known.events.offset) < len(STORY):
        looks += 1
        assert before < folder.look().events.offset <= before + longest
    assert looks >= len(STORY) // longest and folder.known.tally.jobs == Counts(0, 3, 5)


def test_a_line_that_is_too_long_is_skipped_to_its_end(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_A_LOOK", 100)
    event = b'{"Event":"SparkListenerTaskStart"}\n'
    folder.event_file().write_bytes(event + b"x" * 1000 + b'{"Event":"SparkListenerTaskStart"' + b"\n" + event)
    assert folder.look_all().tally.tasks.active == 2
    assert not folder.known.events.within


def test_files_are_read_in_their_order_and_each_to_its_end(folder: Folder) -> None:
    lines = STORY.splitlines(keepends=True)
    for number in range(1, 12):
        part = lines[(number - 1) * 20 : number * 20 if number < 11 else None]
        folder.event_file(number).write_bytes(b"".join(part))
    (folder.events / APP / "appstatus_app-1.inprogress").touch()
    assert folder.look_all().tally.jobs == Counts(0, 3, 5)
    assert folder.known.events.file == f"{APP}/events_11_app-1" and folder.known.tally.unreadable == 0


def test_a_second_application_is_read_after_the_first(folder: Folder) -> None:
    for at, app in enumerate(("eventlog_v2_app-z", "eventlog_v2_app-a")):
        folder.event_file(1, app).write_bytes(STORY)
        os.utime(folder.events / app, (at, at))
    assert folder.look_all().tally.jobs == Counts(0, 6, 10)
    assert folder.known.events.file == "eventlog_v2_app-a/events_1_app-a"


def test_a_file_that_shrank_holds_up_only_itself(folder: Folder) -> None:
    folder.event_file(1).write_bytes(STORY)
    folder.look_all()
    folder.event_file(1).write_bytes(b"")
    assert folder.look_all().tally.jobs == Counts(0, 3, 5)
    folder.event_file(2).write_bytes(STORY)
    assert folder.look_all().tally.jobs == Counts(0, 6, 10)


def test_after_a_file_that_is_gone_the_next_is_read(folder: Folder) -> None:
    folder.event_file(1).write_bytes(STORY)
    folder.look_all()
    folder.event_file(1).unlink()
    assert folder.look_all().tally.jobs == Counts(0, 3, 5)
    folder.event_file(3).write_bytes(STORY)
    assert folder.look_all().tally.jobs == Counts(0, 6, 10)
    shutil.rmtree(folder.events)
    assert folder.look_all().tally.jobs == Counts(0, 6, 10)


def test_compressed_and_foreign_files_are_let_be(folder: Folder) -> None:
    for name in ("events_1_app-1.zstd", ".events_1_app-1.crc", "events_x_app-1", "events_1"):
        (folder.event_file().parent / name).write_bytes(STORY)
    (folder.events / "eventlog_v2_no_folder").touch()
    assert folder.look_all() == Reading()


def test_no_link_is_followed(folder: Folder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(STORY)
    for link in (folder.event_file(), folder.path / "report.jsonl", folder.path / "log"):
        link.symlink_to(elsewhere)
    known = folder.look_all()
    assert (known.tally, known.evidence, known.reported) == (Reading().tally, Reading().evidence, None)


# ---------------------------------------------------------------- what is read is removed in time


def test_of_a_long_event_log_what_is_read_goes_but_the_first_and_the_newest_files(folder: Folder) -> None:
    for number in range(1, 21):
        folder.event_file(number).write_bytes(b"{}\n")

    def left() -> list[int]:
        return [number for number in range(1, 21) if folder.event_file(number).exists()]

    at = Position(f"{APP}/events_5_app-1", 3)
    forget_read(folder.events, at, 60)
    forget_read(folder.events, Position(), 0)
    assert len(left()) == 20
    forget_read(folder.events, at, 59)
    assert left() == [1, *range(5, 21)]
    forget_read(folder.events, Position(f"{APP}/events_20_app-1", 3), 0)
    assert left() == [1, *range(11, 21)]


def test_of_few_files_none_goes_however_long_they_are(folder: Folder) -> None:
    for number in range(1, 10):
        folder.event_file(number).write_bytes(b"{}\n")
    forget_read(folder.events, Position(f"{APP}/events_2_app-1", 3), 0)
    assert all(folder.event_file(number).exists() for number in range(1, 10))


# ---------------------------------------------------------------- the log


def test_the_log_is_read_by_whole_lines(folder: Folder) -> None:
    log = folder.path / "log"
    log.write_text("Traceback (most recent call last):\n  File")
    assert folder.look().evidence.in_traceback
    log.write_text("Traceback (most recent call last):\n  File\nValueError: é\n", "utf-8")
    assert folder.look().evidence.exception == "ValueError: é"


def test_of_much_log_the_end_is_looked_at(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_A_LOOK_AT_LOG", 100)
    (folder.path / "log").write_text("x" * 1000 + "\n" * 3 + "All masters are unresponsive\n")
    assert folder.look().evidence.marks == {evidence.NO_MASTER: "All masters are unresponsive"}
    assert folder.look() == folder.known


def test_a_log_that_was_cut_is_read_anew(folder: Folder) -> None:
    log = folder.path / "log"
    log.write_text("line\n" * 100)
    folder.look()
    log.write_text(
        "spark-gateway: the middle was cut out\nMemoryError\nTraceback (most recent call last):\nMemoryError: x\n"
    )
    assert folder.look().evidence.exception == "MemoryError: x"


# ---------------------------------------------------------------- the report


@pytest.mark.parametrize(
    ("said", "percent"),
    [
        (25, 25),
        (25.9, 25),
        ("30", 30),
        (-3, 0),
        (100, 99),
        (10**30, 99),
        (None, 7),
        ([], 7),
        ("x", 7),
        (float("inf"), 7),
    ],
)
def test_a_program_that_reports_its_progress_is_believed(folder: Folder, said: object, percent: int) -> None:
    folder.event_file().write_bytes(STORY)
    report = folder.path / "report.jsonl"
    report.write_text('{"progress": 7}\nnonsense\n{"rows": 5}\n' + json.dumps({"progress": said}) + "\n")
    assert folder.look_all().percent == percent
