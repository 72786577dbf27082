"""What one connection may do before anybody has looked at its request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from gateway.web.front.worker import Protocol

GET = b"GET /sessions HTTP/1.1\r\nHost: here\r\n\r\n"
Connect = Callable[[], "Connection"]


class Connection(asyncio.Transport):
    """A client's side of it: what was written, and whether it was closed."""

    def __init__(self, protocol: Protocol, asked: list[Any], answered: asyncio.Event) -> None:
        super().__init__({"sockname": ("127.0.0.1", 8998), "peername": ("127.0.0.1", 40000)})
        self.protocol, self.written, self.is_closed = protocol, b"", False
        self.asked, self.may_answer = asked, answered
        protocol.connection_made(self)

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def pause_reading(self) -> None:
        """It is sent what a test sends."""

    def resume_reading(self) -> None:
        """As before."""

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def send(self, data: bytes) -> None:
        self.protocol.data_received(data)


@pytest.fixture
def connect(loop: asyncio.AbstractEventLoop) -> Connect:
    def make() -> Connection:
        asked, may_answer = list[Any](), asyncio.Event()

        async def application(scope: Any, receive: Any, send: Any) -> None:
            asked.append(scope)
            await may_answer.wait()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})

        config = Config(application, http=Protocol, ws="none", log_config=None)
        config.load()
        return Connection(Protocol(config, ServerState(), {}, loop), asked, may_answer)

    return make


def turn(loop: asyncio.AbstractEventLoop) -> None:
    for _ in range(5):
        loop.run_until_complete(asyncio.sleep(0))


@pytest.mark.parametrize("sent", [b"", GET[:-2]], ids=["nothing", "half a head"])
def test_one_that_asks_for_nothing_is_closed(sent: bytes, connect: Connect) -> None:
    connection = connect()
    connection.send(sent)
    connection.protocol._look(0)
    assert connection.is_closed


def test_one_that_is_being_answered_is_not(connect: Connect, loop: asyncio.AbstractEventLoop) -> None:
    connection = connect()
    connection.send(GET)
    turn(loop)
    connection.protocol._look(1)
    assert not connection.is_closed
    connection.may_answer.set()
    turn(loop)
    assert connection.written.startswith(b"HTTP/1.1 200")
    connection.protocol._look(0)
    assert not connection.is_closed, "it has asked since the last look"
    connection.protocol._look(1)
    assert connection.is_closed


def test_one_that_stalls_in_a_body_nobody_wants_is_closed(connect: Connect, loop: asyncio.AbstractEventLoop) -> None:
    connection = connect()
    connection.may_answer.set()
    connection.send(b"POST /sessions HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\n\r\n{")
    turn(loop)
    assert connection.written.startswith(b"HTTP/1.1 200")
    connection.protocol._look(1)
    assert connection.is_closed


def test_a_head_without_end_is_refused(connect: Connect) -> None:
    connection = connect()
    connection.send(GET[:-2])
    for _ in range(300):
        if not connection.is_closed:
            connection.send(b"X-Filler: " + b"x" * 1000 + b"\r\n")
    assert connection.is_closed
    assert connection.written.startswith(b"HTTP/1.1 431 ")
    assert b'{"msg":"the head of the request is larger than 262144 bytes"}' in connection.written


def test_a_long_body_is_no_head(connect: Connect, loop: asyncio.AbstractEventLoop) -> None:
    connection = connect()
    connection.send(b"POST /sessions HTTP/1.1\r\nHost: here\r\nContent-Length: 500000\r\n\r\n")
    for _ in range(50):
        connection.send(b"x" * 10_000)
    connection.may_answer.set()
    turn(loop)
    assert connection.written.startswith(b"HTTP/1.1 200")


def test_what_is_no_http_is_refused(connect: Connect) -> None:
    connection = connect()
    connection.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    assert connection.is_closed
    assert connection.written.startswith(b"HTTP/1.1 400 ")


def test_a_path_may_come_without_escapes(connect: Connect, loop: asyncio.AbstractEventLoop) -> None:
    connection = connect()
    connection.send("GET /sessions/größe?a=ü HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    turn(loop)
    (scope,) = connection.asked
    assert (scope["raw_path"], scope["query_string"]) == (b"/sessions/gr%C3%B6%C3%9Fe", b"a=%C3%BC")
