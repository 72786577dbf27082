"""What happens to a request before Flask routes it: path prefix, doubled and encoded slashes, method override."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, unquote, unquote_to_bytes, urlsplit

from flask import Flask, request

_OVERRIDE_HEADERS = ("HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_X_HTTP_METHOD", "HTTP_X_METHOD_OVERRIDE")

_KEPT = "spark_gateway.kept"  # whether the path holds escapes that are still to be read
_SLASH = re.compile("%2F", re.IGNORECASE)

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Front:
    """WSGI middleware. `prefix` such as "/livy" is taken off the path when it is there; `slashes` are paths that may
    have a slash at their end.
    """

    def __init__(self, app: Wsgi, prefix: str, slashes: Iterable[str]) -> None:
        self._app, self._prefix = app, prefix
        self._slashes = {f"{path}/" for path in slashes}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.settle(environ)
        return self._app(environ, start_response)

    def settle(self, environ: dict[str, Any]) -> None:
        """Have the request say what it means: path and method as routes know them."""
        _keep_slashes(environ)
        # Some clients join their base and a path as text, which may double the slash.
        path = re.sub("^/+", "/", environ.get("PATH_INFO", ""))
        if self._prefix and (path == self._prefix or path.startswith(self._prefix + "/")):
            environ["SCRIPT_NAME"] = self._prefix
            path = re.sub("^/+", "/", path[len(self._prefix) :]) or "/"
        environ["PATH_INFO"] = path.rstrip("/") if path in self._slashes else path
        if environ["REQUEST_METHOD"] == "POST" and (method := _override(environ)):
            environ["spark_gateway.method"] = "POST"  # what was really sent, for the checks of writes
            environ["REQUEST_METHOD"] = method


def register(app: Flask) -> None:
    """Give views what stands in their path with its slashes."""

    @app.url_value_preprocessor
    def read(endpoint: str | None, values: dict[str, Any] | None) -> None:
        if request.environ.get(_KEPT) and values:
            values.update({name: unquote(value) for name, value in values.items() if isinstance(value, str)})


def _keep_slashes(environ: dict[str, Any]) -> None:
    """Leave %2F in the path as it is, and % with it: decoded, as WSGI hands it on, it would part what is one name."""
    raw = environ.get("RAW_URI", "")  # gunicorn's and Werkzeug's
    path = raw.partition("?")[0] if raw.startswith("/") else urlsplit(raw).path
    if _SLASH.search(path):
        environ[_KEPT] = True
        kept = path.replace("%25", "%2525")
        environ["PATH_INFO"] = unquote_to_bytes(_SLASH.sub("%252F", kept).encode("latin-1")).decode("latin-1")


def _override(environ: dict[str, Any]) -> str | None:
    """The method that a POST really means: parameter `_method` or one of three headers."""
    query = environ.get("QUERY_STRING", "")
    named = parse_qs(query).get("_method", [None])[0] if "_method" in query else None
    for header in _OVERRIDE_HEADERS:
        named = named or environ.get(header)
    return named.strip().upper() if named and re.fullmatch(r"\s*[A-Za-z]{1,16}\s*", named) else None
