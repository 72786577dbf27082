"""An archive of Spark's loaded classes (class data sharing) that makes a driver's JVM start in about half the time.

Built once per Java, Spark and place, by running a short Spark application the way a session starts. The JVM checks it
and goes on without it when it does not fit, silently, so that an archive can make a driver faster but not break it.
https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gateway.core import spark
from gateway.core.errors import GatewayError
from gateway.core.java import Java

_PATIENCE = 300.0  # seconds for training and writing; about 20 on two idle cores

# What a session does in its first seconds: the classes this loads are the ones that are archived.
_TRAINING = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
spark.sql("select 1").collect()
spark.sql("select 1 as x, 'a' as y").toJSON().collect()
spark.range(1000).selectExpr("id % 10 as k", "id").groupBy("k").sum("id").orderBy("k").collect()
spark.createDataFrame([(1, "a"), (2, "b")], ["x", "y"]).createOrReplaceTempView("pairs")
spark.table("pairs").show()
spark.sparkContext.setJobGroup("training", "training", True)
spark.sparkContext.parallelize(range(100), 2).sum()
spark.sparkContext.statusTracker().getJobIdsForGroup("training")
spark.stop()
"""

# Variables that would change the class path or the options that the archive is made with.
_UNWANTED = re.compile(r"SPARK_|PYSPARK_|HADOOP_CONF_DIR|YARN_CONF_DIR|JAVA_TOOL_OPTIONS|JDK_JAVA_OPTIONS|_JAVA_OPTIONS")


class ArchiveNotBuilt(GatewayError):
    """The message says why. Drivers start without an archive, only slower."""


def archive_path(cache_dir: Path, java: Java, spark_home: Path) -> Path:
    """Where the archive for exactly these is, built or not.

    The name changes with Java's build, with where things are, and with every jar of Spark, so that an archive the
    JVM would refuse is not found and is built anew.
    """
    return cache_dir / "classes" / f"{_place(java, spark_home)}-{_digest(*_jars(spark_home))}.jsa"


def java_options(cache_dir: Path, java: Java, spark_home: Path) -> list[str]:
    """Words for SPARK_SUBMIT_OPTS that let a driver use the archive; none when it has not been built.

    There, and not in spark.driver.extraJavaOptions, because a request's own options are then left as they are, and
    come later, so that they win.
    """
    archive = archive_path(cache_dir, java, spark_home)
    if not archive.is_file():
        return []
    return [f"-XX:SharedArchiveFile={_quoted(archive)}", "-Xshare:auto", *_silence(java)]


def build(cache_dir: Path, java: Java, spark_home: Path, python: str) -> Path:
    """Make the archive, at low priority, and return its path. Takes as long as two session starts.

    Safe to run twice at the same time: each works in a folder of its own, and the last one in wins.
    Raises ArchiveNotBuilt.
    """
    archive = archive_path(cache_dir, java, spark_home)
    _refuse_conf_folder(spark_home)
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="build-", dir=archive.parent) as folder:
            _put_in_place(_train(Path(folder), java, spark_home, python), archive)
    except OSError as error:
        raise ArchiveNotBuilt(f"{archive.parent} cannot be written: {error.strerror or error}") from error
    _remove_older(archive)
    return archive


# ---------------------------------------------------------------- the name


def _place(java: Java, spark_home: Path) -> str:
    """The part of the name that stays when Java or Spark is upgraded where it is."""
    return f"spark-{_digest(str(spark_home), str(java.home))}"


def _jars(spark_home: Path) -> Iterator[str]:
    """Java's and Spark's jars as the JVM will compare them: in the folder's own order, which is the class path's."""
    try:
        with os.scandir(spark_home / "jars") as entries:
            for entry in entries:
                status = entry.stat()
                yield f"{entry.name} {status.st_size} {status.st_mtime_ns}"
    except OSError:
        yield "no jars"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


# ---------------------------------------------------------------- building


def _refuse_conf_folder(spark_home: Path) -> None:
    """conf/ is on Spark's class path, and the JVM archives no class path with a folder that has files in it."""
    conf = spark_home / "conf"
    if conf.is_dir() and any(conf.iterdir()):
        raise ArchiveNotBuilt(f"Java makes no archive while {conf} has files in it")


def _train(folder: Path, java: Java, spark_home: Path, python: str) -> Path:
    """The archive that the JVM writes when the training application ends."""
    script, archive = folder / "training.py", folder / "classes.jsa"
    script.write_text(_TRAINING, "utf-8")
    command = ["nice", "-n", "10", str(spark_home / "bin" / "spark-submit"), *_conf(folder), str(script)]
    environ = _environ(java, spark_home, python, f"-XX:ArchiveClassesAtExit={_quoted(archive)} -Xlog:disable")
    try:
        done = subprocess.run(  # the group of its own is what a timeout can end: shell, JVM and Python
            command,
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ArchiveNotBuilt(f"the training application took longer than {_PATIENCE:.0f} s") from None
    if done.returncode != 0 or not archive.is_file():
        raise ArchiveNotBuilt(f"the training application failed: {_last_line(done.stdout)}")
    return archive
