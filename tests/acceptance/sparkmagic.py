"""Runs a notebook in one of sparkmagic's kernels, as the user of a notebook does, and reads what its cells show."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.acceptance.rest import START

Outputs = list[dict[str, Any]]
Cell = dict[str, str | None]

# The end of a session waits for its heartbeat thread, which sleeps for one refresh.
PACE = {"heartbeat_refresh_seconds": 1, "heartbeat_retry_seconds": 1, "livy_session_startup_timeout_seconds": START}


def run_notebook(
    kernel: str, settings: dict[str, Any], cells: Iterable[Cell], python: Path, environ: dict[str, str], folder: Path
) -> dict[str, Outputs]:
    """The outputs of every cell, by its name. `cells` are those of notebook.py, `settings` sparkmagic's own."""
    # Its chart of a table listens to the notebook's page; nbclient, which has none, at times waits for that in vain.
    (folder / "config.json").write_text(json.dumps({"use_auto_viz": False, **PACE, **settings}))
    ran = subprocess.run(
        [python, Path(__file__).with_name("notebook.py"), kernel],
        input=json.dumps(list(cells)),
        env={**environ, "SPARKMAGIC_CONF_DIR": str(folder), "IPYTHONDIR": str(folder / "ipython")},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    showed = json.loads(ran.stdout)
    for name, cell in showed.items():  # for whoever reads a failure
        print(f"{cell['seconds']:6.2f} s  {name}: {json.dumps(cell['outputs'], ensure_ascii=False)[-500:]}")
    return {name: cell["outputs"] for name, cell in showed.items()}


def stream(outputs: Outputs, name: str = "stdout") -> str:
    """What the cell wrote on one stream."""
    return "".join(one["text"] for one in outputs if one["output_type"] == "stream" and one["name"] == name)


def shown(outputs: Outputs, kind: str) -> list[str]:
    """What the cell displayed of one mime type."""
    return [one["data"][kind] for one in outputs if kind in one.get("data", {})]
