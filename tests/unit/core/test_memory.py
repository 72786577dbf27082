"""How much memory is left, as control groups of either version have it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.core import memory

GIB = 1 << 30


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the control groups, on a machine of 64 GiB with 32 free; we are in none yet."""
    machine = SimpleNamespace(available=32 * GIB, total=64 * GIB)
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: machine)
    monkeypatch.setattr(memory, "_PROC", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "groups")
    (tmp_path / "cgroup").write_text("")
    return tmp_path / "groups"


def write(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


def be_in(groups: Path, line: str) -> None:
    (groups.parent / "cgroup").write_text(f"{line}\n")


def test_without_a_limit_it_is_the_machines(groups: Path) -> None:
    assert (memory.available(), memory.reserve()) == (32 * GIB, 64 * GIB // 10)
    be_in(groups, "0::/")
    write(groups, memory__max="max", memory__current=GIB)
    assert memory.available() == 32 * GIB


def test_the_smallest_limit_on_the_way_up_counts_without_what_can_be_read_again(groups: Path) -> None:
    be_in(groups, "0::/system.slice/gateway.service")
    write(groups / "system.slice", memory__max=8 * GIB, memory__current=5 * GIB)
    stat = f"anon {GIB}\ninactive_file {2 * GIB}"
    write(groups / "system.slice/gateway.service", memory__max=6 * GIB, memory__current=5 * GIB, memory__stat=stat)
    assert (memory.available(), memory.reserve()) == (3 * GIB, GIB)
    assert not memory.is_short()
    write(groups / "system.slice", memory__max=8 * GIB, memory__current=8 * GIB)
    assert memory.available() == 0 and memory.is_short()


def test_a_container_that_sees_its_group_as_the_root(groups: Path) -> None:
    be_in(groups, "0::/docker/0123")
    write(groups, memory__max=4 * GIB, memory__current=GIB)
    assert memory.available() == 3 * GIB


def test_the_first_version_of_control_groups(groups: Path) -> None:
    be_in(groups, "7:cpu,memory:/docker/0123\n3:pids:/docker/0123")
    files = {
        "memory.limit_in_bytes": 4 * GIB,
        "memory.usage_in_bytes": 3 * GIB,
        "memory.stat": f"total_inactive_file {GIB}",
    }
    write(groups / "memory/docker/0123", **{name.replace(".", "__"): text for name, text in files.items()})
    unlimited = {"memory__limit_in_bytes": (1 << 63) - 4096, "memory__usage_in_bytes": GIB}
    write(groups / "memory", **unlimited)
    assert memory.available() == 2 * GIB
