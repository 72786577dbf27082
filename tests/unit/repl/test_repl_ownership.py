"""Whose Spark jobs are, and how the tag that says so reaches Python's threads. No Spark."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from typing import Any

import pytest

from sessions.repl import spark_jobs, thread_tags
from sessions.repl.ownership import Owner
from sessions.repl.spark_jobs import Read, SparkJob

BEGUN = 1000


def job(
    number: int,
    submitted: int,
    ended: int | None = None,
    *owners: str,
    stream: str | None = None,
    query: int | None = None,
    tasks: int = 4,
    done: int = 1,
) -> SparkJob:
    tags = frozenset(thread_tags.tag(owner) for owner in owners) | {"of the user's own"}
    begun = submitted if query is None else query
    return SparkJob(number, tags, stream, begun, submitted, ended, tasks, done if ended is None else tasks)


def reads(*jobs: SparkJob) -> Read:
    return lambda first: [one for one in jobs if one.id >= first]


def owned(owner: Owner, *jobs: SparkJob) -> list[int]:
    return [one.id for one in owner.look(reads(*jobs))]


@pytest.fixture
def statement() -> Owner:
    return Owner("statement-5", BEGUN, by_tag_only=False)


def test_a_statement_owns_what_has_its_tag_or_none(statement: Owner) -> None:
    assert owned(statement, job(1, 1001, None, "statement-5"), job(2, 1001, 1002, "statement-5"), job(3, 1001)) == [
        1,
        3,
    ]


SEAT = "seat-2"


def of_seat(one: SparkJob) -> SparkJob:
    return dataclasses.replace(one, tags=one.tags | {SEAT})


def test_in_an_application_of_many_what_is_not_of_its_seat_is_not_its_own() -> None:
    statement = Owner("seat-2-statement-5", BEGUN, by_tag_only=False, within=SEAT)
    other = job(1, 1001, None, "seat-3-statement-1")
    assert owned(statement, other, job(2, 1001), of_seat(job(3, 1001)), of_seat(job(4, 1001, None, "seat-2-x"))) == [
        3,
        4,
    ]
    assert owned(statement, other, job(5, 1001, None, "seat-2-statement-5")) == [5]


def test_running_jobs_of_other_seats_are_not_looked_at_again() -> None:
    statement, asked = Owner("seat-2-statement-5", BEGUN, by_tag_only=False, within=SEAT), list[int]()
    jobs = [job(1, 1001, None, "seat-3-statement-1"), of_seat(job(2, 1001)), of_seat(job(3, 1001, 1002))]

    def read(first: int) -> list[SparkJob]:
        asked.append(first)
        return jobs

    for _ in range(2):
        assert [one.id for one in statement.look(read)] == [2]
    assert asked == [0, 2]


def test_what_began_before_it_is_not_its_own(statement: Owner) -> None:
    assert owned(statement, job(1, 999), job(2, 999, None, "statement-4")) == []


def test_the_pool_of_an_earlier_statement_works_for_this_one(statement: Owner) -> None:
    assert owned(statement, job(1, 500, 600, "statement-2"), job(2, 1001, None, "statement-2")) == [2]


def test_a_thread_of_an_earlier_statement_that_is_at_work_goes_on(statement: Owner) -> None:
    looping = job(1, 900, 1100, "statement-2"), job(2, 1100, None, "statement-2")
    assert owned(statement, *looping) == []
    assert owned(statement, *looping) == []


def test_jobs_beside_it_and_streams_of_others_are_not_its_own(statement: Owner) -> None:
    beside = (
        job(1, 1001, None, "seat-0-job-3"),
        job(2, 1001, None, "statement-2", stream="run"),
        job(3, 1001, stream=""),
    )
    assert owned(statement, *beside) == []
    assert statement.streams == set()


def test_its_streams_are_to_be_stopped_as_a_whole(statement: Owner) -> None:
    assert owned(statement, job(1, 1001, 1002, "statement-5", stream="run")) == []
    assert owned(statement) == []
    assert statement.streams == {"run"}


def test_a_pool_of_a_stopped_statement_may_be_used_by_the_next(statement: Owner) -> None:
    statement.ended = statement.followed = 2000
    assert owned(statement, job(1, 1500, 1600, "statement-5"), job(2, 2001, None, "statement-5"), job(3, 2001)) == []


def test_a_late_stage_of_a_stopped_statements_query_is_its_own_and_not_the_next_ones() -> None:
    stopped, following = (
        Owner("statement-5", BEGUN, by_tag_only=False),
        Owner("statement-6", 2000, by_tag_only=False),
    )
    stopped.ended, stopped.followed = 1900, 2000
    late = job(1, 2001, None, "statement-5", query=1500)
    assert owned(stopped, late) == [1]
    assert owned(following, late, job(2, 2001, None, "statement-5", query=2000)) == [2]


def test_what_a_stopped_statement_left_at_work_is_still_its_own(statement: Owner) -> None:
    statement.ended, statement.followed = 1900, 2000
    left = job(1, 1500, 2100, "statement-5"), job(2, 2100, None, "statement-5")
    assert owned(statement, *left) == [2]
    assert owned(statement, *left, job(3, 2200, None, "statement-5")) == [2, 3]


def test_a_livy_job_owns_what_has_its_tag_alone() -> None:
    beside = Owner("seat-0-job-3")
    assert owned(beside, job(1, 10, None, "seat-0-job-3"), job(2, 10), job(3, 10, None, "statement-1")) == [1]


def test_progress_is_the_share_of_tasks_and_remembers_what_is_done_with(statement: Owner) -> None:
    asked: list[int] = []
    jobs = [job(0, 10, 20), job(1, 1001, 1002), job(2, 1001, tasks=4, done=2), job(3, 1003, 1004)]

    def read(first: int) -> list[SparkJob]:
        asked.append(first)
        return [one for one in jobs if one.id >= first]

    assert statement.progress == 0.0
    for _ in range(2):
        statement.look(read)
        assert statement.progress == 10 / 12
    assert asked == [0, 2]


def test_a_job_as_spark_writes_it() -> None:
    info = {
        "jobId": 7, "description": "name<br/>id = a<br/>runId = b<br/>batch = 3", "jobGroup": "b",
        "submissionTime": 5, "status": "RUNNING", "numTasks": 9, "numCompletedTasks": 2, "numSkippedTasks": 3,
        "jobTags": ["x"],
    }  # fmt: skip
    assert spark_jobs._job(info, 5, 4) == SparkJob(7, frozenset("x"), "b", 4, 5, None, 9, 5)
    ended = {**info, "status": "FAILED", "completionTime": 6, "jobGroup": "mine", "description": None, "jobTags": []}
    assert spark_jobs._job(ended, 5, 5) == SparkJob(7, frozenset(), None, 5, 5, 6, 9, 9)


class Context:
    """A SparkContext's local properties, one set for each thread, and the calls of its py4j client."""

    def __init__(self) -> None:
        self._local = threading.local()
        self.connect = lambda: "connection"
        self._gateway_client = self

    def getLocalProperty(self, name: str) -> str | None:
        self._get_connection()
        found: str | None = vars(self._local).get(name)
        return found

    def setLocalProperty(self, name: str, value: str) -> None:
        self._get_connection()
        vars(self._local)[name] = value

    def _get_connection(self) -> Any:
        return self.connect()

    def tags(self, _: object = None) -> str | None:
        return self.getLocalProperty(thread_tags.TAGS)


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    monkeypatch.setattr(threading.Thread, "start", threading.Thread.start)
    context = Context()
    thread_tags.inherit(context, lambda: context)
    yield context
    for name in ("_spark_gateway_tag", "_spark_gateway_told"):
        vars(threading.current_thread()).pop(name, None)


def test_threads_and_pools_inherit_the_tag(context: Context) -> None:
    thread_tags.enter(context, "statement-5")
    with ThreadPoolExecutor(1) as pool, ThreadPool(1) as other:
        assert pool.submit(context.tags).result() == other.apply(context.tags) == "spark-gateway-statement-5"


def test_so_do_the_threads_of_a_thread(context: Context) -> None:
    found: list[str | None] = []
    thread_tags.enter(context, "statement-5")
    inner = threading.Thread(target=lambda: found.append(context.tags()))
    outer = threading.Thread(target=inner.start)
    outer.start()
    outer.join()
    inner.join()
    assert found == ["spark-gateway-statement-5"]


def test_a_thread_that_nobody_s_thread_started_has_no_tag(context: Context) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(context.tags).result() is None


def test_tags_of_the_user_s_own_stay(context: Context) -> None:
    context.setLocalProperty(thread_tags.TAGS, "mine")
    thread_tags.enter(context, "statement-5")
    thread_tags.enter(context, "statement-6")
    assert context.tags() == "mine,spark-gateway-statement-6"


def test_a_thread_of_the_jvm_that_has_a_tag_keeps_it(context: Context) -> None:
    """As that of a stream which calls a Python function: the thread that answers was started by any statement."""
    thread_tags.enter(context, "statement-5")

    def answer() -> str | None:
        vars(context._local)[thread_tags.TAGS] = "spark-gateway-statement-4"
        return context.tags()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(answer).result() == "spark-gateway-statement-4"
