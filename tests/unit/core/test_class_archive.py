"""When an archive is offered to a driver and when not, with a Spark that is a shell script."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.core import class_archive
from gateway.core.class_archive import ArchiveNotBuilt
from gateway.core.java import Java

JAVA = Java(Path("/opt/java"), 17, "17.0.15+6")
WRITES_ARCHIVE = """
case "$1" in --version) exit ${PROOF:-0};; esac
for word in $SPARK_SUBMIT_OPTS; do
    case "$word" in -XX:ArchiveClassesAtExit=*) echo classes > "${word#*=}";; esac
done
env | sort > "$SPARK_HOME/environ"
echo the last word
"""


@pytest.fixture
def make_spark(tmp_path: Path) -> Callable[[str], Path]:
    def make(script: str = WRITES_ARCHIVE) -> Path:
        home = tmp_path / "spark"
        for folder in ("bin", "jars"):
            (home / folder).mkdir(parents=True)
        (home / "jars" / "spark-core_2.13-4.3.0.jar").write_text("classes")
        (home / "bin" / "spark-submit").write_text("#!/bin/sh\n" + script)
        (home / "bin" / "spark-submit").chmod(0o755)
        return home

    return make


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_without_an_archive_a_driver_gets_no_options(cache: Path, make_spark) -> None:
    assert class_archive.java_options(cache, JAVA, make_spark()) == []


def test_a_built_archive_is_offered(cache: Path, make_spark) -> None:
    home = make_spark()
    archive = class_archive.build(cache, JAVA, home, "python3")
    options = class_archive.java_options(cache, JAVA, home)
    assert archive == class_archive.archive_path(cache, JAVA, home)
    assert options == [f"-XX:SharedArchiveFile={archive}", "-Xshare:auto", "-Xlog:cds*=off"]


@pytest.mark.parametrize("damage", [b"", b"class", b"clasSes\n", b"classes\n\0"])
def test_a_damaged_archive_is_not_offered_and_is_built_anew(cache: Path, make_spark, damage: bytes) -> None:
    home = make_spark()
    archive = class_archive.build(cache, JAVA, home, "python3")
    archive.write_bytes(damage)
    assert class_archive.java_options(cache, JAVA, home) == []
    class_archive.build(cache, JAVA, home, "python3")
    assert class_archive.java_options(cache, JAVA, home) != []


def test_another_java_or_spark_or_place_needs_another_archive(cache: Path, make_spark, tmp_path: Path) -> None:
    home = make_spark()
    paths = {
        class_archive.archive_path(cache, JAVA, home),
        class_archive.archive_path(cache, Java(JAVA.home, 17, "17.0.16+1"), home),
        class_archive.archive_path(cache, Java(Path("/opt/other"), 17, JAVA.text), home),
        class_archive.archive_path(cache, JAVA, tmp_path / "elsewhere"),
    }
    (home / "jars" / "added.jar").write_text("more")
    paths.add(class_archive.archive_path(cache, JAVA, home))
    (home / "jars" / "added.jar").write_text("more of it")
    paths.add(class_archive.archive_path(cache, JAVA, home))
    assert len(paths) == 6


def test_an_upgrade_replaces_the_archive_of_the_same_place(cache: Path, make_spark, tmp_path: Path) -> None:
    home = make_spark()
    old = class_archive.build(cache, JAVA, home, "python3")
    elsewhere = class_archive.build(cache, Java(Path("/opt/other"), 21, "21"), home, "python3")
    new = class_archive.build(cache, Java(JAVA.home, 17, "17.0.16+1"), home, "python3")
    assert [path.exists() for path in (old, elsewhere, new)] == [False, True, True]


def test_the_environment_of_training_holds_nothing_that_changes_the_class_path(
    cache: Path, make_spark, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "HADOOP_CONF_DIR",
        "SPARK_DIST_CLASSPATH",
        "SPARK_CONF_DIR",
        "JAVA_TOOL_OPTIONS",
        "PYSPARK_SUBMIT_ARGS",
    ):
        monkeypatch.setenv(name, "/somewhere")
    monkeypatch.setenv("KEPT", "/somewhere")
    home = make_spark()
    class_archive.build(cache, JAVA, home, "python3")
    seen = (home / "environ").read_text().splitlines()
    assert [line for line in seen if line.endswith("=/somewhere")] == ["KEPT=/somewhere"]
    assert {"JAVA_HOME=/opt/java", f"SPARK_HOME={home}", "PYSPARK_PYTHON=python3"} <= set(seen)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo no memory; exit 3", "ended with 3: no memory"),
        ("exit 1", "ended with 1: it said nothing"),
        ("exit 0", "wrote no archive"),
        ("PROOF=1" + WRITES_ARCHIVE, "ended with 1"),
    ],
    ids=["fails", "fails silently", "writes nothing", "is refused by the JVM"],
)
def test_a_build_that_fails_says_why_and_leaves_nothing(cache: Path, make_spark, script: str, reason: str) -> None:
    home = make_spark(script)
    with pytest.raises(ArchiveNotBuilt, match=reason):
        class_archive.build(cache, JAVA, home, "python3")
    assert list(cache.rglob("*.jsa")) == [] and list(cache.glob("classes/*")) == []


def test_a_build_that_takes_too_long_is_ended_with_all_it_started(
    cache: Path, make_spark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The grandchild holds a pipe open for as long as it lives."""
    monkeypatch.setattr(class_archive, "_PATIENCE", 0.3)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    home = make_spark(f"sleep 600 > {pipe} & wait")
    with pytest.raises(ArchiveNotBuilt, match="took longer than"):
        class_archive.build(cache, JAVA, home, "python3")
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""  # its end, which only comes when nobody holds it
    os.close(reader)


def test_two_builds_at_once_leave_one_sound_archive(cache: Path, make_spark) -> None:
    home = make_spark()
    with ThreadPoolExecutor() as pool:
        built = list(pool.map(lambda _: class_archive.build(cache, JAVA, home, "python3"), range(4)))
    assert set(built) == {class_archive.archive_path(cache, JAVA, home)}
    assert class_archive.java_options(cache, JAVA, home) != []
    assert len(list(cache.glob("classes/*"))) == 1


def test_a_conf_folder_with_files_is_refused_before_anything_is_started(cache: Path, make_spark) -> None:
    home = make_spark()
    (home / "conf").mkdir()
    (home / "conf" / "spark-defaults.conf").write_text("")
    with pytest.raises(ArchiveNotBuilt, match="conf has files in it"):
        class_archive.build(cache, JAVA, home, "python3")
    assert not (home / "environ").exists()


def test_a_cache_that_cannot_be_written_is_a_reason_not_a_crash(make_spark, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveNotBuilt, match="cannot be written"):
        class_archive.build(tmp_path / "file" / "cache", JAVA, make_spark(), "python3")


def test_a_path_with_spaces_is_one_word_for_spark(tmp_path: Path, make_spark) -> None:
    home = make_spark('case $1 in --version) exit 0;; esac; eval "set -- $SPARK_SUBMIT_OPTS"; echo c > "${1#*=}"')
    cache = tmp_path / "a cache"
    archive = class_archive.build(cache, JAVA, home, "python3")
    assert class_archive.java_options(cache, JAVA, home)[0] == f'-XX:SharedArchiveFile="{archive}"'
