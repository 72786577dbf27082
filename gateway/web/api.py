"""flask-smorest as this project speaks it: compact JSON, dialects that do not get into each other's way, and errors
that each dialect words by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, ClassVar

import flask_smorest
from apispec.ext.marshmallow import MarshmallowPlugin, resolver
from flask import Flask, Response, current_app, request
from flask.json.provider import DefaultJSONProvider
from flask_smorest.utils import prepare_response
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import HTTPException

from gateway.core.errors import GatewayError, Misconfigured
from gateway.web.bodies import Parser, Unreadable
from gateway.web.dialects import Dialect, Dialects
from gateway.web.documents import JSON_TYPE

log = logging.getLogger(__name__)


class JsonProvider(DefaultJSONProvider):
    """Compact, one line, members in the order they were written."""

    sort_keys = False

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        kwargs.setdefault("separators", (",", ":"))
        return super().dumps(obj, **kwargs)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        return json_response(self.dumps(self._prepare_response_obj(args, kwargs)))


def json_response(text: str | Iterator[str], status: int = 200) -> Response:
    """`text` is the document, or its pieces: these are sent as they come, and not compressed."""
    body = text if isinstance(text, str) else map(str.encode, text)
    return current_app.response_class(body, status, content_type=JSON_TYPE)


class Blueprint(flask_smorest.Blueprint):
    """Whose errors are described as those of the dialect that it is mounted for."""

    ARGUMENTS_PARSER = Parser()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prepare_doc_cbks.append(self._prepare_error_doc)

    @staticmethod
    def _prepare_error_doc(doc: dict[str, Any], doc_info: dict[str, Any], *, api: Api, **_: Any) -> dict[str, Any]:
        responses = doc.get("responses", {})
        named = {status: api.prefixed(shown) for status, shown in responses.items() if isinstance(shown, str)}
        return {**doc, "responses": {**responses, **named}}


class Api(flask_smorest.Api):
    """The web application's dialects: routed, described and heard when something goes wrong."""

    ERROR_SCHEMA: ClassVar[dict[str, Any]] = {}  # the library's own, which nothing is described by

    def __init__(self, app: Flask) -> None:
        self._dialects = Dialects()
        self._mounting = ""
        plugin = MarshmallowPlugin(schema_name_resolver=lambda schema: self.prefixed(resolver(schema)))
        super().__init__(app, spec_kwargs={"marshmallow_plugin": plugin})

    def mount(self, dialect: Dialect) -> None:
        """Serve a dialect. Raises Misconfigured when it takes paths that are another's."""
        self._dialects.add(dialect)
        self._mounting = dialect.name.capitalize()
        self._describe_errors(dialect)
        for blueprint in dialect.blueprints:
            name = dialect.name_of(blueprint)
            if isinstance(blueprint, Blueprint):
                self.register_blueprint(blueprint, name=name)
            else:
                self._app.register_blueprint(blueprint, name=name)
            self._check_paths(dialect, name)

    def prefixed(self, name: str) -> str:
        """The name of a schema or a response in the description, as one of the dialect that is being mounted."""
        return self._mounting + name

    def _check_paths(self, dialect: Dialect, blueprint: str) -> None:
        for rule in self._app.url_map.iter_rules():
            if rule.endpoint.startswith(f"{blueprint}.") and (owner := self._dialects.of(rule.rule)) is not dialect:
                raise Misconfigured(f"dialect {dialect.name} serves {rule.rule}, which is of dialect {owner.name}")

    def _describe_errors(self, dialect: Dialect) -> None:
        for name, description in [*((one.name, one.phrase) for one in HTTPStatus), ("DEFAULT_ERROR", "An error")]:
            response = {"description": description, "schema": dialect.error_schema}
            prepare_response(response, self.spec, self.DEFAULT_RESPONSE_CONTENT_TYPE)
            self.spec.components.response(self.prefixed(name), response, lazy=True)

    # ------------------------------------------------------------ what goes wrong

    def _register_error_handlers(self) -> None:
        super()._register_error_handlers()
        self._app.register_error_handler(GatewayError, self._answer)
        self._app.register_error_handler(ParseException, self._broken_off)
        self._app.register_error_handler(Exception, self._unexpected)

    def _spoken(self) -> Dialect:
        return self._dialects.of(request.path)

    def _answer(self, error: GatewayError) -> Response:
        return self._spoken().answer(error)

    def _broken_off(self, error: ParseException) -> Response:
        """The server finds out only while the body is read that its chunks are none."""
        return self._answer(
            Unreadable.because(f"the body is not sent in chunks, as its Transfer-Encoding says: {error}")
        )

    def _unexpected(self, error: Exception) -> Response:
        """A defect of ours: the log has the story, the client nothing of our insides."""
        if isinstance(error, HTTPException):
            raise error
        log.error("unexpected failure", exc_info=error)
        return self._spoken().refuse(500, "Internal error: the gateway's log says what happened.")

    def handle_http_exception(self, error: HTTPException) -> Response:
        if error.code == 413:
            error.description = _too_large(request.content_length, request.max_content_length)
        answer = self._spoken().refuse(error.code or 500, error.description or "")
        for name, value in error.get_headers():
            if name.lower() != "content-type":
                answer.headers.setdefault(name, value)
        return answer


def _too_large(length: int | None, allowed: int | None) -> str:
    """What werkzeug means by 413: the whole body, or in a form of allowed length what is no file."""
    if length is None or allowed is None or length > allowed:
        return f"the body is larger than the {allowed} bytes that are allowed here"
    return "the form has too many parts, or a large one without a filename: send a file in a part with its filename"
