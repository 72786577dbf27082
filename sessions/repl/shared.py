"""A shared application: one JVM, and an interpreter for each session that is given a seat in it. A composition root.

Its own process starts Spark and the zygote, makes each seat's session in the JVM, and clears up when an interpreter has
ended. Which seats there are to be, the gateway decides: it starts a shell in the folder of each, which asks here.
"""

from __future__ import annotations

import os
import platform
import signal
import threading
import traceback
from types import FrameType
from typing import NoReturn

from . import process, seat_driver, zygote
from .driver import STOP_PATIENCE, Options
from .orphan import Orphan
from .preload import import_spark, warm_jvm
from .ready import tell
from .seat_jvm import JvmSeats
from .spark import Application, start_failure
from .zygote import Order, Zygote

LOST = "the process that makes its interpreters ended"


class SharedApplication:
    def __init__(self, options: Options, forks: Zygote) -> None:
        self._options, self._zygote = options, forks
        self._spark: Application | None = None
        self._taken: set[str] = set()  # folders of interpreters that may run

    def run(self) -> NoReturn:
        """Start Spark, say so, and give seats until told to stop; never returns."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        try:
            warm_jvm()
            import_spark()
            spark = self._spark = Application()
            session = spark.session()
        except BaseException as exc:
            traceback.print_exc()
            tell(self._options.ready_file, {"error": start_failure(exc)}, self._options.wakeup)
            self._leave(1)
            raise
        seats = JvmSeats(spark.context, session)
        threading.Thread(target=self._clear_up, args=(seats,), name="ends", daemon=True).start()
        self._end_as_orphan()
        asked = os.open(self._options.seats, os.O_RDWR)  # also for writing, so that it never comes to an end
        facts = {"pid": os.getpid(), **spark.facts(), "python_version": platform.python_version()}
        tell(self._options.ready_file, facts, self._options.wakeup)
        with open(asked, encoding="utf-8") as lines:
            while True:
                self._give(seats, lines.readline().rstrip("\n"))

    def _give(self, seats: JvmSeats, folder: str) -> None:
        """An interpreter for the seat whose folder this is; why there is none is said there."""
        try:
            options = Options.read(os.path.join(folder, "options.json"))
        except (OSError, ValueError, TypeError):
            traceback.print_exc()  # whoever asked is gone, or is not the gateway
            return
        self._taken.add(folder)
        try:
            door = seats.open(folder, options.seat)
            self._zygote.ask(Order(folder, door.port, door.secret))
        except Exception as exc:  # noqa: BLE001 - the others go on
            traceback.print_exc()
            tell(options.ready_file, {"error": start_failure(exc)}, options.wakeup)
            self._taken.discard(folder)
            seats.close(folder)
            if (end := zygote.open_end(folder)) is not None:
                zygote.tell_end(end, zygote.NOT_STARTED)

    def _clear_up(self, seats: JvmSeats) -> None:
        while (folder := self._zygote.next_end()) is not None:
            self._taken.discard(folder)
            seats.close(folder)
        self._leave_because(LOST)

    def _end_as_orphan(self) -> None:
        if self._options.wakeup and self._options.orphan_timeout:
            has_seats = lambda: bool(self._taken)  # noqa: E731
            Orphan(self._options.wakeup, self._options.orphan_timeout, has_seats, self._leave_because).start()

    def _leave_because(self, reason: str) -> None:
        tell(self._options.left_file, {"reason": reason}, self._options.wakeup)
        self._leave(1)

    def _on_sigterm(self, signum: int, frame: FrameType | None) -> None:
        threading.Thread(target=self._leave, args=(128 + signum,), daemon=True).start()

    def _leave(self, code: int) -> None:
        spark = self._spark
        process.leave(code, lambda: spark.stop(code) if spark is not None else None, STOP_PATIENCE)


def main(options_file: str) -> NoReturn:
    """Be the shared application that the options file describes; never returns."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    options = Options.read(options_file)
    forks = Zygote(seat_driver.prepare, seat_driver.run)
    process.close_stdin()
    process.take_streams()
    SharedApplication(options, forks).run()
