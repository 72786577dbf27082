"""A program of jobs by Livy's own Java client, the newest that is on Maven Central, against the program.

Its record of a session knows 9 of the 23 members and refuses the others: `livy_java/HttpMessages.java` brings that one
class up to date. The rest is the client's own jar. What the program says is read once; each test looks at a part.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from zipfile import ZipFile

import pyspark
import pytest

from gateway.core import java
from tests.acceptance.program import Program
from tests.acceptance.rest import Rest

SOURCES = Path(__file__).parent / "livy_java"
CLIENT = ("org.apache.livy", "livy-client-http", "0.7.1-incubating")
SPARK_JARS = Path(pyspark.__file__).parent / "jars" / "*"
# Kryo looks into Java's own classes, as that of Spark does.
OPENED = ("java.lang", "java.lang.invoke", "java.util")
ENDLESS = ("spark", "sleep", "loop", "stubborn")

Said = dict[str, str]


@pytest.fixture(scope="module")
def said(program: Program, clients_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Said:
    """All that the Java program saw, by name."""
    folder = tmp_path_factory.mktemp("java")
    client = fetched(clients_python.parent.parent / "ivy", folder / "client")
    classes = compiled(folder / "classes", f"{client}:{SPARK_JARS}")
    jars = [packed(folder / f"{name}.jar", classes, f"example/{name}*.class") for name in ("Jobs", "Greeting")]
    record = packed(folder / "record.jar", classes, "**/HttpMessages$SessionInfo.class")
    files = [folder / "a.txt", folder / "b.txt"]
    for file, text in zip(files, ("a note", "a poem"), strict=True):
        file.write_text(f"{text}\n")
    opened = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in OPENED]
    path = f"{record}:{client}:{SPARK_JARS}:{classes}"
    ran = run("java", "-Xmx256m", *opened, "-cp", path, "example.Program", program.url, *jars, *files)
    return dict(line.split("\t", 1) for line in ran.stdout.splitlines() if "\t" in line)


def fetched(cache: Path, folder: Path) -> str:
    """The class path of the client and livy-api, fetched by the Ivy that Spark brings."""
    # A cache of its own, for Spark's own entries name repositories that plain Ivy does not know.
    words = ["-cache", cache, "-m2compatible", "-dependency", *CLIENT, "-confs", "default", "-types", "jar", "-warn"]
    run("java", "-cp", SPARK_JARS, "org.apache.ivy.Main", *words, "-retrieve", folder / "[artifact].[ext]")
    assert {jar.name for jar in folder.iterdir()} == {"livy-api.jar", "livy-client-http.jar"}
    return str(folder / "*")


def compiled(folder: Path, path: str) -> Path:
    run("javac", "-nowarn", "-cp", path, "-d", folder, *SOURCES.glob("*.java"))
    return folder


def packed(jar: Path, classes: Path, pattern: str) -> Path:
    with ZipFile(jar, "w") as file:
        for one in classes.glob(pattern):
            file.write(one, one.relative_to(classes))
    return jar


def run(tool: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program of the JDK."""
    home = java.find(compiler=True).home
    command = [str(home / "bin" / tool), *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300, env=environ())
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran


def environ() -> dict[str, str]:
    """UTF-8 in what Java prints, whatever the machine's language."""
    options = f"{os.environ.get('JAVA_TOOL_OPTIONS', '')} -Dfile.encoding=UTF-8 -Dstdout.encoding=UTF-8"
    return {**os.environ, "JAVA_TOOL_OPTIONS": options}


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("null", "null"),
        ("text", 'zwölf "Boxkämpfer" 日本'),
        ("number", str(-(2**63))),
        ("list", "[1, two, 3.0, null]"),
        ("report", "sent[x, y][X, Y]{x=1, y=1}"),
        ("made report", "made[a, b, a][A, B, A]{a=2, b=1}->second[][]{}"),
        ("rdd", "338350"),
        ("dataset", "[ABC, ABCD]"),
        ("run", "by run"),
        ("big", "5000000"),
    ],
)
def test_results_come_back_as_they_are(said: Said, name: str, result: str) -> None:
    assert said[name] == result


def test_a_jar_and_a_job_that_are_sent_before_spark_is_up_wait_for_it(said: Said) -> None:
    assert said["queued while starting"] == "yes"
    assert said["upload"] == "null"


def test_what_a_job_throws_reaches_the_client_with_its_stack_trace(said: Said) -> None:
    assert said["failure"].startswith("failed: java.lang.IllegalStateException: as it should\\n\tat example.Jobs$Fail")
    assert "\\nCaused by: java.lang.RuntimeException: the reason\\n" in said["failure"]


def test_a_result_that_cannot_be_written_is_a_failure(said: Said) -> None:
    assert "KryoException" in said["unwritable"]
    assert said["after failures"] == "works"


def test_jobs_run_at_the_same_time(said: Said) -> None:
    assert said["together"] == "truetruetrue"


def test_jars_and_files_are_there_for_the_next_job(said: Said) -> None:
    assert "java.lang.ClassNotFoundException: example.Greeting" in said["without the jar"]
    assert said["with the jar"] == "from another jar"
    assert said["uploaded file"] == "a note, a note"
    assert said["added file"] == "a poem, a poem"
    assert "there is no file" in said["add what is not there"]


def test_a_job_finds_all_that_its_context_promises(said: Said) -> None:
    assert "java.util.NoSuchElementException: Cannot find shared variable named report" in said["not shared"]
    assert said["share"] == "null"
    assert said["shared"] == said["removed"] == "shared[x][X]{x=1}"
    assert said["removed again"] == "null"
    assert said["context"] == "[folder 3, hive null, no streaming, streaming true, still 2]"


@pytest.mark.parametrize("how", ENDLESS)
def test_a_cancelled_job_really_stops(said: Said, how: str) -> None:
    assert said[f"cancel {how}"] == "cancelled"
    assert said[f"turns after {how}"] == said[f"jobs after {how}"] == "0"
    assert float(said[f"seconds {how}"]) < 10  # within 2 on an idle machine


def test_listeners_hear_of_the_end(said: Said) -> None:
    assert said["listener"] == "[succeeded done] SUCCEEDED"


def test_jobs_of_clients_from_0_8_on_may_be_lambdas(said: Said) -> None:
    assert said["lambda"] == "18"
    assert said["newer report"] == said["report"]
    assert said["newer made report"] == said["made report"]


def test_a_second_client_can_attach_and_the_first_one_ends_the_session(said: Said, rest: Rest) -> None:
    assert said["attached"] == "to the same session"
    rest.get(f"/sessions/{said['session']}", 404)
