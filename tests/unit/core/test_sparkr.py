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
    """What the operator's own R lacks."""
    return sparkr.missing(
        SparkOptions(), ClusterSettings(spark_conf={"spark.r.shell.command": str(program)}, **settings)
    )


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


def test_a_program_that_a_client_names_is_looked_for_and_not_run(fake: Fake, tmp_path: Path) -> None:
    program = fake("FALSE; touch $0.ran")
    assert sparkr.missing(SparkOptions(conf={"spark.r.shell.command": str(program)}), ClusterSettings()) is None
    assert not program.with_name("R.ran").exists()
    said = sparkr.missing(SparkOptions(conf={"spark.r.shell.command": f"{tmp_path}/gone"}), ClusterSettings())
    assert said is not None and f"no program {tmp_path}/gone" in said


def test_r_is_asked_without_the_gateways_secrets_until_it_has_found_sparkr(fake: Fake, monkeypatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "kept back")
    monkeypatch.setenv("SPARK_GATEWAY_STORE", "kept back")
    program = fake("TRUE; env > $0.env; echo asked >> $0.asked; printf TRUE")
    assert [lack(program) for _ in range(2)] == [None, None]
    assert "kept back" not in program.with_name("R.env").read_text()
    assert program.with_name("R.asked").read_text() == "asked\n"
    fake("FALSE").rename(other := program.with_name("other"))
    assert lack(other) is not None
    fake("TRUE").rename(other)
    assert lack(other) is None


def test_the_setting_says_where_sparkr_is(fake: Fake, tmp_path: Path) -> None:
    assert lack(fake("FALSE"), sparkr_library=str(library(tmp_path / "lib"))) is None
    said = lack(fake("TRUE"), sparkr_library=str(tmp_path))
    assert said == f"setting sparkr_library is '{tmp_path}': there is no package SparkR in that folder"


def test_sparkr_of_the_spark_installation_is_found(fake: Fake, tmp_path: Path) -> None:
    library(tmp_path / "spark" / "R" / "lib")
    (tmp_path / "spark" / "bin").mkdir()
    (tmp_path / "spark" / "bin" / "spark-submit").touch()
    assert lack(fake("FALSE"), spark_home=str(tmp_path / "spark")) is None
