"""Clients that stall, break off or wait for something slow: the threads are for the others."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPResponse
from urllib.parse import urlsplit

import psutil
import pytest
import requests

from tests.integration.running_gateway import Gateway

MANY = 40  # more than the web process has threads
SOON = 10.0  # seconds
BEFORE_A_DELETE_GIVES_UP = 5.0  # seconds; it waits longer for the processes that it ends

HEADER = b"POST /sessions/999/statements HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 20\r\n\r\n"
BODY = b'{"code": "1 + 1"}   '


@contextmanager
def connections(gateway: Gateway, number: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """Connections on which no more than `sent` has been sent."""
    parts = urlsplit(gateway.url)
    with ExitStack() as stack:
        opened = []
        for _ in range(number):
            connection = stack.enter_context(socket.create_connection((parts.hostname, parts.port), timeout=SOON))
            connection.sendall(sent)
            opened.append(connection)
        yield opened


@pytest.mark.parametrize("sent", [b"", HEADER[:20], HEADER + BODY[:5]], ids=["nothing", "half a header", "half a body"])
def test_clients_that_stall_hold_up_nobody(gateway: Gateway, sent: bytes) -> None:
    with connections(gateway, MANY, sent):
        assert requests.get(f"{gateway.url}/version", timeout=SOON).status_code == 200


def test_a_request_may_come_in_pieces(gateway: Gateway) -> None:
    with connections(gateway, 1, b"") as (slow,):
        for _ in range(2):  # the second one on the connection that was kept
            for piece in (HEADER[:20], HEADER[20:], BODY[:5], BODY[5:]):
                assert requests.get(f"{gateway.url}/version", timeout=SOON).status_code == 200
                slow.sendall(piece)
            answer = HTTPResponse(slow)
            answer.begin()
            assert (answer.status, answer.read()) == (404, b'{"msg":"Session \'999\' not found."}')


def test_a_client_that_leaves_in_the_middle_is_forgotten(gateway: Gateway) -> None:
    with connections(gateway, 1, HEADER[:20]) as (leaving,):
        leaving.shutdown(socket.SHUT_WR)
        assert leaving.recv(1) == b""


def test_chunks_that_are_none_are_refused(gateway: Gateway) -> None:
    chunked = HEADER.replace(b"Content-Length: 20", b"Transfer-Encoding: chunked")
    with connections(gateway, 1, chunked + b"no number\r\n") as (broken,):
        answer = HTTPResponse(broken)
        answer.begin()
        assert answer.status == 400
        assert b"not sent in chunks" in answer.read()


def test_deletes_that_wait_hold_up_nobody(gateway: Gateway) -> None:
    assert gateway.supervisor is not None
    supervisor = psutil.Process(gateway.supervisor.pid)
    supervisor.suspend()
    try:
        sessions = [gateway.new_session() for _ in range(MANY)]
        with ThreadPoolExecutor(MANY) as clients:
            deletes = [clients.submit(session.delete) for session in sessions]
            for _ in range(MANY):
                answer = requests.get(f"{gateway.url}/version", timeout=BEFORE_A_DELETE_GIVES_UP)
                assert answer.status_code == 200
            assert not all(delete.done() for delete in deletes)
            supervisor.resume()
            for delete in deletes:
                delete.result(SOON)
    finally:
        supervisor.resume()
