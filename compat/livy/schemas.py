"""Livy's documents as schemas: what a request may hold (and how loosely), what an answer looks like.

Requests are read as Livy's JSON reader reads them, or more kindly: numbers given as text are numbers,
numbers and booleans given for text are text, nulls are as if absent, unknown members are refused.
"""

from __future__ import annotations

from typing import Any

from flask_smorest.fields import Upload
from marshmallow import Schema, ValidationError, fields, pre_load, validate

from gateway.web.fields import QueryWhole, Text, Whole
from sessions.models import Kind

_KIND_ALIASES = {"scala": "spark", "python": "pyspark", "r": "sparkr"}
_KINDS = [*(kind.value for kind in Kind), *_KIND_ALIASES]


class KindField(fields.String):
    """A kind or its alias, in lower case; loaded as the Kind."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"enum": _KINDS, **kwargs.pop("metadata", {})}, **kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(value, str):
            raise ValidationError("requirement failed: Kind should be a string.")
        if value not in _KINDS:
            raise ValidationError(f"Invalid kind: {value:.80}; give one of {', '.join(_KINDS)}")
        return Kind(_KIND_ALIASES.get(value, value))


class _Request(Schema):
    @pre_load
    def drop_nulls(self, data: Any, **_: Any) -> Any:
        """A null is as if its member were absent, in lists and in conf too."""
        if not isinstance(data, dict):
            return data
        return {key: _without_nulls(value) for key, value in data.items() if value is not None}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [item for item in value if item is not None]
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if item is not None}
    return value


def _texts() -> fields.List[str]:
    return fields.List(Text(), load_default=list)


class SparkRequest(_Request):
    """The members that a session and a batch have in common."""

    name = Text(load_default=None, validate=validate.Length(max=1000))
    proxyUser = Text(load_default=None)
    jars = _texts()
    pyFiles = _texts()
    files = _texts()
    archives = _texts()
    driverMemory = Text(load_default=None, metadata={"example": "1g"})
    driverCores = Whole(load_default=None)
    executorMemory = Text(load_default=None, metadata={"example": "1g"})
    executorCores = Whole(load_default=None)
    numExecutors = Whole(load_default=None)
    queue = Text(load_default=None)
    conf = fields.Dict(keys=Text(), values=Text(), load_default=dict)


class CreateSession(SparkRequest):
    kind = KindField(load_default=Kind.SHARED, metadata={"default": Kind.SHARED.value})
    heartbeatTimeoutInSecond = Whole(load_default=0)
    ttl = Text(load_default=None, metadata={"example": "8h"})
    idleTimeout = Text(load_default=None, metadata={"example": "1h"})


class CreateBatch(SparkRequest):
    file = Text(load_default="", metadata={"description": "The application: a jar or a Python file. Required."})
    className = Text(load_default=None)
    args = _texts()


class CreateStatement(_Request):
    code = Text(required=True)
    kind = KindField(load_default=None)
    msg_type = fields.Raw(load_default=None, load_only=True, metadata={"description": "Ignored."})


class CreateCompletion(_Request):
    code = Text(required=True)
    kind = KindField(required=True)
    cursor = Whole(load_default=0)


class CreateJob(_Request):
    job = Text(load_default="", metadata={"description": "The serialised job in base64. Required."})
    jobType = KindField(
        required=True, metadata={"description": "pyspark: a pickled Python function of one argument, the job context."}
    )


class AddResource(_Request):
    uri = Text(required=True, metadata={"description": "The path or URL of what is to be added."})


class JarUpload(Schema):
    jar = Upload(metadata={"description": "Required."})


class FileUpload(Schema):
    file = Upload(metadata={"description": "Required."})


class PageQuery(Schema):
    start = QueryWhole(data_key="from", load_default=0)
    size = QueryWhole(load_default=100)


class LogQuery(Schema):
    start = QueryWhole(data_key="from", load_default=-1)
    size = QueryWhole(load_default=100)


class StatementsQuery(Schema):
    start = QueryWhole(data_key="from", load_default=0)
    size = QueryWhole(load_default=None)
    order = fields.String(load_default="", metadata={"description": "desc: newest first."})


# ---------------------------------------------------------------- answers


class AppInfo(Schema):
    driverLogUrl = fields.String(allow_none=True)
    sparkUiUrl = fields.String(allow_none=True)
    executorLogUrls = fields.String(allow_none=True)


class SessionAnswer(Schema):
    """Exactly these 23 members: Livy's Java client refuses any other (contract §1.3)."""

    id = fields.Integer()
    name = fields.String(allow_none=True)
    appId = fields.String(allow_none=True)
    owner = fields.String(allow_none=True)
    proxyUser = fields.String(allow_none=True)
    state = fields.String()
    kind = fields.String()
    appInfo = fields.Nested(AppInfo)
    log = fields.List(fields.String())
    ttl = fields.String(allow_none=True)
    idleTimeout = fields.String(allow_none=True)
    driverMemory = fields.String(allow_none=True)
    driverCores = fields.Integer()
    executorMemory = fields.String(allow_none=True)
    executorCores = fields.Integer()
    conf = fields.Dict(keys=fields.String(), values=fields.String())
    archives = fields.List(fields.String())
    files = fields.List(fields.String())
    heartbeatTimeoutInSecond = fields.Integer()
    jars = fields.List(fields.String())
    numExecutors = fields.Integer()
    pyFiles = fields.List(fields.String())
    queue = fields.String(allow_none=True)


class BatchAnswer(Schema):
    """Exactly these 8 members (contract §1.9)."""

    id = fields.Integer()
    name = fields.String(allow_none=True)
    owner = fields.String(allow_none=True)
    proxyUser = fields.String(allow_none=True)
    state = fields.String()
    appId = fields.String(allow_none=True)
    appInfo = fields.Nested(AppInfo)
    log = fields.List(fields.String())


class StatementAnswer(Schema):
    id = fields.Integer()
    code = fields.String()
    state = fields.String()
    output = fields.Dict(allow_none=True)
    progress = fields.Float()
    started = fields.Integer()
    completed = fields.Integer()


class SessionsAnswer(Schema):
    start = fields.Integer(data_key="from")
    total = fields.Integer()
    sessions = fields.List(fields.Nested(SessionAnswer))


class BatchesAnswer(Schema):
    """The array is named sessions here too."""

    start = fields.Integer(data_key="from")
    total = fields.Integer()
    sessions = fields.List(fields.Nested(BatchAnswer))


class StatementsAnswer(Schema):
    total_statements = fields.Integer()
    statements = fields.List(fields.Nested(StatementAnswer))


class StateAnswer(Schema):
    id = fields.Integer()
    state = fields.String()


class LogAnswer(Schema):
    id = fields.Integer()
    start = fields.Integer(data_key="from")
    total = fields.Integer()
    log = fields.List(fields.String())


class Message(Schema):
    msg = fields.String()


class JobAnswer(Schema):
    """Exactly these 4 members: Livy's Java client refuses any other (contract §1.8)."""

    id = fields.Integer()
    state = fields.String()
    result = fields.String(allow_none=True)
    error = fields.String(allow_none=True)


class CompletionAnswer(Schema):
    candidates = fields.List(fields.String())


class VersionAnswer(Schema):
    version = fields.String()
    user = fields.String()
    revision = fields.String()
    branch = fields.String()
    date = fields.String()
    url = fields.String()
