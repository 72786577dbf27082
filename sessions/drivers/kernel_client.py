"""The gateway's end of a driver's kernel: Jupyter messages on its shell and control channels.

Its sockets stay open for as long as the session is at work, so that an idle one holds none.
The requests beside Jupyter's own (claim, cancel, progress, forget, candidates, streams, those of jobs, add) are those
of `sessions/repl/kernel.py`.
"""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient

from gateway.core.clock import from_milliseconds
from sessions.drivers.claims import Claim

_PATIENCE = 5.0  # seconds for an answer on the control channel
_CLAIMING = 30.0  # the same where Spark has to do something


@dataclass(frozen=True)
class OutputFile:
    """A large output as the driver has written it, of so many bytes; there until the driver is told to forget it."""

    path: Path
    size: int


@dataclass(frozen=True)
class Reply:
    """A finished statement as the driver tells it; `output` is the envelope of contract §3.1 as JSON text.

    `application` has the id and UI of the Spark application that user code has started in place of the first.
    """

    output: str | OutputFile
    started: datetime
    completed: datetime
    application: tuple[str, str | None] | None = None


@dataclass(frozen=True)
class JobReply:
    """A job that has ended as the driver tells it; `error` None means that it succeeded."""

    result: str | None
    error: str | None
    started: datetime
    ended: datetime


class Unreachable(ConnectionError):
    """There is no way to the kernel: its connection file or its sockets are not there, or nobody listens."""


class KernelClient:
    """Speaks to one seat of one driver: every message names the seat. One request at a time on each channel."""

    def __init__(self, claim: Claim) -> None:
        # One context for all: a context has threads of its own.
        self._client = AsyncKernelClient(context=zmq.asyncio.Context.instance())
        self._file, self._seat = claim.driver.connection_file, claim.seat

    async def open(self) -> KernelClient:
        """Raises Unreachable."""
        try:
            self._client.load_connection_file(str(self._file))
        except Exception as error:  # whatever is in the file: a session's code may write to it
            said = error.strerror if isinstance(error, OSError) else error
            raise Unreachable(f"{self._file.name} cannot be read: {said}") from error
        await self._knock(self._client.shell_port)
        await self._knock(self._client.control_port)
        self._client.start_channels(shell=True, control=True, iopub=False, stdin=False, hb=False)  # noqa: S604
        return self

    def close(self) -> None:
        self._client.stop_channels()

    async def __aenter__(self) -> KernelClient:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _knock(self, port: int) -> None:
        """See that somebody listens: zmq would wait for that, for ever and without a word."""
        ip, local = self._client.ip, self._client.transport == "ipc"
        with socket.socket(socket.AF_UNIX if local else socket.AF_INET) as door:
            door.setblocking(False)
            opening = asyncio.get_running_loop().sock_connect(door, f"{ip}-{port}" if local else (ip, port))
            try:
                await asyncio.wait_for(opening, _PATIENCE)
            except (OSError, ValueError, OverflowError, asyncio.TimeoutError) as error:  # no address, no port
                raise Unreachable("nobody listens at its sockets") from error

    async def claim(self, name: str | None, conf: dict[str, str]) -> str | None:
        """Tell a warm driver whose it is; why it cannot be that, None when it is. Harmless to repeat."""
        content = {"name": name, "conf": conf}
        said = await self._ask(self._client.control_channel, "claim_request", content, {}, _CLAIMING)
        return None if said["refusal"] is None else str(said["refusal"])

    async def execute(self, statement: int, code: str, language: str) -> Reply:
        """Run it, however long that takes. Asking again for a statement that runs or has run gives its one result."""
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
        metadata = {"statement": statement, "kind": language, "by_file": True}
        answer = await self._ask(self._client.shell_channel, "execute_request", content, metadata, None)
        output = self._output(statement, answer)
        started, completed = from_milliseconds(answer["started"]), from_milliseconds(answer["completed"])
        renewed = answer.get("application")
        return Reply(output, started, completed, renewed and (renewed["app_id"], renewed["ui_url"]))

    def _output(self, statement: int, answer: dict[str, Any]) -> str | OutputFile:
        if (size := answer.get("output_size")) is not None:
            return OutputFile(self._file.parent / "outputs" / f"{self._seat}-{statement}.json", int(size))
        # Numbers that Python's JSON would round come as text of their own.
        return answer.get("output_json") or json.dumps(answer["output"], separators=(",", ":"))

    async def progress(self, statement: int) -> float:
        """Finished share of the tasks of its Spark jobs, 0.0 to 1.0."""
        return float((await self._control("progress_request", {"statement": statement}))["progress"])

    async def cancel(self, statement: int) -> None:
        """One attempt to stop it: its Spark jobs and its plain code."""
        await self._control("cancel_request", {"statement": statement})

    async def forget(self, statement: int) -> None:
        """Its result is stored: the driver need not keep it any longer."""
        await self._control("forget_request", {"statement": statement})

    async def candidates(self, code: str, language: str, cursor: int) -> list[str]:
        """What could stand at `cursor` of `code`; asked beside the statements."""
        content = {"code": code, "kind": language, "cursor": cursor}
        return list((await self._control("candidates_request", content))["candidates"])

    async def streams(self) -> bool:
        """Whether streaming queries run in the application, whoever started them."""
        return bool((await self._control("streams_request", {}))["streams"])

    async def run_job(self, job: int, language: str, payload: str) -> JobReply:
        """Run it, however long that takes; asking again gives its one end. Meanwhile ask it nothing else."""
        content = {"job": job, "type": language, "payload": payload}
        said = await self._ask(self._client.control_channel, "job_request", content, {}, None)
        started, ended = from_milliseconds(said["started"]), from_milliseconds(said["ended"])
        return JobReply(said["result"], said["error"], started, ended)

    async def cancel_job(self, job: int) -> None:
        """One attempt to stop it: its Spark jobs and its plain code."""
        await self._control("cancel_job_request", {"job": job})

    async def forget_job(self, job: int) -> None:
        """Its end is stored: the driver need not keep it any longer."""
        await self._control("forget_job_request", {"job": job})

    async def add(self, kind: str, path: str) -> str | None:
        """Add a "jar", "pyfile" or "file", however long that takes; why it could not be added, None when it was.

        Harmless to repeat.
        """
        content = {"kind": kind, "path": path}
        said = await self._ask(self._client.control_channel, "add_request", content, {}, None)
        return None if said["error"] is None else str(said["error"])

    async def _control(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        return await self._ask(self._client.control_channel, kind, content, {}, _PATIENCE)

    async def _ask(
        self, channel: Any, kind: str, content: dict[str, Any], metadata: dict[str, Any], patience: float | None
    ) -> dict[str, Any]:
        message = self._client.session.msg(kind, content=content, metadata={**metadata, "seat": self._seat})
        channel.send(message)
        while True:
            answer = await asyncio.wait_for(channel.get_msg(timeout=None), patience)
            if answer["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                content = answer["content"]
                return dict(content)


def candidates(claim: Claim, code: str, language: str, cursor: int) -> list[str]:
    """As `KernelClient.candidates`, for threads without a loop; empty when the driver does not answer in time."""

    async def ask() -> list[str]:
        async with KernelClient(claim) as kernel:
            return await kernel.candidates(code, language, cursor)

    try:
        return asyncio.run(ask())
    except (asyncio.TimeoutError, OSError):
        return []
