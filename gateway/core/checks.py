"""What a request may ask of Spark, refused by the name of its field. Contract §4.3."""

from __future__ import annotations

from gateway.core import conf_values, paths
from gateway.core.errors import InvalidRequest
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


def _wire(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def check(options: SparkOptions, settings: Settings, here: ClusterSettings, file: str | None = None) -> None:
    """Refuse what may not be asked of the cluster `here`. `file` is a batch's application. Raises InvalidRequest."""
    forbidden = sorted(set(options.conf) & set(settings.conf_blacklist))
    if forbidden:
        raise InvalidRequest(f"Blacklisted configuration values in session config: {', '.join(forbidden)}")
    fields = options.fields_as_conf()
    named = {key: _wire(FIELDS[key]) for key in fields}
    conf_values.check({**options.conf, **fields}, named)
    for name in ("jars", "py_files", "files", "archives"):
        for path in getattr(options, name):
            paths.check_listed(_wire(name), path, settings, here)
    for key in _FILE_LIST_KEYS:
        for path in filter(None, map(str.strip, options.conf.get(key, "").split(","))):
            paths.check_listed(key, path, settings, here)
    if file is not None:
        paths.check("file", file, settings, here)
        if "," in file and not file.endswith((".py", ".R")):  # a jar, which Spark lists among the others
            raise InvalidRequest(f"file: '{file}' has a comma, at which Spark parts a list of jars: rename the file")


def check_word(field: str, word: str) -> None:
    """Refuse what cannot be a word of the spark-submit call. Raises InvalidRequest."""
    if "\r" in word:
        raise InvalidRequest(f"{field}: one has a carriage return, which Spark's start script leaves out")
    if len(word.encode("utf-8")) >= _LONGEST_WORD:
        raise InvalidRequest(f"{field}: one has {_LONGEST_WORD} bytes or more, too many for a command: pass a file")
