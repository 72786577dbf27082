"""Gunicorn's threaded worker, with its threads kept for requests that have come.

Gunicorn gives a connection a thread at once and lets it read for as long as its client takes, so that a few dozen
clients that stall hold all threads. Here a thread begins when a request's header and the start of its body are there.

Rests on methods of gunicorn's that it does not document: its version is pinned, and `test_slow_clients.py` tells when
another one does not fit.
"""

from __future__ import annotations

import re
import socket
import struct
import time
from functools import partial
from selectors import EVENT_READ

from gunicorn.workers.gthread import TConn, ThreadWorker

_STALL = struct.pack("@ll", 20, 0)  # (seconds, microseconds) for the next byte of a body, or of an answer, to pass
_LONGEST_LOOK = 64 * 1024  # bytes of a request that are waited for without a thread
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect:", re.IGNORECASE)  # the body comes when it was asked for


class Worker(ThreadWorker):
    """Its own methods run on the worker's main thread alone."""

    def enqueue_req(self, conn: TConn) -> None:
        """Give the connection a thread, or wait until there is more of its request."""
        seen = _seen(conn)
        if not self.alive or seen is None or seen == getattr(conn, "seen", None):  # no more than before: it was closed
            conn.seen = conn.until = None
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _STALL)
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _STALL)
            super().enqueue_req(conn)
        else:
            conn.seen = seen
            self._wait_for_more(conn)

    def _wait_for_more(self, conn: TConn) -> None:
        """For as long as for the next request on a connection that is kept, however it trickles in."""
        conn.until = conn.timeout = getattr(conn, "until", None) or time.monotonic() + self.cfg.keepalive
        # Or half a request would be "readable" again and again.
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, conn.seen + 1)
        conn.sock.setblocking(False)
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))


def _seen(conn: TConn) -> int | None:
    """How many bytes have come of a request that is not there yet; None when a thread can go on with it."""
    if conn.parser is not None and conn.parser.unreader.buf.getvalue():
        return None  # read already, behind the request before
    try:
        came = conn.sock.recv(_LONGEST_LOOK, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return 0
    except OSError:
        return None
    return len(came) if came and len(came) < _wanted(came) else None


def _wanted(came: bytes) -> int:
    """How long the request has to be before a thread begins."""
    head, end, _ = came.partition(b"\r\n\r\n")
    if not end:
        return _LONGEST_LOOK
    length = _LENGTH.search(head + b"\r\n")
    body = int(length[1]) if length and not _EXPECT.search(head) else 0
    return min(len(head) + len(end) + body, _LONGEST_LOOK)
