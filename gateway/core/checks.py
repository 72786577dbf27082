"""What a request may ask of Spark, and what not, by the name of its field. Contract §4.3."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.core import conf_values, paths
from gateway.core.faults import Code, Fault
from gateway.core.options import FIELDS, SparkOptions
from gateway.core.settings import ClusterSettings, Settings

_FILE_LIST_KEYS = (
    "spark.jars",
    "spark.files",
    "spark.archives",
    "spark.submit.pyFiles",
    "spark.yarn.dist.archives",
    "spark.yarn.dist.files",
    "spark.yarn.dist.jars",
    "spark.yarn.archive",
    "spark.yarn.jar",
    "spark.yarn.jars",
)
_LONGEST_WORD = 128 * 1024  # bytes, with the one that ends it: Linux's limit of one argument
_ALL_WORDS = 1 << 20  # bytes of all arguments: Linux has room for 2 MiB, with the environment and the words of others
_POINTER = 8  # bytes that each takes besides its own


def _wire(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def faults(
    options: SparkOptions, settings: Settings, here: ClusterSettings, file: str | None = None
) -> Iterator[Fault]:
    """What may not be asked of the cluster `here`. `file` is a batch's application."""
    if forbidden := ", ".join(sorted(set(options.conf) & set(settings.conf_blacklist))):
        yield Fault(
            "conf", Code.SETTING, f"conf has what may not be chosen here: {forbidden}", "leave it out", forbidden
        )
    numbers = list(_number_faults(options))
    yield from numbers
    told = {fault.field for fault in numbers}
    fields = options.fields_as_conf()
    named = {key: _wire(FIELDS[key]) for key in fields}
    yield from (one for one in conf_values.faults({**options.conf, **fields}, named) if one.field not in told)
    for name in ("jars", "py_files", "files", "archives"):
        for path in getattr(options, name):
            yield from paths.faults_listed(_wire(name), path, settings, here)
    for key in _FILE_LIST_KEYS:
        for path in filter(None, map(str.strip, options.conf.get(key, "").split(","))):
            yield from paths.faults_listed(key, path, settings, here)
    if file is not None:
        yield from paths.faults("file", file, settings, here)
        if "," in file and not file.endswith((".py", ".R")):  # a jar, which Spark lists among the others
            reason = f"file: '{file}' has a comma, at which Spark parts a list of jars"
            yield Fault("file", Code.MISFIT, reason, "rename the file", file)


def _number_faults(options: SparkOptions) -> Iterator[Fault]:
    for name in ("driver_cores", "executor_cores", "num_executors"):
        number = getattr(options, name)
        if number is not None and not 0 <= number < 2**31:
            reason = f"{_wire(name)} is {number}"
            yield Fault(_wire(name), Code.MISFIT, reason, "give a whole number from 1 up", str(number))


def word_faults(field: str, word: str) -> Iterator[Fault]:
    """Why this cannot be a word of the spark-submit call; nothing when it can."""
    if "\r" in word:
        yield Fault(field, Code.MISFIT, f"{field}: one has a carriage return, which Spark's start script leaves out")
    if len(word.encode("utf-8")) >= _LONGEST_WORD:
        reason = f"{field}: one has {_LONGEST_WORD} bytes or more, too many for a command"
        yield Fault(field, Code.MISFIT, reason, "pass a file")


def words_faults(field: str, words: Sequence[str]) -> Iterator[Fault]:
    """As `word_faults`, of each of these, and of all together."""
    for word in words:
        yield from word_faults(field, word)
    if sum(len(word.encode("utf-8")) + 1 + _POINTER for word in words) > _ALL_WORDS:
        reason = f"{field}: all together take more than {_ALL_WORDS} bytes, too many for a command"
        yield Fault(field, Code.MISFIT, reason, "pass a file")
