"""The console on its own: its pages over real services and a real store, in a Flask application without the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from flask import Flask
from flask.testing import FlaskClient

from batches.service import BatchService
from batches.store import BatchStore
from gateway.console.routes import console as console_dialect
from gateway.core.clock import Clock
from gateway.core.identity import Principal
from gateway.core.settings import Settings
from gateway.core.waiting import Waiting
from gateway.platform.queries.catalog import CatalogService, Contents
from gateway.platform.queries.models import Answer
from gateway.platform.runs.service import RunService
from gateway.stores import Stores
from gateway.web import headers, scopes
from gateway.web.api import Api
from sessions.drivers.service import PoolService
from sessions.drivers.store import DriverStore
from sessions.models import Session
from sessions.service import SessionService
from sessions.statements.models import Statement
from sessions.statements.service import StatementService
from sessions.statements.store import StatementStore
from sessions.store import SessionStore


class Catalog(CatalogService):
    """Answers with what a test puts here: None while Spark starts, or an error that is raised."""

    def __init__(self) -> None:
        self.answer: Any = None
        self.asked: list[tuple[str | None, ...]] = []

    def contents(self, principal: Principal, database: str | None) -> Contents | None:
        return cast("Contents | None", self._answer(database))

    def preview(self, principal: Principal, database: str, table: str) -> Answer | None:
        return cast("Answer | None", self._answer(database, table))

    def _answer(self, *asked: str | None) -> object:
        self.asked.append(asked)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def catalog() -> Catalog:
    return Catalog()


@pytest.fixture
def console(
    settings: Settings,
    session_store: SessionStore,
    statement_store: StatementStore,
    driver_store: DriverStore,
    batch_store: BatchStore,
    all_stores: Stores,
    clock: Clock,
    catalog: Catalog,
) -> FlaskClient:
    app = Flask("console under test", static_folder=None)
    app.config.from_mapping(API_TITLE="console", API_VERSION="1", OPENAPI_VERSION="3.0.3")
    app.url_map.merge_slashes = False
    headers.register(app, settings)
    scopes.register(app)
    sessions = SessionService(session_store, driver_store, settings, clock, Waiting(16))
    statements = StatementService(statement_store, sessions, driver_store, settings, clock, Waiting(16))
    batches, runs = BatchService(batch_store, settings, clock, Waiting(16)), RunService(all_stores.runs)
    Api(app).mount(console_dialect(sessions, statements, batches, runs, PoolService(all_stores.pool), catalog))
    return app.test_client()


@pytest.fixture
def submit(statement_store: StatementStore, clock: Clock) -> Callable[..., Statement]:
    """Sends code to a session; it waits."""

    def one(session: Session, code: str = "1+1") -> Statement:
        sent = statement_store.submit(session.id, code, "pyspark", clock(), most_unfinished=1000, retained=1000)
        assert sent is not None
        return sent

    return one


@pytest.fixture
def run(submit: Callable[..., Statement], statement_store: StatementStore, clock: Clock) -> Callable[..., Statement]:
    """Sends code to an idle session and stores what it gave: `data`, in a good envelope unless `envelope` says more."""

    def one(session: Session, data: dict[str, Any] | None = None, code: str = "1+1", **envelope: Any) -> Statement:
        sent = submit(session, code)
        assert [claimed.id for claimed in statement_store.claim(clock())] == [sent.id]
        output = {"status": "ok", "execution_count": sent.id, "data": data or {}} | envelope
        assert statement_store.finish(session.id, sent.id, json.dumps(output), clock(), clock())
        return sent

    return one
