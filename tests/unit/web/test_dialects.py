"""Dialects side by side: whose a path is, names that cannot collide, errors in the shape of who is spoken to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
import pytest
from flask import Flask, Response
from marshmallow import Schema, fields

from gateway.core.errors import GatewayError, InvalidRequest, Misconfigured, Unavailable
from gateway.core.faults import Code, Fault
from gateway.web import scopes
from gateway.web.api import Api, Blueprint
from gateway.web.dialects import Dialect
from gateway.web.scopes import PUBLIC

MakeApp = Callable[..., Flask]


class Record(Schema):
    """A schema that every dialect here has, with other members."""

    id = fields.Integer()


class Asked(Schema):
    first = fields.Integer(required=True)
    second = fields.List(fields.Integer())


def routes(path: str, schema: type[Schema] = Record) -> Blueprint:
    bp = Blueprint("records", __name__)

    @bp.get(path, scope=PUBLIC)
    @bp.response(200, schema)
    def one() -> dict[str, int]:
        return {"id": 1}

    @bp.post(path, scope=PUBLIC)
    @bp.arguments(Asked)
    @bp.response(201)
    def make(asked: dict[str, Any]) -> None:
        raise Unavailable("the disk is full")

    return bp


def dialect(name: str, *paths: str, blueprints: tuple[flask.Blueprint, ...] | None = None) -> Dialect:
    def say(status: int, *words: str) -> Response:
        return Response(f"{name}: {', '.join(words)}", status)

    def answer(error: GatewayError) -> Response:
        faults = error.faults if isinstance(error, InvalidRequest) else []
        return say(error.status, *([f"{one.field} {one.code.value}" for one in faults] or [str(error)]))

    made = (routes(paths[0] if paths[0] != "/" else "/records"),) if blueprints is None else blueprints
    return Dialect(name, paths, made, answer, say, {"type": "object", "description": name})


@pytest.fixture
def make_app() -> MakeApp:
    def make(*dialects: Dialect) -> Flask:
        app = Flask("dialects under test", static_folder=None)
        app.config.from_mapping(API_TITLE="test", API_VERSION="1", OPENAPI_VERSION="3.0.3", OPENAPI_URL_PREFIX="/")
        scopes.register(app)
        api = Api(app)
        for one in dialects:
            api.mount(one)
        return app

    return make


@pytest.mark.parametrize(
    ("path", "whose"),
    [("/", "root"), ("/nowhere", "root"), ("/extracted", "root"), ("/extract/7", "etl"), ("/jobs", "etl"),
     ("/jobs/1/2/3", "etl"), ("/jobs/list/1", "lists"), ("/job", "root"), ("//", "root")],
)  # fmt: skip
def test_the_longest_path_that_fits_says_whose_a_request_is(path: str, whose: str, make_app: MakeApp) -> None:
    app = make_app(dialect("root", "/"), dialect("etl", "/extract", "/jobs"), dialect("lists", "/jobs/list"))
    answer = app.test_client().delete(path)
    assert answer.status_code in (404, 405)
    assert answer.text.startswith(f"{whose}: ")


def test_every_error_has_the_shape_of_the_dialect_that_is_spoken(make_app: MakeApp) -> None:
    client = make_app(dialect("root", "/"), dialect("etl", "/extract")).test_client()
    for path, name in (("/records", "root"), ("/extract", "etl")):
        answers = [client.post(path, data=body) for body in ('{"first": 1}', '{"second": 1}', "{", "")]
        answers.append(client.put(path))
        assert [one.text.split(":")[0] for one in answers] == [name] * 5
        assert [one.status_code for one in answers] == [503, 400, 400, 400, 405]
        assert answers[-1].headers["Allow"]


def test_all_faults_of_a_body_come_at_once(make_app: MakeApp) -> None:
    client = make_app(dialect("root", "/")).test_client()
    answer = client.post("/records", data='{"second": [1, "x", 2, "y"], "third": 3}')
    said = answer.text.removeprefix("root: ").split(", ")
    assert sorted(said) == ["first missing", "second.1 misfit", "second.3 misfit", "third unknown"]


def test_an_unexpected_failure_is_told_in_the_dialects_shape(make_app: MakeApp) -> None:
    bp = flask.Blueprint("broken", __name__)

    @bp.get("/broken", scope=PUBLIC)
    def broken() -> str:
        raise RuntimeError("secret")

    answer = make_app(dialect("root", "/", blueprints=(bp,))).test_client().get("/broken")
    assert answer.status_code == 500 and answer.text.startswith("root: Internal error") and "secret" not in answer.text


def test_names_of_blueprints_and_schemas_cannot_collide(make_app: MakeApp) -> None:
    class Other(Schema):
        text = fields.String()

    other = type("Record", (Other,), {})
    etl = dialect("etl", "/extract", blueprints=(routes("/extract", other),))
    client = make_app(dialect("root", "/"), etl).test_client()
    described: Any = client.get("/openapi.json").json
    schemas = described["components"]["schemas"]
    assert set(schemas["RootRecord"]["properties"]) == {"id"}
    assert set(schemas["EtlRecord"]["properties"]) == {"text"}
    for path, name in (("/records", "root"), ("/extract", "etl")):
        shown = described["paths"][path]["get"]
        assert shown["tags"] == [f"{name}_records"]
        error = shown["responses"]["default"]["$ref"].rpartition("/")[2]
        content = described["components"]["responses"][error]["content"]["application/json"]
        assert content["schema"]["description"] == name


def test_two_dialects_cannot_own_one_path(make_app: MakeApp) -> None:
    with pytest.raises(Misconfigured, match="root and etl both own /extract"):
        make_app(dialect("root", "/extract"), dialect("etl", "/extract"))


def test_a_dialect_cannot_serve_what_is_anothers(make_app: MakeApp) -> None:
    with pytest.raises(Misconfigured, match="dialect etl serves /records, which is of dialect root"):
        make_app(dialect("root", "/"), dialect("etl", "/extract", blueprints=(routes("/records"),)))


def test_livys_first_fault_is_what_livy_says_and_lighter_says_them_all(gateway) -> None:
    body = {"driverCores": "many", "executorCores": "more"}
    livy = gateway.send("POST", "/sessions", body)
    assert livy.json == {"msg": "driverCores: is 'many': give a whole number"}
    lighter = gateway.send("POST", "/lighter/api/sessions", body)
    said = [one["message"].partition(":")[0] for one in lighter.json["errors"]]
    assert (lighter.status_code, sorted(said)) == (400, ["driverCores", "executorCores"])


def test_a_fault_says_what_is_wrong_and_what_would_do() -> None:
    fault = Fault("size", Code.MISFIT, "size is 'x'", "give a number", "x")
    assert str(fault) == "size is 'x': give a number"
    assert str(InvalidRequest(fault, Fault(None, Code.EMPTY, "the body is empty"))) == f"{fault}; the body is empty"
