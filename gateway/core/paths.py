"""Which files a request may name. Contract §4.3."""

from __future__ import annotations

import os
from urllib.parse import unquote, urlsplit

from gateway.core.errors import InvalidRequest
from gateway.core.settings import ClusterSettings, Settings

# Spark parts a list at commas, takes ? for the end of a path, and fails at the others; * and {} it expands.
_IN_NO_LIST = ",?[]:"


def check_listed(field: str, path: str, settings: Settings, here: ClusterSettings) -> None:
    """As `check`, for one path of a list; behind # it may have the name that the file is to have there."""
    plain = _on_this_host(field, path.split("#", 1)[0])
    if "," in path:
        raise InvalidRequest(f"{field}: '{path}' has a comma, at which Spark parts a list: give each file by itself")
    if plain is not None and (found := [one for one in _IN_NO_LIST if one in plain]):
        raise InvalidRequest(f"{field}: '{path}' has a {found[0]}, which Spark takes in no list: rename the file")
    if plain is not None and path != path.strip():
        raise InvalidRequest(f"{field}: '{path}' begins or ends with a space, which Spark leaves out: rename the file")
    check(field, path.split("#", 1)[0], settings, here)


def check(field: str, path: str, settings: Settings, here: ClusterSettings) -> None:
    """Refuse a path that `field` may not hold, of something that starts on the cluster `here`. Raises InvalidRequest.

    The first two texts are Livy's own, which its users search for.
    """
    plain = _on_this_host(field, path)
    if plain is None:
        return
    if not plain.startswith("/"):
        raise InvalidRequest(f"requirement failed: Path '{path}' is not absolute.")
    real = os.path.realpath(plain)
    if not settings.any_local_path and not any(
        os.path.commonpath([real, os.path.realpath(folder)]) == os.path.realpath(folder)
        for folder in settings.local_path_whitelist
    ):
        raise InvalidRequest(f"requirement failed: Local path {plain} cannot be added to user sessions.")
    # A pattern is expanded by Spark itself; a cluster, or another default file system, may hold what this host has not.
    elsewhere = here.deploy_mode != "client" or (plain == path and _has_default_file_system(here))
    if "*" not in plain and not elsewhere and not os.path.exists(real):
        raise InvalidRequest(f"{field}: there is no file {plain} on the gateway's host")


def _on_this_host(field: str, path: str) -> str | None:
    """The path that a path or URL means on this host; None for a URL of elsewhere. Raises InvalidRequest."""
    try:
        parts = urlsplit(path)
    except ValueError as error:
        raise InvalidRequest(f"{field}: '{path}' is no path and no URL: {error}") from None
    if parts.scheme not in ("", "file"):
        return None
    return unquote(parts.path) if parts.scheme else path


def _has_default_file_system(here: ClusterSettings) -> bool:
    """Whether a path without a scheme may mean another file system than this host's (Hadoop's fs.defaultFS)."""
    return here.master.startswith(("yarn", "k8s")) or "HADOOP_CONF_DIR" in os.environ
