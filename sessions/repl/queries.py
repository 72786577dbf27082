"""Runs queries: SQL of one statement, answered with its first rows as JSON, each in a Spark session of its own.

Decides what is sent of an answer that is too large. Refuses to know who asks, and what for.
"""

from __future__ import annotations

import base64
import json
import threading

from .exact import exact_json
from .jobs import JobFailed, JobType
from .output import byte_length
from .spark import Application
from .sql import describe, result_of

CANCEL_EVERY = 0.5  # seconds


class Queries(JobType):
    """A query's payload is JSON: `sql`, how many `rows` and `bytes` its answer may have, and `seconds` it may take."""

    def __init__(self, spark: Application) -> None:
        self._spark = spark

    def run(self, job: int, payload: bytes, group: str) -> str:
        """The answer as JSON text in base64: what `result_of` gives. Raises JobFailed with Spark's message."""
        asked = json.loads(payload)
        done = threading.Event()
        watched = (threading.current_thread(), done, asked["seconds"], group)
        threading.Thread(target=self._stop_overdue, args=watched, name=f"deadline-{job}", daemon=True).start()
        try:
            frame = self._spark.session().newSession().sql(asked["sql"])
            result = result_of(frame, asked["rows"], asked["bytes"])
        except Exception as exc:  # noqa: BLE001 - whatever Spark says is the answer
            raise JobFailed(describe(exc)[0]) from None
        finally:
            done.set()
        answer = exact_json(result) or json.dumps(result, ensure_ascii=False, separators=(",", ":"))
        if byte_length(answer) > asked["bytes"]:
            raise JobFailed(f"the names and types of the columns alone have more than {asked['bytes']} bytes")
        return base64.b64encode(answer.encode()).decode("ascii")

    def _stop_overdue(self, runner: threading.Thread, done: threading.Event, seconds: float, group: str) -> None:
        """Who asked may be gone, and then nobody else would stop it. Between two Spark jobs there is none to cancel."""
        pause = seconds
        while not done.wait(pause) and runner.is_alive():
            self._spark.cancel(group)
            pause = CANCEL_EVERY
