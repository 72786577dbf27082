"""The ASGI application: polls are answered here, all else is given to Flask.

A poll's answer is Flask's own, byte for byte, of which a test makes sure. What is odd about a request, and whatever
goes wrong, is Flask's to answer.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

from flask import Flask

from gateway.core import metrics
from gateway.core.errors import GatewayError
from gateway.core.settings import Settings
from gateway.core.settings.fields import is_loopback
from gateway.core.store.database import Database
from gateway.web import identity
from gateway.web.documents import JSON_TYPE
from gateway.web.front.holds import Holds
from gateway.web.front.polls import Asked, Held, Poll, Polls
from gateway.web.front.threads import Headers, Largest, Receive, Scope, Send, Threads
from gateway.web.headers import SECURITY_HEADERS, compressed, is_trusted
from gateway.web.scopes import PUBLIC

log = logging.getLogger(__name__)

_LONGEST_QUERY = 1024  # bytes of one that is looked into
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_QUICK = 64 * 1024  # characters of an answer that is compressed in a moment
_CLIENTS = 64  # whose headers are known
_ODD = {b"content-length", b"transfer-encoding", b"expect", b"upgrade"}  # headers of a GET that wants more than a read


class Application:
    """`polls` and `largest` are those of `flask`, the WSGI application. One for each web worker, from its fork on."""

    def __init__(self, flask: Flask, polls: Polls, largest: Largest, db: Database, settings: Settings) -> None:
        self.flask, self.polls, self._largest = flask, polls, largest
        self._db, self._settings = db, settings
        self._prefix = settings.url_prefix.encode()
        self._trusted = settings.trusted_hosts if is_loopback(settings.host) else []
        self._plain = lru_cache(_CLIENTS)(self._plain_headers)
        self._pool: ThreadPoolExecutor | None = None
        self._threads: Threads | None = None
        self._holds: Holds | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if scope["method"] != "GET" or not await self._answer_poll(scope, send):
                assert self._threads is not None
                await self._threads.answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await send({"type": "websocket.close"})

    def let_go(self) -> None:
        """The worker ends: what is held is answered now."""
        if self._holds is not None:
            self._holds.let_go()

    async def _live(self, receive: Receive, send: Send) -> None:
        number = self._settings.web_threads
        with ThreadPoolExecutor(number, thread_name_prefix="web") as pool:
            await receive()
            self._pool = pool
            self._holds = Holds(self._db, pool)
            self._threads = Threads(self.flask, pool, number, self._largest, self._holds)
            await self._holds.begin()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})

    async def _answer_poll(self, scope: Scope, send: Send) -> bool:
        """False: it is none, or Flask's to answer."""
        begun = time.perf_counter()
        found = self.polls.at(self._path(scope["raw_path"]))
        if found is None or len(scope["query_string"]) > _LONGEST_QUERY:
            return False
        headers = self._plain(tuple(scope["headers"]))
        if headers is None:
            return False
        poll, values = found
        asked = Asked(identity.of_request(headers), values, scope["query_string"], headers)
        text = await self._text(poll, asked)
        if text is None:
            return False
        respond = partial(_response, text.encode(), headers.get(b"accept-encoding", b""))
        if len(text) <= _QUICK:
            body, lines = respond()
        else:
            body, lines = await asyncio.get_running_loop().run_in_executor(self._pool, respond)
        _count(poll.route, time.perf_counter() - begun)
        await send({"type": "http.response.start", "status": 200, "headers": lines})
        await send({"type": "http.response.body", "body": body})
        return True

    async def _text(self, poll: Poll, asked: Asked) -> str | None:
        assert self._holds is not None
        if poll.scope != PUBLIC and not asked.principal.may(poll.scope):
            return None
        try:
            answer = poll.answer(asked) if self._db.is_near else await self._holds.soon(lambda: poll.answer(asked))
            if isinstance(answer, Held):
                answer = await self._holds.until(answer.about, answer.look, answer.patience)
            return answer
        except GatewayError:
            return None
        except Exception:
            log.exception("unexpected failure of a poll; Flask's view is asked")
            return None

    def _plain_headers(self, lines: tuple[tuple[bytes, bytes], ...]) -> Mapping[bytes, bytes] | None:
        """By their names; None when there is more in them than a read."""
        headers = dict(lines)
        if len(headers) != len(lines) or headers.keys() & _ODD or b"host" not in headers:
            return None
        host = headers[b"host"].decode("latin-1")
        if not _HOST.fullmatch(host) or (self._trusted and not is_trusted(host, self._trusted)):
            return None
        return headers

    def _path(self, path: bytes) -> bytes:
        return path[len(self._prefix) :] if self._prefix and path.startswith(self._prefix + b"/") else path


def _response(body: bytes, accepted: bytes) -> tuple[bytes, Headers]:
    smaller = compressed(body, accepted.decode("latin-1"))
    if smaller is None:
        return body, [_TYPE, (b"Content-Length", b"%d" % len(body)), *_SECURITY]
    return smaller, [_TYPE, (b"Content-Length", b"%d" % len(smaller)), *_SECURITY, (b"Content-Encoding", b"gzip")]


def _lines(headers: Mapping[str, str]) -> Headers:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


_TYPE = (b"Content-Type", JSON_TYPE.encode())
_SECURITY = _lines(SECURITY_HEADERS)


@lru_cache(256)
def _counter(route: str) -> Any:
    return metrics.REQUESTS.labels("GET", route, 200)


def _count(route: str, seconds: float) -> None:
    _counter(route).observe(seconds)
