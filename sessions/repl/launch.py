"""The one file spark-submit runs: loads the package beside it and starts the driver.

Decides under which name the package lives, so that a user's `import sql` never meets our files.
Knows nothing about Spark or Jupyter.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from types import ModuleType

PACKAGE = "spark_gateway_repl"


def load_package(folder: str) -> ModuleType:
    """The package in `folder`, imported as PACKAGE, with `folder` itself off the module search path."""
    sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry or ".") != os.path.realpath(folder)]
    spec = importlib.util.spec_from_file_location(
        PACKAGE, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = package
    spec.loader.exec_module(package)
    return package


def main() -> None:
    """Start the driver with the options file named by the only argument; never returns."""
    load_package(os.path.dirname(os.path.abspath(__file__)))
    options_file = os.path.abspath(sys.argv[1])
    sys.argv = [""]
    importlib.import_module(f"{PACKAGE}.fitting").require(options_file)
    importlib.import_module(f"{PACKAGE}.{_root(options_file)}").main(options_file)


def _root(options_file: str) -> str:
    """The module that runs what the options describe: a driver of one session, or an application of many."""
    with open(options_file, encoding="utf-8") as file:
        return "shared" if json.load(file).get("seats") else "driver"


if __name__ == "__main__":
    main()
