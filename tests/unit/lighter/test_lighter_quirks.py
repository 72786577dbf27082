"""The numbered quirks of Lighter (contract §14) that concern these routes: kept, or better on purpose."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.core.clock import utc_now
from gateway.core.errors import Misconfigured
from gateway.core.identity import ANONYMOUS
from sessions.reconcile import SessionPass


def ends(gateway, **output) -> None:
    gateway.answer(0, **output)


def test_lighter_quirk_01_unknown_paths_are_404(lighter, gateway) -> None:
    for path in ("/completion", "/version", "/sessions/x/connect"):
        assert lighter.send("GET", path).status_code == 404
    assert gateway.send("GET", "/lighter/nowhere").status_code == 404


def test_lighter_quirk_02_creates_are_200_for_batches_and_201_else(lighter) -> None:
    assert lighter.send("POST", "/batches", {"file": "/bin/true"}).status_code == 200
    session = lighter.send("POST", "/sessions", {})
    statement = lighter.send("POST", f"/sessions/{session.json['id']}/statements", {"code": "1"})
    path = f"/sessions/{session.json['id']}/statements/{statement.json['id']}/cancel"
    assert [session.status_code, statement.status_code, lighter.send("POST", path).status_code] == [201] * 3


@pytest.mark.parametrize("kind", ["sessions", "batches"])
def test_lighter_quirk_03_delete_has_no_body_and_says_when_there_was_nothing(kind: str, lighter) -> None:
    opened = lighter.open() if kind == "sessions" else lighter.submit()
    answers = [lighter.send("DELETE", f"/{kind}/{opened['id']}") for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 404] and answers[0].data == b""


@pytest.mark.parametrize("kind", ["sessions", "batches"])
def test_lighter_quirk_04_state_is_the_whole_record(kind: str, lighter) -> None:
    opened = lighter.open() if kind == "sessions" else lighter.submit()
    shown = [lighter.get(f"/{kind}/{opened['id']}{rest}") for rest in ("", "/state")]
    assert {**shown[0], "contactedAt": None} == {**shown[1], "contactedAt": None}


def test_lighter_quirk_05_total_counts_all_pages(lighter) -> None:
    lighter.open(), lighter.open(), lighter.submit(), lighter.submit()
    assert lighter.get("/sessions?size=1")["total"] == lighter.get("/batches?size=1")["total"] == 2


def test_lighter_quirk_06_states_are_filtered_in_upper_case_and_shown_in_lower(lighter) -> None:
    lighter.submit()
    assert lighter.get("/batches?state=NOT_STARTED")["applications"][0]["state"] == "not_started"
    assert lighter.get("/batches?state=DEAD")["total"] == 0
    assert lighter.get("/batches?state=dead")["total"] == 1, "what is no state is no filter"


def test_lighter_quirk_07_a_session_is_no_batch_and_a_batch_no_session(lighter) -> None:
    session, batch = lighter.open()["id"], lighter.submit()["id"]
    for method, path in (
        ("GET", f"/batches/{session}"), ("DELETE", f"/batches/{session}"), ("GET", f"/sessions/{batch}"),
        ("DELETE", f"/sessions/{batch}"), ("POST", f"/sessions/{batch}/statements"),
    ):  # fmt: skip
        assert lighter.send(method, path, {"code": "1"}).status_code == 404
    assert lighter.get(f"/sessions/{session}") and lighter.get(f"/batches/{batch}")


def test_lighter_quirk_08_statements_of_an_unknown_session_are_404(lighter) -> None:
    assert lighter.send("GET", "/sessions/x/statements").status_code == 404


def test_lighter_quirk_09_statements_are_listed_newest_first(lighter) -> None:
    opened = lighter.open_idle()
    lighter.run(opened, "a"), lighter.run(opened, "b")
    assert [one["code"] for one in lighter.get(f"/sessions/{opened}/statements")["statements"]] == ["b", "a"]


def test_lighter_quirk_10_an_error_has_its_class_in_evalue_and_one_text_as_traceback(lighter, gateway) -> None:
    opened = lighter.open_idle()
    path = f"/sessions/{opened}/statements/{lighter.run(opened)['id']}"
    traceback = ["Traceback (most recent call last):\n", '  File "<cell 0>", line 1\n', "KeyError: 'k'\n"]
    printed = {"text/plain": "printed before"}
    ends(gateway, status="error", ename="KeyError", evalue="'k'", traceback=traceback, data=printed)
    found = lighter.get(path)
    assert found["state"] == "error"
    assert found["output"] == {
        "status": "error", "executionCount": 0, "data": printed, "evalue": "KeyError", "traceback": "".join(traceback),
    }  # fmt: skip


def test_lighter_quirk_10_no_message_is_lost(lighter, gateway) -> None:
    opened = lighter.open_idle()
    path = f"/sessions/{opened}/statements/{lighter.run(opened)['id']}"
    gateway.lose_driver(0, "the machine ran out of memory")
    output = lighter.get(path)["output"]
    assert output["evalue"] == "Error" and "the machine ran out of memory" in output["traceback"]


def test_lighter_quirk_14_cancel_stops_and_stays(lighter, gateway) -> None:
    opened = lighter.open_idle()
    running, waiting = (f"/sessions/{opened}/statements/{lighter.run(opened)['id']}" for _ in range(2))
    gateway.statements.claim(utc_now())
    assert lighter.send("POST", f"{running}/cancel").json["state"] == "cancelled"
    assert gateway.statements.find(0, 0).state.value == "cancelling", "the driver is told to stop"
    gateway.statements.finish(0, 0, '{"status":"ok","execution_count":0,"data":{}}', utc_now(), utc_now())
    assert lighter.get(running)["state"] == "cancelled", "a late result does not make it available"
    assert lighter.send("POST", f"{waiting}/cancel").json["state"] == "cancelled"


def test_lighter_quirk_14_what_has_ended_stays_as_it_is(lighter, gateway) -> None:
    opened = lighter.open_idle()
    path = f"/sessions/{opened}/statements/{lighter.run(opened)['id']}"
    ends(gateway)
    response = lighter.send("POST", f"{path}/cancel")
    assert (response.status_code, response.json["state"]) == (201, "available")
    assert lighter.send("POST", f"/sessions/{opened}/statements/x/cancel").status_code == 404


def test_lighter_quirk_15_a_session_is_idle_when_spark_is_up(lighter, gateway) -> None:
    opened = lighter.open()["id"]
    assert lighter.get(f"/sessions/{opened}")["state"] == "starting"
    gateway.make_idle()
    assert lighter.get(f"/sessions/{opened}")["state"] == "idle"


def test_lighter_quirk_16_sessions_that_start_and_permanent_ones_count(make_gateway) -> None:
    gateway = make_gateway(max_sessions=2)
    answers = [gateway.send("POST", "/lighter/api/sessions", {"permanent": kind}) for kind in (True, False, False)]
    assert [one.status_code for one in answers] == [201, 201, 400]


def test_lighter_quirk_17_a_restart_needs_no_room_under_the_limit(make_gateway) -> None:
    gateway = make_gateway(max_sessions=1)
    chosen = gateway.send("POST", "/lighter/api/sessions", {"permanent": True}).json["id"]
    gateway.make_idle()
    gateway.drivers.gone(gateway.sessions.find(ANONYMOUS, 0).driver, "killed", utc_now())
    SessionPass(gateway.sessions, gateway.settings, utc_now)()
    assert gateway.get(f"/lighter/api/sessions/{chosen}")["state"] == "starting"
    gateway.make_idle()
    assert gateway.get(f"/lighter/api/sessions/{chosen}")["state"] == "idle"


def test_lighter_quirk_18_a_deleted_permanent_session_stays_deleted(lighter, gateway) -> None:
    opened = lighter.open_idle(permanent=True)
    assert lighter.send("DELETE", f"/sessions/{opened}").status_code == 200
    SessionPass(gateway.sessions, gateway.settings, utc_now)()
    assert lighter.get("/sessions")["total"] == 0 and gateway.drivers.moving() == []


def test_lighter_quirk_19_a_permanent_sessions_state_is_the_same_on_every_route(lighter) -> None:
    opened = lighter.open_idle(permanent=True)
    shown = [lighter.get(f"/sessions/{opened}"), lighter.get(f"/sessions/{opened}/state")]
    shown += lighter.get("/sessions")["applications"]
    assert [one["state"] for one in shown] == ["idle"] * 3


def test_lighter_quirk_20_statements_before_the_first_launch_are_run(lighter, gateway) -> None:
    opened = lighter.open(permanent=True)["id"]
    path = f"/sessions/{opened}/statements/{lighter.run(opened)['id']}"
    gateway.make_idle()
    ends(gateway)
    assert lighter.get(path)["state"] == "available"


def test_lighter_quirk_21_a_null_in_conf_is_as_if_absent(lighter) -> None:
    assert lighter.submit(conf={"a": None, "b": "1"})["submitParams"]["conf"] == {"b": "1"}
    assert lighter.get("/batches")["total"] == 1


def test_lighter_quirk_22_nobody_can_turn_redaction_off(lighter) -> None:
    conf = {"spark.redaction.regex": "(", "my.password": "p", "plain": "1", "by.value": "a secret thing"}
    shown = lighter.submit(conf=conf)["submitParams"]["conf"]
    hidden = {"my.password": "[redacted]", "by.value": "[redacted]"}
    assert shown == {"spark.redaction.regex": "(", "plain": "1", **hidden}
    refused = lighter.send("POST", "/sessions", {"conf": conf})
    assert refused.status_code == 400 and "spark.redaction.regex" in refused.json["errors"][0]["message"]


@pytest.mark.parametrize("body", [{}, {"name": "n"}, {"file": ""}, {"file": "relative.py"}, {"file": "/not/there.py"}])
def test_lighter_quirk_24_a_batch_that_cannot_run_is_refused_at_once(body, lighter) -> None:
    assert lighter.send("POST", "/batches", body).status_code == 400
    assert lighter.get("/batches")["total"] == 0


def test_lighter_quirk_32_only_a_taken_id_is_a_conflict(lighter, gateway) -> None:
    gateway.open(name="x")
    assert lighter.send("PUT", "/sessions/x", {"name": "x"}).status_code == 201, "a name is no id"
    assert lighter.send("PUT", "/sessions/x", {}).status_code == 409
    assert lighter.send("PUT", "/sessions/y", {"driverMemory": "much"}).status_code == 400


@pytest.mark.parametrize("query", ["from=-5", "size=-5", "from=-5&size=-5", "size=0"])
@pytest.mark.parametrize("path", ["/sessions", "/batches"])
def test_lighter_quirk_37_pages_stay_in_range(path: str, query: str, lighter) -> None:
    lighter.open(), lighter.submit()
    page = lighter.get(f"{path}?{query}")
    assert (page["total"], len(page["applications"])) == (1, 0 if "size" in query else 1)


def test_a_wrong_declaration_stops_the_start(settings) -> None:
    from gateway.app import create_app

    with pytest.raises(Misconfigured):
        create_app(dataclasses.replace(settings, permanent_sessions={"daily": {"kind": "cobol"}}))
