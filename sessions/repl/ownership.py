"""Tells which Spark jobs are those of one statement, or of one Livy job, and counts how far they are.

Every thread that works for one has its job tag, which unlike a job group is seldom replaced by users, and which the
threads it starts inherit (`thread_tags`). A pool's threads keep the tag of the statement that made them, so a tag alone
is not enough: a job that begins while a statement runs is also its own when the tag is of a statement that is over and
had nothing running. A listener could know no more: which thread begins a job, Spark does not say. But of which query it
is a part: a stage is whose the query is, however late Spark begins it.
"""

from __future__ import annotations

from . import groups
from .spark_jobs import Read, SparkJob
from .thread_tags import PREFIX, tag


class Owner:
    """`begun` is in milliseconds since 1970. `by_tag_only` is for what runs beside others.

    `within` is the tag that all Spark jobs of its seat have, where the application has several; a job without it is
    somebody else's. `ended`, and when the next statement began, `followed`, are told later.
    """

    def __init__(self, name: str, begun: int = 0, *, by_tag_only: bool = True, within: str | None = None) -> None:
        self.name = name
        self._within = within
        self.ended: int | None = None
        self.followed: int | None = None
        self._tag = tag(name)
        self._begun = begun
        self._by_tag_only = by_tag_only
        self._at_work: frozenset[str] | None = None
        self._goes_on: bool | None = None
        self._first = 0  # jobs before this id are done with
        self._counted = 0  # tasks of those of them that it owns
        self.progress = 0.0
        self.streams: set[str] = set()  # run ids of the streaming queries whose batches were seen to be its own

    def look(self, read: Read) -> list[SparkJob]:
        """Its jobs that run now, but for its streams'.

        `progress` becomes the share of its tasks that are done, 0.0 while there are none. Raises what `read` raises.
        """
        jobs = read(self._first)
        if self._at_work is None:
            self._at_work = at_work(jobs, self._begun)
        if self.followed is not None and self._goes_on is None:
            self._goes_on = self._tag in at_work(jobs, self.followed)
        own = [job for job in jobs if self._owns(job)]
        total = self._counted + sum(job.tasks for job in own)
        done = self._counted + sum(job.tasks_done for job in own)
        self.streams |= {job.stream for job in own if job.stream}
        self.progress = min(1.0, done / total) if total else 0.0
        self._pass_over(jobs)
        return [job for job in own if job.ended is None and not job.stream]

    def forget(self) -> None:
        """Spark was started anew, and job ids begin again."""
        self._first = 0

    def _owns(self, job: SparkJob) -> bool:
        if job.begun < self._begun:
            return False
        if self._tag in job.tags:
            return self.followed is None or job.begun < self.followed or bool(self._goes_on)
        if self._is_of_another_seat(job):
            return False
        if self._by_tag_only or job.stream is not None or (self.ended is not None and job.begun > self.ended):
            return False
        others = {one for one in job.tags if one.startswith(PREFIX)}
        return not any(one in (self._at_work or ()) or groups.is_of_job(one) for one in others)

    def _is_of_another_seat(self, job: SparkJob) -> bool:
        return self._within is not None and self._within not in job.tags

    def _pass_over(self, jobs: list[SparkJob]) -> None:
        """Look no more at the jobs up to the first that runs, so that asking stays cheap in long loops."""
        for job in jobs:
            if job.ended is None and not (self._is_of_another_seat(job) and self._tag not in job.tags):
                return
            self._first = job.id + 1
            self._counted += job.tasks if self._owns(job) else 0


def at_work(jobs: list[SparkJob], moment: int) -> frozenset[str]:
    """The tags of those that had a job running at `moment`: what they begin after it is no one else's."""
    running = [job for job in jobs if job.submitted < moment and (job.ended is None or job.ended > moment)]
    return frozenset(one for job in running for one in job.tags if one.startswith(PREFIX))
