"""No client of a protocol can have the gateway run a plain program of its own Python."""

from __future__ import annotations

import pytest

from batches.models import BatchKind
from gateway.app import create_app
from gateway.core.identity import ANONYMOUS
from gateway.core.settings import Settings
from gateway.stores import Stores


@pytest.mark.parametrize("path", ["/batches", "/lighter/api/batches"])
@pytest.mark.parametrize("kind", ["python", "PYTHON", "pyspark"])
def test_whatever_kind_is_asked_for_spark_runs_it(path: str, kind: str, settings: Settings, all_stores: Stores) -> None:
    client = create_app(settings).test_client()
    client.post(path, json={"file": "/bin/true", "kind": kind, "options": {"kind": kind}})
    client.post(path, json={"file": "/bin/true"})
    _, batches = all_stores.batches.page(ANONYMOUS, 0, 9)
    assert batches and {batch.request.kind for batch in batches} == {BatchKind.SPARK}
