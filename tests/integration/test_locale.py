"""A gateway whose host speaks no UTF-8: text arrives as it was sent all the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.running_gateway import Gateway

TEXT = "größe 😀"
_FIRST_SCALA = 240.0  # seconds that its compiler may take to start on a busy machine


@pytest.fixture
def gateway(start_gateway: Callable[..., Gateway], monkeypatch: pytest.MonkeyPatch) -> Gateway:
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    return start_gateway()


def test_text_is_utf_8_whatever_the_hosts_locale(gateway: Gateway, tmp_path: Path) -> None:
    script = tmp_path / f"{TEXT}.py"
    script.write_text("import sys\nprint('seen', *sys.argv[1:], open(sys.argv[0]).read()[-1])\n#ö", "utf-8")
    batch = gateway.new_batch(script, args=TEXT.split())
    session = gateway.new_session(kind="shared", name=TEXT, files=[str(script)]).wait_for("idle")
    assert session.text(f"print('{TEXT}')") == TEXT
    assert session.value(f"open('{TEXT}.py').read()[-1]") == "ö"
    assert session.run(f'print("{TEXT}")', "spark", _FIRST_SCALA)["data"]["text/plain"] == TEXT
    assert "true" in session.text(f'new java.io.File("{script}").exists', "spark")
    assert session.value("sc._jvm.java.nio.charset.Charset.defaultCharset().name()") == "UTF-8"
    upload = {"file": ("übung.txt", "größe".encode())}
    answer = gateway.http.post(f"{gateway.url}{session.path}/upload-file", files=upload, timeout=60)
    assert answer.status_code == 200, answer.text
    assert session.value("open(__import__('pyspark').SparkFiles.get('übung.txt')).read()") == "größe"
    assert batch.wait_for("success").wait_for_line("seen ") == f"seen {TEXT} ö"
