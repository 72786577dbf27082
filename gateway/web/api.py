"""flask-smorest as this project speaks it: how bodies are read, what JSON looks like, which shape errors have.

Bodies are JSON whatever their Content-Type says (clients send form, text or none); answers are compact JSON.
Protocols give their errors shapes of their own through handlers on their blueprints.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

import flask_smorest
import marshmallow
from flask import Request, Response, current_app, request
from flask.json.provider import DefaultJSONProvider
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import HTTPException

from gateway.core.errors import InvalidRequest, TooLarge

JSON_TYPE = "application/json;charset=utf-8"
_UNKNOWN: dict[str, str | None] = {
    "json": marshmallow.RAISE,
    "query": marshmallow.EXCLUDE,
    "files": marshmallow.EXCLUDE,
}


# status and what is said about it, in a protocol's own shape
Shape = Callable[[int, str], Response]


class Unreadable(InvalidRequest):
    """The request is none that can be looked into: no JSON, a member that is unknown, a header that is missing."""


class JsonProvider(DefaultJSONProvider):
    """Compact, one line, members in the order they were written."""

    sort_keys = False

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        kwargs.setdefault("separators", (",", ":"))
        return super().dumps(obj, **kwargs)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        return json_response(self.dumps(self._prepare_response_obj(args, kwargs)))


def json_response(text: str, status: int = 200) -> Response:
    return current_app.response_class(text, status, content_type=JSON_TYPE)


class Parser(FlaskParser):
    """Reads arguments with marshmallow. Unknown members of a body are refused, other unknown arguments ignored."""

    DEFAULT_VALIDATION_STATUS = 400
    DEFAULT_UNKNOWN_BY_LOCATION = _UNKNOWN

    def load_json(self, req: Request, schema: marshmallow.Schema) -> Any:
        return read_json(req)

    def handle_error(self, error: marshmallow.ValidationError, *args: Any, **kwargs: Any) -> NoReturn:
        where_read = next(iter(error.messages_dict.values()))  # "json", "query" or "files", which are no members
        raise Unreadable(_first(where_read, [])) from error


class Blueprint(flask_smorest.Blueprint):
    ARGUMENTS_PARSER = Parser()


class Api(flask_smorest.Api):
    """Errors that no protocol has taken: an unrouted path or method has an empty body, as Livy's, others say why."""

    # How the API's description shows errors: a message, or for some a bare string (contract §0.5, shapes A and B).
    ERROR_SCHEMA: ClassVar = {
        "oneOf": [
            {"type": "object", "properties": {"msg": {"type": "string"}}, "required": ["msg"]},
            {"type": "string"},
            {
                "type": "object",
                "properties": {
                    "message": {"type": "string"},
                    "path": {"type": "string"},
                    "errors": {"type": "array", "items": {"type": "object"}},
                },
                "required": ["message", "path", "errors"],
            },
        ]
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._shapes: dict[str, Shape] = {}
        super().__init__(*args, **kwargs)

    def shape_errors(self, prefix: str, shape: Shape) -> None:
        """Answer what goes wrong at or below a path, but in no route's own code, in this shape."""
        self._shapes[prefix] = shape

    def shaped(self, status: int, said: str) -> Response | None:
        """The error in the shape of the path that is asked for; None where there is none of its own."""
        for prefix, shape in self._shapes.items():
            if request.path == prefix or request.path.startswith(f"{prefix}/"):
                return shape(status, said)
        return None

    def handle_http_exception(self, error: HTTPException) -> Response:
        says_why = error.code not in (404, 405)
        if error.code == 413:
            error.description = _too_large(request.content_length, request.max_content_length)
        body = json.dumps({"msg": error.description}, separators=(",", ":")) if says_why else ""
        headers = [header for header in error.get_headers() if header[0].lower() != "content-type"]
        if (shaped := self.shaped(error.code or 500, error.description or "")) is not None:
            body = shaped.get_data(as_text=True)
        return Response(body, error.code, headers, content_type=JSON_TYPE)


def _too_large(length: int | None, allowed: int | None) -> str:
    """What werkzeug means by 413: the whole body, or in a form of allowed length what is no file."""
    if length is None or allowed is None or length > allowed:
        return f"the body is larger than the {allowed} bytes that are allowed here"
    return "the form has too many parts, or a large one without a filename: send a file in a part with its filename"


def read_json(req: Request) -> Any:
    """The JSON document in the body; what follows it is ignored. Raises Unreadable, TooLarge."""
    try:
        text = _body(req).decode("utf-8-sig").lstrip()
    except UnicodeDecodeError as error:
        raise Unreadable(f"the body is not UTF-8 text: {error.reason}") from error
    if not text:
        raise Unreadable("No content to map due to end-of-input: send a JSON object, at least {}")
    try:
        value, _ = json.JSONDecoder().raw_decode(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise Unreadable("the body holds half of a surrogate pair, which is no character") from None
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Unreadable("the body is not a JSON object: send {...}")
    return value


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
        raise Unreadable(f"the body is not what its Content-Encoding says: {error}") from error
    if inflater.unconsumed_tail:
        raise TooLarge(f"the body is larger than {limit} bytes")
    return plain


def _first(messages: Any, path: list[str]) -> str:
    """The first message of marshmallow's tree of them, with the member it is about."""
    if isinstance(messages, dict):
        key, inner = next(iter(messages.items()))
        return _first(inner, path if key in ("_schema", "key", "value") else [*path, str(key)])
    message = str(messages[0] if isinstance(messages, list) else messages)
    if message == "Unknown field.":
        return f'Unrecognized field "{".".join(path)}", not marked as ignorable: leave it out'
    return f"{'.'.join(path)}: {message}" if path and not message.startswith("For input string") else message
