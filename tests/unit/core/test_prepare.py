"""The set-up's step for a faster start: what it says when it cannot be done."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.core import prepare


def test_the_set_up_goes_on_without_an_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home, spark = tmp_path / "java", tmp_path / "spark"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").write_text("")
    (home / "bin" / "java").chmod(0o755)
    (home / "release").write_text('JAVA_VERSION="17"')
    (spark / "bin").mkdir(parents=True)
    (spark / "bin" / "spark-submit").write_text("#!/bin/sh\necho no memory; exit 3")
    (spark / "bin" / "spark-submit").chmod(0o755)
    monkeypatch.setenv("SPARK_GATEWAY_JAVA_HOME", str(home))
    monkeypatch.setenv("SPARK_GATEWAY_SPARK_HOME", str(spark))
    assert prepare.main([str(tmp_path / "cache")]) == 0
    said = capsys.readouterr().err
    assert said.startswith("Sessions will start slower") and said.endswith("no memory\n") and said.count("\n") == 1
