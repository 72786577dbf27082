"""What code in a session sees, and what of it comes back over HTTP."""

from __future__ import annotations

import base64
from itertools import pairwise
from typing import Any

from tests.integration.running_gateway import Session, wait_until

TABLE = "application/vnd.livy.table.v1+json"


def data(session: Session, code: str, kind: str = "pyspark") -> dict[str, Any]:
    output = session.run(code, kind)
    assert output["status"] == "ok", output
    return dict(output["data"])


def test_application_id_is_the_one_of_the_session_s_spark(session: Session) -> None:
    assert session.document["appId"] == session.text("sc.applicationId").strip("'")


def test_ui_link_leads_to_spark_s_own_ui(session: Session) -> None:
    document = session.document
    listed = session.gateway.http.get(f"{document['appInfo']['sparkUiUrl']}/api/v1/applications", timeout=30).json()
    assert [application["id"] for application in listed] == [document["appId"]]


def test_ui_is_not_served_to_the_network(session: Session) -> None:
    assert session.document["appInfo"]["sparkUiUrl"].startswith("http://127.0.0.1:")


def test_name_is_the_application_s_name(session: Session) -> None:
    assert session.ui("")["name"] == "shared by the tests"


def test_spark_sc_and_sqlcontext_are_there(session: Session) -> None:
    assert session.text("spark.range(3).count() + sc.parallelize([1, 2]).count()") == "5"
    assert session.text("sqlContext.sql('select 40 + 2').first()[0]") == "42"


def test_working_directory_is_the_folder_of_spark_s_files(session: Session) -> None:
    assert (
        session.text("import os, pyspark; print(os.path.samefile(os.getcwd(), pyspark.SparkFiles.getRootDirectory()))")
        == "True"
    )


def test_shared_session_needs_a_language(session: Session) -> None:
    answer = session.gateway.call("POST", f"{session.path}/statements", {"code": "1"})
    assert answer.status_code == 400 and "kind is shared" in answer.text


def test_view_made_in_python_is_seen_in_sql(session: Session) -> None:
    session.text("spark.range(4).selectExpr('id', 'id * 10 as ten').createOrReplaceTempView('tens')")
    shown = data(session, "select ten from tens order by id", "sql")["application/json"]
    assert shown["data"] == [[0], [10], [20], [30]]


def test_many_megabytes_of_output_come_back_whole(session: Session) -> None:
    text = session.text("print(''.join(chr(97 + n % 26) for n in range(8_000_000)))")
    assert len(text) == 8_000_000
    assert text == "abcdefghijklmnopqrstuvwxyz" * (8_000_000 // 26) + "abcdefghijklmnopqrstuvwxyz"[: 8_000_000 % 26]


def test_characters_of_every_kind_survive(session: Session) -> None:
    text = 'ä € 𝄞 \\u0000 " \\\\'
    assert session.text(f"print({text!r})") == text


def test_json_magic(session: Session) -> None:
    assert data(session, "found = {'a': [1, 2.5, None]}\n%json found")["application/json"] == {"a": [1, 2.5, None]}


def test_table_magic(session: Session) -> None:
    table = data(session, "rows = [[1, 'x'], [2, 'y']]\n%table rows")[TABLE]
    assert table["headers"] == [{"name": "0", "type": "INT_TYPE"}, {"name": "1", "type": "STRING_TYPE"}]
    assert table["data"] == [[1, "x"], [2, "y"]]


def test_matplot_magic_gives_a_png(session: Session) -> None:
    image = data(session, "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\n%matplot plt")["image/png"]
    assert base64.b64decode(image).startswith(b"\x89PNG\r\n\x1a\n")


def test_pandas_frames_are_made_from_spark_s(session: Session) -> None:
    session.text("spark.conf.set('spark.sql.execution.arrow.pyspark.enabled', 'false')")
    assert session.text("int(spark.range(5).toPandas()['id'].sum())") == "10"


def test_sql_result_says_that_it_was_cut(session: Session) -> None:
    whole, cut = (data(session, f"select * from range({n})", "sql")["application/json"] for n in (1000, 1001))
    assert whole["data"] == cut["data"] and len(cut["data"]) == 1000
    assert cut["truncated"] is True and "truncated" not in whole


def test_error_has_name_text_and_traceback_and_keeps_what_was_printed(session: Session) -> None:
    output = session.run("def divide():\n    return 1 / 0\nprint('before')\ndivide()")
    assert (output["status"], output["ename"], output["evalue"]) == ("error", "ZeroDivisionError", "division by zero")
    assert any("line 2, in divide" in line for line in output["traceback"]), output["traceback"]
    assert output["data"] == {"text/plain": "before"}


def test_error_in_a_task_tells_the_python_reason(session: Session) -> None:
    output = session.run("sc.parallelize([1]).map(lambda x: {}['missing']).collect()")
    assert output["status"] == "error"
    assert "KeyError: 'missing'" in output["evalue"] + "".join(output["traceback"])


def test_sql_error_names_what_is_missing(session: Session) -> None:
    output = session.run("select * from nowhere", "sql")
    assert output["status"] == "error" and "nowhere" in output["evalue"]


def test_progress_rises_while_a_job_of_many_tasks_runs(session: Session) -> None:
    statement = session.submit("import time; sc.parallelize(range(24), 24).map(lambda n: time.sleep(0.25)).count()")
    seen: list[float] = []

    def ended() -> bool:
        document = statement.document
        seen.append(document["progress"])
        return bool(document["state"] == "available")

    wait_until(ended, 60, "the job ends")
    assert len({share for share in seen if 0 < share < 1}) >= 2, sorted(set(seen))
    assert all(before <= after for before, after in pairwise(seen))
    assert seen[-1] == 1.0


def test_statements_run_one_after_another_in_the_order_they_came(session: Session) -> None:
    session.text("import time; told = []")
    sent = [session.submit(f"time.sleep({0.2 if n % 2 else 0}); told.append({n})") for n in range(8)]
    ended = [statement.wait() for statement in sent]
    assert session.text("told") == "[0, 1, 2, 3, 4, 5, 6, 7]"
    assert [document["id"] for document in ended] == list(range(ended[0]["id"], ended[0]["id"] + 8))
    assert all(one["completed"] <= next_one["started"] for one, next_one in pairwise(ended))


def test_a_failed_statement_does_not_hold_up_the_next(session: Session) -> None:
    failing, next_one = session.submit("raise ValueError('no')"), session.submit("6 * 7")
    assert failing.wait()["output"]["ename"] == "ValueError"
    assert next_one.wait()["output"]["data"] == {"text/plain": "42"}


def test_session_is_busy_while_code_runs_and_idle_after(session: Session) -> None:
    statement = session.submit("import time; time.sleep(1)")
    assert session.state == "busy"
    statement.wait()
    assert session.state == "idle"


def test_statements_are_listed_newest_first_when_asked(session: Session) -> None:
    session.text("1")
    last = session.submit("2").wait()["id"]
    listed = session.gateway.get(f"{session.path}/statements?order=desc&size=2")
    assert [one["id"] for one in listed["statements"]] == [last, last - 1]
    assert listed["total_statements"] == last + 1
