"""What the log of a run tells of its end, line by line: marks of known failures, and the last exception.

Knows what Spark, its start script, Ivy and Python write; what follows of it is `failures`' to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_LONGEST = 1000  # characters of a line that is kept, or looked at

NOT_UNPACKED, PACKAGES, NO_PROGRAM, NO_CLASS = "archive", "packages", "program", "class"
NO_MASTER, BAD_CONF, OUT_OF_MEMORY, NOT_SUBMITTED = "master", "conf", "memory", "submit"

_MARKS = {
    NOT_UNPACKED: re.compile(r"/.* cannot be unpacked: "),
    PACKAGES: re.compile(r".*RuntimeException: \[(?:unresolved dependency|download failed): .*\]"),
    NO_PROGRAM: re.compile(r".*(?:Local jar .* does not exist|File file:.* does not exist|can't open file ')"),
    # only as spark-submit says it: loggers say of classes of theirs that they "failed to load" them
    NO_CLASS: re.compile(r"Error: Failed to load |.*(?:Cannot load main class from JAR|No main class set in JAR)"),
    NO_MASTER: re.compile(r".*All masters are unresponsive"),
    BAD_CONF: re.compile(r".*(?:IllegalArgumentException|SparkException): .*\bspark\.[\w.]+"),
    OUT_OF_MEMORY: re.compile(r".*java\.lang\.OutOfMemoryError"),
    NOT_SUBMITTED: re.compile(r'Exception in thread "main" org\.apache\.spark\.'),
}
_TRACEBACK = "Traceback (most recent call last):"
_JAVA = re.compile(r'(?:Exception in thread "[^"]*" |Caused by: )((?:[\w$]+\.)+[\w$]+(?::.*)?)')


@dataclass(frozen=True)
class Evidence:
    """`marks`: kind → the last line of that kind. `exception`: the last one's first line, None: there was none.

    `in_traceback`: the lines read last are of a Python traceback, whose exception is still to come.
    """

    marks: dict[str, str] = field(default_factory=dict)
    exception: str | None = None
    in_traceback: bool = False

    def after(self, lines: Iterable[str]) -> Evidence:
        """What is known after these further lines."""
        marks, exception, in_traceback = dict(self.marks), self.exception, self.in_traceback
        for whole in lines:
            line = whole[:_LONGEST].rstrip()
            for kind, words in _MARKS.items():
                if words.match(line):
                    marks[kind] = line
            if line == _TRACEBACK:
                in_traceback = True
            elif in_traceback and line and not line[0].isspace():
                exception, in_traceback = line, False
            elif java := _JAVA.match(line):
                exception = java[1]
        return Evidence(marks, exception, in_traceback)
