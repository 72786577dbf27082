"""What the gateway takes while nothing happens, and what a session takes."""

from __future__ import annotations

from pathlib import Path

import psutil

from gateway.core.processes import OWNER_VARIABLE
from gateway.core.settings import reading
from tests.benchmarks.conftest import Compare
from tests.integration.crowd import crowd
from tests.integration.running_gateway import Gateway, Session, processor_share

GROUP = "At rest"
IDLE_SESSIONS = 200
SHARING = 10
SHARED = {"spark.gateway.application": "benchmark"}
IDLE_SECONDS = 20.0


def test_own_processes(gateway: Gateway, session: Session, compare: Compare) -> None:
    def own() -> float:
        return sum(_mebibytes(pid) for pid in _own(gateway))

    compare(
        GROUP,
        "the gateway's own processes",
        "MiB",
        own,
        "one idle session",
        lambda: _mebibytes_of(session),
        bar="150 MiB",
    )


def test_sessions_of_a_shared_application(gateway: Gateway, session: Session, compare: Compare) -> None:
    opened = [gateway.new_session(conf=SHARED).wait_for("idle") for _ in range(SHARING)]

    def seat() -> float:
        return sum(_mebibytes_of(one) for one in opened) / SHARING

    try:
        for one in opened:
            one.run("spark.range(10).count()")
        what = f"one of {SHARING} idle sessions in a shared application, without Spark"
        compare(GROUP, what, "MiB", seat, "one idle session", lambda: _mebibytes_of(session))
    finally:
        for one in opened:
            one.delete()


def test_idle_sessions(compare: Compare, tmp_path: Path) -> None:
    """The supervisor's CPU time with many idle sessions; what it takes with one is its clockwork alone."""

    def share(many: int) -> float:
        with crowd(tmp_path / f"{many}-{len(list(tmp_path.iterdir()))}", many) as gateway:
            assert gateway.supervisor is not None
            return 100 * processor_share([gateway.supervisor.pid], IDLE_SECONDS)

    what = f"the supervisor of {IDLE_SESSIONS} idle sessions"
    compare(
        GROUP,
        what,
        "% of a core",
        lambda: share(IDLE_SESSIONS),
        "of one",
        lambda: share(1),
        rounds=1,
        bar="1 % of a core",
    )


def _own(gateway: Gateway) -> list[int]:
    """Web server and supervisor, without the drivers that the latter has started."""
    file = gateway.environ[reading.FILE_VARIABLE]
    return [
        one.pid
        for one in psutil.Process().children(recursive=True)
        if one.status() != psutil.STATUS_ZOMBIE
        and any(word in one.cmdline() for word in ("gateway.app:create_front()", "supervise"))
        and one.environ().get(reading.FILE_VARIABLE) == file
    ]


def _mebibytes_of(session: Session) -> float:
    """Of all that was started in its folder, or forked there."""
    owner = str(session.folder)
    return sum(_mebibytes(one.pid) for one in psutil.process_iter() if _is_of(one, owner))


def _is_of(process: psutil.Process, owner: str) -> bool:
    try:
        return process.environ().get(OWNER_VARIABLE) == owner
    except psutil.Error:
        return False


def _mebibytes(pid: int) -> float:
    """Its share of memory: what several have in common counts once."""
    return float(psutil.Process(pid).memory_full_info().pss) / 2**20
