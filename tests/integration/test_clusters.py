"""Spark 3.5 and 4.x behind one gateway, on one machine and on a worker apart: the same languages, the same results."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.core import clusters, installation, sparkr
from gateway.core.options import SparkOptions
from gateway.core.settings import ClusterSettings
from sessions.drivers.profiles import set_when_claimed
from tests.integration.running_gateway import START, Gateway, Session
from tests.integration.standalone import standalone


@dataclass(frozen=True)
class Language:
    """How a statement of this kind makes a view of 0, 1, 2 in the column n, and how one sums the n of a view."""

    kind: str
    make: str
    add_up: str


LANGUAGES = [
    Language("pyspark", "spark.range(3).toDF('n').createOrReplaceTempView('{view}')",
             "spark.sql('select sum(n) from {view}').first()[0]"),
    Language("sql", "create temporary view {view} as select id as n from range(3)", "select sum(n) from {view}"),
    Language("spark", 'spark.range(3).toDF("n").createOrReplaceTempView("{view}")',
             'spark.sql("select sum(n) from {view}").first().getLong(0)'),
]  # fmt: skip

# SparkR is in no registry: this one joins in where it is present.
R = Language("sparkr", "createOrReplaceTempView(sql('select id as n from range(3)'), '{view}')",
             "head(sql('select sum(n) as total from {view}'))$total")  # fmt: skip

# cluster: the Spark version it should turn out to have
CLUSTERS = {"default": "4.", "old": "3.5.", "apart": "4.", "old_apart": "3.5."}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, old_spark: Path) -> Iterator[Gateway]:
    new_spark = installation.spark_home(ClusterSettings())
    with (
        standalone(new_spark, tmp_path_factory.mktemp("apart")) as apart,
        standalone(old_spark, tmp_path_factory.mktemp("old_apart")) as old_apart,
    ):
        small = {"spark.cores.max": "1", "spark.executor.memory": "512m"}
        named = {
            "old": {"spark_home": str(old_spark)},
            "apart": {"master": apart.url, "spark_conf": small},
            "old_apart": {"spark_home": str(old_spark), "master": old_apart.url, "spark_conf": small},
        }
        running = Gateway(tmp_path_factory.mktemp("gateway"), clusters=named)
        try:
            yield running.open()
        finally:
            running.close()


@pytest.fixture(scope="module", params=CLUSTERS)
def cluster(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def session(gateway: Gateway, cluster: str) -> Iterator[Session]:
    opened = gateway.new_session(kind="shared", conf={clusters.KEY: cluster}).wait_for("idle")
    yield opened
    opened.delete()


def test_the_session_runs_on_the_cluster_it_chose(session: Session, cluster: str) -> None:
    assert session.document["conf"][clusters.KEY] == cluster
    assert session.value("spark.version").startswith(CLUSTERS[cluster])
    assert session.value("sc.master.startswith('local')") == ("apart" not in cluster)


def test_a_session_has_pandas_and_pays_for_it_once_it_is_used(session: Session, cluster: str) -> None:
    there = "[name for name in ('numpy', 'pandas', 'pyarrow') if name in __import__('sys').modules]"
    imported = session.value(there)
    assert imported == [] if CLUSTERS[cluster] == "4." else "pandas" not in imported
    for arrow in ("true", "false"):
        session.text(f"spark.conf.set('spark.sql.execution.arrow.pyspark.enabled', '{arrow}')")
        assert session.text("int(spark.range(5).toPandas()['id'].sum())") == "10"
        frame = "__import__('pandas').DataFrame({'n': [1, 2], 's': ['x', None]})"
        assert session.value(f"[list(row) for row in spark.createDataFrame({frame}).collect()]") == [
            [1, "x"],
            [2, None],
        ]


def test_functions_of_pandas_run_on_the_executors(session: Session) -> None:
    session.text(
        "import pandas\nfrom pyspark.sql.functions import lit, pandas_udf\n@pandas_udf('long')\n"
        "def next_one(numbers: pandas.Series) -> pandas.Series:\n    return numbers + 1"
    )
    assert session.value("[row[0] for row in spark.range(3).select(next_one('id')).collect()]") == [1, 2, 3]
    assert (
        session.text(
            "import numpy\nspark.range(9).filter(f'id > {numpy.int64(6)}').select(lit(numpy.int64(4))).first()[0]"
        )
        == "4"
    )
    shown = session.text("int(spark.range(3).pandas_api()['id'].sum())")  # Spark 3.5 warns behind it
    assert shown.splitlines()[0] == "3"
    plot = "import matplotlib.pyplot as plt\nlines = plt.plot([1, 3, 2])\n%matplot plt"
    assert list(session.run(plot)["data"]) == ["image/png"]


def spoken(here: ClusterSettings) -> list[Language]:
    return LANGUAGES if sparkr.missing(SparkOptions(), here) else [*LANGUAGES, R]


def test_each_language_reads_the_views_of_all(gateway: Gateway, session: Session, cluster: str) -> None:
    languages = spoken(gateway.settings.on(cluster))
    for language in languages:
        output = session.run(language.make.format(view=f"made_in_{language.kind}"), language.kind, START)
        assert output["status"] == "ok", output
    for reader in languages:
        sums = {
            writer.kind: number(session.run(reader.add_up.format(view=f"made_in_{writer.kind}"), reader.kind, START))
            for writer in languages
        }
        assert sums == {writer.kind: 3 for writer in languages}, reader.kind


def number(output: dict[str, Any]) -> int:
    """The one number that a statement shows, whatever is around it."""
    assert output["status"] == "ok", output
    if "application/json" in output["data"]:
        return int(output["data"]["application/json"]["data"][0][0])
    return int(re.findall(r"\d+", output["data"]["text/plain"])[-1])


def test_functions_run_where_the_executors_are(session: Session, cluster: str) -> None:
    where = "__import__('os').path.realpath('.')"
    folder = session.value(f"sc.parallelize([0], 1).map(lambda _: {where}).first()")
    assert folder.startswith(str(session.folder)) == ("apart" not in cluster)


KEYS_OF_SQL = """
conf = getattr(getattr(spark._jvm.org.apache.spark.sql.internal, "SQLConf$"), "MODULE$")
entries, fixed = conf.getConfigEntries().iterator(), []
while entries.hasNext():
    key = entries.next().key()
    if not spark.conf.isModifiable(key):
        fixed.append(key)
"""


def test_a_warm_driver_is_told_nothing_that_spark_has_fixed(session: Session) -> None:
    session.text(KEYS_OF_SQL)
    fixed = session.value("fixed")
    assert "spark.sql.warehouse.dir" in fixed and set_when_claimed(SparkOptions(conf=dict.fromkeys(fixed, "x"))) == {}


def test_a_batch_runs_on_the_cluster_it_chose(gateway: Gateway, tmp_path: Path) -> None:
    script = tmp_path / "application.py"
    script.write_text(
        "from pyspark.sql import SparkSession\nspark = SparkSession.builder.getOrCreate()\n"
        "print('seen', spark.version, spark.sparkContext.parallelize(range(4), 2).map(lambda n: n * 2).sum())\n"
    )
    batch = gateway.new_batch(script, conf={clusters.KEY: "old"}).wait_for("success")
    version, total = batch.wait_for_line("seen ").split()[1:]
    assert version.startswith(CLUSTERS["old"]) and total == "12"


def test_an_unknown_cluster_is_refused_with_the_known_ones(gateway: Gateway) -> None:
    for path, body in (("/sessions", {}), ("/batches", {"file": "/dev/null"})):
        answer = gateway.call("POST", path, {**body, "conf": {clusters.KEY: "new"}})
        assert answer.status_code == 400
        assert "spark.gateway.cluster is 'new'" in answer.text and "default or old or apart" in answer.text
