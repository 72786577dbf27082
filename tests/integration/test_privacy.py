"""What others on the machine can see: nothing of the store, the folders, the files and the secrets in conf."""

from __future__ import annotations

import stat
from pathlib import Path

import psutil
import pytest

from gateway.core import processes
from tests.integration.running_gateway import Gateway, Session

SECRET = "hunter2-of-the-tests"
CONF = {"spark.my.password": SECRET, "spark.my.plain": "shown"}


@pytest.fixture(scope="module")
def keeper(gateway: Gateway) -> Session:
    """A session with a secret in its conf."""
    return gateway.new_session(kind="pyspark", conf=CONF).wait_for("idle")


def others_may(path: Path) -> int:
    """The permission bits that anybody but the owner has."""
    return stat.S_IMODE(path.lstat().st_mode) & 0o077


def test_secret_reaches_spark(keeper: Session) -> None:
    assert keeper.value("sc.getConf().get('spark.my.password')") == SECRET


def test_secret_is_in_no_command_line(keeper: Session) -> None:
    assert processes.family(keeper.folder)
    assert not [one for one in psutil.process_iter() if SECRET in " ".join(_command(one))]


def test_secret_is_in_no_environment(keeper: Session) -> None:
    assert not [one for one in processes.family(keeper.folder) if SECRET in str(one.environ())]


def test_secret_is_hidden_in_answers(keeper: Session) -> None:
    assert keeper.document["conf"] == {"spark.my.password": "*********(redacted)", "spark.my.plain": "shown"}
    for path in (keeper.path, "/sessions", f"{keeper.path}/log?size=-1"):
        assert SECRET not in keeper.gateway.call("GET", path).text


def test_secret_is_in_no_log(keeper: Session) -> None:
    assert SECRET not in (keeper.folder / "log").read_text("utf-8")
    assert SECRET not in keeper.gateway.output("supervisor") + keeper.gateway.output("web")


def test_secret_is_not_shown_by_spark_s_own_ui(keeper: Session) -> None:
    assert SECRET not in str(keeper.ui("/environment"))


def test_store_and_its_folders_are_private(keeper: Session) -> None:
    data = keeper.gateway.data
    assert others_may(data) == 0
    assert {path.name: others_may(path) for path in data.glob("gateway.db*")} == {
        path.name: 0 for path in data.glob("gateway.db*")
    }
    assert others_may(keeper.folder) == 0
    assert others_may(keeper.gateway.settings.wakeup_path) == 0


@pytest.mark.parametrize("name", ["spark.properties", "connection.json", "options.json", "log"])
def test_files_of_a_driver_are_private(keeper: Session, name: str) -> None:
    assert others_may(keeper.folder / name) == 0


def test_batch_keeps_its_secret_too(gateway: Gateway, tmp_path: Path) -> None:
    script = tmp_path / "application.py"
    script.write_text("print('begun')\nimport time; time.sleep(600)\n", "utf-8")
    batch = gateway.new_batch(script, conf=CONF)
    batch.wait_for_line("begun")
    family = processes.family(batch.folder)
    assert family and not [one for one in family if SECRET in " ".join(one.cmdline()) + str(one.environ())]
    assert others_may(batch.folder) == 0 and others_may(batch.folder / "spark.properties") == 0
    assert SECRET not in gateway.call("GET", batch.path).text + "".join(batch.log)
    batch.delete()


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
