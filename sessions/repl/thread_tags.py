"""Gives Spark jobs the job tag of the statement or Livy job that they are begun for, also those of Python's threads.

A JVM thread hands its tags to the threads it starts. Python's threads have JVM threads that are nobody's children, so
here a thread remembers for whom it was started, and tells its JVM thread before its first call.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

PREFIX = "spark-gateway-"
TAGS = "spark.job.tags"  # the local property behind SparkContext.addJobTag, in every version that has tags

_TAG = "_spark_gateway_tag"  # of a Thread: whom it works for
_TOLD = "_spark_gateway_told"  # of a Thread: that its JVM thread knows


def tag(owner: str) -> str:
    """The job tag of a statement or job, by the name of its job group."""
    return PREFIX + owner


def enter(context: Any, owner: str) -> None:
    """From now on this thread, and those it starts, work for `owner`; other tags stay. Raises what Spark raises."""
    thread = threading.current_thread()
    setattr(thread, _TAG, tag(owner))
    setattr(thread, _TOLD, True)
    others = [one for one in _tags(context) if not one.startswith(PREFIX)]
    context.setLocalProperty(TAGS, ",".join([*others, tag(owner)]))


def renew(context: Any) -> None:
    """As `enter`, in a context that has just been started, for whom this thread works already."""
    thread = threading.current_thread()
    if hasattr(thread, _TAG):
        setattr(thread, _TOLD, True)
        context.setLocalProperty(TAGS, getattr(thread, _TAG))


def inherit(client: Any, context: Callable[[], Any]) -> None:
    """Have all threads started from now on inherit the tag; `client` is py4j's, with a JVM thread for each of ours."""
    setattr(threading.Thread, "start", _remembering(threading.Thread.start))  # noqa: B010 - mypy forbids the other way
    connect = client._get_connection

    def connect_tagged() -> Any:
        thread = threading.current_thread()
        if hasattr(thread, _TAG) and not hasattr(thread, _TOLD):
            setattr(thread, _TOLD, True)
            _tell(context(), getattr(thread, _TAG))
        return connect()

    client._get_connection = connect_tagged


def _remembering(start: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    @functools.wraps(start)
    def remember_and_start(thread: threading.Thread) -> None:
        starter = threading.current_thread()
        if hasattr(starter, _TAG):
            setattr(thread, _TAG, getattr(starter, _TAG))
        start(thread)

    return remember_and_start


def _tell(context: Any, wanted: str) -> None:
    """A thread that answers a call of the JVM shares the caller's JVM thread, which may know better."""
    try:
        known = _tags(context)
        if not any(one.startswith(PREFIX) for one in known):
            context.setLocalProperty(TAGS, ",".join([*known, wanted]))
    except Exception:  # noqa: BLE001 - Spark is stopped: the call itself will say so
        return


def _tags(context: Any) -> list[str]:
    return [one for one in (context.getLocalProperty(TAGS) or "").split(",") if one]
