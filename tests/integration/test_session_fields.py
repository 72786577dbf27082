"""Every field of a session reaches Spark: asked from Spark itself, in a session that sets them all."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.integration.running_gateway import SOON, Gateway, Session, wait_until


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "alone.py").write_text("VALUE = 'from a py file'\n", "utf-8")
    with zipfile.ZipFile(folder / "packed.zip", "w") as archive:
        archive.writestr("packed/__init__.py", "VALUE = 'from a package'\n")
    (folder / "some data.txt").write_text("some data\n", "utf-8")
    (folder / "100% größe 1.txt").write_text("by conf\n", "utf-8")
    with zipfile.ZipFile(folder / "tree.zip", "w") as archive:
        archive.writestr("leaf.txt", "a leaf\n")
    return folder


@pytest.fixture(scope="module")
def opened(gateway: Gateway, jar: Path, inputs: Path) -> Session:
    return gateway.new_session(
        kind="pyspark",
        name="every field ä",
        driverMemory="700mb",
        driverCores=1,
        executorMemory="600m",
        executorCores=2,
        numExecutors=3,
        queue="other",
        heartbeatTimeoutInSecond=600,
        ttl="2h",
        idleTimeout="30m",
        jars=[str(jar)],
        pyFiles=[str(inputs / "alone.py"), str(inputs / "packed.zip")],
        files=[str(inputs / "some data.txt")],
        archives=[f"{inputs / 'tree.zip'}#tree"],
        conf={
            "spark.files": f"{inputs}/100% größe 1.txt",
            "spark.my.text": "two words = one: \\ 'x' # ä",
            "spark.sql.session.timeZone": "Asia/Tokyo",
            "spark.driver.extraJavaOptions": "-Dmine=1",
        },
    ).wait_for("idle")


def test_every_field_comes_back_as_it_was_asked(opened: Session, jar: Path, inputs: Path) -> None:
    document = opened.document
    asked = {
        "name": "every field ä",
        "kind": "pyspark",
        "driverMemory": "700mb",
        "driverCores": 1,
        "executorMemory": "600m",
        "executorCores": 2,
        "numExecutors": 3,
        "queue": "other",
        "heartbeatTimeoutInSecond": 600,
        "ttl": "2h",
        "idleTimeout": "30m",
        "jars": [str(jar)],
        "pyFiles": [str(inputs / "alone.py"), str(inputs / "packed.zip")],
        "files": [str(inputs / "some data.txt")],
        "archives": [f"{inputs / 'tree.zip'}#tree"],
    }
    assert {name: document[name] for name in asked} == asked


def test_driver_memory_is_the_heap_of_the_jvm(opened: Session) -> None:
    heap = int(opened.text("sc._jvm.java.lang.Runtime.getRuntime().maxMemory()"))
    assert 0.9 * 700 * 2**20 < heap <= 700 * 2**20


def test_sizes_are_spark_conf(opened: Session) -> None:
    keys = [
        "driver.cores",
        "executor.memory",
        "executor.cores",
        "executor.instances",
        "yarn.queue",
        "app.name",
        "master",
    ]
    assert opened.value(f"[sc.getConf().get('spark.' + key) for key in {keys}]") == [
        *("1", "600m", "2", "3", "other", "every field ä", "local[2]")
    ]


def test_conf_reaches_spark_to_the_letter(opened: Session) -> None:
    assert opened.value("sc.getConf().get('spark.my.text')") == "two words = one: \\ 'x' # ä"
    assert opened.value("spark.conf.get('spark.sql.session.timeZone')") == "Asia/Tokyo"


def test_java_options_of_the_user_stand_beside_the_gateway_s(opened: Session) -> None:
    assert opened.value("sc._jvm.java.lang.System.getProperty('mine')") == "1"


def test_jar_is_on_the_class_path(opened: Session) -> None:
    assert opened.text("sc._jvm.example.Main.greet('you')") == "'hello you'"


def test_py_files_can_be_imported_in_the_driver_and_in_tasks(opened: Session) -> None:
    assert opened.value("[__import__(name).VALUE for name in ('alone', 'packed')]") == [
        *("from a py file", "from a package")
    ]
    assert opened.value("sc.parallelize([1]).map(lambda _: __import__('packed').VALUE).collect()") == ["from a package"]


def test_files_are_in_the_working_directory_and_in_spark_files(opened: Session) -> None:
    assert opened.value("open('some data.txt').read()") == "some data\n"
    assert opened.value("open(__import__('pyspark').SparkFiles.get('some data.txt')).read()") == "some data\n"
    assert opened.value("open('100% größe 1.txt').read()") == "by conf\n"


def test_archives_are_unpacked_under_their_name(opened: Session) -> None:
    assert opened.value("open('tree/leaf.txt').read()") == "a leaf\n"


def test_session_is_found_by_its_name(opened: Session) -> None:
    assert opened.gateway.get("/sessions/every%20field%20%C3%A4")["id"] == opened.id


def test_name_in_use_is_refused(opened: Session) -> None:
    before = opened.gateway.get("/sessions")["total"]
    answer = opened.gateway.call("POST", "/sessions", {"name": "every field ä"})
    assert answer.status_code == 400 and "Duplicate session name" in answer.json()["msg"]
    assert opened.gateway.get("/sessions")["total"] == before


def test_kind_of_the_session_is_the_language_of_its_statements(opened: Session) -> None:
    assert opened.text("6 * 7", kind=None) == "42"
    assert opened.run("select 42", kind="sql")["status"] == "ok"


def test_deleted_session_leaves_no_process_and_no_file(opened: Session) -> None:
    folder = opened.folder
    opened.delete()
    assert not opened.exists()
    wait_until(lambda: not folder.exists(), SOON, "its folder is gone")
    assert [process for process in opened.gateway.started_processes() if str(folder) in str(process.environ())] == []
