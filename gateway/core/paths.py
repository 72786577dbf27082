"""Which files a request may name. Contract §4.3."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from gateway.core.faults import Code, Fault
from gateway.core.settings import ClusterSettings, Settings


def faults(field: str, path: str, settings: Settings, here: ClusterSettings) -> Iterator[Fault]:
    """Why `field` may not hold this path, of something that starts on the cluster `here`; nothing when it may."""
    try:
        parts = urlsplit(path)
    except ValueError as error:
        yield Fault(field, Code.MISFIT, f"{field}: '{path}' is no path and no URL", str(error), path)
        return
    if parts.scheme not in ("", "file"):
        return
    plain = unquote(parts.path) if parts.scheme else path.split("#", 1)[0]
    if not plain.startswith("/"):
        yield Fault(field, Code.RELATIVE, f"{field}: '{path}' is not absolute", "give the whole path", path)
        return
    real = os.path.realpath(plain)
    if not settings.any_local_path and not any(
        os.path.commonpath([real, os.path.realpath(folder)]) == os.path.realpath(folder)
        for folder in settings.local_path_whitelist
    ):
        yield Fault(field, Code.OUTSIDE, f"{field}: {plain} may not be used here", "give a file that may", plain)
        return
    # A pattern is expanded by Spark itself; a cluster, or another default file system, may hold what this host has not.
    elsewhere = here.deploy_mode != "client" or (not parts.scheme and _has_default_file_system(here))
    if "*" not in plain and not elsewhere and not os.path.exists(real):
        yield Fault(field, Code.ABSENT, f"{field}: there is no file {plain} on the gateway's host", value=plain)


def _has_default_file_system(here: ClusterSettings) -> bool:
    """Whether a path without a scheme may mean another file system than this host's (Hadoop's fs.defaultFS)."""
    return here.master.startswith(("yarn", "k8s")) or "HADOOP_CONF_DIR" in os.environ
