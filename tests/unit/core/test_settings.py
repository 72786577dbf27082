"""Settings: where they come from, which wins, and what is said about a wrong one."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.core.durations import parse_duration
from gateway.core.errors import Misconfigured
from gateway.core.settings import Settings
from gateway.core.settings.printing import as_text, describe
from gateway.core.settings.reading import load
from gateway.server import web_command


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text("")
    return path


FIELDS = [field.name for field in dataclasses.fields(Settings)]


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_says_what_it_means(name: str) -> None:
    meaning = {field.name: field.metadata["meaning"] for field in dataclasses.fields(Settings)}[name]
    assert meaning.endswith(".") and len(meaning) > 10


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_survives_the_way_through_the_environment(name: str, file: Path) -> None:
    """What `settings` prints can be set."""
    shown = {key: value for key, value, _ in describe(Settings())}[name]
    assert getattr(load({f"SPARK_GATEWAY_{name.upper()}": shown}, file), name) == getattr(Settings(), name)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("PORT", "9000", 9000),
        ("SESSION_IDLE_TIMEOUT", "90s", timedelta(seconds=90)),
        ("RETENTION", "2d", timedelta(days=2)),
        ("HIVE", "true", True),
        ("HIVE", "No", False),
        ("HIVE", " 1 ", True),
        ("DATA_DIR", "/srv/gateway", Path("/srv/gateway")),
        ("CONF_BLACKLIST", "spark.a, spark.b,", ["spark.a", "spark.b"]),
        ("CONF_BLACKLIST", "", []),
        ("SPARK_CONF", "spark.a=1,spark.b=x=y", {"spark.a": "1", "spark.b": "x=y"}),
        ("MASTER", "local[2]", "local[2]"),
    ],
)
def test_the_environment_sets(name: str, text: str, expected: object, file: Path) -> None:
    assert getattr(load({"SPARK_GATEWAY_" + name: text}, file), name.lower()) == expected


def test_a_relative_folder_starts_from_the_working_folder(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load({"SPARK_GATEWAY_DATA_DIR": "data"}, file).data_dir == tmp_path / "data"


def test_a_file_sets(file: Path) -> None:
    file.write_text(
        'port = 9000\nhive = true\nretention = "2d"\ndata_dir = "/srv"\nconf_blacklist = ["spark.a"]\n'
        '[spark_conf]\n"spark.a" = 1\n"spark.b" = true\n"spark.c" = "x"\n'
    )
    found = load({}, file)
    assert (found.port, found.hive, found.retention) == (9000, True, timedelta(days=2))
    assert (found.data_dir, found.conf_blacklist) == (Path("/srv"), ["spark.a"])
    assert found.spark_conf == {"spark.a": "1", "spark.b": "true", "spark.c": "x"}


def test_conf_keys_in_a_file_need_no_quotes(file: Path) -> None:
    """Unquoted, TOML reads `spark.ui.port` as nested tables; everybody forgets the quotes."""
    file.write_text("[spark_conf]\nspark.ui.port = 4050\nspark.ui.enabled = true\n")
    assert load({}, file).spark_conf == {"spark.ui.port": "4050", "spark.ui.enabled": "true"}


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(file: Path) -> None:
    file.write_text("port = 9000\nweb_threads = 3\n")
    found = load({"SPARK_GATEWAY_PORT": "9001"}, file)
    assert (found.port, found.web_threads, found.web_workers) == (9001, 3, Settings().web_workers)


def test_the_environment_names_the_file(file: Path) -> None:
    file.write_text("port = 9000")
    assert load({"SPARK_GATEWAY_CONFIG": str(file)}).port == 9000


def test_a_named_file_wins_over_the_one_in_the_environment(file: Path, tmp_path: Path) -> None:
    file.write_text("port = 9000")
    assert load({"SPARK_GATEWAY_CONFIG": str(tmp_path / "other.toml")}, file).port == 9000


def test_the_users_own_file_is_read_where_it_is_there(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert load(environ).port == Settings().port
    (tmp_path / "spark-gateway").mkdir()
    (tmp_path / "spark-gateway" / "gateway.toml").write_text("port = 9000")
    assert load(environ).port == 9000


def test_other_variables_are_nobodys_business(file: Path) -> None:
    assert load({"SPARK_HOME": "/x", "PORT": "1", "SPARK_GATEWAYPORT": "1"}, file) == Settings()


@pytest.mark.parametrize("name", ["MAX_SESSION", "IDLE_TIMEOUT", "max_sesions"])
def test_an_unknown_variable_stops_the_start_with_a_hint(name: str, file: Path) -> None:
    with pytest.raises(Misconfigured, match="unknown setting SPARK_GATEWAY_.* in the environment: ") as refused:
        load({"SPARK_GATEWAY_" + name: "1"}, file)
    assert "did you mean" in str(refused.value) or "python -m gateway settings" in str(refused.value)


def test_an_unknown_name_in_the_file_names_the_nearest(file: Path) -> None:
    file.write_text("max_session = 3")
    with pytest.raises(Misconfigured, match="max_session in the settings file: did you mean max_sessions"):
        load({}, file)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "http"),
        ("PORT", ""),
        ("PORT", "1.5"),
        ("HIVE", "maybe"),
        ("RETENTION", "soon"),
        ("RETENTION", "-1h"),
    ],
)
def test_an_unfit_variable_stops_the_start_with_the_name_and_an_example(name: str, text: str, file: Path) -> None:
    with pytest.raises(Misconfigured) as refused:
        load({"SPARK_GATEWAY_" + name: text}, file)
    assert str(refused.value).startswith(f"setting {name.lower()} is '{text}': give ")


@pytest.mark.parametrize(
    "line",
    ['port = "9000"', "port = true", "port = 1.5", "hive = 1", 'hive = "true"', "retention = 3600", "master = 5",
     "conf_blacklist = [1]", 'conf_blacklist = "a"', "spark_conf = 3", 'clusters = "a"', "data_dir = 1"],
)  # fmt: skip
def test_a_wrong_type_in_the_file_stops_the_start_with_the_name(line: str, file: Path) -> None:
    file.write_text(line)
    with pytest.raises(Misconfigured, match=f"^setting {line.split(maxsplit=1)[0]} is .* in the settings file: give "):
        load({}, file)


@pytest.mark.parametrize("text", ["port = ", "\x00", "= 3"])
def test_a_file_that_is_not_toml_is_named(text: str, file: Path) -> None:
    file.write_text(text)
    with pytest.raises(Misconfigured, match=f"{file} is not TOML"):
        load({}, file)


def test_a_file_in_another_encoding_is_named(file: Path) -> None:
    file.write_bytes(b'master = "\xff"')
    with pytest.raises(Misconfigured, match=f"{file} is not TOML"):
        load({}, file)


def test_a_named_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="missing.toml cannot be read: No such file"):
        load({}, tmp_path / "missing.toml")


@pytest.mark.parametrize(
    "wrong",
    [{"port": -1}, {"port": 65536}, {"web_workers": 0}, {"max_sessions": 0}, {"deploy_mode": "yarn"},
     {"url_prefix": "livy"}, {"url_prefix": "/livy/"}, {"url_prefix": "/"}, {"livy_jars": "jars"},
     {"store": "mysql://db/gateway"}],
)  # fmt: skip
def test_a_value_out_of_bounds_stops_the_start_with_the_name(wrong: dict[str, object]) -> None:
    with pytest.raises(Misconfigured, match=f"^setting {next(iter(wrong))} is "):
        Settings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_a_loopback_address_needs_no_permission(host: str) -> None:
    assert Settings(host=host).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "", "127.0.0.1.example.org"])
def test_any_other_address_needs_permission(host: str) -> None:
    with pytest.raises(Misconfigured, match="not a loopback address"):
        Settings(host=host)
    assert Settings(host=host, allow_remote_without_authentication=True).host == host


@pytest.mark.parametrize("duration", [0, 0.005, 1, 60, 90, 3600, 5400, 86400, 86400 * 400, 10_000_001])
def test_a_duration_is_shown_in_the_grammar_it_is_read_in(duration: float) -> None:
    shown = as_text(timedelta(seconds=duration))
    assert parse_duration(shown) == timedelta(seconds=duration)


def test_settings_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


def test_defaults_of_lists_are_not_shared() -> None:
    Settings().conf_blacklist.append("spark.x")
    assert "spark.x" not in Settings().conf_blacklist


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (["a", "b"], "a,b"),
        ({"k": "v"}, "k=v"),
        (3, "3"),
    ],
)
def test_a_value_is_shown_as_text(value: object, text: str) -> None:
    assert as_text(value) == text


SECRETS = """
spark_conf = { "spark.my.password" = "hunter2", "spark.b" = "shown" }
[clusters.old.spark_conf]
"fs.s3a.secret.key" = "hunter2"
[permanent_sessions.daily]
conf = { "db.token" = "hunter2", "spark.c" = "shown" }
"""


def test_secrets_in_tables_are_never_shown(file: Path) -> None:
    file.write_text(SECRETS)
    settings = load({}, file)
    shown = {name: value for name, value, _ in describe(settings)}
    assert "hunter2" not in str(shown) and settings.spark_conf["spark.my.password"] == "hunter2"
    assert "spark.b=shown" in shown["spark_conf"] and '"spark.c" = "shown"' in shown["permanent_sessions"]


@pytest.mark.parametrize("name", ["SPARK_CONF", "CLUSTERS", "PERMANENT_SESSIONS"])
def test_a_malformed_text_with_secrets_is_not_repeated(name: str, file: Path) -> None:
    text = "spark.my.password hunter2"
    with pytest.raises(Misconfigured, match=f"^setting {name.lower()} is not readable: give ") as refused:
        load({f"SPARK_GATEWAY_{name}": text}, file)
    assert "hunter2" not in str(refused.value)
    file.write_text(f'{name.lower()} = "{text}"')
    with pytest.raises(Misconfigured, match=f"^setting {name.lower()} is not readable in the settings file: give "):
        load({}, file)
    file.write_text("spark_conf = { password = 'hunter2' }\nclusters = { old = 'hunter2' }")
    with pytest.raises(Misconfigured, match="clusters.old is no table") as refused:
        load({}, file)
    assert "hunter2" not in str(refused.value)


def test_a_list_in_spark_conf_is_its_items_with_commas(file: Path) -> None:
    file.write_text('spark_conf = { "spark.a" = [1, 2.5, "x"], "spark.b" = [] }')
    assert load({}, file).spark_conf == {"spark.a": "1,2.5,x", "spark.b": ""}


@pytest.mark.parametrize(
    ("host", "shown"),
    [("::1", "[::1]:9"), ("[::1]", "[::1]:9"), ("localhost", "localhost:9")],
)
def test_an_address_has_brackets_where_it_needs_some(host: str, shown: str) -> None:
    settings = Settings(host=host, port=9)
    assert settings.authority == shown and shown in web_command(settings)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:hunter2@db:5432/gateway",
        "postgresql://me:hun/ter2@x@db/gateway",
        "postgresql://db/gateway?user=me&password=hunter2&connect_timeout=3",
        "postgresql://me@db/gateway?sslpassword=hunter2",
    ],
)
def test_the_password_of_the_store_is_never_shown(address: str) -> None:
    shown = {name: value for name, value, _ in describe(Settings(store=address))}["store"]
    assert "ter2" not in shown and "***" in shown and "db" in shown and "gateway" in shown
    with pytest.raises(Misconfigured) as refused:
        Settings(store=address.replace("postgresql", "mysql"))
    assert "ter2" not in str(refused.value)
