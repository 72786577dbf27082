"""Named clusters: what their tables may hold, what they inherit, and which one a request means."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from gateway import doctor
from gateway.core import clusters
from gateway.core.errors import InvalidRequest, Misconfigured
from gateway.core.options import SparkOptions
from gateway.core.settings import ClusterSettings, Settings
from gateway.core.settings.printing import describe
from gateway.core.settings.reading import load

TABLE = """
master = "local[2]"
spark_conf = {spark.a = 1, spark.b = 2}
[clusters.old]
spark_home = "/opt/spark-3.5"
spark_conf = {spark.b = 3}
[clusters.far]
master = "yarn"
deploy_mode = "cluster"
"""


@pytest.fixture
def named(tmp_path: Path) -> Settings:
    file = tmp_path / "gateway.toml"
    file.write_text(TABLE)
    return load({}, file)


def test_a_cluster_inherits_what_it_does_not_name(named: Settings) -> None:
    old, far = named.on("old"), named.on("far")
    assert (old.spark_home, old.master, old.deploy_mode) == ("/opt/spark-3.5", "local[2]", "client")
    assert (far.spark_home, far.master, far.deploy_mode) == ("", "yarn", "cluster")
    assert old.spark_conf == {"spark.a": "1", "spark.b": "3"} and far.spark_conf == named.spark_conf


def test_the_settings_outside_are_the_cluster_default(named: Settings) -> None:
    assert named.on("default") == ClusterSettings(master="local[2]", spark_conf={"spark.a": "1", "spark.b": "2"})
    assert named.cluster_names == ["default", "old", "far"]


def test_what_settings_prints_can_be_set_in_the_environment(named: Settings, tmp_path: Path) -> None:
    shown = {name: value for name, value, _ in describe(named)}["clusters"]
    file = tmp_path / "empty.toml"
    file.touch()
    assert load({"SPARK_GATEWAY_CLUSTERS": shown}, file).clusters == named.clusters


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[clusters.default]", "default is the name of"),
        ('[clusters."a b"]', "named 'a b': give letters"),
        ("[clusters.old]\nport = 3", "clusters.old.port: a cluster has no such setting; give spark_home"),
        ('spark_conf = {"spark.driver.memory" = "lots"}', "spark_conf: spark.driver.memory 'lots' is not a size"),
        ("[clusters.old]\nspark_conf.spark.driver.cores = 0", "cluster old: setting spark_conf: spark.driver.cores is"),
        ("[clusters.old]\nmaster = 3", "cluster old: setting master is 3"),
        ('[clusters.old]\ndeploy_mode = "far"', "cluster old: setting deploy_mode is 'far': give client or cluster"),
        ("[clusters]\nold = 3", "clusters.old is no table: give a table"),
        ("clusters = 3", "clusters is not readable .*tables in TOML"),
        ('default_cluster = "new"', "default_cluster is 'new': give one of default"),
    ],
)
def test_a_wrong_table_says_the_field_and_the_fix(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(text)
    with pytest.raises(Misconfigured, match=said):
        load({}, file)


def test_a_request_chooses_by_conf_else_it_is_the_default(named: Settings) -> None:
    assert clusters.chosen({"spark.gateway.cluster": "far"}, named).master == "yarn"
    assert clusters.chosen({}, named).master == "local[2]"
    assert clusters.chosen({}, dataclasses.replace(named, default_cluster="far")).master == "yarn"


def test_an_unknown_cluster_is_refused_with_the_known_ones(named: Settings) -> None:
    with pytest.raises(InvalidRequest, match="spark.gateway.cluster is 'new'.*give default or old or far"):
        clusters.chosen({"spark.gateway.cluster": "new"}, named)


def test_the_record_keeps_the_cluster_when_the_default_changes(named: Settings) -> None:
    assert clusters.record(SparkOptions(), named).conf == {"spark.gateway.cluster": "default"}
    asked = SparkOptions(conf={"spark.gateway.cluster": "old"})
    assert clusters.record(asked, named) == asked


def test_without_named_clusters_a_record_is_as_it_was_asked() -> None:
    assert clusters.record(SparkOptions(), Settings()) == SparkOptions()


def test_a_cluster_without_spark_is_named_at_the_start_and_by_the_doctor(settings: Settings, tmp_path: Path) -> None:
    broken = dataclasses.replace(settings, clusters={"old": {"spark_home": str(tmp_path)}})
    said = f"cluster old: setting spark_home is '{tmp_path}': there is no bin/spark-submit in it"
    with pytest.raises(Misconfigured, match=said):
        clusters.Clusters(broken, [])
    finding = next(one for one in doctor.examine(broken) if one.what == "cluster old")
    assert not finding.fine and finding.says.startswith(said)
    with pytest.raises(Misconfigured, match=said):
        doctor.require_startable(broken)


def test_a_record_of_a_cluster_that_is_gone_says_so(settings: Settings) -> None:
    with pytest.raises(Misconfigured, match="no cluster old any more; those there are: default"):
        clusters.Clusters(settings, []).of(SparkOptions(conf={"spark.gateway.cluster": "old"}))
