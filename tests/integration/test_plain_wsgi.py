"""`gunicorn wsgi:app`: the same answers from Flask alone, on gunicorn's own workers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests

from tests.integration.running_gateway import ROOT, SOON, Gateway, Session, free_port, wait_until

PATHS = ["/sessions/{id}", "/sessions/{id}/state", "/sessions/{id}/log", "/batches", "/sessions/99999", "/version"]
OF_THE_SERVER = ("server", "date", "connection")


@pytest.fixture
def plain(gateway: Gateway) -> Iterator[str]:
    """The address of Flask under gunicorn's threads, on the same store."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "wsgi:app", "--bind", f"127.0.0.1:{port}", "--threads", "4"]
    server = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **gateway.environ})
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(url), SOON, "gunicorn answers")
        yield url
    finally:
        server.terminate()
        server.wait(SOON)


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/version", timeout=SOON).ok
    except requests.ConnectionError:
        return False


def test_answers_as_the_gateways_own_server_does(gateway: Gateway, session: Session, plain: str) -> None:
    for path in PATHS:
        seen = [requests.get(f"{url}{path.format(id=session.id)}", timeout=SOON) for url in (gateway.url, plain)]
        heads = [{name.lower(): value for name, value in one.headers.items()} for one in seen]
        for head in heads:
            for name in OF_THE_SERVER:
                head.pop(name, None)
        assert (seen[0].status_code, heads[0]) == (seen[1].status_code, heads[1])
        assert seen[0].content == seen[1].content
