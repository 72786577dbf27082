"""The Spark jobs of the application, read from its status store in one call, however many there are.

Decides which of Spark's facts about a job matter here. Refuses to know what they are used for.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Read = Callable[[int], "list[SparkJob]"]

_QUERIES = 1000  # whose begin is kept: as many as Spark itself remembers


@dataclass(frozen=True)
class SparkJob:
    """One job; times in milliseconds since 1970, `ended` None while it runs.

    `begun` is when the query it is a part of was, if it is one: threads of Spark's own submit its stages later.
    `stream` is the run id of the streaming query whose batch it is, "" for the older kind of streams, None for neither.
    """

    id: int
    tags: frozenset[str]
    stream: str | None
    begun: int
    submitted: int
    ended: int | None
    tasks: int
    tasks_done: int


class StatusStore:
    """The jobs that one SparkContext, the JVM's own, still remembers."""

    def __init__(self, jvm: Any, context: Any) -> None:
        self._store = context.statusStore().store()
        queries = jvm.org.apache.spark.sql.execution.ui.SQLAppStatusStore(self._store, jvm.scala.Option.empty())
        self._begun = lru_cache(maxsize=_QUERIES)(lambda query: _submission(queries.execution(query)))
        self._stored = jvm.java.lang.Class.forName("org.apache.spark.status.JobDataWrapper")
        # The one that Spark's own REST API writes its answers with; without a date format it writes numbers.
        self._mapper = jvm.org.apache.spark.status.api.v1.JacksonMessageWriter().mapper()
        self._mapper.setDateFormat(None)

    def read(self, first: int) -> list[SparkJob]:
        """The jobs from the id `first` on, by rising id. Raises what py4j raises."""
        said = json.loads(self._mapper.writeValueAsString(self._store.view(self._stored).first(first)))
        return [self._job(one["info"], one.get("sqlExecutionId")) for one in said]

    def _job(self, info: dict[str, Any], query: int | None) -> SparkJob:
        submitted = info.get("submissionTime") or 0
        begun = None if query is None else self._begun(query)
        return _job(info, submitted, submitted if begun is None else begun)


def _submission(execution: Any) -> int | None:
    """When a query began; None when Spark does not remember it."""
    return int(execution.get().submissionTime()) if execution.isDefined() else None


def _job(info: dict[str, Any], submitted: int, begun: int) -> SparkJob:
    runs = info["status"] == "RUNNING"
    done = info["numCompletedTasks"] + info["numSkippedTasks"] if runs else info["numTasks"]
    return SparkJob(
        id=info["jobId"],
        tags=frozenset(info.get("jobTags", ())),
        stream=_stream(info.get("jobGroup"), info.get("description") or ""),
        begun=begun,
        submitted=submitted,
        ended=None if runs else info.get("completionTime") or submitted,
        tasks=info["numTasks"],
        tasks_done=done,
    )


def _stream(group: str | None, description: str) -> str | None:
    """Both kinds of streams describe their batches themselves, and no query has another's run id as its group."""
    if group and f"runId = {group}" in description:
        return group
    return "" if description.startswith("Streaming job from <a ") else None
