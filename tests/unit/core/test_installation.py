"""What an installation of Spark says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.core import installation
from gateway.core.errors import Misconfigured
from gateway.core.settings import ClusterSettings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Spark installation with nothing in it."""
    monkeypatch.delenv("SPARK_CONF_DIR", raising=False)
    (tmp_path / "spark" / "bin").mkdir(parents=True)
    (tmp_path / "spark" / "bin" / "spark-submit").touch()
    (tmp_path / "spark" / "conf").mkdir()
    return tmp_path / "spark"


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("spark.a b", "spark.a", "b"),
        ("spark.a   b c ", "spark.a", "b c"),
        ("spark.a=b", "spark.a", "b"),
        ("spark.a = b", "spark.a", "b"),
        ("spark.a: b", "spark.a", "b"),
        ("spark.a\t-Dx=y -Dz:w", "spark.a", "-Dx=y -Dz:w"),
        ("  spark.a b", "spark.a", "b"),
    ],
)
def test_the_installations_defaults_are_read_as_spark_reads_them(line: str, key: str, value: str, home: Path) -> None:
    (home / "conf" / "spark-defaults.conf").write_text(f"# a comment\n\n#spark.b c\n{line}\n")
    conf = installation.default_conf(home)
    assert conf[key] == value and "spark.b" not in conf and "#spark.b" not in conf and "#" not in conf


def test_the_installations_defaults_may_lie_elsewhere(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spark-defaults.conf").write_text("spark.a b\n")
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    assert installation.default_conf(home) == {"spark.a": "b"}


def test_a_folder_without_spark_is_refused_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="spark_home is .* no bin/spark-submit in it"):
        installation.spark_home(ClusterSettings(spark_home=str(tmp_path)))


def test_the_version_is_read_from_the_core_jar(home: Path) -> None:
    assert installation.spark_version(home) == ""
    (home / "jars").mkdir()
    (home / "jars" / "spark-core_2.13-4.0.1.jar").touch()
    assert installation.spark_version(home) == "4.0.1"
