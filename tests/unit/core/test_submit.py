"""From what is asked for to what spark-submit is given."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.core import submit
from gateway.core.options import SparkOptions
from gateway.core.settings import ClusterSettings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Spark installation with nothing in it."""
    monkeypatch.delenv("SPARK_CONF_DIR", raising=False)
    (tmp_path / "spark" / "bin").mkdir(parents=True)
    (tmp_path / "spark" / "bin" / "spark-submit").touch()
    (tmp_path / "spark" / "conf").mkdir()
    return tmp_path / "spark"


@pytest.fixture
def here(home: Path) -> ClusterSettings:
    return ClusterSettings(spark_home=str(home))


def conf_of(options: SparkOptions, here: ClusterSettings, **defaults: str) -> dict[str, str]:
    return submit.conf_of(options, here, Path("/work"), defaults)


# ---------------------------------------------------------------- conf


@pytest.mark.parametrize(
    ("field", "value", "key", "expected"),
    [
        ("name", "nightly", "spark.app.name", "nightly"),
        ("driver_memory", "2g", "spark.driver.memory", "2g"),
        ("driver_cores", 2, "spark.driver.cores", "2"),
        ("executor_memory", "3g", "spark.executor.memory", "3g"),
        ("executor_cores", 4, "spark.executor.cores", "4"),
        ("num_executors", 5, "spark.executor.instances", "5"),
        ("queue", "night", "spark.yarn.queue", "night"),
        ("jars", ["/a.jar", "/b.jar"], "spark.jars", "/a.jar,/b.jar"),
        ("files", ["/a.txt"], "spark.files", "/a.txt"),
        ("py_files", ["/a.py"], "spark.submit.pyFiles", "/a.py"),
        ("archives", ["/a.zip#data"], "spark.archives", "/a.zip#data"),
    ],
)
def test_each_field_becomes_a_property(
    field: str, value: object, key: str, expected: str, here: ClusterSettings
) -> None:
    assert conf_of(SparkOptions(**{field: value}), here)[key] == expected  # type: ignore[arg-type]


def test_archives_go_where_yarn_looks_for_them(here: ClusterSettings) -> None:
    conf = conf_of(SparkOptions(archives=["/a.zip"]), dataclasses.replace(here, master="yarn"))
    assert conf["spark.yarn.dist.archives"] == "/a.zip" and "spark.archives" not in conf


@pytest.mark.parametrize("field", ["driver_cores", "executor_cores", "num_executors"])
@pytest.mark.parametrize("nothing", [None, 0])
def test_no_number_and_zero_leave_sparks_default(field: str, nothing: int | None, here: ClusterSettings) -> None:
    without = conf_of(SparkOptions(), here)
    assert conf_of(SparkOptions(**{field: nothing}), here) == without  # type: ignore[arg-type]


def test_what_was_not_asked_for_is_not_set(here: ClusterSettings) -> None:
    assert set(conf_of(SparkOptions(), here)) == {
        "spark.master",
        "spark.ui.port",
        "spark.driver.host",
        "spark.driver.bindAddress",
        "spark.local.dir",
    }


def test_a_field_wins_over_the_same_key_in_conf(here: ClusterSettings) -> None:
    options = SparkOptions(driver_memory="2g", conf={"spark.driver.memory": "1g", "spark.x": "y"})
    conf = conf_of(options, here)
    assert (conf["spark.driver.memory"], conf["spark.x"]) == ("2g", "y")


@pytest.mark.parametrize(
    ("field", "key"),
    [("jars", "spark.jars"), ("files", "spark.files"), ("py_files", "spark.submit.pyFiles"),
     ("archives", "spark.archives")],
)  # fmt: skip
def test_lists_come_before_what_conf_names(field: str, key: str, here: ClusterSettings) -> None:
    options = SparkOptions(**{field: ["/1", "/2"]}, conf={key: "/3,/4"})  # type: ignore[arg-type]
    assert conf_of(options, here)[key] == "/1,/2,/3,/4"


def test_the_order_of_precedence(here: ClusterSettings, home: Path) -> None:
    """Weakest first: the installation, the caller, the settings, the request's conf, the request's fields."""
    layers = ["installed", "default", "setting", "conf", "field"]
    keys = {f"spark.{n}": layers[: n + 1] for n in range(4)} | {"spark.app.name": layers}
    (home / "conf" / "spark-defaults.conf").write_text("".join(f"{key} installed\n" for key in keys))
    here = dataclasses.replace(here, spark_conf={key: "setting" for key, its in keys.items() if "setting" in its})
    options = SparkOptions(name="field", conf={key: "conf" for key, its in keys.items() if "conf" in its})
    conf = conf_of(options, here, **{key: "default" for key, its in keys.items() if "default" in its})
    assert {key: conf[key] for key in keys} == {key: its[-1] for key, its in keys.items()}


def test_the_master_is_the_gateways(here: ClusterSettings) -> None:
    assert conf_of(SparkOptions(conf={"spark.master": "spark://elsewhere:7077"}), here)["spark.master"] == here.master


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("2g", "2g"),
        ("2G", "2G"),
        ("1gb", "1g"),
        ("1gib", "1g"),
        ("1024", "1024m"),
        (" 2g\n", "2g"),
        ("1073741824b", "1024m"),
    ],
)
def test_the_drivers_memory_is_spelt_as_java_reads_it_too(size: str, expected: str, here: ClusterSettings) -> None:
    """Spark hands it to Java as it is: there `1gb` is no size, and 1024 is bytes."""
    assert conf_of(SparkOptions(driver_memory=size), here)["spark.driver.memory"] == expected
    assert conf_of(SparkOptions(conf={"spark.driver.memory": size}), here)["spark.driver.memory"] == expected


def test_other_sizes_keep_their_meaning(here: ClusterSettings) -> None:
    conf = {"spark.driver.maxResultSize": "1024", "spark.executor.memoryOverhead": "384", "spark.mine": "1gb"}
    found = conf_of(SparkOptions(conf=conf), here)
    assert [found[key] for key in conf] == ["1024b", "384m", "1gb"]


# ---------------------------------------------------------------- the command line


def test_the_command_line_holds_no_conf(here: ClusterSettings, home: Path) -> None:
    """Any user of the machine may read a command line."""
    assert submit.command(here, Path("/w/conf"), "/a.py", ["x", "--y"]) == [
        *(f"{home}/bin/spark-submit", "--properties-file", "/w/conf", "--deploy-mode", "client"),
        *("/a.py", "x", "--y"),
    ]


def test_class_and_deploy_mode_are_on_the_command_line(here: ClusterSettings) -> None:
    command = submit.command(here, Path("/c"), "/a.jar", class_name="org.Main", deploy_mode="cluster")
    assert command[3:] == ["--deploy-mode", "cluster", "--class", "org.Main", "/a.jar"]


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("/d/a#b.py", "file:///d/a%23b.py"),
        ("/d/a\rb.py", "file:///d/a%0Db.py"),
        ("/d/a b%20.py", "/d/a b%20.py"),
        ("s3a://b/a.py#c", "s3a://b/a.py#c"),
    ],
)
def test_an_application_is_named_so_that_spark_finds_it(file: str, expected: str, here: ClusterSettings) -> None:
    assert submit.command(here, Path("/c"), file)[-1] == expected


def test_a_proxy_user_is_passed_on(here: ClusterSettings) -> None:
    command = submit.command(here, Path("/c"), "/a.py", proxy_user="bob")
    assert command[-3:] == ["--proxy-user", "bob", "/a.py"]


def test_the_environment_holds_nothing_of_the_gateways_own(
    here: ClusterSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SPARK_GATEWAY_SPARK_CONF", "PYSPARK_SUBMIT_ARGS", "SPARK_HOME", "SPARK_CONF_DIR", "PLAIN"):
        monkeypatch.setenv(name, "outer")
    environ = submit.environ(here, Path("/jdk"), ["-Xa", "-Xb"], "/bin/python")
    assert environ["PLAIN"] == "outer"
    assert environ["JAVA_HOME"] == "/jdk" and environ["SPARK_HOME"] == here.spark_home
    assert environ["SPARK_SUBMIT_OPTS"] == "-Xa -Xb"
    assert environ["PYSPARK_PYTHON"] == environ["PYSPARK_DRIVER_PYTHON"] == "/bin/python"
    assert "PYSPARK_SUBMIT_ARGS" not in environ
    assert not [name for name in environ if name.startswith("SPARK_GATEWAY_")]


# ---------------------------------------------------------------- the locale


@pytest.fixture
def set_locale(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, str]], None]]:
    """Gives the process these variables of the locale and no others."""

    def give(variables: dict[str, str]) -> None:
        for name in [name for name in os.environ if name.startswith(("LC_", "LANG"))]:
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        submit._speaks_utf8.cache_clear()

    yield give
    submit._speaks_utf8.cache_clear()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "C.UTF-8"),
        ({"LC_ALL": "C"}, "C.UTF-8"),
        ({"LANG": "POSIX"}, "C.UTF-8"),
        ({"LANG": "xx_XX.UTF-8"}, "C.UTF-8"),
        ({"LANG": "xx_XX.UTF-8", "LC_CTYPE": "C.UTF-8"}, "C.UTF-8"),
        ({"LC_ALL": "C.UTF-8"}, "C.UTF-8"),
        ({"LANG": "C.UTF-8"}, None),
    ],
)
def test_what_is_started_speaks_utf_8_whatever_the_locale(
    variables: dict[str, str], expected: str | None, set_locale, here: ClusterSettings
) -> None:
    set_locale(variables)
    assert submit.environ(here, Path("/jdk"), [], "/bin/python").get("LC_ALL") == expected


def test_another_encoding_of_pythons_streams_is_not_passed_on(here: ClusterSettings, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    assert "PYTHONIOENCODING" not in submit.environ(here, Path("/jdk"), [], "/bin/python")
