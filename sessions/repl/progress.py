"""How far the Spark jobs of one job group are.

Decides what counts: tasks, with a finished job's tasks all done. Asks Spark's status tracker only.
"""

from __future__ import annotations

from typing import Any


class Progress:
    """Counts the tasks of a job group; remembers finished jobs, so that asking stays cheap in long loops."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._finished: dict[int, int] = {}

    def share(self, tracker: Any) -> float:
        """Finished tasks over all known tasks, 0.0 to 1.0; 0.0 while no job is known."""
        done = total = 0
        for job in tracker.getJobIdsForGroup(self._group):
            finished, known = self._tasks(tracker, job)
            done, total = done + finished, total + known
        return min(1.0, done / total) if total else 0.0

    def _tasks(self, tracker: Any, job: int) -> tuple[int, int]:
        if job in self._finished:
            return self._finished[job], self._finished[job]
        info = tracker.getJobInfo(job)
        if info is None:
            return 0, 0
        stages = [stage for stage in map(tracker.getStageInfo, info.stageIds) if stage is not None]
        total = sum(stage.numTasks for stage in stages)
        if info.status == "RUNNING":
            return sum(stage.numCompletedTasks for stage in stages), total
        self._finished[job] = total
        return total, total
