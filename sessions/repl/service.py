"""The thread that serves the kernel, so that the main thread is free for the user's code.

Decides when what is imported and bound. Knows no messages.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .output import Stream
from .preload import warm_imports

if TYPE_CHECKING:
    from .kernel import KernelApp
    from .seats import Seat

Claim = Callable[[str | None, Mapping[str, str]], str | None]


class KernelService(threading.Thread):
    """Imports ipykernel and binds the sockets at once; answers from `serve` on."""

    def __init__(self, connection_file: str, leave: Callable[[], None]) -> None:
        super().__init__(name="kernel", daemon=True)
        self._connection_file = connection_file
        self._leave = leave
        self._claim: Claim | None = None
        self._bound = threading.Event()
        self._go = threading.Event()
        self._failure: BaseException | None = None
        self._seats: Mapping[int, Seat] | None = None

    def run(self) -> None:
        try:
            app = self._bind()
        except BaseException as exc:  # noqa: BLE001 - told by `serve`
            self._failure = exc
            return
        finally:
            self._bound.set()
        warm_imports()
        self._go.wait()
        assert self._seats is not None
        assert self._claim is not None
        app.kernel.seats = self._seats
        app.kernel.leave = self._leave
        app.kernel.claim = self._claim
        app.start()

    def _bind(self) -> KernelApp:
        # Imported here because it takes as long as a tenth of Spark's own start, and runs beside it.
        from .kernel import bind

        asyncio.set_event_loop(asyncio.new_event_loop())
        app = bind(self._connection_file)
        Stream.kept_out |= {self.ident, app.control_thread.ident, app.iopub_thread.thread.ident}
        return app

    def serve(self, seats: Mapping[int, Seat], claim: Claim) -> None:
        """Answer requests to these. Raises what kept the sockets from being bound."""
        self._bound.wait()
        if self._failure is not None:
            raise self._failure
        self._seats, self._claim = seats, claim
        self._go.set()
