"""Maven packages of a session, by Spark's own Ivy from Maven Central."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.running_gateway import START, Gateway

H2 = "com.h2database:h2:2.3.232"
VIEW = """create temporary view answer using jdbc options (
  url 'jdbc:h2:mem:', driver 'org.h2.Driver', query 'select 40 + 2 as answer')"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """With nothing in its cache."""
    cache = str(tmp_path_factory.mktemp("cache"))
    running = Gateway(tmp_path_factory.mktemp("gateway"), cache_dir=cache, max_starting_drivers=2)
    try:
        yield running.open()
    finally:
        running.close()


def test_two_sessions_that_fetch_the_same_package_at_the_same_time_both_have_it(gateway: Gateway) -> None:
    sessions = [gateway.new_session(kind="pyspark", conf={"spark.jars.packages": H2}) for _ in range(2)]
    for session in sessions:
        session.wait_for("idle").run(VIEW, "sql")
        shown = session.run("select * from answer", "sql")["data"]["application/json"]
        assert shown["data"] == [[42]]
        assert session.text("spark.table('answer').first()[0]") == "42"
        scala = session.run('Class.forName("org.h2.Driver").getSimpleName', "spark", START)
        assert scala["data"]["text/plain"].strip().endswith("= Driver")
        session.delete()


def test_a_package_that_is_not_there_is_the_reason_of_the_end(gateway: Gateway) -> None:
    session = gateway.new_session(conf={"spark.jars.packages": "com.h2database:no-such-package:1.0"}).wait_for("dead")
    assert (
        "spark.jars.packages could not be resolved: unresolved dependency: com.h2database#no-such-pack" in session.log
    )


def test_what_is_no_package_is_refused_at_once(gateway: Gateway) -> None:
    answer = gateway.call("POST", "/sessions", {"conf": {"spark.jars.packages": "h2:2.3"}})
    assert answer.status_code == 400 and "give groupId:artifactId:version" in answer.text
