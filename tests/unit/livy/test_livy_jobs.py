"""The job API over HTTP: what Livy's clients read, and an answer to every bad input (contract §1.8)."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.core.clock import utc_now
from gateway.core.identity import ANONYMOUS
from tests.unit.livy.conftest import Gateway

JOB = {"job": base64.b64encode(b"pickled").decode(), "jobType": "pyspark"}
NOT_ACTIVE = {"msg": "requirement failed: Session isn't active."}


def submit(gateway: Gateway, session: int = 0, **changed: Any) -> int:
    response = gateway.send("POST", f"/sessions/{session}/submit-job", {**JOB, **changed})
    assert response.status_code == 201, response.text
    return int((response.json or {})["id"])


def finish(gateway: Gateway, result: str | None, error: str | None = None) -> None:
    """Run every job that can run to its end."""
    gateway.jobs.claim(utc_now(), 99)
    for job, _ in gateway.jobs.running():
        gateway.jobs.finish(job, result, error, utc_now(), utc_now())


def upload(gateway: Gateway, route: str, part: str, name: str, content: bytes = b"text") -> Any:
    return gateway.client.post(f"/sessions/0/{route}", data={part: (io.BytesIO(content), name)})


@pytest.mark.parametrize("route", ["add-jar", "add-pyfile", "add-file"])
def test_what_is_added_is_checked_against_the_sessions_own_cluster(route: str, make_gateway) -> None:
    """To a session on YARN a path without a scheme may be one of HDFS."""
    gateway = make_gateway(clusters={"far": {"master": "yarn"}})
    gateway.open_idle()
    gateway.open_idle(conf={"spark.gateway.cluster": "far"})
    here, far = (gateway.send("POST", f"/sessions/{one}/{route}", {"uri": "/hdfs/a.zip"}) for one in (0, 1))
    assert (here.status_code, here.json) == (400, {"msg": "uri: there is no file /hdfs/a.zip on the gateway's host"})
    assert far.status_code == 200


@pytest.mark.parametrize("route", ["submit-job", "run-job"])
@pytest.mark.parametrize("kind", ["pyspark", "python"])
def test_quirk_33_a_result_can_be_read_again(route: str, kind: str, gateway: Gateway) -> None:
    gateway.open_idle()
    response = gateway.send("POST", f"/sessions/0/{route}", {**JOB, "jobType": kind})
    assert (response.status_code, response.json) == (201, {"id": 1, "state": "SENT", "result": None, "error": None})
    finish(gateway, "cmVzdWx0")
    for _ in range(3):
        assert gateway.get("/sessions/0/jobs/1") == {"id": 1, "state": "SUCCEEDED", "result": "cmVzdWx0", "error": None}


def test_quirk_33_an_unknown_job_is_404_and_a_cancelled_one_says_so(gateway: Gateway) -> None:
    gateway.open_idle()
    for number in ("7", "-1", "2147483647"):
        response = gateway.send("GET", f"/sessions/0/jobs/{number}")
        assert (response.status_code, response.json) == (404, {"msg": f"Job '{number}' not found."})
    assert gateway.send("GET", "/sessions/0/jobs/abc").json == {"msg": 'For input string: "abc"'}
    submit(gateway)
    response = gateway.send("POST", "/sessions/0/jobs/1/cancel")
    assert (response.status_code, response.data) == (200, b"")
    assert gateway.get("/sessions/0/jobs/1") == {"id": 1, "state": "CANCELLED", "result": None, "error": None}
    assert gateway.send("POST", "/sessions/0/jobs/99/cancel").status_code == 200


def test_quirk_35_a_get_never_says_sent(gateway: Gateway) -> None:
    gateway.open()
    submit(gateway)
    assert gateway.get("/sessions/0/jobs/1")["state"] == "QUEUED"
    gateway.make_idle()
    gateway.jobs.claim(utc_now(), 9)
    assert gateway.get("/sessions/0/jobs/1")["state"] == "STARTED"
    gateway.jobs.cancel(0, 1, utc_now())
    assert gateway.get("/sessions/0/jobs/1")["state"] == "STARTED", "until it has stopped"
    finish(gateway, "cmVzdWx0")
    assert gateway.get("/sessions/0/jobs/1")["state"] == "CANCELLED"


def test_quirk_36_a_job_before_idle_is_queued(gateway: Gateway) -> None:
    gateway.open()
    submit(gateway)
    finish(gateway, "cmVzdWx0")
    assert gateway.get("/sessions/0/jobs/1")["state"] == "QUEUED"
    gateway.make_idle()
    finish(gateway, None, "a Java stack trace")
    assert gateway.get("/sessions/0/jobs/1") == {
        "id": 1, "state": "FAILED", "result": None, "error": "a Java stack trace",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({**JOB, "job": ""}, "requirement failed: no job provided."),
        ({"jobType": "pyspark"}, "requirement failed: no job provided."),
        ({**JOB, "job": None}, "requirement failed: no job provided."),
        ({**JOB, "job": " \n"}, "requirement failed: no job provided."),
        ({**JOB, "job": "@"}, "job is not base64 text: "),
        ({**JOB, "job": "abc"}, "job is not base64 text: "),
        ({"job": JOB["job"]}, "jobType: "),
        ({**JOB, "jobType": "PYSPARK"}, "jobType: Invalid kind: PYSPARK; give one of "),
        ({**JOB, "jobType": 1}, "jobType: "),
        ({**JOB, "jobType": "sql"}, "jobType sql is not available here; the types that are: pyspark, spark"),
        ({**JOB, "bogus": 1}, 'Unrecognized field "bogus"'),
    ],
)
def test_a_job_that_cannot_run_is_refused(body: object, said: str, gateway: Gateway) -> None:
    gateway.open_idle()
    for route in ("submit-job", "run-job"):
        response = gateway.send("POST", f"/sessions/0/{route}", body)
        assert response.status_code == 400 and (response.json or {})["msg"].startswith(said), response.text
    assert submit(gateway) == 1, "a refused job uses no id"


def test_a_job_may_be_broken_into_lines(gateway: Gateway) -> None:
    gateway.open_idle()
    lines = base64.encodebytes(base64.b64decode(JOB["job"]) * 50).decode()
    assert gateway.send("POST", "/sessions/0/submit-job", {**JOB, "job": lines}).status_code == 201
    assert base64.b64decode(gateway.jobs.payload(0, 1)) == base64.b64decode(JOB["job"]) * 50


def test_too_many_jobs_are_refused(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(max_jobs_waiting=1)
    gateway.open_idle()
    submit(gateway)
    response = gateway.send("POST", "/sessions/0/submit-job", JOB)
    assert response.status_code == 400 and "1 unfinished jobs" in response.text


def test_an_ended_session_takes_no_jobs_and_shows_those_it_had(gateway: Gateway) -> None:
    gateway.open_idle()
    submit(gateway), submit(gateway)
    gateway.jobs.claim(utc_now(), 1)
    gateway.lose_driver(0)
    assert gateway.get("/sessions/0/jobs/1")["error"].endswith("while this job ran: the machine ran out of memory")
    assert gateway.get("/sessions/0/jobs/2")["state"] == "FAILED"
    asked = [("submit-job", JOB), ("run-job", JOB), ("add-jar", {"uri": "/bin/true"}), ("jobs/1/cancel", None)]
    for route, body in asked:
        response = gateway.send("POST", f"/sessions/0/{route}", body)
        assert (response.status_code, response.json) == (400, NOT_ACTIVE), route
    response = upload(gateway, "upload-file", "file", "a.txt")
    assert (response.status_code, response.json) == (400, NOT_ACTIVE)
    assert gateway.send("POST", "/sessions/9/submit-job", JOB).json == {"msg": "Session '9' not found."}


def test_jobs_are_activity_and_do_not_make_a_session_busy(gateway: Gateway) -> None:
    gateway.open_idle(idleTimeout="10s")
    submit(gateway)
    gateway.sessions.touch(0, utc_now() - timedelta(hours=1), activity=True)
    gateway.jobs.claim(utc_now(), 9)
    assert gateway.get("/sessions/0")["state"] == "idle"
    (lifetime,) = gateway.sessions.live()
    assert lifetime.has_jobs and utc_now() - lifetime.activity > timedelta(minutes=59)
    gateway.get("/sessions/0/jobs/1")
    (lifetime,) = gateway.sessions.live()
    assert utc_now() - lifetime.activity < timedelta(minutes=1)


@pytest.mark.parametrize("kind", ["jar", "pyfile", "file"])
def test_an_addition_is_waited_for(kind: str, gateway: Gateway) -> None:
    gateway.open_idle()
    response = gateway.send("POST", f"/sessions/0/add-{kind}", {"uri": "file:/bin/true"})
    assert (response.status_code, response.data, response.content_type) == (200, b"", "application/json;charset=utf-8")
    added = gateway.jobs.addition(0, 1)
    assert added is not None and (added.kind, added.path, added.state.value) == (kind, "file:/bin/true", "added")


def test_an_addition_that_fails_says_why(gateway: Gateway) -> None:
    gateway.open_idle()
    gateway.addition_error = "it is a directory"
    response = gateway.send("POST", "/sessions/0/add-file", {"uri": "/bin"})
    assert (response.status_code, response.json) == (400, {"msg": "file /bin could not be added: it is a directory"})
    response = upload(gateway, "upload-jar", "jar", "a.jar")
    assert (response.status_code, response.json) == (400, {"msg": "jar a.jar could not be added: it is a directory"})
    assert list(gateway.settings.data_dir.rglob("a.jar")) == []


def test_a_file_that_was_added_outlives_its_failure_as_something_else(gateway: Gateway) -> None:
    gateway.open_idle()
    assert upload(gateway, "upload-file", "file", "a.jar").status_code == 200
    gateway.addition_error = "Spark could not read it"
    assert upload(gateway, "upload-jar", "jar", "a.jar").status_code == 400
    added = gateway.jobs.addition(0, 1)
    assert added is not None and Path(added.path).exists(), "tasks read it from there"


def test_while_a_session_starts_additions_are_taken_and_jobs_behind_them_wait(gateway: Gateway) -> None:
    gateway.open()
    assert gateway.send("POST", "/sessions/0/add-file", {"uri": "/bin/true"}).status_code == 200
    assert upload(gateway, "upload-pyfile", "file", "m.py").status_code == 200
    submit(gateway)
    gateway.make_idle()
    assert gateway.jobs.claim(utc_now(), 9) == 0
    for _ in range(2):
        gateway.act()
    assert gateway.jobs.claim(utc_now(), 9) == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "uri: "),
        ({"uri": None}, "uri: "),
        ({"uri": ""}, "uri is empty"),
        ({"uri": "rel.jar"}, "requirement failed: Path 'rel.jar' is not absolute."),
        ({"uri": "/none.jar"}, "uri: there is no file /none.jar on the gateway's host"),
        ({"uri": "http://["}, "uri: 'http://[' is no path and no URL"),
        ({"uri": "/bin/true", "bogus": 1}, 'Unrecognized field "bogus"'),
    ],
)
def test_what_cannot_be_added_is_refused(body: object, said: str, gateway: Gateway) -> None:
    gateway.open_idle()
    for kind in ("jar", "pyfile", "file"):
        response = gateway.send("POST", f"/sessions/0/add-{kind}", body)
        assert response.status_code == 400 and (response.json or {})["msg"].startswith(said), response.text


def test_uploads_are_allowed_where_local_paths_are_not(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(any_local_path=False)
    gateway.open()
    response = gateway.send("POST", "/sessions/0/add-file", {"uri": "/bin/true"})
    said = "requirement failed: Local path /bin/true cannot be added to user sessions."
    assert (response.status_code, response.json) == (400, {"msg": said})
    assert upload(gateway, "upload-file", "file", "a.txt").status_code == 200


@pytest.mark.parametrize(
    ("route", "part", "other"),
    [("upload-jar", "jar", "file"), ("upload-pyfile", "file", "jar"), ("upload-file", "file", "jar")],
)
def test_an_upload_is_kept_under_its_name(route: str, part: str, other: str, gateway: Gateway) -> None:
    gateway.open()
    response = upload(gateway, route, part, "../../a b.txt", b"some bytes")
    assert (response.status_code, response.data) == (200, b"")
    session, addition = gateway.sessions.find(ANONYMOUS, 0), gateway.jobs.addition(0, 1)
    assert session is not None and addition is not None
    assert addition.path.startswith(f"{gateway.settings.data_dir}/uploads/0/") and addition.path.endswith("/a b.txt")
    with open(addition.path, "rb") as file:
        assert file.read() == b"some bytes"
    for wrong in (upload(gateway, route, other, "a.txt"), gateway.client.post(f"/sessions/0/{route}", data="x")):
        assert wrong.status_code == 400 and f'"msg":"No {part} sent! ' in wrong.text, wrong.text
    response = upload(gateway, route, part, "a#b")
    assert response.status_code == 400 and response.json["msg"].startswith("file name 'a#b' cannot be kept")


def test_a_large_part_without_a_filename_is_told_from_too_large_an_upload(gateway: Gateway) -> None:
    gateway.open()
    form = '--B\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + "x" * 1_000_000 + "\r\n--B--\r\n"
    kind = "multipart/form-data; boundary=B"
    response = gateway.client.post("/sessions/0/upload-file", data=form, content_type=kind)
    assert response.status_code == 413 and "send a file in a part with its filename" in response.text


def test_quirk_65_too_large_an_upload_is_413(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(upload_limit=100_000, request_limit=1024)
    gateway.open()
    assert upload(gateway, "upload-file", "file", "a.txt", b"x" * 100_000).status_code == 200
    for size in (100_001, 200_000):
        response = upload(gateway, "upload-file", "file", "b.txt", b"x" * size)
        assert response.status_code == 413 and "larger than" in response.json["msg"], response.text
    assert list(gateway.settings.data_dir.rglob("b.txt")) == []
