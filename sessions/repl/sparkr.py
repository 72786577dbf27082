"""What R needs of the driver's Spark: its program, its SparkR package and a way to the driver's own session.

Decides where R and SparkR are looked for, and starts Spark's R backend in the driver's JVM. Knows no R.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any


class SparkR:
    """The R backend of this driver, one at a time. `session` gives the live SparkSession or raises RuntimeError."""

    def __init__(self, session: Callable[[], Any], library: str) -> None:
        self._session = session
        self._library = library
        self._backend: Any = None
        self._connected: Any = None

    def program(self) -> str:
        """The R to start, found as Spark finds it: spark.r.shell.command, then SPARKR_DRIVER_R, then R of the PATH."""
        configured = self._session().conf.get("spark.r.shell.command", "")
        return configured or os.environ.get("SPARKR_DRIVER_R") or "R"

    def temporary_folder(self) -> str:
        """Where R may put files that are worth nothing once the driver has ended: where the JVM puts its own."""
        return str(self._session()._jvm.java.lang.System.getProperty("java.io.tmpdir"))

    def libraries(self) -> list[str]:
        """Folders in which SparkR is looked for, before R's own."""
        return [self._library] if self._library else [os.path.join(os.environ.get("SPARK_HOME", ""), "R", "lib")]

    def has_changed(self) -> bool:
        """Whether there is another live session than the one of the last `connection`."""
        try:
            return self._session() is not self._connected
        except RuntimeError:
            return False

    def connection(self) -> tuple[str, str, str]:
        """Port and secret of a new backend, and the id under which it knows the driver's session.

        A former one may hold a call that never ends, on one of the two threads that serve its connections.
        """
        session = self._connected = self._session()
        if self._backend is not None:
            threading.Thread(target=self._backend.close, name="r-backend-close", daemon=True).start()
        self._backend = session._jvm.org.apache.spark.api.r.RBackend()
        address = self._backend.init()
        number = self._backend.jvmObjectTracker().addAndGetId(session._jsparkSession).id()
        return str(address._1()), address._2().secret(), number
