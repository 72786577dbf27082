"""The WSGI application on a bounded number of threads, behind an event loop.

A thread begins when a request is there as a whole, and is free again when its answer is made: clients that send or read
slowly hold none. A large body is kept in a file meanwhile, as many at a time as there are threads.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from tempfile import SpooledTemporaryFile
from typing import IO, Any
from urllib.parse import unquote_to_bytes, urlsplit

from gateway.core.errors import GatewayError
from gateway.core.waiting import Hold, held
from gateway.web.documents import JSON_TYPE, compact
from gateway.web.front.holds import Holds
from gateway.web.middleware import Wsgi

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Largest = Callable[[dict[str, Any]], int]
Headers = list[tuple[bytes, bytes]]

_IN_MEMORY = 64 * 1024  # bytes of a body; a larger one is in a file
_PIECE = 256 * 1024  # bytes of an answer that are given out at once
_STALL = 20.0  # seconds for more of a body to come, or for room to keep it in
_SLOWEST = 4 * 1024  # bytes a second that a body comes with at least, but for a while at its beginning
_UNREAD = "spark_gateway.unread"  # whether a body was left where it is, which its client may still want to send
_WORDS = {
    HTTPStatus.REQUEST_TIMEOUT: "the body did not come, or too slowly",
    HTTPStatus.SERVICE_UNAVAILABLE: "too many large requests come at once: try again",
    HTTPStatus.INSUFFICIENT_STORAGE: "there is no room for the body on the gateway's disk: make some",
}


class Refused(Exception):
    """A body that does not come, or that cannot be kept; `status` says which."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class Threads:
    """`app` on the `number` threads of `pool`; `largest` says how many bytes the body of a request may have."""

    def __init__(self, app: Wsgi, pool: Executor, number: int, largest: Largest, holds: Holds) -> None:
        self._app, self._pool, self._largest, self._holds = app, pool, largest, holds
        self._files = asyncio.Semaphore(number)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have one request answered."""
        environ = environ_of(scope)
        body = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - the application's thread closes it
        try:
            await self._read(environ, receive, body)
        except Refused as refused:
            body.close()
            await _refuse(send, refused.status)
            return
        body.seek(0)
        environ["wsgi.input"] = body
        answer = _Answer()
        try:
            await self._run(partial(answer.begin, self._app, environ))
            for hold in answer.holds:
                with suppress(GatewayError):  # the store is away: what is answered was done before
                    await self._holds.until(hold.about, partial(_seen, hold), hold.patience)
            await self._give(answer, send)
        finally:
            if answer.is_open:
                self._pool.submit(answer.close)

    async def _read(self, environ: dict[str, Any], receive: Receive, body: IO[bytes]) -> None:
        """Keep the body; one that is too long is left unread, for the application to refuse. Raises Refused."""
        said = environ.get("CONTENT_LENGTH")
        if said is None and "HTTP_TRANSFER_ENCODING" not in environ:
            return
        if said is not None and int(said) > _IN_MEMORY and int(said) > self._largest(environ):
            if "HTTP_EXPECT" in environ:
                environ[_UNREAD] = True
            return
        came = _Body(receive, body)
        if not await came.read(_IN_MEMORY):
            await self._read_on(came, self._largest(environ))
        environ["CONTENT_LENGTH"] = str(body.tell())
        environ.pop("HTTP_TRANSFER_ENCODING", None)

    async def _read_on(self, came: _Body, largest: int) -> None:
        """The rest of a body that is kept in a file. Raises Refused."""
        try:
            await asyncio.wait_for(self._files.acquire(), _STALL)
        except asyncio.TimeoutError:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE) from None
        try:
            await came.read(largest)
        finally:
            self._files.release()

    async def _give(self, answer: _Answer, send: Send) -> None:
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        while not answer.has_ended:
            for piece in _slices(answer.pieces):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await self._run(answer.go_on)
        *first, last = _slices(answer.pieces)
        for piece in first:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": last})

    async def _run(self, work: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._pool, work)


class _Body:
    """What comes of a body, into a file. Whoever sends it is given up when no more comes, or only a trickle."""

    def __init__(self, receive: Receive, file: IO[bytes]) -> None:
        self._receive, self._file = receive, file
        self._begun = asyncio.get_running_loop().time()

    async def read(self, largest: int) -> bool:
        """Until its end, or it is longer than `largest`; whether it was the end. Raises Refused."""
        while self._file.tell() <= largest:
            message = await self._next()
            try:
                self._file.write(message.get("body", b""))
            except OSError as error:
                log.warning("a request's body cannot be kept: %s", error)
                raise Refused(HTTPStatus.INSUFFICIENT_STORAGE) from error
            if not message.get("more_body", False):
                return True
        return False

    async def _next(self) -> MutableMapping[str, Any]:
        loop = asyncio.get_running_loop()
        allowed = self._begun + 2 * _STALL + self._file.tell() / _SLOWEST
        try:
            message = await asyncio.wait_for(self._receive(), min(_STALL, allowed - loop.time()))
        except asyncio.TimeoutError:
            raise Refused(HTTPStatus.REQUEST_TIMEOUT) from None
        if message["type"] != "http.request":  # it was broken off, and nobody hears what we say
            raise Refused(HTTPStatus.REQUEST_TIMEOUT)
        return message


class _Answer:
    """What the application says to one request. Its methods run on threads, one at a time.

    `pieces` are of the body, and no more at a time than a client is given at once.
    """

    def __init__(self) -> None:
        self.status, self.headers = 0, Headers()
        self.pieces: list[bytes] = []
        self.holds: list[Hold] = []
        self.has_ended = self.is_open = False
        self._body: Iterator[bytes] = iter(())
        self._close: Callable[[], None] | None = None

    def begin(self, app: Wsgi, environ: dict[str, Any]) -> None:
        outside = held.set(self.holds)
        try:
            body = app(environ, self._start)
            self.is_open, self._close = True, getattr(body, "close", None)
            if _UNREAD in environ:
                self.headers.append((b"Connection", b"close"))
            self._body = iter(body)
            self.go_on()
        finally:
            held.reset(outside)
            environ["wsgi.input"].close()

    def go_on(self) -> None:
        self.pieces, length = [], 0
        for piece in self._body:
            self.pieces.append(piece)
            length += len(piece)
            if length >= _PIECE:
                return
        self.has_ended = True
        self.close()

    def close(self) -> None:
        self.is_open = False
        if self._close is not None:
            self._close()

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        self.status = int(status.split(" ", 1)[0])
        self.headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def environ_of(scope: Scope) -> dict[str, Any]:
    """The request as PEP 3333 has it, and with RAW_URI, as gunicorn's and Werkzeug's own servers tell it."""
    target = scope["raw_path"].decode("latin-1")
    path = target if target.startswith("/") else urlsplit(target).path  # proxies are sent whole addresses
    query = scope["query_string"].decode("latin-1")
    server, client = scope.get("server") or ("", 0), scope.get("client") or ("", 0)
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": f"{target}?{query}" if query else target,
        "SERVER_NAME": str(server[0]),
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": str(client[0]),
        "REMOTE_PORT": str(client[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,  # it is there as a whole
    }
    said: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        if b"_" not in name:  # it would stand for the one with a hyphen, which a proxy may have looked at
            said.setdefault(name.decode("latin-1").upper().replace("-", "_"), []).append(value.decode("latin-1"))
    for word, values in said.items():
        environ[word if word in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{word}"] = ",".join(values)
    return environ


def _slices(pieces: list[bytes]) -> list[bytes]:
    """The same bytes as pieces that may be given out at once; one at least."""
    if sum(map(len, pieces)) <= _PIECE:
        return [b"".join(pieces)]
    return [piece[at : at + _PIECE] for piece in pieces for at in range(0, len(piece), _PIECE)]


async def _refuse(send: Send, status: HTTPStatus) -> None:
    """In the words of no dialect: there is no request that one could answer."""
    body = compact({"msg": _WORDS[status]}).encode()
    headers = [(b"Content-Type", JSON_TYPE.encode()), (b"Content-Length", b"%d" % len(body)), (b"Connection", b"close")]
    await send({"type": "http.response.start", "status": status.value, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _seen(hold: Hold) -> tuple[None, bool]:
    return None, hold.done()
