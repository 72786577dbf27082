"""The permanent sessions that the settings declare: read, checked, and opened when they are not there.

Decides nothing about how a permanent session stays alive: that is the session pass's work, whoever opened it.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Any, get_type_hints

from gateway.core import clusters, names
from gateway.core.errors import AlreadyExists, GatewayError, InvalidRequest, Misconfigured
from gateway.core.faults import Code, Fault
from gateway.core.identity import ANONYMOUS
from gateway.core.options import SparkOptions
from gateway.core.settings import Settings
from gateway.core.settings.printing import as_text
from sessions.models import Kind, SessionRequest
from sessions.service import SessionService
from sessions.store import SessionStore

log = logging.getLogger(__name__)


def declared(settings: Settings) -> dict[str, SessionRequest]:
    """What the settings ask for, by id. Raises Misconfigured, naming the session, the field and the fix."""
    return {chosen: _request(chosen, table) for chosen, table in settings.permanent_sessions.items()}


class DeclaredPass:
    """Opens each declared session that neither is there nor was deleted by a client."""

    def __init__(self, store: SessionStore, service: SessionService, settings: Settings) -> None:
        self._store, self._service, self._settings, self._declared = store, service, settings, declared(settings)
        self._said: dict[str, str] = {}  # id: why it could not be opened, as last logged
        self._compared: set[str] = set()

    def __call__(self) -> None:
        self._store.forget_ended_but(self._declared)
        for chosen, request in self._declared.items():
            number = self._store.number_of(ANONYMOUS, chosen)
            if number is not None:
                self._compare(chosen, number, request)
            elif not self._store.was_ended(chosen):
                self._open(chosen, request)

    def _compare(self, chosen: str, number: int, request: SessionRequest) -> None:
        """Say once per start that a session is not as it is declared now: it keeps what it was opened with."""
        if chosen in self._compared or (session := self._store.find(ANONYMOUS, number)) is None:
            return
        self._compared.add(chosen)
        asked = clusters.record(request.options, self._settings)
        proxy_user = asked.proxy_user if self._settings.impersonation else None
        if (session.kind, session.options) != (request.kind, dataclasses.replace(asked, proxy_user=proxy_user)):
            log.warning(
                "permanent session %s keeps what it was opened with, which differs from its declaration; to change it,"
                " take it out of the settings for a start, delete it, and put it back",
                chosen,
                extra={"session": number, "action": "open"},
            )

    def _open(self, chosen: str, request: SessionRequest) -> None:
        try:
            session = self._service.open(ANONYMOUS, request, chosen)
        except AlreadyExists:
            pass  # another gateway of the store was first
        except GatewayError as error:
            if self._said.get(chosen) != str(error):
                log.error("permanent session %s cannot be opened: %s", chosen, error, extra={"action": "open"})
            self._said[chosen] = str(error)
        else:
            log.info("opened as declared", extra={"session": session.id, "action": "open"})


def _request(chosen: str, table: dict[str, Any]) -> SessionRequest:
    asked = dict(table)
    try:
        names.check_chosen(chosen)
        kind = asked.pop("kind", Kind.PYSPARK.value)
        if kind not in [one.value for one in Kind]:
            fix = f"give one of {', '.join(one.value for one in Kind)}"
            raise InvalidRequest(Fault("kind", Code.MISFIT, f"kind is {kind!r}", fix))
        return SessionRequest(kind=Kind(kind), options=_options(asked), permanent=True)
    except InvalidRequest as error:
        raise Misconfigured(f"setting permanent_sessions.{chosen}: {error}") from None


def _options(asked: dict[str, Any]) -> SparkOptions:
    types = get_type_hints(SparkOptions)
    for name, value in asked.items():
        if name not in types:
            reason = f"there is no field {name}; the fields are kind, {', '.join(types)}"
            raise InvalidRequest(Fault(name, Code.UNKNOWN, reason))
        form, fits = _FORMS[types[name]]
        if not fits(value):
            # without the value, which may hold a secret
            raise InvalidRequest(Fault(name, Code.MISFIT, f"{name}", f"give {form}"))
    conf = {key: as_text(value) for key, value in asked.get("conf", {}).items()}
    return SparkOptions(**{**asked, "conf": conf})


# by the type of the field: what to give, and whether a value is that
_FORMS: dict[object, tuple[str, Callable[[Any], bool]]] = {
    str | None: ("text", lambda value: isinstance(value, str)),
    int | None: ("a whole number", lambda value: type(value) is int),
    list[str]: (
        "an array of texts",
        lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
    ),
    dict[str, str]: (
        'a table of single values, its keys in quotes, such as {"spark.ui.enabled" = false}',
        lambda value: isinstance(value, dict) and not any(isinstance(item, (dict, list)) for item in value.values()),
    ),
}
