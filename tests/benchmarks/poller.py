"""A program that asks for one address over many connections at once: `poller.py HOST PORT PATH CONNECTIONS SECONDS`.

It prints how many answers came and how long they took: {"count": ..., "p50": seconds, "p95": seconds}. It reads no
more of an answer than its length, so that it asks faster than any server here answers.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import sys
import time

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Connection:
    def __init__(self, host: str, port: int, request: bytes) -> None:
        self.socket = socket.create_connection((host, port))
        self._request, self._came, self._begun = request, b"", 0.0

    def ask(self) -> None:
        self._begun = time.perf_counter()
        self.socket.sendall(self._request)

    def read(self) -> float | None:
        """The seconds that an answer took; None: there is more of it to come."""
        self._came += self.socket.recv(1 << 20)
        head, end, body = self._came.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or length is None or len(body) < int(length[1]):
            return None
        assert head.startswith(b"HTTP/1.1 200"), head
        self._came = b""
        return time.perf_counter() - self._begun


def poll(host: str, port: int, path: str, number: int, seconds: float) -> list[float]:
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: */*\r\n\r\n".encode()
    selector, taken = selectors.DefaultSelector(), list[float]()
    for connection in [Connection(host, port, request) for _ in range(number)]:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.ask()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for key, _ in selector.select(1.0):
            if (answer := key.data.read()) is not None:
                taken.append(answer)
                key.data.ask()
    return taken


def main() -> None:
    host, port, path, number, seconds = sys.argv[1:]
    taken = sorted(poll(host, int(port), path, int(number), float(seconds)))
    found = {"count": len(taken), "p50": taken[len(taken) // 2], "p95": taken[len(taken) * 95 // 100]}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
