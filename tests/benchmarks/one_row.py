"""The least that an answer to a poll can be: one row of SQLite as JSON, with Flask and without anything."""

from __future__ import annotations

import json
import sqlite3
import threading
from typing import Any

from flask import Flask, Response

_local = threading.local()


def _row() -> str:
    if not hasattr(_local, "db"):
        _local.db = sqlite3.connect("one.db", isolation_level=None)
    row = _local.db.execute("SELECT id, state, output FROM statements WHERE id = 0").fetchone()
    return json.dumps({"id": row[0], "state": row[1], "output": row[2]})


flask = Flask(__name__)


@flask.get("/row")
def row() -> Response:
    return Response(_row(), content_type="application/json")


async def plain(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    body = _row().encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
