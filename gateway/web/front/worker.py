"""Gunicorn's worker: uvicorn's, with limits on what it lets clients send before anybody has looked at it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import quote_from_bytes

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn_worker import UvicornWorker

from gateway.core import processes
from gateway.web.documents import JSON_TYPE, compact

_LARGEST_HEAD = 256 * 1024  # bytes; Kerberos tickets travel in a header
_PATIENCE = 75.0  # seconds for the head of a request to come, however it trickles in
_ASCII = bytes(range(32, 127)).decode()


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_in_head = True
        self._head, self._requests = 0, 0  # bytes of a head that is not complete, complete heads

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.loop.call_later(_PATIENCE, self._look, 0)

    def _look(self, requests: int) -> None:
        """Close a connection on which nothing was asked since the last look, and nothing is being answered."""
        is_answered = self.cycle is None or self.cycle.response_complete
        if is_answered and self._requests == requests:
            self.transport.close()
        elif not self.transport.is_closing():
            self.loop.call_later(_PATIENCE, self._look, self._requests)

    def data_received(self, data: bytes) -> None:
        if self._is_in_head:
            data = data if data.isascii() or self._head else _escaped(data)
            self._head += len(data)
            if self._head > _LARGEST_HEAD:
                why = f"the head of the request is larger than {_LARGEST_HEAD} bytes"
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, why)
                return
        super().data_received(data)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._requests += 1
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_in_head, self._head = True, 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
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
