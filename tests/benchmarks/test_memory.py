"""What the gateway takes while nothing happens, and what a session takes."""

from __future__ import annotations

from pathlib import Path

import psutil

from tests.benchmarks.baselines import family
from tests.benchmarks.conftest import Compare
from tests.integration.crowd import crowd
from tests.integration.running_gateway import Gateway, Session, processor_share

GROUP = "At rest"
IDLE_SESSIONS = 200
IDLE_SECONDS = 20.0


def test_own_processes(gateway: Gateway, session: Session, compare: Compare) -> None:
    def own() -> float:
        return sum(_mebibytes(pid) for pid in _own(gateway))

    def driver() -> float:
        pid = int((session.folder / "pid").read_text())
        return sum(map(_mebibytes, family(pid)))

    compare(GROUP, "the gateway's own processes", "MiB", own, "one idle session", driver, bar="150 MiB")


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
    return [
        one.pid
        for one in psutil.Process().children(recursive=True)
        if any(word in one.cmdline() for word in ("gateway.app:create_front()", "supervise"))
        and str(gateway.data) in one.environ().get("SPARK_GATEWAY_CONFIG", str(gateway.data))
    ]


def _mebibytes(pid: int) -> float:
    """Its share of memory: what several have in common counts once."""
    return float(psutil.Process(pid).memory_full_info().pss) / 2**20
