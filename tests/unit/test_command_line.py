"""The command line as a user types it: each command as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.postgres_server import PASSWORD, PostgresServer

ROOT = Path(__file__).parents[2]


def gateway(tmp_path: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SPARK_GATEWAY_")}
    folders = {"SPARK_GATEWAY_DATA_DIR": str(tmp_path / "data"), "XDG_CONFIG_HOME": str(tmp_path)}
    return subprocess.run(
        [sys.executable, "-m", "gateway", *words],
        cwd=ROOT,
        env=environ | folders | variables,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )


def test_settings_are_shown_with_their_values(tmp_path: Path) -> None:
    assert "port = 9123\n" in gateway(tmp_path, "settings", SPARK_GATEWAY_PORT="9123").stdout


def test_a_file_of_settings_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("port = 9124\n")
    assert "port = 9124\n" in gateway(tmp_path, "--config", str(tmp_path / "mine.toml"), "settings").stdout


def test_in_a_locale_of_another_encoding_text_is_utf_8_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "größe.toml").write_text('python = "/größe/😀"\n', "utf-8")
    elsewhere = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    shown = gateway(tmp_path, "--config", str(tmp_path / "größe.toml"), "settings", **elsewhere)
    assert "python = /größe/😀\n" in shown.stdout, shown.stderr


def test_migrate_makes_the_store_and_is_done_then(tmp_path: Path) -> None:
    assert "applied" in gateway(tmp_path, "migrate").stdout
    assert "up to date" in gateway(tmp_path, "migrate").stdout


def test_doctor_finds_this_machine_fit(tmp_path: Path) -> None:
    answer = gateway(tmp_path, "doctor", SPARK_GATEWAY_PORT="0")
    assert answer.returncode == 0, answer.stdout
    assert "Java" in answer.stdout
    assert f"ok   Python of sessions: {ROOT}/.venv-session/bin/python\n" in answer.stdout
    assert "ok   warm drivers: 1 always, 2 at most" in answer.stdout
    gateway(tmp_path, "migrate")
    answer = gateway(tmp_path, "doctor", SPARK_GATEWAY_PORT="0")
    assert "; 0 warm, 0 starting; sessions so far: none\n" in answer.stdout
    assert "ok   shared applications: 64 sessions in one at most; 0 now, with 0 sessions\n" in answer.stdout
    none = gateway(tmp_path, "doctor", SPARK_GATEWAY_PORT="0", SPARK_GATEWAY_MAX_WARM_DRIVERS="0")
    assert "ok   warm drivers: none (setting max_warm_drivers)\n" in none.stdout


def test_every_command_works_on_postgresql_too(tmp_path: Path, postgres: PostgresServer) -> None:
    database = postgres.create()
    store = {"SPARK_GATEWAY_STORE": postgres.tcp_url(database, quote(PASSWORD, safe="")), "SPARK_GATEWAY_PORT": "0"}
    migrated = gateway(tmp_path, "migrate", **store)
    assert migrated.stdout.startswith(f"{postgres.tcp_url(database)}: applied core.ids"), migrated
    answers = [gateway(tmp_path, word, **store) for word in ("migrate", "doctor", "settings", "stop")]
    assert [answer.returncode for answer in answers] == [0] * 4, answers
    assert f"ok   store: {postgres.tcp_url(database)}\n" in answers[1].stdout
    assert not any(quote(PASSWORD, safe="") in answer.stdout + answer.stderr for answer in answers)


def test_doctor_names_a_python_that_is_not_there(tmp_path: Path) -> None:
    answer = gateway(tmp_path, "doctor", SPARK_GATEWAY_PORT="0", SPARK_GATEWAY_PYTHON="/nowhere/python")
    assert answer.returncode == 1
    assert "FAIL Python of sessions: setting python is '/nowhere/python'" in answer.stdout


@pytest.mark.parametrize(
    ("words", "variables", "fix"),
    [
        (["serve"], {"SPARK_GATEWAY_PROT": "1"}, "did you mean port?"),
        (["serve"], {"SPARK_GATEWAY_PORT": "high"}, "give a whole number"),
        (["serve"], {"SPARK_GATEWAY_HOST": "0.0.0.0"}, "allow_remote_without_authentication"),
        (["serve"], {"SPARK_GATEWAY_JAVA_HOME": "/nowhere"}, "Java 17 or newer is needed"),
        (["serve"], {"SPARK_GATEWAY_SPARK_HOME": "/nowhere"}, "name a Spark installation"),
        (
            ["serve"],
            {"SPARK_GATEWAY_PORT": "0", "SPARK_GATEWAY_STORE": "postgresql://me:se/cret@db/x"},
            "setting store is no",
        ),
        (
            ["serve"],
            {"SPARK_GATEWAY_PORT": "0", "SPARK_GATEWAY_STORE": "postgresql://127.0.0.1:1/x"},
            "see that it runs",
        ),
        (["supervise"], {"SPARK_GATEWAY_STORE": "postgresql://127.0.0.1:1/x"}, "see that it runs"),
        (["--config", "/nowhere.toml", "settings"], {}, "cannot be read"),
    ],
)
def test_what_keeps_it_from_starting_is_one_sentence_with_the_fix(
    tmp_path: Path, words: list[str], variables: dict[str, str], fix: str
) -> None:
    answer = gateway(tmp_path, *words, **variables)
    assert answer.returncode != 0
    assert fix in answer.stderr
    assert "Traceback" not in answer.stderr and "cret" not in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1


def test_a_data_folder_open_to_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    answer = gateway(tmp_path, "serve", SPARK_GATEWAY_PORT="0")
    assert answer.returncode != 0
    assert "chmod 700" in answer.stderr
