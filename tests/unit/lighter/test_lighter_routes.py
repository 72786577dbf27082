"""Lighter's routes and documents, as the seed and the contract have them (§2 to §8)."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from uuid import UUID

import pytest

from gateway.core.clock import utc_now
from gateway.core.identity import ANONYMOUS
from gateway.core.submit import conf_of
from sessions.reconcile import SessionPass

APPLICATION_KEYS = {
    "id", "type", "state", "appId", "appInfo", "kind", "log", "submitParams", "createdAt", "contactedAt", "finishedAt",
}  # fmt: skip
PARAMS_KEYS = {
    "name", "file", "master", "mainClass", "numExecutors", "executorCores", "executorMemory", "driverCores",
    "driverMemory", "args", "pyFiles", "files", "jars", "archives", "conf",
}  # fmt: skip

SEED_BATCH = {
    "name": "App name",
    "file": "local:///submitted/file/path",
    "numExecutors": 4,
    "executorCores": 2,
    "executorMemory": "2G",
    "driverCores": 2,
    "driverMemory": "1G",
    "args": ["arg1", "arg2"],
    "pyFiles": ["https://something/python_package.zip"],
    "files": ["https://something/something.zip"],
    "conf": {"spark.eventLog.enabled": True, "spark.eventLog.dir": "s3a://your_bucket/spark-hs/"},
}


# ---------------------------------------------------------------- batches


def test_lighter_a_batch_is_answered_with_200_and_all_that_was_asked(lighter) -> None:
    created = lighter.submit(**SEED_BATCH)
    assert set(created) == APPLICATION_KEYS and set(created["submitParams"]) == PARAMS_KEYS
    assert (created["type"], created["kind"], created["appId"]) == ("BATCH", "pyspark", None)
    assert str(UUID(created["id"])) == created["id"]
    conf = {"spark.eventLog.enabled": "true", "spark.eventLog.dir": "s3a://your_bucket/spark-hs/"}
    unasked: dict[str, object] = {"master": None, "mainClass": None, "jars": [], "archives": []}
    assert created["submitParams"] == {**SEED_BATCH, **unasked, "conf": conf}
    found = lighter.get(f"/batches/{created['id']}")
    assert {**found, "contactedAt": None} == {**created, "contactedAt": None}


def test_lighter_what_is_asked_reaches_spark(lighter, gateway) -> None:
    lighter.submit(**{**SEED_BATCH, "mainClass": "a.Main", "jars": "hdfs:///one.jar"})
    request = gateway.batches.find(ANONYMOUS, 0).request
    assert (request.class_name, request.args) == ("a.Main", ["arg1", "arg2"])
    conf = conf_of(request.options, gateway.settings.on("default"), gateway.settings.data_dir, {})
    assert conf["spark.app.name"] == "App name"
    assert (conf["spark.executor.instances"], conf["spark.executor.cores"], conf["spark.executor.memory"]) == (
        "4", "2", "2G",
    )  # fmt: skip
    assert (conf["spark.driver.cores"], conf["spark.driver.memory"]) == ("2", "1G")
    assert conf["spark.submit.pyFiles"] == "https://something/python_package.zip"
    assert (conf["spark.files"], conf["spark.jars"]) == ("https://something/something.zip", "hdfs:///one.jar")


def test_lighter_the_batches_states_are_its_words(lighter, gateway) -> None:
    opened = lighter.submit()
    seen = [opened]
    gateway.start_batch(0)
    gateway.batches.set_app(0, "local-1", "http://h:4040")
    seen.append(lighter.get(f"/batches/{opened['id']}"))
    gateway.end_batch(0, "success")
    seen.append(lighter.get(f"/batches/{opened['id']}"))
    lighter.submit()
    gateway.end_batch(1, "dead")
    seen.append(lighter.get("/batches")["applications"][0])
    assert [one["state"] for one in seen] == ["not_started", "busy", "success", "dead"]
    assert [one["contactedAt"] is None for one in seen] == [True, False, False, False]
    assert [one["finishedAt"] is None for one in seen] == [True, True, False, False]
    assert [one["appId"] for one in seen] == [None, "local-1", "local-1", None]


def test_lighter_the_list_of_batches_is_newest_first_with_true_total(lighter) -> None:
    ids = [lighter.submit()["id"] for _ in range(5)]
    page = lighter.get("/batches?from=1&size=2")
    assert list(page) == ["from", "total", "applications"]
    assert (page["from"], page["total"]) == (1, 5)
    assert [one["id"] for one in page["applications"]] == ids[::-1][1:3]
    assert len(lighter.get("/batches")["applications"]) == 5
    past = lighter.get("/batches?from=9")
    assert (past["total"], past["applications"]) == (5, [])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=NOT_STARTED", 2), ("state=SUCCESS", 1), ("state=BUSY", 0), ("state=ERROR", 0), ("state=success", 3),
        ("state=bogus", 3), ("search=Nightly", 1), ("search=%20secret-arg%20", 1), ("search=a.py", 1),
        ("search=n%25ly", 1), ("search=nothing", 0), ("search=%C3%A9t%C3%A9", 1), ("search=%22", 0),
        ("state=SUCCESS&search=nightly", 0), ("state=NOT_STARTED&search=nightly", 1),
    ],
)  # fmt: skip
def test_lighter_batches_are_found_by_state_and_text(query: str, found: int, lighter, gateway) -> None:
    lighter.submit()
    gateway.end_batch(0, "success")
    lighter.submit(name="nightly été")
    lighter.submit(file="hdfs:///A.py", args=["secret-arg"])
    page = lighter.get(f"/batches?{query}")
    assert (page["total"], len(page["applications"])) == (found, found)


def test_lighter_a_secret_is_not_found_piece_by_piece(lighter) -> None:
    lighter.submit(conf={"spark.my.password": "hunter2"})
    assert [lighter.get(f"/batches?search={text}")["total"] for text in ("my.password", "hunter", "h_nter%")] == [
        1,
        0,
        0,
    ]


def test_lighter_a_secret_in_arguments_is_not_shown(lighter) -> None:
    made = lighter.submit(args=["--password", "hunter2", "x", "db?user=u&token=hunter3", "--day=1"])
    hidden = "*********(redacted)"
    assert made["submitParams"]["args"] == ["--password", hidden, "x", f"db?user=u&token={hidden}", "--day=1"]
    assert lighter.get("/batches?search=hunter")["total"] == 0
    assert lighter.gateway.batches.find(ANONYMOUS, 0).request.args[1] == "hunter2", "it is what the application gets"
    assert "hunter" not in lighter.gateway.send("GET", "/ui/batch/0/log").text


def test_lighter_a_batch_is_found_by_its_id(lighter) -> None:
    wanted = [lighter.submit() for _ in range(3)][1]["id"]
    assert [one["id"] for one in lighter.get(f"/batches?search={wanted.upper()}")["applications"]] == [wanted]


def test_lighter_a_batch_can_be_deleted(lighter) -> None:
    path = f"/batches/{lighter.submit()['id']}"
    response = lighter.send("DELETE", path)
    assert (response.status_code, response.data) == (200, b"")
    assert lighter.send("GET", path).status_code == 404
    assert lighter.get("/batches")["total"] == 0


def test_lighter_a_log_is_one_text_of_the_newest_lines(lighter, gateway) -> None:
    opened = lighter.submit()["id"]
    log = gateway.batches.find(ANONYMOUS, 0).log
    log.parent.mkdir(parents=True)
    log.write_text("line1\nline2\nline3\n")
    assert lighter.get(f"/batches/{opened}/log") == {"id": opened, "log": "line1\nline2\nline3"}
    log.write_text("".join(f"{n}\n" for n in range(700)))
    assert lighter.get(f"/batches/{opened}/log")["log"].split("\n") == [str(n) for n in range(200, 700)]
    assert lighter.get(f"/batches/{opened}")["log"] == [str(n) for n in range(690, 700)]


@pytest.mark.parametrize("kind", ["sessions", "batches"])
def test_lighter_a_log_that_nobody_has_written_is_404(kind: str, lighter) -> None:
    opened = lighter.open() if kind == "sessions" else lighter.submit()
    assert lighter.send("GET", f"/{kind}/{opened['id']}/log").status_code == 404


# ---------------------------------------------------------------- sessions


def test_lighter_a_session_is_answered_with_201(lighter, gateway) -> None:
    created = lighter.open(name="mine", conf={"a": 1}, kind="pyspark")
    assert set(created) == APPLICATION_KEYS and set(created["submitParams"]) == PARAMS_KEYS
    assert (created["type"], created["state"], created["kind"]) == ("SESSION", "starting", "pyspark")
    assert created["submitParams"]["name"] == "mine" and created["submitParams"]["conf"] == {"a": "1"}
    assert created["contactedAt"] is not None and created["appInfo"] is None
    gateway.make_idle()
    found = lighter.get(f"/sessions/{created['id']}")
    assert (found["state"], found["appId"]) == ("idle", "local-1795225518313")
    assert found["appInfo"]["sparkUiUrl"] == "http://127.0.0.1:4040"
    lighter.run(created["id"])
    assert lighter.get(f"/sessions/{created['id']}/state")["state"] == "busy"


def test_lighter_a_session_without_a_name_has_one_of_its_id(lighter) -> None:
    created = lighter.open()
    assert created["submitParams"]["name"] == f"session_{created['id']}"


def test_lighter_put_takes_the_callers_id_once(lighter, gateway) -> None:
    response = lighter.send("PUT", "/sessions/my etl", {"permanent": True})
    assert (response.status_code, response.json["id"], response.json["type"]) == (201, "my etl", "PERMANENT_SESSION")
    assert "permanent" not in response.json["submitParams"]
    again = lighter.send("PUT", "/sessions/my etl", {})
    assert again.status_code == 409
    assert again.json["errors"][0] == {
        "message": "Application already exists", "path": None, "title": None, "details": {"sessionId": "my etl"},
    }  # fmt: skip
    assert lighter.send("DELETE", "/sessions/my etl").status_code == 200
    assert lighter.send("PUT", "/sessions/my etl", {}).json["type"] == "SESSION"
    assert gateway.get("/sessions")["total"] == 1, "a refused one leaves nothing"


@pytest.mark.parametrize("chosen", ["a" * 201, "a%0Ab", "%00", ".", "..", "0", "000", "1" * 20])
def test_lighter_an_id_that_nobody_could_use_is_400(chosen: str, lighter) -> None:
    response = lighter.send("PUT", f"/sessions/{chosen}", {})
    assert response.status_code == 400
    assert "give 1 to 200 printable characters" in response.json["errors"][0]["message"]


def test_lighter_sessions_are_listed_newest_first_with_true_total(lighter) -> None:
    ids = [lighter.open(permanent=number == 1)["id"] for number in range(3)]
    page = lighter.get("/sessions?size=2")
    assert (list(page), page["total"]) == (["from", "total", "applications"], 3)
    assert [one["id"] for one in page["applications"]] == ids[::-1][:2]
    assert [one["type"] for one in page["applications"]] == ["SESSION", "PERMANENT_SESSION"]


def test_lighter_a_session_can_be_deleted(lighter) -> None:
    path = f"/sessions/{lighter.open()['id']}"
    response = lighter.send("DELETE", path)
    assert (response.status_code, response.data) == (200, b"")
    assert lighter.send("GET", path).status_code == 404


def test_lighter_too_many_sessions_are_400_with_the_limit(make_gateway) -> None:
    gateway = make_gateway(max_sessions=2)
    for _ in range(2):
        assert gateway.send("POST", "/lighter/api/sessions", {}).status_code == 201
    response = gateway.send("PUT", "/lighter/api/sessions/x", {})
    assert response.status_code == 400
    (error,) = response.json["errors"]
    assert error["message"] == "Maximum number of running sessions (2) has been reached"
    assert error["details"] == {"maxRunning": 2}


def test_lighter_sessions_of_other_languages_are_what_they_say(lighter) -> None:
    assert lighter.open(kind="sql")["kind"] == "sql"
    assert [lighter.open(kind=kind)["kind"] for kind in ("bogus", ["x", "y"], None)] == ["pyspark"] * 3


def test_lighter_sessions_have_no_heartbeat(lighter, gateway) -> None:
    path = f"/sessions/{lighter.open_idle(heartbeatTimeoutInSecond=1, ttl='1s', idleTimeout='1s')}"
    later = SessionPass(gateway.sessions, gateway.settings, lambda: utc_now() + timedelta(minutes=59))
    later.expire()
    assert lighter.get(path)["state"] == "idle"


# ---------------------------------------------------------------- statements


def test_lighter_a_statement_runs_from_waiting_to_available(lighter, gateway) -> None:
    opened = lighter.open_idle()
    created = lighter.run(opened, "1+1", kind="bogus")
    assert set(created) == {"id", "code", "state", "output", "createdAt", "progress"}
    assert (created["state"], created["output"], created["code"]) == ("waiting", None, "1+1")
    assert str(UUID(created["id"])) == created["id"]
    path = f"/sessions/{opened}/statements/{created['id']}"
    gateway.answer(0)
    found = lighter.get(path)
    assert found["state"] == "available"
    assert found["output"] == {
        "status": "ok", "executionCount": 0, "data": {"text/plain": "2"}, "evalue": None, "traceback": None,
    }  # fmt: skip


NUMBERS = "12345678901234567890.123456789012345678", "1e400", "-0", "1" * 5000


@pytest.mark.parametrize("number", NUMBERS, ids=["decimal", "exponent", "minus", "long"])
def test_lighter_a_number_keeps_all_its_digits(number: str, lighter, gateway) -> None:
    opened = lighter.open_idle()
    path = f"/sessions/{opened}/statements/{lighter.run(opened)['id']}"
    output = f'{{"status":"ok","execution_count":0,"data":{{"application/json":{{"a":[{number},"1.50",null]}}}}}}'
    gateway.statements.claim(utc_now())
    gateway.statements.finish(0, 0, output, utc_now(), utc_now())
    assert f'"data":{{"application/json":{{"a":[{number},"1.50",null]}}}}' in lighter.send("GET", path).text


def test_lighter_a_running_statement_is_waiting_with_progress(lighter, gateway) -> None:
    opened = lighter.open_idle()
    path = f"/sessions/{opened}/statements/{lighter.run(opened)['id']}"
    gateway.statements.claim(utc_now())
    gateway.statements.set_progress(0, 0, 0.5)
    assert (lighter.get(path)["state"], lighter.get(path)["progress"]) == ("waiting", 0.5)


def test_lighter_statements_are_listed_newest_first(lighter) -> None:
    opened = lighter.open_idle()
    ids = [lighter.run(opened)["id"] for _ in range(4)]
    page = lighter.get(f"/sessions/{opened}/statements?from=1&size=2")
    assert list(page) == ["from", "statements"] and page["from"] == 1
    assert [one["id"] for one in page["statements"]] == ids[::-1][1:3]


def test_lighter_statements_of_one_session_are_not_found_in_another(lighter) -> None:
    one, other = lighter.open_idle(), lighter.open_idle()
    first, second = lighter.run(one)["id"], lighter.run(other)["id"]
    assert first != second
    for statement in (second, "0", "x", "00000000-0000-0000-0000-000000000000", first[:-1] + "9", first.upper()):
        assert lighter.send("GET", f"/sessions/{one}/statements/{statement}").status_code == 404


def test_lighter_a_statement_needs_code(lighter) -> None:
    opened = lighter.open()["id"]
    for body in ({}, {"code": None}, {"code": {"a": 1}}, "[]", "", "{"):
        assert lighter.send("POST", f"/sessions/{opened}/statements", body).status_code == 400, body


def test_lighter_a_statement_on_a_dead_session_is_400_with_the_state(lighter, gateway) -> None:
    opened = lighter.open_idle()
    gateway.lose_driver(0)
    response = lighter.send("POST", f"/sessions/{opened}/statements", {"code": "1"})
    assert response.status_code == 400
    (error,) = response.json["errors"]
    assert (error["message"], error["details"]) == ("Invalid session state: DEAD", {"sessionState": "dead"})


# ---------------------------------------------------------------- bodies, errors, the rest


def test_lighter_bodies_are_read_loosely(lighter) -> None:
    params = lighter.open(
        bogus={"a": 1}, name=["one"], numExecutors="3", driverMemory=None, jars="hdfs:///a.jar", pyFiles=None,
        conf={"a": True, "b": 4, "c": 1.5, "d": None},
    )["submitParams"]  # fmt: skip
    assert params["name"] == "one" and params["numExecutors"] == 3 and params["driverMemory"] == "1000M"
    assert params["jars"] == ["hdfs:///a.jar"] and params["pyFiles"] == []
    assert params["conf"] == {"a": "true", "b": "4", "c": "1.5"}


@pytest.mark.parametrize("body", ["", "{", "[]", {"numExecutors": "x"}, {"conf": []}, {"args": [{}]}, {"file": {}},
                                  {"file": "/bin/true", "driverMemory": "much"}])  # fmt: skip
def test_lighter_what_cannot_be_read_is_400_in_its_envelope(body, lighter) -> None:
    response = lighter.send("POST", "/batches?a=b", body)
    assert response.status_code == 400
    assert set(response.json) == {"message", "path", "errors"}
    assert (response.json["message"], response.json["path"]) == ("Bad Request", "/lighter/api/batches?a=b")
    (error,) = response.json["errors"]
    assert set(error) == {"message", "path", "title"} and len(error["message"]) > 10


@pytest.mark.parametrize(
    ("body", "member"),
    [({"files": [{}]}, "files.0"), ({"conf": {"json": {}}}, "conf.json"), ({"numExecutors": "x"}, "numExecutors")],
)
def test_lighter_what_cannot_be_read_is_named(body, member: str, lighter) -> None:
    error = lighter.send("POST", "/sessions", body).json["errors"][0]["message"]
    assert error.startswith(f"{member}: ")


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "/sessions/x", 404, "Session 'x' not found."), ("GET", "/batches/x", 404, "Batch 'x' not found."),
        ("GET", "/nowhere", 404, ""), ("POST", "/configuration", 405, ""), ("PATCH", "/sessions", 405, ""),
        ("GET", "/sessions?from=x", 400, "For input string"), ("POST", "/sessions/x/connect", 404, ""),
    ],
)  # fmt: skip
def test_lighter_every_error_is_in_its_envelope(method: str, path: str, status: int, said: str, lighter) -> None:
    response = lighter.send(method, path)
    assert response.status_code == status and set(response.json) == {"message", "path", "errors"}
    assert said in response.json["errors"][0]["message"]
    assert lighter.gateway.send("GET", "/lighterly").data == b"", "other paths have their own"


def test_lighter_an_unexpected_failure_is_in_its_envelope(lighter, gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway.client.application.config["PROPAGATE_EXCEPTIONS"] = False
    monkeypatch.setattr("compat.lighter.translate.configuration_document", None)
    response = lighter.send("GET", "/configuration")
    assert (response.status_code, response.json["message"]) == (500, "Internal Server Error")


def test_lighter_times_have_no_zone_and_are_utc(lighter) -> None:
    created = lighter.open()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}", created["createdAt"])
    age = utc_now() - datetime.fromisoformat(created["createdAt"]).replace(tzinfo=timezone.utc)
    assert timedelta(0) <= age < timedelta(minutes=1)


def test_lighter_sizes_that_nobody_names_are_its_defaults(lighter, make_gateway) -> None:
    assert {key: value for key, value in lighter.submit()["submitParams"].items() if key[:2] in ("nu", "ex", "dr")} == {
        "numExecutors": 1, "executorCores": 1, "executorMemory": "1000M", "driverCores": 1, "driverMemory": "1000M",
    }  # fmt: skip


def test_lighter_a_session_that_shares_an_application_takes_its_sizes(lighter) -> None:
    conf = {"spark.gateway.application": "team"}
    lighter.gateway.open(conf=conf, driverMemory="3g")
    shared = lighter.open(conf=conf)
    assert shared["submitParams"]["conf"]["spark.gateway.application"] == "team"
    refused = lighter.send("POST", "/sessions", {"conf": conf, "driverMemory": "2g"})
    assert refused.status_code == 400 and "driverMemory is 2g, and there it is 3g" in refused.text


@pytest.mark.parametrize(
    ("conf", "shown"),
    [
        ({}, (1, "1000M")), ({"spark.executor.instances": 4, "spark.driver.memory": "3g"}, (4, "3g")),
        ({"spark.executor.instances": "many"}, (1, "1000M")), ({"spark.executor.instances": "9" * 5000}, (1, "1000M")),
    ],
)  # fmt: skip
def test_lighter_sizes_are_never_null(conf, shown, lighter, make_gateway) -> None:
    lighter.gateway.open(conf=conf), lighter.open(conf=conf), lighter.submit(conf=conf)
    listed = [one for kind in ("sessions", "batches") for one in lighter.get(f"/{kind}")["applications"]]
    assert len(listed) == 3
    for one in listed:
        params = one["submitParams"]
        assert (params["numExecutors"], params["driverMemory"]) == shown
        assert (params["executorCores"], params["driverCores"], params["executorMemory"]) == (1, 1, "1000M")
    declared = make_gateway(permanent_sessions={"daily": {"conf": conf}}).get("/lighter/api/configuration")
    params = declared["sessionConfiguration"]["permanentSessions"][0]["submitParams"]
    assert (params["numExecutors"], params["driverMemory"]) == shown


def test_lighter_conf_wins_over_sizes_and_the_settings_conf_over_defaults(make_gateway) -> None:
    gateway = make_gateway(spark_conf={"spark.driver.memory": "4g", "spark.executor.cores": "7"})
    conf = {"spark.executor.instances": "9", "spark.executor.memory": "3g"}
    gateway.send("POST", "/lighter/api/sessions", {"executorMemory": "1g", "executorCores": 2, "conf": conf})
    whole = conf_of(
        gateway.sessions.find(ANONYMOUS, 0).options, gateway.settings.on("default"), gateway.settings.data_dir, {}
    )
    assert whole["spark.executor.instances"] == "9" and whole["spark.executor.memory"] == "3g"
    assert whole["spark.executor.cores"] == "2", "what a request asks for wins over the settings"
    assert whole["spark.driver.memory"] == "4g", "the settings win over Lighter's default"


@pytest.mark.parametrize(
    ("conf", "default", "memory"),
    [({"spark.gateway.cluster": "big"}, "default", "8g"), ({}, "big", "8g"), ({}, "default", "1000M")],
)
def test_lighter_a_clusters_conf_wins_over_defaults(conf, default: str, memory: str, make_gateway) -> None:
    big = {"spark_conf": {"spark.executor.memory": "8g"}}
    gateway = make_gateway(clusters={"big": big}, default_cluster=default)
    for path in ("sessions", "batches"):
        assert gateway.send("POST", f"/lighter/api/{path}", {"file": "/bin/true", "conf": conf}).status_code < 300
    asked = gateway.sessions.find(ANONYMOUS, 0).options, gateway.batches.find(ANONYMOUS, 0).request.options
    for options in asked:
        here = gateway.settings.on(options.conf["spark.gateway.cluster"])
        assert conf_of(options, here, gateway.settings.data_dir, {})["spark.executor.memory"] == memory
    shown = gateway.get("/lighter/api/configuration")["sessionDefaultConf"]
    assert shown == (big["spark_conf"] if default == "big" else {})


def test_lighter_an_unknown_cluster_is_refused(lighter) -> None:
    refused = lighter.send("POST", "/sessions", {"conf": {"spark.gateway.cluster": "x"}})
    assert refused.status_code == 400 and "spark.gateway.cluster" in refused.text


def test_lighter_names_need_not_be_unique(lighter, gateway) -> None:
    assert [lighter.submit(name="daily")["submitParams"]["name"] for _ in range(2)] == ["daily", "daily"]
    assert [lighter.open(name="42")["submitParams"]["name"] for _ in range(2)] == ["42", "42"]


def test_lighter_configuration_has_what_seed_and_contract_have(make_gateway) -> None:
    gateway = make_gateway(
        session_idle_timeout=timedelta(minutes=90),
        spark_history_url="https://localhost/spark-history",
        spark_conf={"spark.x": "1", "spark.my.password": "p"},
        permanent_sessions={"daily": {"driver_memory": "2g", "conf": {"db.token": "t"}}},
    )
    found = gateway.get("/lighter/api/configuration")
    assert found["sparkHistoryServerUrl"] == "https://localhost/spark-history"
    assert found["sessionConfiguration"]["timeoutMinutes"] == 90
    assert found["sessionConfiguration"]["timeoutInterval"] == 5400.0
    assert (
        found["batchDefaultConf"] == found["sessionDefaultConf"] == {"spark.x": "1", "spark.my.password": "[redacted]"}
    )
    (daily,) = found["sessionConfiguration"]["permanentSessions"]
    assert (daily["id"], daily["submitParams"]["driverMemory"]) == ("daily", "2g")
    assert daily["submitParams"]["conf"] == {"db.token": "[redacted]"}
    assert set(found) == {
        "sparkHistoryServerUrl", "externalLogsUrlTemplate", "zombieInterval", "stateRetainInterval",
        "sessionConfiguration", "batchDefaultConf", "sessionDefaultConf",
    }  # fmt: skip


def test_lighter_a_timeout_that_is_never_is_null(make_gateway) -> None:
    found = make_gateway(session_idle_timeout=timedelta(0)).get("/lighter/api/configuration")["sessionConfiguration"]
    assert found["timeoutMinutes"] is None and found["timeoutInterval"] is None


def test_lighter_probes_say_up(gateway) -> None:
    assert gateway.get("/health/liveness") == gateway.get("/health/readiness") == {"status": "UP"}


@pytest.mark.parametrize("path", ["", "/", "/batches", "/sessions"])
def test_lighter_pages_are_the_consoles(path: str, gateway) -> None:
    response = gateway.send("GET", f"/lighter{path}")
    assert (response.status_code, response.headers["Location"]) == (302, "/ui")


def test_lighter_pages_of_one_session_or_batch_are_the_consoles(lighter, make_gateway) -> None:
    gateway = make_gateway(url_prefix="/spark")
    session = gateway.send("POST", "/lighter/api/sessions", {}).json["id"]
    batch = gateway.send("POST", "/lighter/api/batches", {"file": "/bin/true"}).json["id"]
    for asked, meant in ((f"sessions/{session}", "session/0"), (f"batches/{batch}", "batch/0/log")):
        location = gateway.send("GET", f"/spark/lighter/{asked}").headers["Location"]
        assert location == f"/spark/ui/{meant}"
        assert gateway.send("GET", location).status_code == 200


# ---------------------------------------------------------------- both protocols


def test_lighter_and_livy_show_the_same_sessions_and_batches(lighter, gateway) -> None:
    theirs, mine = gateway.open(name="from livy", kind="shared", driverMemory="2g"), lighter.open()
    newest, oldest = lighter.get("/sessions")["applications"]
    assert newest["id"] == mine["id"] and oldest["submitParams"]["name"] == "from livy"
    assert (oldest["kind"], oldest["submitParams"]["driverMemory"]) == ("pyspark", "2g")
    assert [one["id"] for one in gateway.get("/sessions")["sessions"]] == [theirs["id"], 1]
    gateway.submit(name="b1", className="a.Main", args=["1"]), lighter.submit()
    livys = lighter.get("/batches")["applications"][1]["submitParams"]
    assert (livys["name"], livys["mainClass"], livys["args"], livys["file"]) == ("b1", "a.Main", ["1"], "/bin/true")
    assert gateway.get("/batches")["total"] == 2
    assert gateway.get("/batches/1")["state"] == "starting"


def test_lighter_runs_statements_in_livys_sessions(lighter, gateway) -> None:
    gateway.open(kind="shared"), gateway.open(kind="sql")
    gateway.make_idle()
    for number in (0, 1):
        (session,) = [
            one for one in lighter.get("/sessions")["applications"] if one["kind"] == ("pyspark", "sql")[number]
        ]
        lighter.run(session["id"], "x")
        assert gateway.get(f"/sessions/{number}/statements/0")["code"] == "x"
        assert gateway.statements.find(number, 0).kind.value == ("pyspark", "sql")[number]


def test_lighter_sessions_are_kept_alive_by_livys_rules_only_if_livy_opened_them(lighter, gateway) -> None:
    gateway.open_idle(heartbeatTimeoutInSecond=60)
    chosen = lighter.get("/sessions")["applications"][0]["id"]
    gateway.db.run("UPDATE sessions SET heartbeat = '2020-01-01T00:00:00.000000+00:00'")
    lighter.get(f"/sessions/{chosen}/state")
    SessionPass(gateway.sessions, gateway.settings, utc_now).expire()
    assert gateway.get("/sessions/0")["state"] == "idle", "a question by any protocol is a heartbeat"


# ---------------------------------------------------------------- sparkmagic


def test_lighter_for_sparkmagic_ids_are_numbers_on_every_route(sparkmagic, gateway) -> None:
    opened = sparkmagic.open_idle()
    statement = sparkmagic.run(opened)["id"]
    assert (opened, statement) == (0, 0)
    assert sparkmagic.get("/sessions/0")["id"] == 0
    assert sparkmagic.get("/sessions/0/statements/0")["id"] == 0
    assert sparkmagic.get("/sessions/0/log") == {"id": 0, "log": []}
    assert sparkmagic.send("DELETE", "/sessions/0").status_code == 200
    assert sparkmagic.send("GET", "/sessions/0").status_code == 404
    assert sparkmagic.send("GET", "/sessions/99999999999").status_code == 404


def test_lighter_for_sparkmagic_the_list_is_named_sessions(sparkmagic) -> None:
    sparkmagic.open()
    page = sparkmagic.get("/sessions")
    assert list(page) == ["from", "total", "sessions"] and page["sessions"][0]["kind"] == "pyspark"


def test_lighter_for_sparkmagic_a_log_is_a_list(sparkmagic, gateway) -> None:
    sparkmagic.open()
    gateway.log_of(0, "one\ntwo\n\n")
    assert sparkmagic.get("/sessions/0/log?from=0") == {"id": 0, "log": ["one", "two", ""]}
    assert sparkmagic.get("/sessions/0")["log"] == ["one", "two", ""]


def test_lighter_for_sparkmagic_cancel_is_200_and_statements_are_livys(sparkmagic, gateway) -> None:
    sparkmagic.open_idle()
    sparkmagic.run(0)
    gateway.statements.claim(utc_now())
    assert sparkmagic.get("/sessions/0/statements/0")["state"] == "running"
    response = sparkmagic.send("POST", "/sessions/0/statements/0/cancel", {})
    assert (response.status_code, response.json["state"]) == (200, "cancelling")
    failed = {"status": "error", "execution_count": 0, "ename": "E", "evalue": "no", "traceback": ["a\n"]}
    gateway.statements.finish(0, 0, json.dumps(failed), utc_now(), utc_now())
    found = sparkmagic.get("/sessions/0/statements/0")
    assert (found["state"], found["output"]) == ("cancelled", failed)
    assert sparkmagic.get("/sessions/0/statements")["statements"] == [found]


def test_lighter_for_sparkmagic_an_id_still_works_and_other_words_change_nothing(lighter, sparkmagic, gateway) -> None:
    chosen = lighter.open_idle()
    statement = lighter.run(chosen)["id"]
    assert sparkmagic.get(f"/sessions/{chosen}/statements/{statement}")["id"] == 0
    other = gateway.send("GET", f"/lighter/api/sessions/{chosen}", headers={"X-Compatibility-Mode": "SparkMagic"})
    assert other.json["id"] == chosen
    assert lighter.send("GET", "/sessions/0").status_code == 404, "numbers are sparkmagic's"


def test_lighter_for_sparkmagic_batches_are_as_ever(sparkmagic) -> None:
    created = sparkmagic.submit()
    assert UUID(created["id"]) and list(sparkmagic.get("/batches")) == ["from", "total", "applications"]
