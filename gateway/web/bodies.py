"""How requests are read: JSON whatever their Content-Type says (clients send form, text or none), in any of JSON's
encodings, compressed or not; then by marshmallow's schemas. Whatever is wrong becomes faults, all of them at once.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Iterator
from typing import Any, NoReturn

import marshmallow
from flask import Request, current_app
from webargs.flaskparser import FlaskParser

from gateway.core.errors import InvalidRequest, TooLarge
from gateway.core.faults import Code, Fault

_UNKNOWN: dict[str, str | None] = {
    "json": None,  # as the schema says: marshmallow's own refuse what they do not know
    "query": marshmallow.EXCLUDE,
    "files": marshmallow.EXCLUDE,
}

_NO_SUCH = "Unknown field."
_NO_MEMBERS = ("_schema", "key", "value")  # what marshmallow's tree has between members


class Unreadable(InvalidRequest):
    """The request is none that can be looked into: no JSON, a member that is unknown, a header that is missing."""

    @classmethod
    def because(cls, reason: str, fix: str = "") -> Unreadable:
        """About the request as a whole."""
        return cls(Fault(None, Code.UNREADABLE, reason, fix))


class Parser(FlaskParser):
    """Reads arguments with marshmallow. Unknown arguments that are no members of a body are ignored."""

    DEFAULT_VALIDATION_STATUS = 400
    DEFAULT_UNKNOWN_BY_LOCATION = _UNKNOWN

    def load_json(self, req: Request, schema: marshmallow.Schema) -> Any:
        return read_json(req)

    def handle_error(self, error: marshmallow.ValidationError, *args: Any, **kwargs: Any) -> NoReturn:
        where_read = next(iter(error.messages_dict.values()))  # "json", "query" or "files", which are no members
        raise Unreadable(*_faults(where_read, [])) from error


def read_json(req: Request) -> Any:
    """The JSON object in the body; what follows it is ignored. Raises Unreadable, TooLarge."""
    text = _text(_body(req)).lstrip()
    if not text:
        raise Unreadable(Fault(None, Code.EMPTY, "the body is empty", "send a JSON object, at least {}"))
    try:
        value, _ = json.JSONDecoder().raw_decode(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise Unreadable.because("the body holds half of a surrogate pair, which is no character") from None
    except (ValueError, RecursionError) as error:
        raise Unreadable.because(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Unreadable.because("the body is not a JSON object", "send {...}")
    return value


def _text(data: bytes) -> str:
    """UTF-8, UTF-16 or UTF-32, with its byte order mark or without (RFC 4627 §3)."""
    encoding = json.detect_encoding(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        name = encoding.removesuffix("-sig").upper()
        raise Unreadable.because(f"the body is not {name} text: {error.reason}") from error


def _body(req: Request) -> bytes:
    data = req.get_data(parse_form_data=False)
    window = {"gzip": 31, "deflate": 15}.get(req.headers.get("Content-Encoding", "").strip().lower())
    if window is None:
        return data
    limit = current_app.config["MAX_CONTENT_LENGTH"]
    try:
        inflater = zlib.decompressobj(window)
        plain = inflater.decompress(data, limit)
    except zlib.error as error:
        raise Unreadable.because(f"the body is not what its Content-Encoding says: {error}") from error
    if inflater.unconsumed_tail:
        raise TooLarge(f"the body is larger than {limit} bytes")
    return plain


def _faults(messages: Any, path: list[str]) -> Iterator[Fault]:
    """All faults of marshmallow's tree of messages, each with the member it is about."""
    if isinstance(messages, dict):
        for key, inner in messages.items():
            yield from _faults(inner, path if key in _NO_MEMBERS and inner != [_NO_SUCH] else [*path, str(key)])
    else:
        for message in messages if isinstance(messages, list) else [messages]:
            yield _fault(message, ".".join(path) or None)


def _fault(message: Any, field: str | None) -> Fault:
    if isinstance(message, Fault):
        return dataclasses.replace(message, field=field)
    if message == _NO_SUCH:
        return Fault(field, Code.UNKNOWN, f"there is no member {field}", "leave it out")
    code = Code.MISSING if message == "Missing data for required field." else Code.MISFIT
    return Fault(field, code, f"{field}: {message}" if field else str(message))
