"""The driver's Jupyter kernel: messages in, messages out.

Decides the protocol between gateway and driver: Jupyter's own, with `output`, `started`, `completed` and `application`
in an execute_reply, and claim_, cancel_, progress_, forget_, candidates_ and streams_request on the control channel, as
well as job_, cancel_job_, forget_job_ and add_request for what runs beside the statements. Runs nothing itself.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from types import SimpleNamespace
from typing import Any, TypeVar

from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel

from .completion import Completions
from .exact import exact_json
from .jobs import Ended
from .output import TEXT
from .seats import FIRST, Seat
from .statements import Request, Result

T = TypeVar("T")


class GatewayKernel(Kernel):
    """A kernel whose statements run on the main thread while it answers on its own."""

    implementation = "spark-gateway"
    implementation_version = "1"
    banner = "Spark Gateway"
    language_info = {  # noqa: RUF012 - the base class says so
        "name": "python",
        "mimetype": "text/x-python",
        "file_extension": ".py",
    }
    control_msg_types = [  # noqa: RUF012 - the base class says so
        *Kernel.control_msg_types,
        "claim_request",
        "cancel_request",
        "progress_request",
        "forget_request",
        "candidates_request",
        "streams_request",
        "job_request",
        "cancel_job_request",
        "forget_job_request",
        "add_request",
    ]

    # Jupyter's pause before a reply lets stream messages go first; our replies hold all there is.
    _execute_sleep = 0.0

    # Set before the kernel starts to answer.
    seats: Mapping[int, Seat]
    leave: Callable[[], None]
    claim: Callable[[str | None, Mapping[str, str]], str | None]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.completions = Completions()
        self._owed: set[asyncio.Task[None]] = set()

    async def do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: dict[str, str] | None = None,
        allow_stdin: bool = False,
        *,
        cell_meta: dict[str, Any] | None = None,
        cell_id: str | None = None,
    ) -> dict[str, Any]:
        """Run the code, or hand over the kept result of the statement that `cell_meta` names."""
        meta = cell_meta or {}
        request = Request(code, meta.get("kind", "pyspark"), meta.get("statement"), meta.get("by_file", False))
        result = await asyncio.wrap_future(self._seat(meta).statements.submit(request))
        if request.statement is None and not silent:
            self._publish(result)
        return reply(result)

    def _publish(self, result: Result) -> None:
        """Show the result to a plain Jupyter client, which looks for it on the iopub channel."""
        output = result.output
        if output["status"] == "error":
            text = output.get("data", {}).get(TEXT)
            content = {key: output[key] for key in ("ename", "evalue", "traceback")}
            if text:
                self._show("stream", {"name": "stdout", "text": f"{text}\n"})
            self._show("error", content)
        elif output["data"] != {TEXT: ""}:
            content = {"execution_count": result.statement, "data": output["data"], "metadata": {}}
            self._show("execute_result", content)

    def _abort_queues(self, subshell_id: str | None = None) -> None:
        """Nothing: a failed statement says nothing about those queued behind it."""

    def pre_handler_hook(self) -> None:
        """Nothing: SIGINT belongs to `Interrupts`."""

    def post_handler_hook(self) -> None:
        """Nothing, as before a handler."""

    def _seat(self, metadata: dict[str, Any]) -> Seat:
        """The seat that a request names in its metadata. Raises KeyError when the driver has no such one."""
        return self.seats[metadata.get("seat", FIRST)]

    async def claim_request(self, stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        """Be the driver of a session, but later: it is Spark that is to know."""
        asked = parent["content"]
        claiming = asyncio.get_running_loop().run_in_executor(None, self.claim, asked["name"], asked["conf"])
        self._answer_later(claiming, lambda refusal: {"refusal": refusal}, stream, ident, parent, "claim_reply")

    async def cancel_request(self, stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        """Try once to stop the statement, if it is the one running."""
        running = self._seat(parent["metadata"]).statements.cancel(parent["content"]["statement"])
        self._answer(stream, ident, parent, "cancel_reply", {"running": running})

    async def progress_request(self, stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        """Say how far the statement's Spark jobs are."""
        share = self._seat(parent["metadata"]).statements.progress(parent["content"]["statement"])
        self._answer(stream, ident, parent, "progress_reply", {"progress": share})

    async def forget_request(self, stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        """Free the kept result of the statement."""
        self._seat(parent["metadata"]).statements.forget(parent["content"]["statement"])
        self._answer(stream, ident, parent, "forget_reply", {})

    async def candidates_request(self, stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        """Say what could stand at the cursor, but later: the requests after this one, a cancel perhaps, go first."""
        asked, statements = parent["content"], self._seat(parent["metadata"]).statements
        finding = self.completions.ask(statements.complete, asked["kind"], asked["code"], asked["cursor"])
        self._answer_later(finding, lambda found: {"candidates": found}, stream, ident, parent, "candidates_reply")

    async def streams_request(self, stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        """Say whether streaming queries run, but later: it is Spark that knows."""
        asking = asyncio.get_running_loop().run_in_executor(None, self._seat(parent["metadata"]).statements.streams)
        self._answer_later(asking, lambda found: {"streams": found}, stream, ident, parent, "streams_reply")

    async def job_request(self, stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        """Run a job, or hand over its kept end; the reply comes when it has ended, and holds up nothing."""
        asked = parent["content"]
        ending = self._seat(parent["metadata"]).jobs.submit(asked["job"], asked["type"], asked["payload"])
        self._answer_later(asyncio.wrap_future(ending), _job_reply, stream, ident, parent, "job_reply")

    async def cancel_job_request(self, stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        """Try once to stop the job, if it runs."""
        running = self._seat(parent["metadata"]).jobs.stop(parent["content"]["job"])
        self._answer(stream, ident, parent, "cancel_job_reply", {"running": running})

    async def forget_job_request(self, stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        """Free the kept end of the job."""
        self._seat(parent["metadata"]).jobs.forget(parent["content"]["job"])
        self._answer(stream, ident, parent, "forget_job_reply", {})

    async def add_request(self, stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        """Add a file, a Python module or a jar; the reply comes when that is done, and holds up nothing."""
        asked = parent["content"]
        adding = self._seat(parent["metadata"]).additions.add(asked["kind"], asked["path"])
        self._answer_later(
            asyncio.wrap_future(adding), lambda error: {"error": error}, stream, ident, parent, "add_reply"
        )

    async def interrupt_request(self, stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        """Jupyter's own cancel, of whatever runs."""
        self._seat(parent["metadata"]).statements.cancel(None)
        self._answer(stream, ident, parent, "interrupt_reply", {"status": "ok"})

    async def do_shutdown(self, restart: bool) -> dict[str, Any]:
        """End the driver once the reply is on its way."""
        self.leave()
        return {"status": "ok", "restart": restart}

    def _answer(self, stream: Any, ident: Any, parent: Any, kind: str, content: dict[str, Any]) -> None:
        session: Any = self.session
        session.send(stream, kind, content, parent, ident=ident)

    def _answer_later(
        self,
        coming: Awaitable[T],
        content: Callable[[T], dict[str, Any]],
        stream: Any,
        ident: Any,
        parent: Any,
        kind: str,
    ) -> None:
        async def answer() -> None:
            self._answer(stream, ident, parent, kind, content(await coming))

        task = asyncio.ensure_future(answer())
        self._owed.add(task)  # the loop itself holds a task only weakly
        task.add_done_callback(self._owed.discard)

    def _show(self, kind: str, content: dict[str, Any]) -> None:
        self.send_response(self.iopub_socket, kind, content)


def reply(result: Result) -> dict[str, Any]:
    """The content of an execute_reply. `output_json` is there only when `output` itself would lose digits, and
    `output_size` when the output is in a file of so many bytes.
    """
    output = result.output
    content = {
        "status": output["status"],
        "execution_count": result.statement,
        "payload": [],
        "user_expressions": {},
        "output": output,
        "started": result.started,
        "completed": result.completed,
        "application": result.application,
    }
    if output["status"] == "error":
        content.update({key: output[key] for key in ("ename", "evalue", "traceback")})
    elif (exact := exact_json(output)) is not None:
        content["output_json"] = exact
    if result.size is not None:
        content["output_size"] = result.size
    return content


def _job_reply(ended: Ended) -> dict[str, Any]:
    return dataclasses.asdict(ended)


class KernelApp(IPKernelApp):
    """ipykernel's application without IPython's shell, profile and stream capture."""

    kernel_class = GatewayKernel

    def init_profile_dir(self) -> None:
        """No profile: a driver may have no home to keep one in."""
        self.profile_dir = None

    def init_config_files(self) -> None:
        """No configuration files of the user's own notebooks."""

    def load_config_file(self, *args: Any, **kwargs: Any) -> None:
        """None is read either."""

    def init_pdb(self) -> None:
        """No debugger, and not the time to import it."""

    def init_crash_handler(self) -> None:
        """Python's own."""

    def log_connection_info(self) -> None:
        """Not in the user's log: only the gateway connects."""

    def init_poller(self) -> None:
        """A driver outlives whoever launched it."""

    def init_io(self) -> None:
        """Our streams are in place already."""
        self.displayhook = SimpleNamespace()

    def init_signal(self) -> None:
        """SIGINT belongs to `Interrupts`."""


def bind(connection_file: str) -> KernelApp:
    """The kernel with its sockets bound. Its `start` must be called on the same thread."""
    app: KernelApp = KernelApp.instance(connection_file=connection_file)
    app.initialize([])
    return app
