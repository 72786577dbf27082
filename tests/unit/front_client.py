"""A client of the ASGI application without a server: what uvicorn would ask and be told, on a loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from gateway.web.front.application import Application

_HOST = {"Host": "localhost"}


@dataclass
class Answer:
    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    pieces: list[int] = field(default_factory=list)


class FrontClient:
    def __init__(self, front: Application) -> None:
        self._front = front
        self.loop = asyncio.new_event_loop()
        self._asked: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._life = self.loop.create_task(front({"type": "lifespan"}, self._asked.get, self._hear))
        self._tell("startup")

    async def _hear(self, message: Any) -> None:
        self._said.put_nowait(message)

    def _tell(self, what: str) -> None:
        self._asked.put_nowait({"type": f"lifespan.{what}"})
        said = self.loop.run_until_complete(self._said.get())
        assert said["type"] == f"lifespan.{what}.complete"

    def close(self) -> None:
        self._tell("shutdown")
        self.loop.run_until_complete(self._life)
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def send(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: Iterable[bytes] = ()
    ) -> Answer:
        """`body` comes in these pieces; what follows them is that the client has gone."""
        return self.loop.run_until_complete(self.ask(method, target, headers, body))

    async def ask(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: Iterable[bytes] = ()
    ) -> Answer:
        path, _, query = target.partition("?")
        pieces = list(body)
        messages = [
            {"type": "http.request", "body": piece, "more_body": at < len(pieces)}
            for at, piece in enumerate(pieces, start=1)
        ]
        answer = Answer()

        async def receive() -> Any:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def hear(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = [(name.decode(), value.decode()) for name, value in message["headers"]]
            else:
                answer.pieces.append(len(message["body"]))
                answer.body += message["body"]

        lines = [(name.lower().encode(), value.encode()) for name, value in {**_HOST, **(headers or {})}.items()]
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": lines,
            "server": ("127.0.0.1", 8998),
            "client": ("127.0.0.1", 40000),
        }
        await self._front(scope, receive, hear)
        return answer
