"""What a Python job gets as its one argument: Livy's JobContext (contract livy §8.1).

Decides the names and what each gives. Knows nothing of how jobs come and go.
"""

from __future__ import annotations

import importlib
import os
import tempfile
import threading
from collections import OrderedDict
from typing import Any

from .spark import Application

MOST_SHARED_OBJECTS = 100  # as Livy; the one used longest ago is dropped


class JobContext:
    """One for all jobs of a session. Its Spark objects are the live ones, also after user code has restarted Spark."""

    def __init__(self, spark: Application) -> None:
        self._spark = spark
        self._lock = threading.RLock()
        self._streaming: Any = None
        self._folder: str | None = None
        self._shared: OrderedDict[str, Any] = OrderedDict()

    @property
    def spark_session(self) -> Any:
        """The SparkSession that statements know as `spark`."""
        return self._spark.session()

    @property
    def sc(self) -> Any:
        """The SparkContext."""
        return self.spark_session.sparkContext

    @property
    def sql_ctx(self) -> Any:
        """The SQLContext."""
        from pyspark.sql import SQLContext

        return SQLContext._get_or_create(self.sc)

    @property
    def hive_ctx(self) -> Any:
        """The HiveContext; the SQLContext where Spark has no HiveContext any more."""
        made = getattr(importlib.import_module("pyspark.sql"), "HiveContext", None)
        return made._get_or_create(self.sc) if made is not None else self.sql_ctx

    @property
    def local_tmp_dir_path(self) -> str:
        """A folder on the driver's host that lasts as long as the session."""
        from pyspark import SparkFiles

        with self._lock:
            if self._folder is None:
                self._folder = tempfile.mkdtemp(dir=os.path.dirname(SparkFiles.getRootDirectory()))
            return self._folder

    @property
    def streaming_ctx(self) -> Any:
        """The StreamingContext. Raises ValueError before `create_streaming_ctx`."""
        with self._lock:
            if self._streaming is None:
                raise ValueError("create_streaming_ctx function should be called first")
            return self._streaming

    def create_streaming_ctx(self, batch_duration: float) -> None:
        """Make the one StreamingContext; `batch_duration` in seconds. Raises ValueError when there is one."""
        from pyspark.streaming import StreamingContext

        with self._lock:
            if self._streaming is not None:
                raise ValueError("Streaming context already exists")
            self._streaming = StreamingContext(self.sc, batch_duration)

    def stop_streaming_ctx(self) -> None:
        """Stop the StreamingContext, not Spark. Raises ValueError when there is none."""
        with self._lock:
            if self._streaming is None:
                raise ValueError("Cannot stop streaming context. Streaming context is None")
            self._streaming.stop(stopSparkContext=False)
            self._streaming = None

    def get_shared_object(self, name: str) -> Any:
        """What another job has shared under `name`; None when there is nothing."""
        with self._lock:
            if name in self._shared:
                self._shared.move_to_end(name)
            return self._shared.get(name)

    def set_shared_object(self, name: str, object: Any) -> None:  # noqa: A002 - Livy's own name
        """Share an object with other jobs of the session."""
        with self._lock:
            self._shared[name] = object
            self._shared.move_to_end(name)
            if len(self._shared) > MOST_SHARED_OBJECTS:
                self._shared.popitem(last=False)

    def remove_shared_object(self, name: str) -> None:
        """Share it no longer; nothing when it was not."""
        with self._lock:
            self._shared.pop(name, None)

    def stop(self) -> None:
        """Stop streaming and Spark."""
        with self._lock:
            if self._streaming is not None:
                self.stop_streaming_ctx()
            self.sc.stop()
