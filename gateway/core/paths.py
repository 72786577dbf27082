"""Which files a request may name. Contract §4.3."""

from __future__ import annotations

import os
from urllib.parse import unquote, urlsplit

from gateway.core.errors import InvalidRequest
from gateway.core.settings import ClusterSettings, Settings


def check(field: str, path: str, settings: Settings, here: ClusterSettings) -> None:
    """Refuse a path that `field` may not hold, of something that starts on the cluster `here`. Raises InvalidRequest.

    The first two texts are Livy's own, which its users search for.
    """
    try:
        parts = urlsplit(path)
    except ValueError as error:
        raise InvalidRequest(f"{field}: '{path}' is no path and no URL: {error}") from None
    if parts.scheme not in ("", "file"):
        return
    plain = unquote(parts.path) if parts.scheme else path.split("#", 1)[0]
    if not plain.startswith("/"):
        raise InvalidRequest(f"requirement failed: Path '{path}' is not absolute.")
    real = os.path.realpath(plain)
    if not settings.any_local_path and not any(
        os.path.commonpath([real, os.path.realpath(folder)]) == os.path.realpath(folder)
        for folder in settings.local_path_whitelist
    ):
        raise InvalidRequest(f"requirement failed: Local path {plain} cannot be added to user sessions.")
    # A pattern is expanded by Spark itself; a cluster, or another default file system, may hold what this host has not.
    elsewhere = here.deploy_mode != "client" or (not parts.scheme and _has_default_file_system(here))
    if "*" not in plain and not elsewhere and not os.path.exists(real):
        raise InvalidRequest(f"{field}: there is no file {plain} on the gateway's host")


def _has_default_file_system(here: ClusterSettings) -> bool:
    """Whether a path without a scheme may mean another file system than this host's (Hadoop's fs.defaultFS)."""
    return here.master.startswith(("yarn", "k8s")) or "HADOOP_CONF_DIR" in os.environ
