"""The numbered quirks of Livy that concern these routes: kept, or better on purpose. What only the driver decides
is tested with the driver."""

from __future__ import annotations

import gzip
import json
import zlib
from datetime import timedelta
from typing import Any

import pytest

from gateway.core.clock import utc_now
from gateway.core.submit import conf_of
from sessions.drivers import kernel_client
from sessions.models import Kind
from sessions.reconcile import SessionPass

DEAD = '"java.lang.IllegalStateException: Session is in state dead"'


def expire(gateway, **later: float) -> None:
    SessionPass(gateway.sessions, gateway.settings, lambda: utc_now() + timedelta(**later)).expire()


@pytest.mark.parametrize("body", [{}, {"file": ""}, {"file": "rel.py"}, {"file": "/bin/true", "driverCores": -1},
                                  {"file": "/bin/true", "conf": {"spark.submit.deployMode": "cluster"}}])  # fmt: skip
def test_quirk_01_a_refused_batch_is_not_listed(body, gateway) -> None:
    response = gateway.send("POST", "/batches", {"name": "n", **body})
    assert response.status_code == 400 and response.json["msg"].startswith("Rejected, Reason: ")
    assert gateway.get("/batches")["total"] == 0
    assert gateway.submit(name="n")["id"] == 0


def test_quirk_02_error_bodies_are_messages_but_for_the_two_that_clients_know_as_text(gateway) -> None:
    gateway.open()
    assert set(gateway.send("POST", "/sessions", "{").json) == {"msg"}
    assert gateway.send("GET", "/sessions/0/statements/9").text == '"Statement not found"'
    gateway.lose_driver(0)
    assert gateway.send("POST", "/sessions/0/statements", {"code": "1"}).text == DEAD


def test_quirk_04_a_statement_on_a_starting_session_is_queued(gateway) -> None:
    gateway.open()
    assert gateway.run(0)["state"] == "waiting"
    gateway.make_idle()
    gateway.answer(0)
    assert gateway.get("/sessions/0/statements/0")["state"] == "available"


def test_quirk_04_a_statement_on_a_dead_session_is_500_with_the_state(gateway) -> None:
    gateway.open()
    gateway.lose_driver(0)
    response = gateway.send("POST", "/sessions/0/statements", {"code": "1"})
    assert (response.status_code, response.text) == (500, DEAD)


def test_quirk_05_results_outlive_their_session(gateway) -> None:
    gateway.open_idle()
    gateway.run(0)
    gateway.answer(0)
    gateway.lose_driver(0)
    assert gateway.get("/sessions/0/statements/0")["output"]["data"] == {"text/plain": "2"}
    assert gateway.get("/sessions/0/statements")["total_statements"] == 1


def test_quirk_06_statements_of_a_starting_session_are_listed_at_once(gateway) -> None:
    gateway.open()
    assert gateway.get("/sessions/0/statements") == {"total_statements": 0, "statements": []}


def test_quirk_07_interrupt_ends_the_session_and_stop_says_nothing(gateway) -> None:
    gateway.open_idle(), gateway.open_idle()
    response = gateway.send("POST", "/sessions/0/interrupt")
    assert (response.status_code, response.text) == (200, '{"msg":"interrupted"}')
    response = gateway.send("POST", "/sessions/1/stop")
    assert (response.status_code, response.data) == (204, b"")
    assert [session["state"] for session in gateway.get("/sessions")["sessions"]] == ["dead", "dead"]
    assert gateway.send("POST", "/sessions/1/stop").status_code == 204, "again is harmless"


@pytest.mark.parametrize(
    "body",
    [{"code": "1", "kind": "cobol"}, {"code": "1", "kind": "shared"}, {"code": "1"}, {"kind": "sql"},
     {"code": None, "kind": "sql"}, {"code": "1", "kind": 3}],
)  # fmt: skip
def test_quirk_08_a_statement_that_cannot_run_is_refused_at_once(body, gateway) -> None:
    gateway.open_idle(kind="shared")
    response = gateway.send("POST", "/sessions/0/statements", body)
    assert response.status_code == 400 and set(response.json) == {"msg"}
    assert gateway.get("/sessions/0/statements")["total_statements"] == 0


@pytest.mark.parametrize("path", ["/sessions", "/batches"])
def test_quirk_09_a_duplicate_name_is_told_without_scala(path: str, gateway) -> None:
    body = {"name": "s1", **({"file": "/bin/true"} if path == "/batches" else {})}
    gateway.send("POST", path, body)
    response = gateway.send("POST", path, body)
    assert (response.status_code, response.json) == (400, {"msg": "Rejected, Reason: Duplicate session name: s1"})


@pytest.mark.parametrize("name", ["", "123"])
@pytest.mark.parametrize("path", ["/sessions", "/batches"])
def test_quirk_10_a_name_that_looks_like_an_id_is_refused(name: str, path: str, gateway) -> None:
    body = {"name": name, **({"file": "/bin/true"} if path == "/batches" else {})}
    response = gateway.send("POST", path, body)
    assert (response.status_code, response.json) == (400, {"msg": f"Rejected, Reason: Invalid session name: {name}"})


@pytest.mark.parametrize("wrong", [{"name": "1"}, {"ttl": "x"}, {"jars": ["a.jar"]}, {"kind": "perl"}])
def test_quirk_11_a_refused_request_burns_no_id(wrong, gateway) -> None:
    assert gateway.open()["id"] == 0
    assert gateway.send("POST", "/sessions", wrong).status_code == 400
    assert gateway.open()["id"] == 1


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/sessions", {"bogus": 1}, "bogus"),
        ("/sessions", {"file": "/a"}, "file"),
        ("/batches", {"file": "/bin/true", "kind": "spark"}, "kind"),
        ("/batches", {"file": "/bin/true", "ttl": "1h"}, "ttl"),
        ("/sessions/0/statements", {"code": "1", "bogus": 1}, "bogus"),
    ],
)
def test_quirk_12_unknown_members_are_refused(path: str, body, field: str, gateway) -> None:
    gateway.open()
    response = gateway.send("POST", path, body)
    assert response.status_code == 400
    assert response.json["msg"].startswith(f'Unrecognized field "{field}", not marked as ignorable')


def test_quirk_12_msg_type_is_known_and_ignored(gateway) -> None:
    gateway.open()
    assert gateway.run(0, msg_type="execute_request")["id"] == 0


def test_quirk_13_numbers_and_texts_stand_for_each_other(gateway) -> None:
    session = gateway.open(driverCores="2", driverMemory=1024)
    assert (session["driverCores"], session["driverMemory"]) == (2, "1024")


@pytest.mark.parametrize("wrong", ["two", "2.0", 2.5, True, [2], {}, 2**31, -(2**31), "9" * 5000])
def test_quirk_13_what_is_no_number_is_400(wrong, gateway) -> None:
    response = gateway.send("POST", "/sessions", {"executorCores": wrong})
    assert response.status_code == 400 and "executorCores" in response.json["msg"]


def test_quirk_14_what_was_not_asked_for_is_zero_null_or_empty(gateway) -> None:
    session = gateway.send("POST", "/sessions", {}).json
    assert [session[name] for name in ("driverCores", "executorCores", "numExecutors", "heartbeatTimeoutInSecond")] == [
        0
    ] * 4
    texts = ("name", "appId", "owner", "proxyUser", "ttl", "idleTimeout", "driverMemory", "executorMemory", "queue")
    assert [session[name] for name in texts] == [None] * 9
    assert [session[name] for name in ("archives", "files", "jars", "pyFiles")] == [[]] * 4 and session["conf"] == {}


def test_quirk_17_location_is_numeric_and_knows_no_prefix(make_gateway) -> None:
    gateway = make_gateway(url_prefix="/livy")
    assert gateway.send("POST", "/livy/sessions", {"name": "n", "kind": "sql"}).headers["Location"] == "/sessions/0"
    response = gateway.send("POST", "/livy/sessions/n/statements", {"code": "1"})
    assert response.headers["Location"] == "/sessions/0/statements/0"


@pytest.mark.parametrize("path", ["/sessions", "/batches"])
@pytest.mark.parametrize(
    ("query", "echoed", "ids"),
    [("from=-1&size=3", -1, [0, 1]), ("from=1&size=1", 1, [1]), ("size=0", 0, []), ("size=-5", 0, []),
     ("from=9", 9, []), ("from=2147483647&size=2147483647", 2**31 - 1, []), ("from=1&size=2147483647", 1, []),
     ("from=-2147483648&size=2147483647", -(2**31), []), ("from=1&from=2", 1, [1, 2]), ("bogus=1", 0, [0, 1, 2])],
)  # fmt: skip
def test_quirk_18_slices_of_lists(path: str, query: str, echoed: int, ids: list[int], gateway) -> None:
    for _ in range(3):
        gateway.open() if path == "/sessions" else gateway.submit()
    page = gateway.get(f"{path}?{query}")
    assert (page["from"], page["total"], [one["id"] for one in page["sessions"]]) == (echoed, 3, ids)


@pytest.mark.parametrize(("value", "shown"), [("abc", "abc"), ("", ""), ("99999999999", "99999999999"), ("1.5", "1.5")])
@pytest.mark.parametrize(
    "path", ["/sessions?from=", "/batches?size=", "/sessions/0/log?from=", "/sessions/0/statements?size="]
)
def test_quirk_18_what_is_no_number_is_told_in_javas_words(value: str, shown: str, path: str, gateway) -> None:
    gateway.open()
    response = gateway.send("GET", path + value)
    assert (response.status_code, response.json) == (400, {"msg": f'For input string: "{shown}"'})


def test_quirk_19_a_log_has_total_and_no_size_and_its_markers_are_lines(gateway) -> None:
    gateway.open()
    assert gateway.get("/sessions/0/log") == {"id": 0, "from": 0, "total": 2, "log": ["stdout: ", "\nstderr: "]}
    gateway.submit()
    assert gateway.get("/batches/0/log?size=-1") == {"id": 0, "from": 0, "total": 2, "log": ["stdout: ", "\nstderr: "]}


def test_quirk_20_statements_that_are_not_kept_do_not_count(make_gateway) -> None:
    gateway = make_gateway(statements_retained=2)
    gateway.open_idle()
    for _ in range(4):
        gateway.run(0)
        gateway.answer(0)
    listed = gateway.get("/sessions/0/statements")
    assert (listed["total_statements"], [one["id"] for one in listed["statements"]]) == (2, [2, 3])
    assert gateway.send("GET", "/sessions/0/statements/1").status_code == 404


@pytest.mark.parametrize(
    ("query", "ids"),
    [("", [0, 1, 2, 3]), ("?order=desc", [3, 2, 1, 0]), ("?order=%20DESC%20", [3, 2, 1, 0]),
     ("?order=up", [0, 1, 2, 3]),
     ("?order=desc&from=1&size=2", [2, 1]), ("?from=2", [2, 3]), ("?size=0", []), ("?from=-1&size=2", [0]),
     ("?from=-5", [0, 1, 2, 3])],
)  # fmt: skip
def test_quirk_21_order_comes_before_the_slice(query: str, ids: list[int], gateway) -> None:
    gateway.open_idle()
    for _ in range(4):
        gateway.run(0)
    listed = gateway.get("/sessions/0/statements" + query)
    assert ([one["id"] for one in listed["statements"]], listed["total_statements"]) == (ids, 4)


def test_quirk_22_there_is_no_statement_state_error(gateway) -> None:
    gateway.open_idle()
    gateway.run(0)
    gateway.answer(0, status="error", ename="E", evalue="", traceback=[])
    assert gateway.get("/sessions/0/statements/0")["state"] == "available"


def test_quirk_23_execution_count_is_the_statements_id(gateway) -> None:
    gateway.open_idle()
    for _ in range(2):
        gateway.run(0)
    gateway.lose_driver(0)
    statements = gateway.get("/sessions/0/statements")["statements"]
    assert [one["output"]["execution_count"] for one in statements] == [0, 1]


def test_quirk_24_state_and_output_change_together(gateway) -> None:
    gateway.open_idle()
    gateway.run(0)
    seen = [gateway.get("/sessions/0/statements/0")]
    gateway.answer(0)
    seen.append(gateway.get("/sessions/0/statements/0"))
    assert [(one["state"], one["output"] is None, one["progress"]) for one in seen] == [
        ("waiting", True, 0.0),
        ("available", False, 1.0),
    ]


def test_quirk_25_a_session_is_never_idle_while_something_is_unfinished(gateway) -> None:
    gateway.open_idle()
    for _ in range(3):
        gateway.run(0)
    for _ in range(3):
        assert gateway.get("/sessions/0/state") == {"id": 0, "state": "busy"}
        gateway.answer(0)
    assert gateway.get("/sessions/0/state") == {"id": 0, "state": "idle"}


def test_quirk_26_cancel_always_says_canceled(gateway) -> None:
    gateway.open_idle()
    gateway.run(0), gateway.run(0)
    gateway.statements.claim(utc_now())
    for number in (0, 0, 1, 1, 99, -1):
        response = gateway.send("POST", f"/sessions/0/statements/{number}/cancel", "{}")
        assert (response.status_code, response.text) == (200, '{"msg":"canceled"}')
    states = [one["state"] for one in gateway.get("/sessions/0/statements")["statements"]]
    assert states == ["cancelling", "cancelled"]
    waited = gateway.get("/sessions/0/statements/1")
    assert (waited["output"], waited["started"], waited["progress"]) == (None, 0, 1.0)
    assert gateway.send("POST", "/sessions/0/statements/abc/cancel").json == {"msg": 'For input string: "abc"'}


def test_quirk_26_a_cancelled_statement_keeps_its_output(gateway) -> None:
    gateway.open_idle()
    gateway.run(0)
    gateway.statements.claim(utc_now())
    gateway.send("POST", "/sessions/0/statements/0/cancel")
    gateway.statements.finish(0, 0, '{"status":"error"}', utc_now(), utc_now())
    statement = gateway.get("/sessions/0/statements/0")
    assert (statement["state"], statement["output"]) == ("cancelled", {"status": "error"})


def test_quirk_27_a_session_is_never_in_state_error(gateway) -> None:
    gateway.open()
    gateway.lose_driver(0, "Spark did not start")
    assert gateway.get("/sessions/0/state")["state"] == "dead"


def test_quirk_28_a_ttl_is_kept(gateway) -> None:
    gateway.open_idle(ttl="8h", idleTimeout="1d")
    expire(gateway, hours=7, minutes=59)
    assert gateway.get("/sessions/0")["ttl"] == "8h"
    expire(gateway, hours=8, seconds=1)
    assert gateway.send("GET", "/sessions/0").status_code == 404


def test_quirk_29_a_busy_session_is_never_idle(gateway) -> None:
    gateway.open_idle(idleTimeout="1s")
    gateway.run(0)
    expire(gateway, days=30)
    assert gateway.get("/sessions/0")["state"] == "busy"


def test_quirk_29_polling_is_no_activity(gateway) -> None:
    gateway.open_idle(idleTimeout="10s")
    gateway.sessions.touch(0, utc_now() - timedelta(seconds=11), activity=True)
    for path in ("", "/state", "/log", "/statements"):
        gateway.get("/sessions/0" + path)
    expire(gateway)
    assert gateway.send("GET", "/sessions/0").status_code == 404


def test_quirk_30_a_time_without_suffix_is_milliseconds(gateway) -> None:
    gateway.open_idle(ttl="600")
    expire(gateway, seconds=10)
    assert gateway.send("GET", "/sessions/0").status_code == 404


@pytest.mark.parametrize(
    ("text", "said"),
    [("10parsec", 'Invalid suffix: "parsec"'), ("abc", "Invalid time string: abc"), ("", 'Invalid time string: "'),
     ("-5", "Invalid value: -5")],
)  # fmt: skip
@pytest.mark.parametrize("field", ["ttl", "idleTimeout"])
def test_quirk_30_a_wrong_time_is_refused_in_livys_words(field: str, text: str, said: str, gateway) -> None:
    response = gateway.send("POST", "/sessions", {field: text})
    assert (response.status_code, response.json) == (400, {"msg": f"Rejected, Reason: {said}"})


def test_quirk_31_the_list_is_no_heartbeat(gateway) -> None:
    gateway.open_idle(heartbeatTimeoutInSecond=30)
    gateway.sessions.touch(0, utc_now() - timedelta(seconds=31), activity=False)
    assert gateway.get("/sessions")["total"] == 1
    expire(gateway)
    assert gateway.send("GET", "/sessions/0").status_code == 404


def test_quirk_32_too_many_sessions_are_400(make_gateway) -> None:
    gateway = make_gateway(max_sessions=1)
    gateway.open()
    response = gateway.send("POST", "/sessions", {})
    assert (response.status_code, response.json) == (400, {"msg": "Rejected, too many sessions are being created!"})


@pytest.mark.parametrize("path", ["//sessions", "///sessions/0"])
def test_quirk_37_a_doubled_slash_in_front_is_one(path: str, gateway) -> None:
    gateway.open()
    assert gateway.send("GET", "/", environ_overrides={"PATH_INFO": path}).status_code == 200


def test_quirk_48_completion_gives_bare_names(gateway, monkeypatch) -> None:
    asked = []

    def candidates(driver: Any, *what: Any) -> list[str]:
        asked.append(what)
        return ["parallelize"]

    monkeypatch.setattr(kernel_client, "candidates", candidates)
    gateway.open_idle()
    for kind in ("pyspark", "sql"):
        response = gateway.send("POST", "/sessions/0/completion", {"code": "sc.par", "kind": kind, "cursor": 6})
        assert (response.status_code, response.json) == (200, {"candidates": ["parallelize"]})
    assert asked == [("sc.par", Kind.PYSPARK, 6), ("sc.par", Kind.SQL, 6)]
    response = gateway.send("POST", "/sessions/0/completion", {"code": "sc.par"})
    assert response.status_code == 400 and "kind" in response.json["msg"]


def test_quirk_48_completion_gives_nothing_where_no_driver_answers(gateway) -> None:
    asked = {"code": "sc.par", "kind": "pyspark", "cursor": 6}
    gateway.open()
    assert gateway.send("POST", "/sessions/0/completion", asked).json == {"candidates": []}
    gateway.open_idle()
    assert gateway.send("POST", "/sessions/1/completion", asked).json == {"candidates": []}


def test_quirk_48_completion_gives_nothing_while_too_many_ask(make_gateway, monkeypatch) -> None:
    gateway = make_gateway(web_threads=2)
    gateway.open_idle()
    asked, answers = {"code": "sc.par", "kind": "pyspark", "cursor": 6}, []

    def candidates(*_: Any) -> list[str]:
        answers.append(gateway.send("POST", "/sessions/0/completion", asked).json)
        return ["parallelize"]

    monkeypatch.setattr(kernel_client, "candidates", candidates)
    for _ in range(2):
        assert gateway.send("POST", "/sessions/0/completion", asked).json == {"candidates": ["parallelize"]}
    assert answers == [{"candidates": []}] * 2


def test_quirk_50_the_master_is_the_gateways(gateway) -> None:
    gateway.open(conf={"spark.master": "spark://elsewhere:7077"})
    (driver,) = gateway.drivers.moving()
    here = gateway.settings.on("default")
    assert conf_of(driver.options, here, driver.folder, {})["spark.master"] == here.master


def test_quirk_51_two_keys_are_forbidden_without_any_list(gateway) -> None:
    conf = {"spark.submit.deployMode": "cluster", "spark.submit.proxyUser.allowCustomClasspathInClusterMode": "true"}
    response = gateway.send("POST", "/sessions", {"conf": conf})
    assert response.json["msg"] == (
        "Rejected, Reason: Blacklisted configuration values in session config: spark.submit.deployMode,"
        " spark.submit.proxyUser.allowCustomClasspathInClusterMode"
    )


def test_quirk_52_local_files_are_checked_at_once(make_gateway, tmp_path) -> None:
    (tmp_path / "a.jar").touch()
    gateway = make_gateway()
    assert gateway.open(jars=[f"{tmp_path}/a.jar", f"file://{tmp_path}/a.jar"])["jars"] == [
        f"{tmp_path}/a.jar", f"file://{tmp_path}/a.jar",
    ]  # fmt: skip
    response = gateway.send("POST", "/sessions", {"jars": ["/none.jar"]})
    assert response.json == {"msg": "Rejected, Reason: jars: there is no file /none.jar on the gateway's host"}
    strict = make_gateway(any_local_path=False)
    response = strict.send("POST", "/sessions", {"jars": [f"file://{tmp_path}/a.jar"]})
    said = f"requirement failed: Local path {tmp_path}/a.jar cannot be added to user sessions."
    assert (response.status_code, response.json) == (400, {"msg": f"Rejected, Reason: {said}"})


def test_quirk_53_a_proxy_user_is_dropped_without_impersonation(make_gateway) -> None:
    assert make_gateway().open(proxyUser="bob")["proxyUser"] is None
    assert make_gateway(impersonation=True).open(proxyUser="bob")["proxyUser"] == "bob"


def test_quirk_56_secrets_in_conf_are_not_shown(gateway) -> None:
    gateway.open(conf={"spark.db.password": "hunter2", "spark.a": "b"})
    gateway.submit(conf={"spark.db.password": "hunter2"})
    shown = [gateway.send("GET", path).text for path in ("/sessions", "/sessions/0", "/batches", "/batches/0")]
    assert not any("hunter2" in text for text in shown)
    assert gateway.get("/sessions/0")["conf"]["spark.a"] == "b"
    assert gateway.drivers.moving()[0].options.conf["spark.db.password"] == "hunter2"


def test_quirk_57_with_csrf_protection_writes_need_the_header(make_gateway) -> None:
    gateway = make_gateway(csrf_protection=True)
    for method, path in (("POST", "/sessions"), ("DELETE", "/sessions/0"), ("POST", "/sessions/0?_method=GET")):
        response = gateway.send(method, path, {})
        assert response.status_code == 400 and "Missing Required Header for CSRF protection." in response.json["msg"]
    assert gateway.send("POST", "/sessions", {}, headers={"X-Requested-By": ""}).status_code == 201
    assert gateway.send("GET", "/sessions").status_code == 200


def test_quirk_58_no_cors_and_options_is_405(gateway) -> None:
    response = gateway.send("OPTIONS", "/sessions", headers={"Origin": "http://localhost"})
    assert (response.status_code, response.data) == (405, b"")
    assert not [name for name, _ in response.headers if name.lower().startswith("access-control")]


def test_quirk_58_a_form_encoded_post_is_read_as_json(gateway) -> None:
    """curl -d without a header."""
    response = gateway.send("POST", "/sessions", {"kind": "sql"}, content_type="application/x-www-form-urlencoded")
    assert response.status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", "/sessions", {"GET", "HEAD", "POST"}), ("POST", "/sessions/0", {"GET", "HEAD", "DELETE"}),
     ("DELETE", "/sessions/0/statements/0", {"GET", "HEAD"}), ("GET", "/sessions/0/completion", {"POST"}),
     ("PATCH", "/batches", {"GET", "HEAD", "POST"}), ("TRACE", "/batches/0", {"GET", "HEAD", "DELETE"}),
     ("FROB", "/version", {"GET", "HEAD"})],
)  # fmt: skip
def test_quirk_59_a_wrong_method_is_405_with_those_that_are_right(
    method: str, path: str, allowed: set[str], gateway
) -> None:
    response = gateway.send(method, path)
    assert (response.status_code, response.data) == (405, b"")
    assert set(response.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/sessions/0?_method=DELETE", {}), ("/sessions/0", {"X-HTTP-METHOD-OVERRIDE": "delete"}),
     ("/sessions/0", {"X-HTTP-METHOD": "DELETE"}), ("/sessions/0", {"X-METHOD-OVERRIDE": "DELETE"})],
)  # fmt: skip
def test_quirk_59_a_post_can_mean_another_method(path: str, headers: dict[str, str], gateway) -> None:
    gateway.open()
    assert gateway.send("POST", path, headers=headers).text == '{"msg":"deleted"}'
    assert gateway.send("GET", "/sessions?_method=DELETE").status_code == 200


@pytest.mark.parametrize(("accept", "status"), [("application/vnd.livy.v0.1+json", 200), ("text/html", 200), ("", 200),
                                                ("application/vnd.livy.v0.2+json", 406)])  # fmt: skip
def test_quirk_60_other_versions_of_the_media_type_are_406(accept: str, status: int, gateway) -> None:
    for path in ("/sessions", "/batches"):
        response = gateway.send("GET", path, headers={"Accept": accept})
        assert response.status_code == status
        if status == 406:
            assert response.json == {"msg": "No value found for '0.2'"}
    assert gateway.send("GET", "/version", headers={"Accept": accept}).status_code == 200


@pytest.mark.parametrize("path", ["/sessions", "/sessions/7", "/nowhere", "/version", "/sessions?from=x"])
def test_quirk_61_every_answer_has_the_security_headers(path: str, gateway) -> None:
    headers = gateway.send("GET", path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "SAMEORIGIN"
    assert headers["X-XSS-Protection"] == "1; mode=block"
    assert headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert "Strict-Transport-Security" not in headers


def test_quirk_62_long_answers_are_compressed_for_who_accepts_it(gateway) -> None:
    for _ in range(5):
        gateway.open()
    plain = gateway.send("GET", "/sessions")
    assert "Content-Encoding" not in plain.headers
    packed = gateway.send("GET", "/sessions", headers={"Accept-Encoding": "gzip, deflate"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data and int(packed.headers["Content-Length"]) == len(packed.data)
    for encoding in ("br", "identity", "*", "gzip;q=0, identity"):
        assert "Content-Encoding" not in gateway.send("GET", "/sessions", headers={"Accept-Encoding": encoding}).headers


def test_quirk_62_short_and_empty_answers_are_sent_as_they_are(gateway) -> None:
    gateway.open_idle()
    headers = {"Accept-Encoding": "gzip"}
    assert gateway.send("GET", "/sessions/0/state", headers=headers).text == '{"id":0,"state":"idle"}'
    assert gateway.send("POST", "/sessions/0/stop", headers=headers).data == b""


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "GZIP", "br"])
def test_quirk_62_compressed_requests_are_read(encoding: str, gateway) -> None:
    plain = b'{"kind":"sql"}'
    body = {"gzip": gzip.compress(plain), "deflate": zlib.compress(plain)}.get(encoding.lower(), plain)
    response = gateway.send("POST", "/sessions", body, headers={"Content-Encoding": encoding})
    assert response.status_code == 201


@pytest.mark.parametrize(
    ("printed", "head"),
    [("before", ["before\n"]), ("a\nb\n", ["a\n", "b\n"]), ("a\r\n\u2028ü", ["a\r\n", "\u2028ü\n"]), ("\n", ["\n"])],
)
def test_quirk_40_what_was_printed_before_a_failure_heads_its_traceback(printed: str, head: list[str], gateway) -> None:
    gateway.open_idle()
    gateway.run(0)
    gateway.answer(0, status="error", ename="E", evalue="v", traceback=["E: v\n"], data={"text/plain": printed})
    one = gateway.get("/sessions/0/statements/0")["output"]
    assert one["traceback"] == [*head, "E: v\n"] and one["data"] == {"text/plain": printed}
    assert gateway.get("/sessions/0/statements")["statements"][0]["output"] == one
    for_sparkmagic = gateway.get("/lighter/api/sessions/0/statements/0", headers={"X-Compatibility-Mode": "sparkmagic"})
    assert for_sparkmagic["output"] == one


def test_what_was_printed_before_a_good_result_stays_where_it_is(gateway) -> None:
    gateway.open_idle()
    gateway.run(0)
    gateway.answer(0, data={"text/plain": "before", "image/png": "aGk="})
    assert "traceback" not in gateway.get("/sessions/0/statements/0")["output"]


def test_quirk_63_there_is_no_ping(gateway) -> None:
    response = gateway.send("GET", "/ping")
    assert (response.status_code, response.data) == (404, b"")


def test_quirk_64_the_root_leads_to_the_console(gateway) -> None:
    response = gateway.send("GET", "/")
    assert response.status_code == 302 and response.headers["Location"].endswith("/ui")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "http://localhost:8998/ui"),
        ({"X-Forwarded-Proto": "https"}, "https://localhost:8998/ui"),
        ({"X-Forwarded-Proto": "HTTPS, http"}, "https://localhost:8998/ui"),
        ({"X-Forwarded-Proto": "http"}, "http://localhost:8998/ui"),
        ({"X-Forwarded-Proto": "javascript"}, "http://localhost:8998/ui"),
    ],
)
def test_the_root_leads_to_the_pages_by_a_whole_address(headers: dict[str, str], expected: str, gateway) -> None:
    answer = gateway.send("GET", "/", headers=headers, base_url="http://localhost:8998")
    assert (answer.status_code, answer.headers["Location"], answer.data) == (302, expected, b"")


def test_the_root_leads_to_the_pages_below_the_prefix(make_gateway) -> None:
    location = make_gateway(url_prefix="/livy").send("GET", "/livy/").headers["Location"]
    assert location == "http://localhost/livy/ui"


def test_quirk_69_a_session_whose_driver_cannot_start_is_dead(gateway) -> None:
    gateway.open()
    gateway.lose_driver(0)
    gateway.log_of(0, "spark-gateway: the driver could not be started: no Java\n")
    session = gateway.get("/sessions/0")
    assert session["state"] == "dead" and "no Java" in session["log"][1]


@pytest.mark.parametrize("kind", ["PYSPARK", "Python", "pyspark3", "scala ", ""])
def test_quirk_70_kinds_are_case_sensitive(kind: str, gateway) -> None:
    response = gateway.send("POST", "/sessions", {"kind": kind})
    assert response.status_code == 400 and f"Invalid kind: {kind}" in response.json["msg"]


@pytest.mark.parametrize("kind", ["sparkr", "r"])
def test_quirk_70_an_r_session_without_r_is_refused(kind: str, gateway) -> None:
    response = gateway.send("POST", "/sessions", {"kind": kind, "conf": {"spark.r.shell.command": "/nowhere/R"}})
    assert response.status_code == 400 and "there is no program /nowhere/R" in response.json["msg"]


@pytest.mark.parametrize("path", ["/sessions/9/statements", "/sessions/9/completion"])
def test_quirk_71_the_body_is_read_before_the_session_is_looked_for(path: str, gateway) -> None:
    assert gateway.send("POST", path, "{").status_code == 400
    assert gateway.send("POST", path, {"code": "1", "kind": "sql"}).status_code == 404


def test_quirk_72_an_unknown_batch_is_called_a_session(gateway) -> None:
    assert gateway.send("GET", "/batches/0").json == {"msg": "Session '0' not found."}
    gateway.open()
    assert gateway.send("DELETE", "/batches/0").json == {"msg": "Session '0' not found."}


# ---------------------------------------------------------------- transport, where no quirk has a number


def test_what_follows_the_document_is_ignored(gateway) -> None:
    assert gateway.send("POST", "/sessions", '  {"kind":"sql"} trailing').status_code == 201


def test_a_name_with_a_slash_is_found_by_its_escaped_form(gateway) -> None:
    gateway.open(name="a b")
    assert gateway.get("/sessions/a%20b")["id"] == 0


def test_a_page_of_another_site_may_not_write(gateway) -> None:
    for origin in ("http://evil.example", "null", "http://localhost:1"):
        assert gateway.send("POST", "/sessions", {}, headers={"Origin": origin}).status_code == 403
    assert gateway.send("GET", "/sessions", headers={"Origin": "http://evil.example"}).status_code == 200
    assert gateway.send("POST", "/sessions", {}, headers={"Origin": "http://localhost"}).status_code == 201


def test_a_request_for_another_host_is_refused(gateway) -> None:
    """A web page that points its name at this machine."""
    assert gateway.send("GET", "/sessions", headers={"Host": "evil.example"}).status_code == 400
    for host in ("localhost:8998", "127.0.0.1:8998", "[::1]:8998"):
        assert gateway.send("GET", "/sessions", headers={"Host": host}).status_code == 200


def test_a_body_over_the_limit_is_413(make_gateway) -> None:
    gateway = make_gateway(request_limit=1024)
    long = json.dumps({"name": "x" * 2000})
    assert gateway.send("POST", "/sessions", long).status_code == 413
    packed = gateway.send("POST", "/sessions", gzip.compress(long.encode()), headers={"Content-Encoding": "gzip"})
    assert packed.status_code == 413


def test_an_unexpected_failure_is_a_json_text_without_our_insides(gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sessions.store.SessionStore.page", lambda *_: 1 / 0)
    gateway.client.application.config["PROPAGATE_EXCEPTIONS"] = False
    response = gateway.send("GET", "/sessions")
    assert response.status_code == 500 and isinstance(response.json, str)
    assert "ZeroDivision" not in response.text
