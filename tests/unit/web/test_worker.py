"""What one connection may do before anybody has looked at its request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from gateway.web.front import worker
from gateway.web.front.worker import Protocol

GET = b"GET /sessions HTTP/1.1\r\nHost: here\r\n\r\n"
Connect = Callable[..., "Connection"]


class Connection(asyncio.Transport):
    """A client's side of it: what was written, and whether it was closed."""

    def __init__(self, protocol: Protocol, asked: list[Any], answered: asyncio.Event) -> None:
        super().__init__({"sockname": ("127.0.0.1", 8998), "peername": ("127.0.0.1", 40000)})
        self.protocol, self.written, self.is_closed = protocol, b"", False
        self.asked, self.may_answer, self.is_aborted = asked, answered, False
        protocol.connection_made(self)

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True

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
    def make(*, reads: bool = True) -> Connection:
        asked, may_answer = list[Any](), asyncio.Event()

        async def application(scope: Any, receive: Any, send: Any) -> None:
            body, more = b"", reads
            while more:
                message = await receive()
                body, more = body + message.get("body", b""), message.get("more_body", False)
            asked.append({**scope, "body": body})
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
    connection = connect(reads=False)
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


@pytest.mark.parametrize("pieces", [1, 2], ids=["at once", "with its body behind"])
def test_who_would_like_another_protocol_is_heard_in_this_one(
    pieces: int, connect: Connect, loop: asyncio.AbstractEventLoop
) -> None:
    head = (
        b"POST /sessions HTTP/1.1\r\nHost: here\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAEAAEAA\r\nContent-Length: 2\r\n\r\n"
    )
    connection = connect()
    connection.may_answer.set()
    for _ in range(2):
        for piece in [head + b"{}"] if pieces == 1 else [head, b"{}"]:
            connection.send(piece)
            turn(loop)
    assert [scope["body"] for scope in connection.asked] == [b"{}", b"{}"]
    assert connection.written.count(b"HTTP/1.1 200") == 2


def test_a_tunnel_is_refused(connect: Connect) -> None:
    connection = connect()
    connection.send(b"CONNECT here:443 HTTP/1.1\r\nHost: here\r\n\r\n")
    assert connection.written.startswith(b"HTTP/1.1 400 ")


def test_who_says_no_more_gets_its_answer(connect: Connect, loop: asyncio.AbstractEventLoop) -> None:
    connection = connect()
    connection.send(GET)
    assert connection.protocol.eof_received()
    connection.may_answer.set()
    turn(loop)
    assert connection.written.startswith(b"HTTP/1.1 200")
    assert connection.is_closed


def test_who_leaves_in_the_middle_of_a_body_does_not(connect: Connect) -> None:
    connection = connect()
    assert not connection.protocol.eof_received()
    connection.send(b"POST /sessions HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\n\r\n{")
    assert not connection.protocol.eof_received()


def test_who_does_not_read_is_given_up(
    connect: Connect, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_STALL", 0)
    reads, stalls = connect(), connect()
    for one in (reads, stalls):
        one.protocol.pause_writing()
    reads.protocol.resume_writing()
    turn(loop)
    assert (reads.is_aborted, stalls.is_aborted) == (False, True)


def test_of_one_that_is_lost_nothing_is_left_to_do(connect: Connect) -> None:
    connection = connect()
    connection.protocol.pause_writing()
    connection.protocol.connection_lost(None)
    for timer in (connection.protocol._looking, connection.protocol._stalling):
        assert timer is not None
        assert timer.cancelled()


def test_a_closed_one_whose_client_does_not_read_is_ended(connect: Connect) -> None:
    connection = connect()
    connection.close()
    connection.protocol._look(0)
    assert connection.is_aborted


def test_what_came_before_garbage_is_answered(connect: Connect, loop: asyncio.AbstractEventLoop) -> None:
    connection = connect()
    connection.may_answer.set()
    connection.send(GET + b"GARBAGE\r\n\r\n")
    turn(loop)
    assert connection.written.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 400" not in connection.written
    assert connection.is_closed


def test_a_body_is_no_part_of_the_head_that_comes_with_it(connect: Connect, loop: asyncio.AbstractEventLoop) -> None:
    connection = connect()
    connection.may_answer.set()
    head = b"POST /sessions HTTP/1.1\r\nHost: here\r\nX-Ticket: " + b"x" * 8000
    connection.send(head)
    connection.send(b"\r\nContent-Length: 300000\r\n\r\n" + b"y" * 260_000)
    connection.send(b"y" * 40_000)
    turn(loop)
    assert connection.written.startswith(b"HTTP/1.1 200")
