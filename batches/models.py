"""The record of this room, frozen: a batch, one application of Spark or one program run to its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import cached_property
from pathlib import Path

from batches.states import BatchState, Target
from gateway.core import records
from gateway.core.options import SparkOptions
from gateway.core.store.database import Row

NOT_STARTED = "the batch could not be started"  # how the reason begins of one that never ran


class BatchKind(str, Enum):
    """What runs a batch's file: spark-submit, or the gateway's own Python alone.

    The latter is for programs that come with the gateway: no protocol has a word for it.
    """

    SPARK = "spark"
    PYTHON = "python"


@records.kept_as_json
@dataclass(frozen=True)
class BatchRequest:
    """What a client asks for: `file` is the application (a jar or a Python file), `args` its arguments."""

    file: str
    class_name: str | None = None
    args: list[str] = field(default_factory=list)
    options: SparkOptions = field(default_factory=SparkOptions)
    kind: BatchKind = BatchKind.SPARK


@dataclass(frozen=True)
class Batch:
    """`elsewhere` is the other host on which it runs or ran; None: here, or nowhere yet.

    `reason` says why it ended otherwise than well, in a sentence; None while it lives, and when it succeeded.
    """

    id: int
    uuid: str
    name: str | None
    owner: str | None
    project: str
    proxy_user: str | None
    state: BatchState
    target: Target
    request: BatchRequest
    elsewhere: str | None
    folder: Path
    app_id: str | None
    ui_url: str | None
    exit_code: int | None
    reason: str | None
    created: datetime
    started: datetime | None
    ended: datetime | None

    @cached_property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def spark_events(self) -> Path:
        """The folder of its Spark's event log; not there when its conf has Spark write that elsewhere, or nowhere.

        Its program works in the same folder, so the name is one that no program gives to its own output.
        """
        return self.folder / "spark-events"

    @property
    def report(self) -> Path:
        """What its program tells of itself: a JSON object a line. Spark's programs write none."""
        return self.folder / "report.jsonl"

    def __hash__(self) -> int:
        """Of what is quick to take: records of one row are one record (below), so this is asked for often."""
        return hash((self.id, self.state, self.app_id))

    @classmethod
    def of(cls, row: Row, here: str) -> Batch:
        elsewhere = row["host"] if row["host"] != here else None
        return records.read_again(cls, {**row, "elsewhere": elsewhere})
