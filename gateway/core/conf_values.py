"""Values in Spark's conf that would end an application at its start: sizes, times, whole numbers, true or false.

Only of the keys that were seen to do so; of all others Spark itself says what is wrong with them. Knows no fields of
requests. https://spark.apache.org/docs/latest/configuration.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gateway.core.faults import Code, Fault

DRIVER_MEMORY, EXECUTOR_MEMORY = "spark.driver.memory", "spark.executor.memory"

# the unit of a size that names none
_SIZES = {
    DRIVER_MEMORY: "m",
    EXECUTOR_MEMORY: "m",
    "spark.driver.memoryOverhead": "m",
    "spark.executor.memoryOverhead": "m",
    "spark.executor.pyspark.memory": "m",
    "spark.driver.maxResultSize": "b",
    "spark.memory.offHeap.size": "b",
    "spark.kryoserializer.buffer": "k",
    "spark.kryoserializer.buffer.max": "m",
    "spark.broadcast.blockSize": "k",
    "spark.buffer.pageSize": "b",
    "spark.network.maxRemoteBlockSizeFetchToMem": "b",
    "spark.storage.memoryMapThreshold": "b",
    "spark.task.maxDirectResultSize": "b",
    "spark.yarn.am.memory": "m",
    "spark.yarn.am.memoryOverhead": "m",
}
_TIMES = (
    "spark.executor.heartbeatInterval",
    "spark.network.timeout",
    "spark.rpc.askTimeout",
    "spark.rpc.lookupTimeout",
)
# the smallest that is one
_NUMBERS = {
    "spark.driver.cores": 1,
    "spark.executor.cores": 1,
    "spark.cores.max": 1,
    "spark.task.cpus": 1,
    "spark.task.maxFailures": 1,
    "spark.default.parallelism": 1,
    "spark.sql.shuffle.partitions": 1,
    "spark.dynamicAllocation.initialExecutors": 0,
    "spark.dynamicAllocation.minExecutors": 0,
    "spark.dynamicAllocation.maxExecutors": 1,
    "spark.port.maxRetries": 0,
    "spark.driver.port": 0,
    "spark.blockManager.port": 0,
    "spark.driver.blockManager.port": 0,
    "spark.ui.port": 0,
    "spark.rpc.message.maxSize": 1,
}
_SWITCHES = (
    "spark.acls.enable",
    "spark.authenticate",
    "spark.decommission.enabled",
    "spark.dynamicAllocation.enabled",
    "spark.eventLog.enabled",
    "spark.io.encryption.enabled",
    "spark.memory.offHeap.enabled",
    "spark.network.crypto.enabled",
    "spark.rdd.compress",
    "spark.shuffle.compress",
    "spark.shuffle.service.enabled",
    "spark.speculation",
    "spark.ui.enabled",
    "spark.ui.showConsoleProgress",
)
_JAVA_OPTIONS = {
    "spark.driver.defaultJavaOptions": DRIVER_MEMORY,
    "spark.driver.extraJavaOptions": DRIVER_MEMORY,
    "spark.executor.defaultJavaOptions": EXECUTOR_MEMORY,
    "spark.executor.extraJavaOptions": EXECUTOR_MEMORY,
}

# Java's trim cuts off what is no greater than a space
_SIZE = re.compile(r"[\0-\x20]*([0-9]{1,18})(?:([kmgtp])i?b?|(b))?[\0-\x20]*", re.IGNORECASE)
_PLAIN = re.compile(r"[0-9]+[kmgt]", re.IGNORECASE)  # what Java reads as well
_TIME = re.compile(r"[\0-\x20]*-?[0-9]{1,18}(us|ms|s|m|min|h|d)?[\0-\x20]*", re.IGNORECASE)
_NUMBER = re.compile(r"[\0-\x20]*([+-]?[0-9]{1,10})[\0-\x20]*")
_UNITS = {"b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}
_LARGEST = 2**63 - 1  # bytes, as Spark counts them
_LARGEST_HEAP = 64 * _UNITS["t"]  # a JVM finds no room in its address space for one that is much larger


def faults(conf: Mapping[str, str], named: Mapping[str, str] | None = None) -> Iterator[Fault]:
    """The values that Spark cannot start with. `named`: by what other name than its key a value is to be told of."""
    for key, text in conf.items():
        if wrong := _fault(key, text):
            name = (named or {}).get(key)
            reason, _, fix = wrong.rpartition(": ")
            yield Fault(name or f"conf.{key}", Code.MISFIT, f"{name or key} {reason}", fix, text)


def _fault(key: str, text: str) -> str | None:
    if key in _SIZES:
        return _size_fault(key, text)
    if key in _TIMES and not _TIME.fullmatch(text):
        return f"'{text}' is not a time: give a whole number and a unit, such as 90s or 10min"
    if key in _NUMBERS and not ((found := _NUMBER.fullmatch(text)) and _NUMBERS[key] <= int(found[1]) < 2**31):
        return f"is {text or 'empty'}: give a whole number from {_NUMBERS[key]} up"
    if key in _SWITCHES and text.strip().lower() not in ("true", "false"):
        return f"is '{text}': give true or false"
    if "-Xmx" in text and (size := _JAVA_OPTIONS.get(key)):
        return f"has -Xmx, which Spark refuses: give the size in {size}"
    return None


def _size_fault(key: str, text: str) -> str | None:
    found = size(key, text)
    if found is None or found > _LARGEST:
        return f"'{text}' is not a size: give a whole number and a unit, such as 512m or 2g"
    if key in (DRIVER_MEMORY, EXECUTOR_MEMORY) and not 0 < found <= _LARGEST_HEAP:
        return f"is '{text}', which no Java has: give a size from 450m to 64t"
    return None


def _parsed(key: str, text: str) -> tuple[int, str] | None:
    """The number of a size, and its unit: one of b, k, m, g, t and p."""
    found = _SIZE.fullmatch(text)
    return (int(found[1]), (found[2] or found[3] or _SIZES[key]).lower()) if found else None


def size(key: str, text: str) -> int | None:
    """Bytes that the value of this key means; None when it is no size."""
    parsed = _parsed(key, text)
    return parsed[0] * _UNITS[parsed[1]] if parsed else None


def spelt(conf: Mapping[str, str]) -> dict[str, str]:
    """The conf with its sizes as every Spark reads them, and Java too: to `-Xmx` 1gb is none, and 1024 is bytes."""
    return {key: _spelt(key, text) if key in _SIZES else text for key, text in conf.items()}


def _spelt(key: str, text: str) -> str:
    parsed = _parsed(key, text)
    if parsed is None or _PLAIN.fullmatch(text):
        return text
    number, unit = parsed
    if key == DRIVER_MEMORY and unit not in "kmgt":
        return f"{number * _UNITS[unit] // _UNITS['m']}m"
    return f"{number}{unit}"
