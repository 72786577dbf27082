"""The thirty rules that break Livy's clients, by number. What only the driver can keep is tested with the driver."""

from __future__ import annotations

import gzip
import json
import re
import time
from datetime import timedelta

import pytest

from gateway.core.clock import utc_now
from gateway.core.identity import ANONYMOUS
from sessions.reconcile import SessionPass

SESSION_KEYS = {
    "id", "name", "appId", "owner", "proxyUser", "state", "kind", "appInfo", "log", "ttl", "idleTimeout",
    "driverMemory", "driverCores", "executorMemory", "executorCores", "conf", "archives", "files",
    "heartbeatTimeoutInSecond", "jars", "numExecutors", "pyFiles", "queue",
}  # fmt: skip
BATCH_KEYS = {"id", "name", "owner", "proxyUser", "state", "appId", "appInfo", "log"}
SESSION_WORDS = {
    "not_started", "starting", "recovering", "idle", "running", "busy", "shutting_down", "error", "dead", "killed",
    "success",
}  # fmt: skip


def test_rule_01_ids_are_integers(gateway) -> None:
    session, batch = gateway.open(), gateway.submit()
    statement = gateway.run(0)
    assert [type(record["id"]) for record in (session, batch, statement)] == [int, int, int]


def test_rule_02_a_session_has_exactly_its_23_members(gateway) -> None:
    assert len(SESSION_KEYS) == 23
    created = gateway.open()
    shown = [created, gateway.get("/sessions/0"), gateway.get("/sessions")["sessions"][0]]
    gateway.lose_driver(0)
    shown += [gateway.get("/sessions/0"), gateway.send("POST", "/sessions/0/connect").json]
    assert [set(document) for document in shown] == [SESSION_KEYS] * 5


def test_rule_03_a_batch_has_exactly_its_8_members(gateway) -> None:
    created = gateway.submit()
    assert set(created) == BATCH_KEYS and created["appId"] is None
    assert created["appInfo"] == {"driverLogUrl": None, "sparkUiUrl": None, "executorLogUrls": None}
    gateway.start_batch(0)
    gateway.batches.set_app(0, "local-1", "http://h:4040")
    found = gateway.get("/batches/0")
    assert set(found) == BATCH_KEYS and found["appId"] == "local-1"
    assert found["appInfo"] == {"driverLogUrl": None, "sparkUiUrl": "http://h:4040", "executorLogUrls": None}


@pytest.mark.parametrize(("asked", "shown"), [("python", "pyspark"), ("pyspark", "pyspark"), ("sql", "sql"),
                                              ("shared", "shared"), (None, "shared")])  # fmt: skip
def test_rule_04_kinds_are_shown_in_their_canonical_words(asked: str | None, shown: str, gateway) -> None:
    assert gateway.send("POST", "/sessions", {"kind": asked}).json["kind"] == shown


def test_rule_05_a_session_goes_from_starting_to_idle(gateway) -> None:
    seen = [gateway.open()["state"]]
    gateway.make_idle()
    seen.append(gateway.get("/sessions/0/state")["state"])
    assert seen == ["starting", "idle"] and set(seen) <= SESSION_WORDS


def test_rule_05_a_failed_start_is_dead(gateway) -> None:
    gateway.open()
    gateway.lose_driver(0)
    assert gateway.get("/sessions/0")["state"] == "dead"


@pytest.mark.parametrize("end", ["success", "dead", "killed"])
def test_rule_06_a_batch_goes_from_starting_over_running_to_its_end(end: str, gateway) -> None:
    seen = [gateway.submit()["state"]]
    gateway.start_batch(0)
    seen.append(gateway.get("/batches/0/state")["state"])
    gateway.end_batch(0, end)
    seen.append(gateway.get("/batches/0")["state"])
    assert seen == ["starting", "running", end]


def test_rule_07_after_its_last_statement_a_session_is_idle_at_once(gateway) -> None:
    gateway.open_idle()
    gateway.run(0)
    assert gateway.get("/sessions/0")["state"] == "busy"
    gateway.answer(0)
    assert gateway.get("/sessions/0/statements/0")["state"] == "available"
    assert gateway.get("/sessions/0")["state"] == "idle"


def test_rule_08_a_failed_statement_is_available_with_an_error(gateway) -> None:
    gateway.open_idle()
    gateway.run(0)
    error = {"status": "error", "ename": "ValueError", "evalue": "x", "traceback": ["a\n"]}
    gateway.answer(0, **error)
    statement = gateway.get("/sessions/0/statements/0")
    assert statement["state"] == "available"
    assert error.items() <= statement["output"].items()


def test_rule_08_no_statement_is_available_without_output(gateway) -> None:
    gateway.open_idle()
    for _ in range(3):
        gateway.run(0)
    gateway.answer(0)
    gateway.lose_driver(0)
    for statement in gateway.get("/sessions/0/statements")["statements"]:
        assert statement["state"] == "available" and statement["output"]["status"] in ("ok", "error")


def test_rule_09_a_statement_has_all_its_members(gateway) -> None:
    gateway.open_idle()
    posted = gateway.run(0, "1 + 1")
    members = {"id", "code", "state", "output", "progress", "started", "completed"}
    assert set(posted) == members
    assert (posted["code"], posted["output"], posted["started"], posted["completed"]) == ("1 + 1", None, 0, 0)
    assert type(posted["progress"]) is float
    gateway.answer(0)
    done = gateway.get("/sessions/0/statements/0")
    assert set(done) == members and done["progress"] == 1.0
    assert type(done["progress"]) is float and abs(done["completed"] - time.time() * 1000) < 60_000


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/sessions", {}, 201),
        ("POST", "/batches", {"file": "/bin/true"}, 201),
        ("POST", "/sessions/0/statements", {"code": "1"}, 201),
        ("POST", "/sessions/0/statements/0/cancel", None, 200),
        ("POST", "/sessions/0/connect", None, 200),
        ("POST", "/sessions/0/interrupt", None, 200),
        ("GET", "/sessions/0", None, 200),
        ("GET", "/sessions", None, 200),
        ("DELETE", "/sessions/0", None, 200),
        ("DELETE", "/batches/0", None, 200),
    ],
)
def test_rule_10_status_codes_are_exactly_livys(method: str, path: str, body, status: int, gateway) -> None:
    gateway.open_idle()
    gateway.submit()
    assert gateway.send(method, path, body).status_code == status


def test_rule_11_location_is_an_absolute_path(gateway) -> None:
    places = [
        gateway.send("POST", "/sessions", {"kind": "sql", "name": "n"}).headers["Location"],
        gateway.send("POST", "/sessions/n/statements", {"code": "1"}).headers["Location"],
        gateway.send("POST", "/batches", {"file": "/bin/true"}).headers["Location"],
    ]
    assert places == ["/sessions/0", "/sessions/0/statements/0", "/batches/0"]


@pytest.mark.parametrize("path", ["/sessions/0", "/batches/0"])
def test_rule_12_delete_says_deleted(path: str, gateway) -> None:
    gateway.open()
    gateway.submit()
    response = gateway.send("DELETE", path)
    assert (response.status_code, response.text) == (200, '{"msg":"deleted"}')


@pytest.mark.parametrize("path", ["/sessions/", "/batches/"])
def test_rule_13_a_post_with_a_trailing_slash_is_served_directly(path: str, gateway) -> None:
    assert gateway.send("POST", path, {"file": "/bin/true"} if "batches" in path else {}).status_code == 201
    assert gateway.send("GET", path).status_code == 200


@pytest.mark.parametrize("path", ["/sessions/0/connect", "/sessions/0/statements/0/cancel", "/sessions/0/interrupt"])
def test_rule_14_a_post_without_a_body_is_valid(path: str, gateway) -> None:
    gateway.open_idle()
    assert gateway.send("POST", path, content_type="application/json").status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "application/json; charset=utf-8",
        "application/x-www-form-urlencoded",
        "application/vnd.livy.v0.1+json",
    ],
)
def test_rule_14_json_is_read_whatever_the_content_type(content_type: str | None, gateway) -> None:  # fmt: skip
    assert gateway.send("POST", "/sessions", {"kind": "sql"}, content_type=content_type).json["kind"] == "sql"


def test_rule_14_a_get_with_a_body_is_valid(gateway) -> None:
    assert gateway.send("GET", "/sessions", {"any": "thing"}, content_type="application/json").status_code == 200


def test_rule_15_headers_of_the_java_client_are_tolerated(gateway) -> None:
    headers = {"Expect": "100-continue", "Content-Encoding": "UTF-8", "Content-Type": "application/json"}
    assert gateway.send("POST", "/sessions", {}, headers=headers).status_code == 201


@pytest.mark.parametrize("path", ["/sessions", "/batches", "/sessions/", "/version"])
def test_rule_15_head_works_where_get_does(path: str, gateway) -> None:
    response = gateway.send("HEAD", path)
    assert (response.status_code, response.data) == (200, b"")
    assert int(response.headers["Content-Length"]) == len(gateway.send("GET", path).data)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/sessions", None),
        ("GET", "/sessions/7", None),
        ("POST", "/sessions", "{"),
        ("POST", "/sessions", {"bogus": 1}),
        ("GET", "/sessions/0/statements/7", None),
        ("POST", "/sessions/0/statements", {"code": "1"}),
        ("GET", "/sessions?from=abc", None),
        ("PUT", "/sessions", None),
        ("GET", "/nowhere", None),
    ],
)
def test_rule_16_every_answer_is_labelled_json_and_is_one_line(method: str, path: str, body, gateway) -> None:
    gateway.open(kind="sql")
    response = gateway.send(method, path, body)
    assert response.headers["Content-Type"] == "application/json;charset=utf-8"
    if response.text:
        assert response.text == json.dumps(response.json, separators=(",", ":"))


@pytest.mark.parametrize(
    "body", [{"driverCores": "many"}, {"jars": "a"}, {"conf": []}, {"kind": 3}, "[]", '"x"', "nul", ""]
)
def test_rule_17_a_wrong_body_is_400_with_a_message(body, gateway) -> None:
    response = gateway.send("POST", "/sessions", body)
    assert response.status_code == 400 and set(response.json) == {"msg"}


@pytest.mark.parametrize("path", ["/sessions", "/batches"])
def test_rule_17_a_duplicate_name_says_so(path: str, gateway) -> None:
    body = {"name": "n", "file": "/bin/true"} if path == "/batches" else {"name": "n"}
    gateway.send("POST", path, body)
    response = gateway.send("POST", path, body)
    assert response.status_code == 400 and "Duplicate session name: n" in response.json["msg"]


@pytest.mark.parametrize(
    "path",
    [
        "/sessions/{}",
        "/sessions/{}/state",
        "/sessions/{}/log",
        "/sessions/{}/statements",
        "/sessions/{}/statements/0",
        "/batches/{}",
        "/batches/{}/log",
        "/batches/{}/state",
    ],
)
@pytest.mark.parametrize("ref", ["7", "nobody", "-1"])
def test_rule_18_what_is_not_there_is_404_word_for_word(path: str, ref: str, gateway) -> None:  # fmt: skip
    response = gateway.send("GET", path.format(ref))
    assert (response.status_code, response.text) == (404, f'{{"msg":"Session \'{ref}\' not found."}}')


@pytest.mark.parametrize("path", ["/session/0", "/sessions/0/nothing", "/ping", "/SESSIONS"])
def test_rule_18_an_unknown_path_is_404(path: str, gateway) -> None:
    gateway.open()
    assert gateway.send("GET", path).status_code == 404


@pytest.mark.parametrize("path", ["statements", "statements/0/cancel", "completion"])
def test_rule_19_a_session_that_takes_no_work_says_its_state(path: str, gateway) -> None:
    gateway.open()
    gateway.lose_driver(0)
    response = gateway.send("POST", f"/sessions/0/{path}", {"code": "1", "kind": "sql"} if "/" not in path else None)
    assert response.status_code == 500
    assert response.text == '"java.lang.IllegalStateException: Session is in state dead"'


@pytest.mark.parametrize("path", ["/sessions", "/batches"])
def test_rule_20_lists(path: str, make_gateway) -> None:
    gateway = make_gateway(max_sessions=200)
    make = gateway.open if path == "/sessions" else gateway.submit
    assert gateway.get(path) == {"from": 0, "total": 0, "sessions": []}
    for _ in range(101):
        make()
    everything = gateway.get(path)
    assert (everything["from"], everything["total"]) == (0, 101)
    assert [record["id"] for record in everything["sessions"]] == list(range(100))
    page = gateway.get(path + "?from=20&size=20")
    assert (page["from"], [record["id"] for record in page["sessions"]]) == (20, list(range(20, 40)))


def test_rule_21_a_log_page(gateway) -> None:
    gateway.open()
    gateway.log_of(0, "".join(f"{n}\n" for n in range(200)))
    page = gateway.get("/sessions/0/log?from=0")
    assert set(page) == {"id", "from", "total", "log"}
    assert (page["from"], page["total"], len(page["log"]), page["log"][:2]) == (0, 202, 100, ["stdout: ", "0"])
    assert gateway.get("/sessions/0/log?from=201")["log"] == ["\nstderr: "]
    assert gateway.get("/sessions/0/log?from=5000") == {"id": 0, "from": 5000, "total": 202, "log": []}
    tail = gateway.get("/sessions/0/log?size=3")
    assert (tail["from"], tail["log"]) == (199, ["198", "199", "\nstderr: "])
    assert gateway.get("/sessions/0")["log"] == [*map(str, range(191, 200)), "\nstderr: "]


def test_rule_22_the_version_has_one_digit_parts(gateway) -> None:
    version = gateway.get("/version")
    assert re.fullmatch(r"\d\.\d\.\d(-[a-z]+)?", version["version"]) and version["version"] >= "0.5.0"
    assert set(version) == {"version", "user", "revision", "branch", "date", "url"}
    assert all(type(value) is str and value != "<unknown>" for value in version.values())


def test_rule_23_numbers_as_text_and_nulls_are_read(gateway) -> None:
    asked = {
        "kind": "sql", "driverCores": "2", "executorCores": 3, "numExecutors": None, "name": None, "jars": None,
        "conf": {"spark.a": 1, "spark.b": True, "spark.c": 1.5, "spark.d": None, "unknown.key": "kept"},
        "driverMemory": None, "heartbeatTimeoutInSecond": "60", "ttl": None,
    }  # fmt: skip
    session = gateway.send("POST", "/sessions", asked).json
    assert (session["driverCores"], session["executorCores"], session["numExecutors"]) == (2, 3, 0)
    assert session["conf"] == {"spark.a": "1", "spark.b": "true", "spark.c": "1.5", "unknown.key": "kept"}
    assert (session["heartbeatTimeoutInSecond"], session["jars"], session["name"]) == (60, [], None)


def test_rule_23_arguments_of_a_batch_may_be_numbers(gateway) -> None:
    gateway.submit(args=[1, 2.5, True, "x", None])
    assert gateway.batches.find(ANONYMOUS, 0).request.args == ["1", "2.5", "true", "x"]


@pytest.mark.parametrize(
    "data",
    [
        {"text/plain": ""},
        {"application/json": {"schema": {}, "data": [[1.0, 9007199254740993]]}},
        {"text/plain": "ü🎉\u2028\x00"},
    ],
)
def test_rule_24_a_result_is_handed_out_as_the_driver_gave_it(data, gateway) -> None:
    gateway.open_idle()
    gateway.run(0)
    gateway.answer(0, data=data)
    assert gateway.get("/sessions/0/statements/0")["output"]["data"] == data


def test_rule_25_an_error_is_handed_out_as_the_driver_gave_it(gateway) -> None:
    gateway.open_idle()
    gateway.run(0)
    error = {
        "status": "error",
        "ename": "E",
        "evalue": "v",
        "traceback": ["Traceback (most recent call last):\n", "E: v\n"],
    }
    gateway.answer(0, **error)
    assert error.items() <= gateway.get("/sessions/0/statements/0")["output"].items()


def test_rule_25_the_error_of_a_lost_driver_has_the_same_shape(gateway) -> None:
    gateway.open_idle()
    gateway.run(0)
    gateway.lose_driver(0)
    output = gateway.get("/sessions/0/statements/0")["output"]
    assert set(output) == {"status", "execution_count", "ename", "evalue", "traceback"}
    assert type(output["ename"]) is type(output["evalue"]) is str and output["traceback"] == []


def test_rule_26_sql_needs_no_language_in_a_sql_session(gateway) -> None:
    gateway.open_idle(kind="sql")
    assert gateway.run(0, "-- a comment\n\nselect 1")["state"] == "waiting"


def test_rule_27_a_result_of_many_megabytes_is_whole(gateway) -> None:
    gateway.open_idle()
    gateway.run(0)
    gateway.answer(0, data={"text/plain": "x" * (8 << 20)})
    response = gateway.send("GET", "/sessions/0/statements/0", headers={"Accept-Encoding": "gzip"})
    assert len(json.loads(gzip.decompress(response.data))["output"]["data"]["text/plain"]) == 8 << 20


def test_rule_28_any_get_of_a_session_is_a_heartbeat(gateway) -> None:
    gateway.open_idle(heartbeatTimeoutInSecond=60)
    for path in ("", "/state", "/log", "/statements"):
        gateway.sessions.touch(0, utc_now() - timedelta(seconds=50), activity=False)
        gateway.get("/sessions/0" + path)
        assert utc_now() - gateway.sessions.find(ANONYMOUS, 0).heartbeat < timedelta(seconds=10)


@pytest.mark.parametrize("asked", [{"heartbeatTimeoutInSecond": 5}, {"ttl": "5s"}, {"idleTimeout": "5s"}])
def test_rule_28_an_expired_session_is_404(asked, gateway) -> None:
    gateway.open_idle(**asked)
    SessionPass(gateway.sessions, gateway.settings, lambda: utc_now() + timedelta(seconds=6)).expire()
    assert gateway.send("GET", "/sessions/0").status_code == 404


def test_rule_29_create_does_not_wait_for_spark(gateway) -> None:
    begun = time.monotonic()
    assert gateway.open()["state"] == "starting"
    assert time.monotonic() - begun < 2


def test_rule_30_unasked_credentials_and_missing_csrf_headers_are_no_matter(gateway) -> None:
    for headers in ({"Authorization": "Basic YWxpY2U6eA=="}, {}):
        assert gateway.send("POST", "/sessions", {}, headers=headers).status_code == 201


def test_rule_30_routes_answer_at_the_root_and_below_the_prefix(make_gateway) -> None:
    gateway = make_gateway(url_prefix="/livy")
    assert gateway.send("POST", "/livy/sessions", {}).headers["Location"] == "/sessions/0"
    assert gateway.get("/livy/sessions/0") == gateway.get("/sessions/0")
    assert gateway.send("GET", "/livy/sessions/").status_code == 200
    assert gateway.send("GET", "/livysessions").status_code == 404
