"""What the driver sees of its application's work, and how long it follows what was cancelled. No Spark."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sessions.repl import spark
from sessions.repl.ownership import Owner
from sessions.repl.spark import Application


class Still(Application):
    """Was not started; has these active jobs, and streams in a session that is not its own."""

    def __init__(self, jobs: list[int], streams: list[str]) -> None:
        self._jobs, self._active = jobs, streams
        self.looks = 0

    @property
    def context(self) -> Any:
        return SimpleNamespace(statusTracker=lambda: SimpleNamespace(getActiveJobsIds=lambda: self._jobs))

    def session(self) -> Any:
        older = SimpleNamespace(getActive=lambda: SimpleNamespace(isDefined=lambda: False))
        apache = SimpleNamespace(spark=SimpleNamespace(streaming=SimpleNamespace(StreamingContext=older)))
        state = SimpleNamespace(activeStreamingQueries=lambda: SimpleNamespace(values=lambda: self._active))
        return SimpleNamespace(
            _jvm=SimpleNamespace(org=SimpleNamespace(apache=apache)),
            _jsparkSession=SimpleNamespace(sharedState=lambda: state),
            streams=SimpleNamespace(active=[]),
        )

    def _cancel_all(self, owner: Owner) -> bool:
        self.looks += 1
        return bool(self._jobs)


@pytest.mark.parametrize(
    ("jobs", "streams", "works"), [([], [], False), ([3], [], True), ([], ["of another session"], True)]
)
def test_a_job_or_a_stream_of_any_session_is_work(jobs: list[int], streams: list[str], works: bool) -> None:
    assert Still(jobs, streams).works() is works


@pytest.mark.parametrize(("jobs", "looks"), [([], 3), ([3], 10)], ids=["nothing late", "runs for good, it is said"])
def test_late_jobs_are_looked_for_until_there_are_none_and_not_for_ever(
    jobs: list[int], looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("LATE_LOOKS", 3), ("LATE_MOST", 10), ("LATE_EVERY", 0)):
        monkeypatch.setattr(spark, name, value)
    application = Still(jobs, [])
    application._cancel_late_jobs(Owner("statement-1"))
    assert application.looks == looks
