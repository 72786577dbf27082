"""Runs a notebook cell by cell in one of sparkmagic's kernels and prints what each cell showed, as JSON.

A script for the clients' Python, not imported by any test. Its argument is the name of the kernel.
Reads a JSON list of cells from stdin; a cell is
{"name", "source", "interrupt": null or the path of a file whose appearance says that the cell is well under way}.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

CELL = 120  # seconds a cell may take


async def run(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Cell name to the outputs that a notebook would save and the seconds it took."""
    nodes = [nbformat.v4.new_code_cell(cell["source"]) for cell in cells]
    client = NotebookClient(
        nbformat.v4.new_notebook(cells=nodes),
        kernel_name=sys.argv[1],
        timeout=CELL,
        allow_errors=True,
        force_raise_errors=False,
    )
    shown = {}
    async with client.async_setup_kernel():
        for index, (cell, node) in enumerate(zip(cells, nodes, strict=True)):
            begun = time.monotonic()
            running = asyncio.create_task(client.async_execute_cell(node, index))
            if cell["interrupt"]:
                await asyncio.to_thread(wait_for, Path(cell["interrupt"]), running)
                await client.km.interrupt_kernel()
            await running
            shown[cell["name"]] = {"outputs": node.outputs, "seconds": round(time.monotonic() - begun, 2)}
    return shown


def wait_for(path: Path, running: asyncio.Task[Any]) -> None:
    """Wait for the file; not for ever, as the cell that makes it may have failed."""
    while not path.exists() and not running.done():
        time.sleep(0.05)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.load(sys.stdin)))))
