"""Where Ivy is told to keep packages, and what is no package."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from gateway.core import packages
from gateway.core.settings import ClusterSettings

KEY = "spark.jars.packages"


def test_downloads_are_shared_under_a_lock_and_copies_are_private(here: ClusterSettings, tmp_path: Path) -> None:
    conf = packages.settle({KEY: "a:b:1"}, here, tmp_path / "cache", tmp_path)
    assert conf["spark.jars.ivy"] == f"{tmp_path}/tmp/ivy"
    cache = ElementTree.parse(conf["spark.jars.ivySettings"]).find("caches/cache")
    assert cache is not None
    assert cache.get("basedir", "").startswith(f"{tmp_path}/cache/packages/spark-")
    assert cache.get("lockStrategy") == "artifact-lock-nio"


@pytest.mark.parametrize(
    "conf", [{}, {KEY: ""}, {KEY: "a:b:1", "spark.jars.ivy": "/i"}, {KEY: "a:b:1", "spark.jars.ivySettings": "/s"}]
)
def test_who_has_no_packages_or_a_place_of_its_own_is_left_alone(
    conf: dict[str, str], here: ClusterSettings, tmp_path: Path
) -> None:
    assert packages.settle(conf, here, tmp_path / "cache", tmp_path) == conf and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["a", "a:b", "a:b:1:2", "a::1", "x:y:1,a b:c:1"])
def test_what_is_no_package_is_refused(text: str) -> None:
    (fault,) = packages.faults({KEY: text})
    assert (fault.field, fault.fix) == (f"conf.{KEY}", "give groupId:artifactId:version")


@pytest.mark.parametrize("text", ["", "a:b:1", "a:b:1, c/d:2,"])
def test_packages_pass_as_spark_reads_them(text: str) -> None:
    assert list(packages.faults({KEY: text})) == []


@pytest.mark.parametrize(
    "said",
    ["unresolved dependency: a#b;1: not found", "download failed: a#b;1!b.jar, download failed: c#d;1!d.jar"],
)
def test_the_log_tells_which_package_failed(said: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f'x\nException in thread "main" java.lang.RuntimeException: [{said}]\n\tat a.b\n')
    assert packages.failure(log) == f"spark.jars.packages could not be resolved: {said}"
    log.write_text("x\n")
    assert packages.failure(log) is None
