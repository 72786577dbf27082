"""Lighter's documents as schemas. Requests are read loosely: unknown members and nulls are as if absent, a single
value stands for a list and a list of one for a value, numbers and booleans stand for text. Source: contract §2, §4.
"""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, pre_load, validate, validates

from gateway.web.fields import QueryWhole, Text, Whole

_REDACTION = "spark.redaction.regex"
LONGEST_SEARCH = 200  # characters


class _Request(Schema):
    @pre_load
    def read_loosely(self, data: Any, **_: Any) -> Any:
        if not isinstance(data, dict):
            return data
        known = {name: value for name, value in data.items() if name in self.fields and value is not None}
        return {name: _shaped(self.fields[name], value) for name, value in known.items()}


def _shaped(field: fields.Field[Any], value: Any) -> Any:
    if isinstance(field, fields.List):
        return [item for item in (value if isinstance(value, list) else [value]) if item is not None]
    if isinstance(value, list) and len(value) == 1:
        return value[0]
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if item is not None}
    return value


def _texts() -> fields.List[str]:
    return fields.List(Text(), load_default=list)


class SubmitParams(_Request):
    """What a batch and a session have in common; `master` is taken and ignored."""

    name = Text(load_default=None, validate=validate.Length(max=1000))
    numExecutors = Whole(load_default=None, metadata={"default": 1})
    executorCores = Whole(load_default=None, metadata={"default": 1})
    executorMemory = Text(load_default=None, metadata={"default": "1000M"})
    driverCores = Whole(load_default=None, metadata={"default": 1})
    driverMemory = Text(load_default=None, metadata={"default": "1000M"})
    args = _texts()
    pyFiles = _texts()
    files = _texts()
    jars = _texts()
    archives = _texts()
    conf = fields.Dict(keys=Text(), values=Text(), load_default=dict)


class SubmitBatch(SubmitParams):
    file = Text(load_default="", metadata={"description": "The application: a jar or a Python file. Required."})
    mainClass = Text(load_default=None)


class SubmitSession(SubmitParams):
    kind = fields.Raw(load_default=None, metadata={"description": "pyspark unless it is another language."})
    permanent = fields.Boolean(load_default=False)

    @validates("conf")
    def leave_redaction_alone(self, conf: dict[str, str], **_: Any) -> None:
        if _REDACTION in conf:
            raise ValidationError(f"{_REDACTION} cannot be chosen for a session: leave it out")


class SubmitStatement(_Request):
    code = Text(required=True)


class ListQuery(Schema):
    start = QueryWhole(data_key="from", load_default=0)
    size = QueryWhole(load_default=100)


class BatchListQuery(ListQuery):
    state = fields.String(load_default="", metadata={"description": "A state in upper case; else: all."})
    search = fields.String(load_default="", validate=validate.Length(max=LONGEST_SEARCH))


# ---------------------------------------------------------------- answers

_TEXT_OR_NUMBER: dict[str, Any] = {"oneOf": [{"type": "string"}, {"type": "integer"}]}


class SubmitParamsAnswer(Schema):
    name = fields.String(allow_none=True)
    file = fields.String(allow_none=True)
    master = fields.String(allow_none=True)
    mainClass = fields.String(allow_none=True)
    numExecutors = fields.Integer()
    executorCores = fields.Integer()
    executorMemory = fields.String()
    driverCores = fields.Integer()
    driverMemory = fields.String()
    args = fields.List(fields.String())
    pyFiles = fields.List(fields.String())
    files = fields.List(fields.String())
    jars = fields.List(fields.String())
    archives = fields.List(fields.String())
    conf = fields.Dict(keys=fields.String(), values=fields.String())


class ApplicationInfo(Schema):
    sparkUiUrl = fields.String(allow_none=True)
    driverLogUrl = fields.String(allow_none=True)


class Application(Schema):
    """A batch or a session. Times have no zone and are UTC."""

    id = fields.Raw(metadata={**_TEXT_OR_NUMBER, "description": "A number for sparkmagic."})
    type = fields.String(validate=validate.OneOf(["BATCH", "SESSION", "PERMANENT_SESSION"]))
    state = fields.String()
    kind = fields.String()
    submitParams = fields.Nested(SubmitParamsAnswer)
    appId = fields.String(allow_none=True)
    appInfo = fields.Nested(ApplicationInfo, allow_none=True)
    log = fields.List(fields.String())
    createdAt = fields.String()
    contactedAt = fields.String(allow_none=True)
    finishedAt = fields.String(allow_none=True)


class Applications(Schema):
    start = fields.Integer(data_key="from")
    total = fields.Integer(metadata={"description": "How many there are, on all pages."})
    applications = fields.List(fields.Nested(Application))


class SessionApplications(Applications):
    sessions = fields.List(
        fields.Nested(Application), metadata={"description": "For sparkmagic, in the place of applications."}
    )


class ApplicationLog(Schema):
    id = fields.Raw(metadata=_TEXT_OR_NUMBER)
    log = fields.Raw(
        metadata={
            "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
            "description": "The newest lines: one text, a list for sparkmagic.",
        }
    )


class ApplicationStatement(Schema):
    id = fields.Raw(metadata={**_TEXT_OR_NUMBER, "description": "A number for sparkmagic."})
    code = fields.String()
    state = fields.String()
    progress = fields.Float()
    output = fields.Dict(allow_none=True)
    createdAt = fields.String()


class ApplicationStatements(Schema):
    start = fields.Integer(data_key="from")
    statements = fields.List(fields.Nested(ApplicationStatement))


class PermanentSession(Schema):
    id = fields.String()
    submitParams = fields.Nested(SubmitParamsAnswer)


class SessionConfiguration(Schema):
    timeoutMinutes = fields.Integer(allow_none=True)
    timeoutInterval = fields.Float(allow_none=True, metadata={"description": "Seconds; null: never."})
    permanentSessions = fields.List(fields.Nested(PermanentSession))
    scheduleInterval = fields.Float()
    trackRunningInterval = fields.Float()


class Configuration(Schema):
    sparkHistoryServerUrl = fields.String()
    externalLogsUrlTemplate = fields.String(allow_none=True)
    zombieInterval = fields.Float()
    stateRetainInterval = fields.Float()
    sessionConfiguration = fields.Nested(SessionConfiguration)
    batchDefaultConf = fields.Dict(keys=fields.String(), values=fields.String())
    sessionDefaultConf = fields.Dict(keys=fields.String(), values=fields.String())


class Health(Schema):
    status = fields.String()
