"""Whether an R session could work here, as it is said before one is started."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.core import sparkr
from gateway.core.options import SparkOptions
from gateway.core.settings import ClusterSettings

Fake = Callable[[str], Path]


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """Makes an R that says `answer` when it is asked for SparkR."""

    def make(answer: str) -> Path:
        program = tmp_path / "R"
        program.write_text(f"#!/bin/sh\nprintf {answer}\n")
        program.chmod(0o755)
        return program

    return make


def lack(program: Path, **settings: Any) -> str | None:
    return sparkr.missing(SparkOptions(conf={"spark.r.shell.command": str(program)}), ClusterSettings(**settings))


def library(folder: Path) -> Path:
    (folder / "SparkR").mkdir(parents=True)
    (folder / "SparkR" / "DESCRIPTION").write_text("Package: SparkR\n")
    return folder


def test_without_r_it_says_what_to_install(tmp_path: Path) -> None:
    said = lack(tmp_path / "R")
    assert said is not None and f"no program {tmp_path}/R" in said and "r-base-core" in said


def test_the_variable_names_r_when_the_conf_does_not(fake: Fake, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SPARKR_DRIVER_R", str(fake("TRUE")))
    assert sparkr.missing(SparkOptions(), ClusterSettings()) is None
    monkeypatch.setenv("SPARKR_DRIVER_R", str(tmp_path / "gone"))
    assert "gone" in str(sparkr.missing(SparkOptions(), ClusterSettings()))


def test_sparkr_in_rs_own_library_will_do(fake: Fake) -> None:
    assert lack(fake("TRUE")) is None


@pytest.mark.parametrize("answer", ["FALSE", "'loud\nFALSE'", "''"])
def test_without_sparkr_it_names_the_places_and_the_setting(answer: str, fake: Fake) -> None:
    said = lack(fake(answer))
    assert said is not None and "/R/lib" in said and "setting sparkr_library" in said


def test_the_setting_says_where_sparkr_is(fake: Fake, tmp_path: Path) -> None:
    assert lack(fake("FALSE"), sparkr_library=str(library(tmp_path / "lib"))) is None
    said = lack(fake("TRUE"), sparkr_library=str(tmp_path))
    assert said == f"setting sparkr_library is '{tmp_path}': there is no package SparkR in that folder"


def test_sparkr_of_the_spark_installation_is_found(fake: Fake, tmp_path: Path) -> None:
    library(tmp_path / "spark" / "R" / "lib")
    (tmp_path / "spark" / "bin").mkdir()
    (tmp_path / "spark" / "bin" / "spark-submit").touch()
    assert lack(fake("FALSE"), spark_home=str(tmp_path / "spark")) is None
