"""The process above web server and supervisor."""

from __future__ import annotations

import subprocess
import sys

# A signal comes in the middle of a start: the child runs, and nobody knows it yet.
STRUCK = """
import os, signal, subprocess
from gateway.server import Children

class Struck(subprocess.Popen):
    def __init__(self, *words, **options):
        super().__init__(*words, **options)
        os.kill(os.getpid(), signal.SIGTERM)

subprocess.Popen = Struck
children = Children({"one": ["sleep", "1000"]})
children.run()
print(children._running["one"].returncode == -signal.SIGTERM)
"""


def test_a_child_that_is_being_started_is_asked_to_end_too() -> None:
    ended = subprocess.run([sys.executable, "-c", STRUCK], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "True\n"
