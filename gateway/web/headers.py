"""What every answer carries and every request is checked for, whatever the protocol."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable
from functools import lru_cache

from flask import Flask, Request, Response, request
from werkzeug.http import parse_accept_header

from gateway.core.errors import Forbidden
from gateway.core.faults import Code, Fault
from gateway.core.settings import Settings
from gateway.core.settings.fields import is_loopback
from gateway.web.bodies import Unreadable

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "X-XSS-Protection": "1; mode=block",
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; img-src 'self'; frame-src 'self';"
    ),
}
_WORTH_COMPRESSING = 1024  # bytes
_SAFE = ("GET", "HEAD", "OPTIONS")


def register(app: Flask, settings: Settings) -> None:
    @app.before_request
    def check() -> None:
        if is_loopback(settings.host):
            refuse_other_names(request, settings.trusted_hosts)
        refuse_other_sites(request)
        writes = method_sent(request) not in _SAFE
        if settings.csrf_protection and writes and "X-Requested-By" not in request.headers:
            reason = "the header X-Requested-By is missing, without which nothing may be changed here"
            raise Unreadable(Fault("X-Requested-By", Code.UNMARKED, reason, "send it with any value"))

    @app.after_request
    def finish(response: Response) -> Response:
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        return _compress(response)


def method_sent(req: Request) -> str:
    """The method on the wire, before any override."""
    return str(req.environ.get("spark_gateway.method", req.method))


def site(req: Request) -> str:
    """Scheme and host as the client knows them; a proxy that ends TLS says so in X-Forwarded-Proto."""
    forwarded = req.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
    scheme = "https" if forwarded == "https" else req.scheme
    return f"{scheme}://{req.host}"


def is_trusted(host: str, trusted: Iterable[str]) -> bool:
    """Whether a Host header names one of these. Werkzeug's own check cannot take an IPv6 address."""
    return _name_of(host) in map(str.lower, trusted)


def _name_of(host: str) -> str:
    return re.sub(r":[0-9]*$", "", host).lower()


def refuse_other_names(req: Request, trusted: list[str]) -> None:
    """A web page may point a name of its own at this machine."""
    if trusted and not is_trusted(req.host, trusted):
        name = _name_of(req.host)
        fix = "to use this name, add it to the setting trusted_hosts"
        raise Unreadable.because(f"Host '{name}' is not trusted", fix)


def refuse_other_sites(req: Request) -> None:
    """A page of another site must not write here in the name of whoever looks at it. Only browsers send Origin."""
    origin = req.headers.get("Origin")
    if origin is None or method_sent(req) in _SAFE:
        return
    if origin.partition("://")[2] != req.host:
        raise Forbidden(
            f"a page of {origin} may not do this here: requests that write must come from this host's pages"
        )


def refuse_links_of_other_sites(req: Request) -> None:
    """For what a look already starts. A browser says of which site the page is that has it asked."""
    if req.headers.get("Sec-Fetch-Site") == "cross-site":
        raise Forbidden("a page of another site may not start anything here: come from this host's pages")


def _compress(response: Response) -> Response:
    if response.is_streamed or response.content_encoding or not response.is_json:
        return response
    data = response.get_data()
    if (smaller := compressed(data, request.headers.get("Accept-Encoding", ""))) is not None:
        response.set_data(smaller)
        response.content_encoding = "gzip"
    return response


def compressed(data: bytes, accepted: str) -> bytes | None:
    """The body as gzip; None when it is not worth it, or the Accept-Encoding does not want it."""
    if len(data) < _WORTH_COMPRESSING or not _takes_gzip(accepted):
        return None
    return gzip.compress(data, 1, mtime=0)


@lru_cache(256)
def _takes_gzip(accepted: str) -> bool:
    return any(name == "gzip" and quality > 0 for name, quality in parse_accept_header(accepted))
