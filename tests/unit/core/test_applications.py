"""What is written and called to start a Spark application, at a place in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.core import applications, unpack
from gateway.core.applications import Application
from gateway.core.clusters import Cluster
from gateway.core.java import Java
from gateway.core.settings import ClusterSettings, Settings
from tests.unit.fake_place import FakePlace

PACKAGES = {"spark.jars.packages": "a:b:1"}
ARCHIVE = {"spark.archives": "/env.tar.gz#environment"}


@pytest.fixture
def place() -> FakePlace:
    return FakePlace("here", lambda: None)


@pytest.fixture
def start(place: FakePlace, settings: Settings, tmp_path: Path) -> Any:
    def started(conf: dict[str, str], **more: Any) -> list[str]:
        cluster = Cluster(ClusterSettings(), Java(Path("/java"), 17, "17.0.1"), ["-Xshare:auto"])
        applications.start(Application(tmp_path, conf, "/a.py", ["x"], **more), cluster, settings, place)
        return list(place.commands[tmp_path])

    return started


def test_an_application_is_called_by_spark_submit_with_its_conf_in_a_file(start, place, tmp_path: Path) -> None:
    program, *words = start({"spark.app.name": "n"}, class_name="C")
    assert program.endswith("/bin/spark-submit")
    assert words[-4:] == ["--class", "C", "/a.py", "x"]
    properties = Path(words[words.index("--properties-file") + 1])
    assert properties.parent == tmp_path and "spark.app.name" in properties.read_text()
    environ = place.environs[tmp_path]
    assert environ["JAVA_HOME"] == "/java" and environ["SPARK_SUBMIT_OPTS"].startswith("-Xshare:auto ")
    assert str(tmp_path / "tmp") in environ["SPARK_SUBMIT_OPTS"] and (tmp_path / "tmp").is_dir()


@pytest.mark.parametrize("deploy_mode", ["client", "cluster"])
def test_what_spark_leaves_out_in_client_mode_is_done_there_alone(start, tmp_path: Path, deploy_mode: str) -> None:
    command = start(PACKAGES | ARCHIVE, deploy_mode=deploy_mode, python_of_archives=True)
    in_client = deploy_mode == "client"
    assert (unpack.__file__ in command) is in_client
    assert (tmp_path / "ivysettings.xml").exists() is in_client
    assert command[command.index("--deploy-mode") + 1] == deploy_mode


def test_a_python_in_an_archive_is_not_looked_for_unless_it_may_be(start) -> None:
    assert unpack.__file__ not in start(ARCHIVE)


@pytest.mark.parametrize("impersonation", [True, False])
def test_the_proxy_user_is_passed_on_where_the_settings_say_so(
    impersonation: bool, place: FakePlace, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path, cache_dir=tmp_path, impersonation=impersonation)
    cluster = Cluster(ClusterSettings(), Java(Path("/java"), 17, "17.0.1"), [])
    applications.start(Application(tmp_path, {}, "/a.py", [], proxy_user="ada"), cluster, settings, place)
    assert ("--proxy-user" in place.commands[tmp_path]) is impersonation
