"""Which files a request may name. Contract §4.3."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from gateway.core.faults import Code, Fault
from gateway.core.settings import ClusterSettings, Settings

# Spark parts a list at commas, takes ? for the end of a path, loses a file with {} among others, and fails at the rest.
_IN_NO_LIST = ",?[]:{}"


def faults_listed(field: str, path: str, settings: Settings, here: ClusterSettings) -> Iterator[Fault]:
    """As `faults`, for one path of a list; behind # it may have the name that the file is to have there."""
    bare = path.split("#", 1)[0]
    if wrong := _unlisted(path, _on_this_host(bare)):
        reason, fix = wrong
        yield Fault(field, Code.MISFIT, f"{field}: '{path}' {reason}", fix, path)
    else:
        yield from faults(field, bare, settings, here)


def _unlisted(path: str, plain: str | None) -> tuple[str, str] | None:
    """Why Spark takes this path in no list, and what would do."""
    if "," in path:
        return "has a comma, at which Spark parts a list", "give each file by itself"
    if plain is not None and (found := [one for one in _IN_NO_LIST if one in plain]):
        return f"has a {found[0]}, which Spark takes in no list", "rename the file"
    if plain is not None and path != path.strip():
        return "begins or ends with a space, which Spark leaves out", "rename the file"
    return None


def faults(field: str, path: str, settings: Settings, here: ClusterSettings) -> Iterator[Fault]:
    """Why `field` may not hold this path, of something that starts on the cluster `here`; nothing when it may."""
    try:
        urlsplit(path)
    except ValueError as error:
        yield Fault(field, Code.MISFIT, f"{field}: '{path}' is no path and no URL", str(error), path)
        return
    plain = _on_this_host(path)
    if plain is None:
        return
    if "\0" in plain:
        yield Fault(field, Code.MISFIT, f"{field}: '{path}' has a NUL, which no path can hold", value=path)
        return
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
    elsewhere = here.deploy_mode != "client" or (plain == path and _has_default_file_system(here))
    if "*" not in plain and not elsewhere and not os.path.exists(real):
        yield Fault(field, Code.ABSENT, f"{field}: there is no file {plain} on the gateway's host", value=plain)


def _on_this_host(path: str) -> str | None:
    """The path that a path or URL means on this host; None for a URL of elsewhere, and for what is none."""
    try:
        parts = urlsplit(path)
    except ValueError:
        return None
    if parts.scheme not in ("", "file"):
        return None
    return unquote(parts.path) if parts.scheme else path


def _has_default_file_system(here: ClusterSettings) -> bool:
    """Whether a path without a scheme may mean another file system than this host's (Hadoop's fs.defaultFS)."""
    return here.master.startswith(("yarn", "k8s")) or "HADOOP_CONF_DIR" in os.environ
