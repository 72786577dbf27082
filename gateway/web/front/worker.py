"""Gunicorn's worker: uvicorn's, with what it leaves to others.

That is: limits on what clients may send before anybody has looked at it, and on how long they may take to read; bodies
of requests that would like another protocol; clients that say no more but wait for their answer.
"""

from __future__ import annotations

from asyncio import TimerHandle
from http import HTTPStatus
from typing import Any
from urllib.parse import quote_from_bytes

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn_worker import UvicornWorker

from gateway.core import processes
from gateway.web.documents import JSON_TYPE, compact

_LARGEST_HEAD = 256 * 1024  # bytes; Kerberos tickets travel in a header
_PATIENCE = 75.0  # seconds for the head of a request to come, however it trickles in
_STALL = 20.0  # seconds for a client to read what it was sent
_ASCII = bytes(range(32, 127)).decode()
_OF_UPGRADES = (b"upgrade", b"connection", b"http2-settings")


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_between, self._is_in_head = True, False  # of requests; in the latter the first byte has come
        self._head, self._requests = 0, 0  # bytes of a head that is not complete, complete heads
        self._answering: RequestResponseCycle | None = None
        self._looking: TimerHandle | None = None
        self._stalling: TimerHandle | None = None

    # ------------------------------------------------------------ its life

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._looking = self.loop.call_later(_PATIENCE, self._look, 0)

    def _look(self, requests: int) -> None:
        """End a connection on which nothing was asked since the last look, and nothing is being answered."""
        is_answered = self.cycle is None or self.cycle.response_complete
        if self.transport.is_closing():
            self._give_up()
        elif is_answered and self._requests == requests:
            self.transport.close()
        self._looking = self.loop.call_later(_PATIENCE, self._look, self._requests)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._looking, self._stalling):
            if timer is not None:
                timer.cancel()
        self._send_no_more()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalling = self.loop.call_later(_STALL, self._give_up)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle  # the newest one, which uvicorn knows, may still wait behind others
        super()._start_asgi_task(cycle, app)

    def _give_up(self) -> None:
        self._send_no_more()
        self.transport.abort()

    def _send_no_more(self) -> None:
        self.pipeline.clear()
        if self._answering is not None:
            self._answering.disconnected = True

    def resume_writing(self) -> None:
        if self._stalling is not None:
            self._stalling.cancel()
        super().resume_writing()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """A client that sends no more may still wait for its answer: then the connection is kept until that is sent."""
        if self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            return None
        self.cycle.keep_alive = False
        return True

    def shutdown(self) -> None:
        self.config.app.let_go()  # type: ignore[union-attr]
        super().shutdown()

    # ------------------------------------------------------------ what comes

    def data_received(self, data: bytes) -> None:
        if self._is_between and not data.isascii():
            data = _escaped(data)
        was_in_head = self._is_in_head
        self._feed(data)
        self._head = self._head + len(data) if was_in_head and self._is_in_head else 0
        if self._head > _LARGEST_HEAD and not self.transport.is_closing():
            why = f"the head of the request is larger than {_LARGEST_HEAD} bytes"
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, why)

    def _feed(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self.parser.get_method() == b"CONNECT":
                self.send_400_response("")
                return
            head, rest = self._head_without_upgrade(), data[upgrade.args[0] :]
            self.parser = httptools.HttpRequestParser(self)
            self._feed(head + rest)
        except httptools.HttpParserError:
            self.send_400_response("")

    def _head_without_upgrade(self) -> bytes:
        """The head that has just come, as that of an ordinary request: no other protocol is spoken here."""
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in self.headers if name not in _OF_UPGRADES]
        return b"\r\n".join([*lines, b"", b""])

    def on_message_begin(self) -> None:
        self._is_between, self._is_in_head = False, True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        if not self.parser.should_upgrade():
            self._requests += 1
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_between = True
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body:
            self.cycle.keep_alive = False  # what came before is answered, and what follows it is not
            self.flow.pause_reading()
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, "this is no HTTP, or a body not sent in chunks as its head says")

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        """In the words of no dialect: there is no path yet that could say which is spoken."""
        body = compact({"msg": why})
        self.transport.write(
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {JSON_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
        )
        self.transport.close()


def _escaped(data: bytes) -> bytes:
    """The beginning of a request with its first line in ASCII, as browsers send it and the parser wants it."""
    line, end, rest = data.partition(b"\r\n")
    return quote_from_bytes(line, _ASCII).encode() + end + rest


class Worker(UvicornWorker):
    CONFIG_KWARGS = {  # noqa: RUF012 - the base class says so
        "http": Protocol,
        "loop": "uvloop",
        "ws": "none",
        "lifespan": "on",
        "proxy_headers": False,  # who the client is, `gateway.web` finds out
        "server_header": False,
    }

    def init_process(self) -> None:
        """In the new process."""
        processes.end_with_parent(self.ppid)  # or it would go on answering on the port that the next server needs
        processes.allow_descriptors()  # one for each connection, which is all that a stalled or a held one costs
        super().init_process()
