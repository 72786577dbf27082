"""Which files a request may name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from gateway.core import checks
from gateway.core.errors import InvalidRequest, refuse
from gateway.core.options import SparkOptions
from gateway.core.settings import ClusterSettings, Settings

HERE = ClusterSettings()


def check(options: SparkOptions, settings: Settings, here: ClusterSettings, file: str | None = None) -> None:
    refuse(checks.faults(options, settings, here, file))


def refusal(options: SparkOptions, settings: Settings, file: str | None = None) -> str:
    with pytest.raises(InvalidRequest) as refused:
        check(options, settings, HERE, file)
    return str(refused.value)


@pytest.mark.parametrize("field", ["jars", "py_files", "files", "archives"])
@pytest.mark.parametrize("path", ["rel/a.jar", "a.jar", "./a.jar", "file:rel.jar", "~/a.jar"])
def test_a_relative_path_is_refused(field: str, path: str, settings: Settings) -> None:
    said = refusal(SparkOptions(**{field: [path]}), settings)  # type: ignore[arg-type]
    assert said.endswith(f": '{path}' is not absolute: give the whole path")


@pytest.mark.parametrize("key", ["spark.jars", "spark.files", "spark.submit.pyFiles", "spark.archives",
                                 "spark.yarn.dist.files", "spark.yarn.jars"])  # fmt: skip
def test_paths_in_conf_are_checked_too(key: str, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.jar").touch()
    conf = {key: f"{tmp_path}/a.jar, rel.jar"}
    assert refusal(SparkOptions(conf=conf), settings) == f"{key}: 'rel.jar' is not absolute: give the whole path"


@pytest.mark.parametrize("path", ["hdfs:///a.jar", "s3a://bucket/a.jar", "https://example.org/a.jar", "local:/a.jar"])
def test_other_file_systems_are_sparks_business(path: str, settings: Settings) -> None:
    strict = dataclasses.replace(settings, any_local_path=False)
    check(SparkOptions(jars=[path]), strict, HERE, path)


@pytest.mark.parametrize("path", ["http://[bad/a.jar", "s3a://[", "//[x/a.jar"])
def test_a_url_that_is_none_is_refused(path: str, settings: Settings) -> None:
    assert path in refusal(SparkOptions(jars=[path]), settings)


@pytest.mark.parametrize("path", ["file:///tmp/%00x", "/tmp/\0x"])
def test_a_path_with_a_nul_is_refused(path: str, settings: Settings) -> None:
    assert "has a NUL" in refusal(SparkOptions(), settings, path)
    assert "has a NUL" in refusal(SparkOptions(jars=[path]), settings)
    assert "has a NUL" in refusal(SparkOptions(), dataclasses.replace(settings, any_local_path=False), path)


def test_a_local_file_that_is_not_there_is_refused_at_once(settings: Settings, tmp_path: Path) -> None:
    said = refusal(SparkOptions(py_files=[f"{tmp_path}/none.py"]), settings)
    assert said == f"pyFiles: there is no file {tmp_path}/none.py on the gateway's host"
    assert refusal(SparkOptions(), settings, "file:///none.py").startswith("file: there is no file /none.py")


def test_a_missing_file_may_be_on_the_clusters_side(settings: Settings) -> None:
    check(SparkOptions(), settings, ClusterSettings(deploy_mode="cluster"), "/opt/app/none.py")


def test_a_pattern_is_left_to_spark(settings: Settings, tmp_path: Path) -> None:
    check(SparkOptions(jars=[f"{tmp_path}/*.jar"]), settings, HERE)


@pytest.mark.parametrize("field", ["jars", "py_files", "files", "archives"])
@pytest.mark.parametrize("name", ["a,b", "a?b", "a[b", "a]b", "a:b", "a{1}", "a "])
def test_a_name_that_spark_takes_in_no_list_is_refused(
    field: str, name: str, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / name).touch()
    wire = {"py_files": "pyFiles"}.get(field, field)
    for path in (f"{tmp_path}/{name}", (tmp_path / name).as_uri()):
        if name != "a " or not path.startswith("file:"):
            said = refusal(SparkOptions(**{field: [path]}), settings)  # type: ignore[arg-type]
            assert said.startswith(f"{wire}: '{path}' ")


def test_a_list_in_conf_is_parted_at_commas_alone(settings: Settings, tmp_path: Path) -> None:
    for name in ("a b.txt", "c%20d.txt", "üe.txt"):
        (tmp_path / name).touch()
    conf = {"spark.files": f" {tmp_path}/a b.txt,{tmp_path}/c%20d.txt , {tmp_path}/üe.txt,"}
    check(SparkOptions(conf=conf), settings, HERE)
    said = refusal(SparkOptions(conf={"spark.files": f"{tmp_path}/a b.txt,{tmp_path}/a?c"}), settings)
    assert said.startswith(f"spark.files: '{tmp_path}/a?c' has a ?")


@pytest.mark.parametrize("path", ["s3a://b/a.jar,s3a://b/c.jar", "https://example.org/a,b.jar"])
def test_two_files_are_no_entry_of_a_list(path: str, settings: Settings) -> None:
    assert refusal(SparkOptions(jars=[path]), settings) == (
        f"jars: '{path}' has a comma, at which Spark parts a list: give each file by itself"
    )


@pytest.mark.parametrize("name", ["a#b.py", "a,b.py", "a?[b]:*.py", "a%23b.py", "a\nb.py", "#.jar", "-x.py"])
def test_any_name_will_do_for_an_application(name: str, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    check(SparkOptions(), settings, HERE, f"{tmp_path}/{name}")


def test_a_jar_that_is_the_application_has_no_comma(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a,b.jar").touch()
    assert refusal(SparkOptions(), settings, f"{tmp_path}/a,b.jar").startswith("file: '")


def test_a_fragment_is_no_part_of_the_path(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a b.zip").touch()
    check(SparkOptions(archives=[f"{tmp_path}/a b.zip#data", f"file://{tmp_path}/a%20b.zip#data"]), settings, HERE)


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
    check(SparkOptions(jars=[f"{allowed}/x.jar", f"file:{allowed}/deep/y.jar"]), strict, HERE)


def test_without_a_whitelist_no_local_file_is_allowed(strict: Settings, allowed: Path) -> None:
    none = dataclasses.replace(strict, local_path_whitelist=[])
    expected = f"jars: {allowed}/x.jar may not be used here: give a file that may"
    assert refusal(SparkOptions(jars=[f"{allowed}/x.jar"]), none) == expected


@pytest.mark.parametrize(
    "path", ["{0}/../b/x.jar", "{0}b/x.jar", "file://{0}/../b/x.jar", "file:{0}/%2e%2e/b/x.jar", "//etc/passwd",
             "FILE:/etc/passwd", "{0}/../../../../../../../../../etc/passwd", "file://localhost/etc/passwd"]
)  # fmt: skip
def test_no_spelling_leads_out_of_an_allowed_folder(path: str, strict: Settings, allowed: Path) -> None:
    assert "may not be used here" in refusal(SparkOptions(files=[path.format(allowed)]), strict)
    assert "may not be used here" in refusal(SparkOptions(), strict, path.format(allowed))


def test_a_link_does_not_lead_out_of_an_allowed_folder(strict: Settings, allowed: Path, tmp_path: Path) -> None:
    (allowed / "link").symlink_to(tmp_path / "b")
    (allowed / "link.jar").symlink_to(tmp_path / "b" / "x.jar")
    for path in (f"{allowed}/link/x.jar", f"{allowed}/link.jar"):
        assert "may not be used here" in refusal(SparkOptions(jars=[path]), strict)


def test_an_allowed_folder_may_itself_be_a_link(strict: Settings, allowed: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(allowed)
    alias = dataclasses.replace(strict, local_path_whitelist=[str(tmp_path / "alias")])
    check(SparkOptions(jars=[f"{tmp_path}/alias/x.jar", f"{allowed}/x.jar"]), alias, HERE)
