"""What happens to a request before Flask routes it: path prefix, doubled slashes, method override."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

_OVERRIDE_HEADERS = ("HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_X_HTTP_METHOD", "HTTP_X_METHOD_OVERRIDE")

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Front:
    """WSGI middleware. `prefix` such as "/livy" is taken off the path when it is there; `slashes` are paths that may
    have a slash at their end.
    """

    def __init__(self, app: Wsgi, prefix: str, slashes: Iterable[str]) -> None:
        self._app, self._prefix = app, prefix
        self._slashes = {f"{path}/" for path in slashes}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        # Some clients join their base and a path as text, which may double the slash.
        path = re.sub("^/+", "/", environ.get("PATH_INFO", ""))
        if self._prefix and (path == self._prefix or path.startswith(self._prefix + "/")):
            environ["SCRIPT_NAME"] = self._prefix
            path = re.sub("^/+", "/", path[len(self._prefix) :]) or "/"
        environ["PATH_INFO"] = path.rstrip("/") if path in self._slashes else path
        if environ["REQUEST_METHOD"] == "POST" and (method := _override(environ)):
            environ["spark_gateway.method"] = "POST"  # what was really sent, for the checks of writes
            environ["REQUEST_METHOD"] = method
        return self._app(environ, start_response)


def _override(environ: dict[str, Any]) -> str | None:
    """The method that a POST really means: parameter `_method` or one of three headers."""
    query = environ.get("QUERY_STRING", "")
    named = parse_qs(query).get("_method", [None])[0] if "_method" in query else None
    for header in _OVERRIDE_HEADERS:
        named = named or environ.get(header)
    return named.strip().upper() if named and re.fullmatch(r"\s*[A-Za-z]{1,16}\s*", named) else None
