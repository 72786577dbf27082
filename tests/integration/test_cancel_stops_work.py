"""A cancel stops the work and not only the statement, in every language: no task and no thread goes on.

Whether a thread works is read from its state in /proc: on a crowded machine one that spins may use little time.
"""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from gateway.core import processes
from tests.integration.running_gateway import SOON, START, Session, wait_until

SPIN = "def spin(n):\n    while True: pass\n"
JOIN = "select count(*) from range(0, 1000000, 1, 2) a cross join range(100000) b where a.id * b.id % 7 = 3"

UDF = """from pyspark.sql.functions import udf
more = udf(lambda n: n + 1, 'long')
spark.range(0, 10**11, 1, 2).select(more('id').alias('n')).agg({'n': 'max'}).collect()"""

# Language, code, whether it runs a Spark job.
WORK = {
    "python loop": ("pyspark", "while True: pass", False),
    "python RDD": ("pyspark", SPIN + "sc.parallelize(range(2), 2).map(spin).count()", True),
    "python RDD that waits": (
        "pyspark", "import time\nsc.parallelize(range(2), 2).map(lambda n: time.sleep(300)).count()", True,
    ),
    "python UDF": ("pyspark", UDF, True),
    "SQL join": ("sql", JOIN, True),
    "SQL statements": ("sql", f"{JOIN.replace('100000)', '10)')}; {JOIN}; {JOIN}", True),
    "Scala loop": ("spark", "while (true) {}", False),
    "Scala RDD": ("spark", "sc.parallelize(1 to 2, 2).foreach(_ => Thread.sleep(300000))", True),
}  # fmt: skip
# How each language keeps a value and shows it, and what it shows.
KEEP = {
    "spark": ("val kept = 5", "println(kept)", "5\n"),
    "pyspark": ("kept = 5", "kept", "5"),
    "sql": ("create or replace temp view kept as select 5", "select * from kept", [[5]]),
}


def tasks(session: Session) -> int:
    """How many tasks run, by Spark's own account."""
    return sum(int(executor["activeTasks"]) for executor in session.ui("/executors"))


def working_threads(session: Session) -> int:
    """How many threads of the driver's processes have work to do right now."""
    count = 0
    for process in processes.family(session.folder):
        for stat in Path(f"/proc/{process.pid}/task").glob("*/stat"):
            try:
                count += stat.read_text().rpartition(")")[2].split()[0] == "R"
            except OSError:
                continue
    return count


def is_quiet(session: Session, seconds: float = 0.5) -> bool:
    """True when for some time hardly a thread was found working: an idle JVM looks around now and then."""
    end = time.monotonic() + seconds
    seen: list[int] = []

    def looked() -> bool:
        seen.append(working_threads(session))
        return time.monotonic() > end

    wait_until(looked, seconds + SOON, "the time to look in")
    return sum(seen) < len(seen) / 2


@pytest.mark.skipif(not psutil.LINUX, reason="the state of threads is read from /proc")
@pytest.mark.parametrize("work", WORK)
def test_cancel_stops_the_work(session: Session, work: str) -> None:
    kind, code, has_job = WORK[work]
    keep, show, kept = KEEP[kind]
    assert session.run(keep, kind)["status"] == "ok"
    statement = session.submit(code, kind).wait_running()
    wait_until(lambda: tasks(session) if has_job else working_threads(session), START, "it works")

    begun = time.monotonic()
    assert statement.cancel()["state"] == "cancelled"
    final = time.monotonic() - begun
    wait_until(lambda: tasks(session) == 0 and is_quiet(session), START, "all work has stopped")
    quiet = time.monotonic() - begun
    print(f"{work}: cancelled after {final:.2f} s, quiet after {quiet:.2f} s")
    assert session.ui("/jobs?status=running") == []
    assert all(process.status() != psutil.STATUS_STOPPED for process in processes.family(session.folder))

    shown = session.run(show, kind)["data"]
    assert kept in (shown.get("text/plain"), shown.get("application/json", {}).get("data"))
