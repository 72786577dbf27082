"""From what is asked for to what spark-submit is given; and what may not be asked for."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.core import spark
from gateway.core.errors import InvalidRequest, Misconfigured
from gateway.core.settings import Settings
from gateway.core.spark import SparkOptions


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Spark installation with nothing in it."""
    monkeypatch.delenv("SPARK_CONF_DIR", raising=False)
    (tmp_path / "spark" / "bin").mkdir(parents=True)
    (tmp_path / "spark" / "bin" / "spark-submit").touch()
    (tmp_path / "spark" / "conf").mkdir()
    return tmp_path / "spark"


@pytest.fixture
def here(home: Path, settings: Settings) -> Settings:
    return dataclasses.replace(settings, spark_home=str(home))


def conf_of(options: SparkOptions, settings: Settings, **defaults: str) -> dict[str, str]:
    return spark.conf_of(options, settings, Path("/work"), defaults)


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
def test_each_field_becomes_a_property(field: str, value: object, key: str, expected: str, here: Settings) -> None:
    assert conf_of(SparkOptions(**{field: value}), here)[key] == expected  # type: ignore[arg-type]


def test_archives_go_where_yarn_looks_for_them(here: Settings) -> None:
    conf = conf_of(SparkOptions(archives=["/a.zip"]), dataclasses.replace(here, master="yarn"))
    assert conf["spark.yarn.dist.archives"] == "/a.zip" and "spark.archives" not in conf


@pytest.mark.parametrize("field", ["driver_cores", "executor_cores", "num_executors"])
@pytest.mark.parametrize("nothing", [None, 0])
def test_no_number_and_zero_leave_sparks_default(field: str, nothing: int | None, here: Settings) -> None:
    without = conf_of(SparkOptions(), here)
    assert conf_of(SparkOptions(**{field: nothing}), here) == without  # type: ignore[arg-type]


def test_what_was_not_asked_for_is_not_set(here: Settings) -> None:
    assert set(conf_of(SparkOptions(), here)) == {
        "spark.master",
        "spark.ui.port",
        "spark.driver.host",
        "spark.driver.bindAddress",
        "spark.local.dir",
    }


def test_a_field_wins_over_the_same_key_in_conf(here: Settings) -> None:
    options = SparkOptions(driver_memory="2g", conf={"spark.driver.memory": "1g", "spark.x": "y"})
    conf = conf_of(options, here)
    assert (conf["spark.driver.memory"], conf["spark.x"]) == ("2g", "y")


@pytest.mark.parametrize(
    ("field", "key"),
    [("jars", "spark.jars"), ("files", "spark.files"), ("py_files", "spark.submit.pyFiles"),
     ("archives", "spark.archives")],
)  # fmt: skip
def test_lists_come_before_what_conf_names(field: str, key: str, here: Settings) -> None:
    options = SparkOptions(**{field: ["/1", "/2"]}, conf={key: "/3,/4"})  # type: ignore[arg-type]
    assert conf_of(options, here)[key] == "/1,/2,/3,/4"


def test_the_order_of_precedence(here: Settings, home: Path) -> None:
    """Weakest first: the installation, the caller, the settings, the request's conf, the request's fields."""
    layers = ["installed", "default", "setting", "conf", "field"]
    keys = {f"spark.{n}": layers[: n + 1] for n in range(4)} | {"spark.app.name": layers}
    (home / "conf" / "spark-defaults.conf").write_text("".join(f"{key} installed\n" for key in keys))
    here = dataclasses.replace(here, spark_conf={key: "setting" for key, its in keys.items() if "setting" in its})
    options = SparkOptions(name="field", conf={key: "conf" for key, its in keys.items() if "conf" in its})
    conf = conf_of(options, here, **{key: "default" for key, its in keys.items() if "default" in its})
    assert {key: conf[key] for key in keys} == {key: its[-1] for key, its in keys.items()}


def test_the_master_is_the_gateways(here: Settings) -> None:
    assert conf_of(SparkOptions(conf={"spark.master": "spark://elsewhere:7077"}), here)["spark.master"] == here.master


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
def test_the_installations_defaults_are_read_as_spark_reads_them(
    line: str, key: str, value: str, here: Settings, home: Path
) -> None:
    (home / "conf" / "spark-defaults.conf").write_text(f"# a comment\n\n#spark.b c\n{line}\n")
    conf = conf_of(SparkOptions(), here)
    assert conf[key] == value and "spark.b" not in conf and "#spark.b" not in conf and "#" not in conf


def test_the_installations_defaults_may_lie_elsewhere(
    here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spark-defaults.conf").write_text("spark.a b\n")
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    assert conf_of(SparkOptions(), here)["spark.a"] == "b"


# ---------------------------------------------------------------- the properties file

NASTY = {
    "spark.plain": "x",
    "spark.space in key": "v",
    "spark.a=b": "c=d",
    "spark.a:b": "c:d",
    "#comment": "#v",
    "!comment": "!v",
    "spark.leading": "  two spaces",
    "spark.tab": "\ttab",
    "spark.feed": "\fform feed",
    "spark.key\ffeed": "v",
    "spark.lines": "one\ntwo\r\nthree",
    "spark.backslash": "C:\\temp\\new \\u0041",
    "spark.ends": "with backslash\\",
    "spark.unicode": "ünï – 日本 🎉",
    "spark.ünï": "v",
    "spark.empty": "",
    "spark.quotes": "\"a\" 'b' $HOME `id`",
}


def read_properties(text: str) -> dict[str, str]:
    """java.util.Properties, as its documentation has it, for files without continued lines."""
    found = {}
    for line in re.split(r"(?:\r\n|\r|\n)[ \t\f]*", text):
        if not line or line[0] in "#!":
            continue
        match = re.fullmatch(r"((?:\\.|[^\\ \t\f=:])*)[ \t\f]*[=:]?[ \t\f]*(.*)", line, re.DOTALL)
        assert match is not None
        found[unescape(match[1])] = unescape(match[2])
    return found


def unescape(text: str) -> str:
    known = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
    return re.sub(
        r"\\(u[0-9a-fA-F]{4}|.)",
        lambda m: chr(int(m[1][1:], 16)) if len(m[1]) == 5 else known.get(m[1], m[1]),
        text,
        flags=re.DOTALL,
    )


def test_a_properties_file_says_what_was_meant(tmp_path: Path) -> None:
    spark.write_properties(tmp_path / "conf", NASTY)
    assert read_properties((tmp_path / "conf").read_text("utf-8")) == NASTY


JAVA = """
import java.nio.file.*;
public class Read {
    public static void main(String[] args) throws Exception {
        var properties = new java.util.Properties();
        properties.load(Files.newBufferedReader(Path.of(args[0])));
        var out = new StringBuilder();
        for (var name : properties.stringPropertyNames()) {
            for (var text : new String[] {name, properties.getProperty(name)}) {
                for (char c : text.toCharArray()) out.append(String.format("%04x", (int) c));
                out.append("\\n");
            }
        }
        System.out.print(out);
    }
}
"""


@pytest.mark.skipif(not shutil.which("java"), reason="no Java to ask")
def test_java_reads_a_properties_file_as_it_was_meant(tmp_path: Path) -> None:
    spark.write_properties(tmp_path / "conf", NASTY)
    (tmp_path / "Read.java").write_text(JAVA)
    command = ["java", "-XX:TieredStopAtLevel=1", str(tmp_path / "Read.java"), str(tmp_path / "conf")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    texts = [bytes.fromhex(line).decode("utf-16-be") for line in answer.split("\n")[:-1]]
    assert dict(zip(texts[::2], texts[1::2])) == NASTY


def test_a_properties_file_is_private_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "conf"
    spark.write_properties(path, {"a": "1"})
    spark.write_properties(path, {"b": "2"})
    assert path.read_text() == "b=2\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["conf"]


# ---------------------------------------------------------------- the command line


def test_the_command_line_holds_no_conf(here: Settings, home: Path) -> None:
    """Any user of the machine may read a command line."""
    options = SparkOptions(conf={"spark.db.password": "hunter2"}, driver_memory="2g", proxy_user="bob")
    command = spark.submit_command(here, options, Path("/w/conf"), "/a.py", ["x", "--y"])
    assert command == [
        *(f"{home}/bin/spark-submit", "--properties-file", "/w/conf", "--deploy-mode", "client"),
        *("/a.py", "x", "--y"),
    ]


def test_class_and_deploy_mode_are_on_the_command_line(here: Settings) -> None:
    command = spark.submit_command(here, SparkOptions(), Path("/c"), "/a.jar", [], "org.Main", "cluster")
    assert command[3:] == ["--deploy-mode", "cluster", "--class", "org.Main", "/a.jar"]


def test_a_proxy_user_is_passed_on_only_with_impersonation(here: Settings) -> None:
    options = SparkOptions(proxy_user="bob")
    assert "--proxy-user" not in spark.submit_command(here, options, Path("/c"), "/a.py")
    command = spark.submit_command(dataclasses.replace(here, impersonation=True), options, Path("/c"), "/a.py")
    assert command[-3:] == ["--proxy-user", "bob", "/a.py"]


def test_the_environment_holds_nothing_of_the_gateways_own(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPARK_GATEWAY_SPARK_CONF", "PYSPARK_SUBMIT_ARGS", "SPARK_HOME", "SPARK_CONF_DIR", "PLAIN"):
        monkeypatch.setenv(name, "outer")
    environ = spark.submit_environ(here, Path("/jdk"), ["-Xa", "-Xb"], "/bin/python")
    assert environ["PLAIN"] == "outer"
    assert environ["JAVA_HOME"] == "/jdk" and environ["SPARK_HOME"] == here.spark_home
    assert environ["SPARK_SUBMIT_OPTS"] == "-Xa -Xb"
    assert environ["PYSPARK_PYTHON"] == environ["PYSPARK_DRIVER_PYTHON"] == "/bin/python"
    assert "PYSPARK_SUBMIT_ARGS" not in environ
    assert not [name for name in environ if name.startswith("SPARK_GATEWAY_")]


# ---------------------------------------------------------------- the installation


def test_a_folder_without_spark_is_refused_with_the_fix(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="spark_home is .* no bin/spark-submit in it"):
        spark.spark_home(dataclasses.replace(settings, spark_home=str(tmp_path)))


def test_the_version_is_read_from_the_core_jar(home: Path) -> None:
    assert spark.spark_version(home) == ""
    (home / "jars").mkdir()
    (home / "jars" / "spark-core_2.13-4.0.1.jar").touch()
    assert spark.spark_version(home) == "4.0.1"


# ---------------------------------------------------------------- what is hidden


@pytest.mark.parametrize(
    "key",
    ["spark.db.password", "spark.PASSWORD.x", "spark.my.secret", "fs.s3a.access.key", "spark.accessKey", "x.token"],
)
def test_a_secret_is_not_shown(key: str) -> None:
    assert spark.redact({key: "hunter2", "spark.a": "b"}) == {key: "*********(redacted)", "spark.a": "b"}


@pytest.mark.parametrize("key", ["spark.executor.memory", "spark.key", "spark.access", "spark.app.name"])
def test_what_is_no_secret_is_shown(key: str) -> None:
    assert spark.redact({key: "x"}) == {key: "x"}


# ---------------------------------------------------------------- checks


def refusal(options: SparkOptions, settings: Settings, file: str | None = None) -> str:
    with pytest.raises(InvalidRequest) as refused:
        spark.check(options, settings, file)
    return str(refused.value)


def test_forbidden_conf_is_named_in_livys_words(settings: Settings) -> None:
    conf = {"spark.submit.deployMode": "cluster", "spark.a": "b"}
    expected = "Blacklisted configuration values in session config: spark.submit.deployMode"
    assert refusal(SparkOptions(conf=conf), settings) == expected


def test_all_forbidden_conf_is_named(settings: Settings) -> None:
    strict = dataclasses.replace(settings, conf_blacklist=["spark.b", "spark.a"])
    said = refusal(SparkOptions(conf={"spark.a": "1", "spark.b": "2", "spark.c": "3"}), strict)
    assert said.endswith(": spark.a, spark.b")


@pytest.mark.parametrize("size", ["1g", "512m", "1024", "2G", "1gb", "100kb", "1t", "64MB"])
def test_a_size_in_sparks_notation_is_fine(size: str, settings: Settings) -> None:
    spark.check(SparkOptions(driver_memory=size, executor_memory=size), settings)


@pytest.mark.parametrize("size", ["", "lots", "1.5g", "-1g", "1 x", "g", "1g\n2g"])
def test_what_is_no_size_is_refused_by_the_fields_name(size: str, settings: Settings) -> None:
    assert refusal(SparkOptions(executor_memory=size), settings).startswith(f"executorMemory '{size}' is not a size")


@pytest.mark.parametrize("number", [-1, 2**31])
def test_a_wrong_number_is_refused_by_the_fields_name(number: int, settings: Settings) -> None:
    assert refusal(SparkOptions(num_executors=number), settings).startswith(f"numExecutors is {number}")


@pytest.mark.parametrize("field", ["jars", "py_files", "files", "archives"])
@pytest.mark.parametrize("path", ["rel/a.jar", "a.jar", "./a.jar", "file:rel.jar", "~/a.jar"])
def test_a_relative_path_is_refused_in_livys_words(field: str, path: str, settings: Settings) -> None:
    said = refusal(SparkOptions(**{field: [path]}), settings)  # type: ignore[arg-type]
    assert said == f"requirement failed: Path '{path}' is not absolute."


@pytest.mark.parametrize("key", ["spark.jars", "spark.files", "spark.submit.pyFiles", "spark.archives",
                                 "spark.yarn.dist.files", "spark.yarn.jars"])  # fmt: skip
def test_paths_in_conf_are_checked_too(key: str, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.jar").touch()
    conf = {key: f"{tmp_path}/a.jar, rel.jar"}
    assert refusal(SparkOptions(conf=conf), settings) == "requirement failed: Path 'rel.jar' is not absolute."


@pytest.mark.parametrize("path", ["hdfs:///a.jar", "s3a://bucket/a.jar", "https://example.org/a.jar", "local:/a.jar"])
def test_other_file_systems_are_sparks_business(path: str, settings: Settings) -> None:
    strict = dataclasses.replace(settings, any_local_path=False)
    spark.check(SparkOptions(jars=[path]), strict, path)


@pytest.mark.parametrize("path", ["http://[bad/a.jar", "s3a://[", "//[x/a.jar"])
def test_a_url_that_is_none_is_refused(path: str, settings: Settings) -> None:
    assert path in refusal(SparkOptions(jars=[path]), settings)


def test_a_local_file_that_is_not_there_is_refused_at_once(settings: Settings, tmp_path: Path) -> None:
    said = refusal(SparkOptions(py_files=[f"{tmp_path}/none.py"]), settings)
    assert said == f"pyFiles: there is no file {tmp_path}/none.py on the gateway's host"
    assert refusal(SparkOptions(), settings, "file:///none.py").startswith("file: there is no file /none.py")


def test_a_missing_file_may_be_on_the_clusters_side(settings: Settings) -> None:
    spark.check(SparkOptions(), dataclasses.replace(settings, deploy_mode="cluster"), "/opt/app/none.py")


def test_a_pattern_is_left_to_spark(settings: Settings, tmp_path: Path) -> None:
    spark.check(SparkOptions(jars=[f"{tmp_path}/*.jar"]), settings)


def test_a_fragment_is_no_part_of_the_path(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a b.zip").touch()
    spark.check(SparkOptions(archives=[f"{tmp_path}/a b.zip#data", f"file://{tmp_path}/a%20b.zip#data"]), settings)


# ---------------------------------------------------------------- the whitelist


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    for name in ("a", "ab", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.jar").touch()
    return tmp_path / "a"


@pytest.fixture
def strict(settings: Settings, allowed: Path) -> Settings:
    return dataclasses.replace(settings, any_local_path=False, local_path_whitelist=[str(allowed)])


def test_a_file_in_an_allowed_folder_is_fine(strict: Settings, allowed: Path) -> None:
    (allowed / "deep").mkdir()
    (allowed / "deep" / "y.jar").touch()
    spark.check(SparkOptions(jars=[f"{allowed}/x.jar", f"file:{allowed}/deep/y.jar"]), strict)


def test_without_a_whitelist_no_local_file_is_allowed(strict: Settings, allowed: Path) -> None:
    none = dataclasses.replace(strict, local_path_whitelist=[])
    expected = f"requirement failed: Local path {allowed}/x.jar cannot be added to user sessions."
    assert refusal(SparkOptions(jars=[f"{allowed}/x.jar"]), none) == expected


@pytest.mark.parametrize(
    "path", ["{0}/../b/x.jar", "{0}b/x.jar", "file://{0}/../b/x.jar", "file:{0}/%2e%2e/b/x.jar", "//etc/passwd",
             "FILE:/etc/passwd", "{0}/../../../../../../../../../etc/passwd", "file://localhost/etc/passwd"]
)  # fmt: skip
def test_no_spelling_leads_out_of_an_allowed_folder(path: str, strict: Settings, allowed: Path) -> None:
    assert "cannot be added to user sessions" in refusal(SparkOptions(files=[path.format(allowed)]), strict)
    assert "cannot be added to user sessions" in refusal(SparkOptions(), strict, path.format(allowed))


def test_a_link_does_not_lead_out_of_an_allowed_folder(strict: Settings, allowed: Path, tmp_path: Path) -> None:
    (allowed / "link").symlink_to(tmp_path / "b")
    (allowed / "link.jar").symlink_to(tmp_path / "b" / "x.jar")
    for path in (f"{allowed}/link/x.jar", f"{allowed}/link.jar"):
        assert "cannot be added to user sessions" in refusal(SparkOptions(jars=[path]), strict)


def test_an_allowed_folder_may_itself_be_a_link(strict: Settings, allowed: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(allowed)
    alias = dataclasses.replace(strict, local_path_whitelist=[str(tmp_path / "alias")])
    spark.check(SparkOptions(jars=[f"{tmp_path}/alias/x.jar", f"{allowed}/x.jar"]), alias)


def test_options_survive_the_store(settings: Settings) -> None:
    options = SparkOptions(name="n", driver_cores=1, jars=["/a"], conf={"k": "v"})
    assert SparkOptions(**json.loads(json.dumps(options.as_dict()))) == options
