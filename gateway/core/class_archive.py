"""An archive of Spark's loaded classes (class data sharing) with which a driver starts in about half the time.

Built once per Java, Spark and place, by running a short Spark application the way a session starts. A JVM goes on
without an archive that does not fit it, but crashes on one that is cut short: so only an archive whose checksum is
right is ever offered to one. Knows nothing about sessions.
https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

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

# The JVM's warnings about an archive that does not fit go to standard output, which belongs to the application.
_QUIETLY = ("-Xshare:auto", "-Xlog:cds*=off")

# Variables that would change the class path or the options that the archive is made with.
_UNWANTED = re.compile(
    r"SPARK_|PYSPARK_|HADOOP_CONF_DIR|YARN_CONF_DIR|JAVA_TOOL_OPTIONS|JDK_JAVA_OPTIONS|_JAVA_OPTIONS"
)


class ArchiveNotBuilt(GatewayError):
    """The message says why. Drivers start without an archive, only slower."""


def archive_path(cache_dir: Path, java: Java, spark_home: Path) -> Path:
    """Where the archive for exactly these is, built or not.

    The name changes with Java's build, with where things are, and with every jar of Spark, so that an archive the
    JVM would refuse is not found and is built anew.
    """
    return cache_dir / "classes" / f"{_place(java, spark_home)}-{_digest(java.text, *_jars(spark_home))}" / "spark.jsa"


def java_options(cache_dir: Path, java: Java, spark_home: Path) -> list[str]:
    """Words for SPARK_SUBMIT_OPTS that let a driver use the archive; none when there is no sound one. Reads it once.

    There, and not in spark.driver.extraJavaOptions, because a request's own options are then left as they are, and
    come later, so that they win.
    """
    archive = archive_path(cache_dir, java, spark_home)
    return [f"-XX:SharedArchiveFile={_quoted(archive)}", *_QUIETLY] if _is_sound(archive) else []


def build(cache_dir: Path, java: Java, spark_home: Path, python: str) -> Path:
    """Make the archive, at low priority, and return its path. Takes as long as two or three session starts.

    Safe to run twice at the same time: each works in a folder of its own, and the first one done is kept.
    Raises ArchiveNotBuilt.
    """
    archive = archive_path(cache_dir, java, spark_home)
    _refuse_conf_folder(spark_home)
    shelf = archive.parent.parent
    try:
        shelf.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="build-", dir=shelf) as folder:
            made = _train(Path(folder), java, spark_home, python)
            _prove(made, java, spark_home, python)
            _put_in_place(made, archive)
    except OSError as error:
        raise ArchiveNotBuilt(f"{shelf} cannot be written: {error.strerror or error}") from error
    _remove_older(archive.parent)
    _remove_abandoned(shelf)
    return archive


# ---------------------------------------------------------------- the name


def _place(java: Java, spark_home: Path) -> str:
    """The part of the name that stays when Java or Spark is upgraded where it is."""
    return f"spark-{_digest(str(spark_home), str(java.home))}"


def _jars(spark_home: Path) -> Iterator[str]:
    """Spark's jars as the JVM will compare them: in the folder's own order, which is the class path's."""
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
    kept = folder / "kept"
    kept.mkdir()
    script, archive = folder / "training.py", kept / "spark.jsa"
    script.write_text(_TRAINING, "utf-8")
    conf = {
        "spark.master": "local[2]",
        "spark.ui.port": "0",
        "spark.sql.warehouse.dir": folder,
        "spark.local.dir": folder,
    }
    command = [str(spark_home / "bin" / "spark-submit")]
    for key, value in conf.items():
        command += ["--conf", f"{key}={value}"]
    options = f"-XX:ArchiveClassesAtExit={_quoted(archive)} -Xlog:cds*=off"
    _run([*command, str(script)], folder, _environ(java, spark_home, python, options))
    if not archive.is_file():
        raise ArchiveNotBuilt(f"{java} wrote no archive at the end of the training application")
    return archive


def _prove(archive: Path, java: Java, spark_home: Path, python: str) -> None:
    """A JVM as Spark starts it must take the archive; -Xshare:on makes it fail otherwise."""
    options = f"-XX:SharedArchiveFile={_quoted(archive)} -Xshare:on"
    command = [str(spark_home / "bin" / "spark-submit"), "--version"]
    _run(command, archive.parent, _environ(java, spark_home, python, options))


def _environ(java: Java, spark_home: Path, python: str, options: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not _UNWANTED.match(key)}
    return {
        **kept,
        "SPARK_HOME": str(spark_home),
        "JAVA_HOME": str(java.home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_SUBMIT_OPTS": options,
        "PYSPARK_PYTHON": python,
        "PYSPARK_DRIVER_PYTHON": python,
    }


def _run(command: Sequence[str], folder: Path, environ: dict[str, str]) -> None:
    """Run at low priority to a good end, or leave nothing of it. Raises ArchiveNotBuilt."""
    with open(folder / "log", "w+b") as log:
        process = subprocess.Popen(
            ["nice", "-n", "10", *command],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            code = process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            raise ArchiveNotBuilt(f"{command[0]} took longer than {_PATIENCE:.0f} s") from None
        finally:
            _end_group(process)
        if code != 0:
            log.seek(0)
            raise ArchiveNotBuilt(f"{command[0]} ended with {code}: {_last_line(log.read())}")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Shell, JVM and Python; all of them are gone already after a good end."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip() if lines else "it said nothing"


# ---------------------------------------------------------------- keeping


def _put_in_place(made: Path, archive: Path) -> None:
    """Rename the folder of archive and checksum, both safely on the disk, unless a sound one is there by now."""
    with open(made, "rb") as file:
        os.fsync(file.fileno())
    _checksum_file(made).write_text(_checksum(made), "ascii")
    (made.parent / "log").unlink(missing_ok=True)
    if not _is_sound(archive):
        shutil.rmtree(archive.parent, ignore_errors=True)
    try:
        made.parent.rename(archive.parent)
    except OSError:
        if not _is_sound(archive):
            raise


def _remove_older(kept: Path) -> None:
    """Archives for what was at the same places before. A JVM that still uses one keeps what it has mapped."""
    for folder in kept.parent.glob(f"{kept.name.rpartition('-')[0]}-*"):
        if folder != kept:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(shelf: Path) -> None:
    """What builds have left that were killed."""
    for folder in shelf.glob("build-*"):
        with suppress(FileNotFoundError):  # another build has ended meanwhile
            if folder.stat().st_mtime < time.time() - 4 * _PATIENCE:
                shutil.rmtree(folder, ignore_errors=True)


def _is_sound(archive: Path) -> bool:
    try:
        return _checksum_file(archive).read_text("ascii") == _checksum(archive)
    except (OSError, ValueError):
        return False


def _checksum_file(archive: Path) -> Path:
    return archive.with_suffix(".crc")


def _checksum(archive: Path) -> str:
    """Size and CRC-32: against accidents, at a gigabyte a second."""
    size, crc = 0, 0
    with open(archive, "rb") as file:
        while block := file.read(2**20):
            size, crc = size + len(block), zlib.crc32(block, crc)
    return f"{size} {crc:08x}"


def _quoted(path: Path) -> str:
    """The path as one word of SPARK_SUBMIT_OPTS, which Spark splits much as a shell would."""
    text = str(path)
    if not re.search(r"""[\s"'\\]""", text):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
