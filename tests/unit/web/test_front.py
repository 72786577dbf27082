"""What answers before Flask: which requests it takes, how bodies come to Flask, what is held and told.

That its answers are Flask's, byte for byte, the tests of the protocols make sure of with every GET of theirs
(`tests/unit/livy/conftest.py`).
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from errno import ENOSPC
from io import BytesIO

import pytest
from flask import Flask, Response, request, request_started

from gateway.core import identity
from gateway.core.clock import utc_now
from gateway.core.identity import ANONYMOUS, Principal
from gateway.core.store.sqlite import SqliteDatabase
from gateway.web.front import threads
from gateway.web.front.polls import Remembered
from tests.unit.front_client import Answer, FrontClient
from tests.unit.livy.conftest import Gateway, MakeGateway

KIBI = 1024


@pytest.fixture
def front(gateway: Gateway) -> FrontClient:
    return gateway.at_front


@pytest.fixture
def flask_is_asked(gateway: Gateway) -> Iterator[list[str]]:
    """The paths that Flask was asked for."""
    asked: list[str] = []

    def note(sender: Flask, **_: object) -> None:
        asked.append(request.path)

    with request_started.connected_to(note, gateway.front.flask):
        yield asked


class TestPolls:
    @pytest.fixture(autouse=True)
    def records(self, gateway: Gateway) -> None:
        session = gateway.open_idle(name="named")
        gateway.run(session)
        gateway.answer(session)
        gateway.submit()

    @pytest.mark.parametrize(
        "path",
        [
            *("/sessions", "/sessions?from=0&size=5", "/sessions/0", "/sessions/named", "/sessions/0/state"),
            *("/sessions/0/log", "/sessions/0/log?from=0&size=3", "/sessions/0/statements/0"),
            *("/batches", "/batches/0", "/batches/0/state", "/batches/0/log"),
        ],
    )
    def test_are_answered_without_flask(self, path: str, front: FrontClient, flask_is_asked: list[str]) -> None:
        assert front.send("GET", path).status == 200
        assert not flask_is_asked

    @pytest.mark.parametrize("mode", [{}, {"X-Compatibility-Mode": "sparkmagic"}], ids=["plain", "sparkmagic"])
    def test_of_lighter_too(
        self, mode: dict[str, str], front: FrontClient, gateway: Gateway, flask_is_asked: list[str]
    ) -> None:
        found = json.loads(front.send("GET", "/lighter/api/sessions", mode).body)
        session = found["sessions" if mode else "applications"][0]["id"]
        listed = json.loads(front.send("GET", f"/lighter/api/sessions/{session}/statements", mode).body)
        batch = json.loads(front.send("GET", "/lighter/api/batches").body)["applications"][0]["id"]
        flask_is_asked.clear()
        for path in (
            f"sessions/{session}",
            f"sessions/{session}/state",
            f"sessions/{session}/statements/{listed['statements'][0]['id']}",
            f"batches/{batch}",
            f"batches/{batch}/state",
        ):
            assert front.send("GET", f"/lighter/api/{path}", mode).status == 200
        assert not flask_is_asked

    @pytest.mark.parametrize(
        ("path", "headers"),
        [
            ("/sessions/0", {"Accept": "application/vnd.livy.v0.1+json"}),
            ("/sessions/0", {"Content-Length": "2"}),
            ("/sessions/0", {"Host": "elsewhere.example"}),
            ("/sessions/%30", {}),
            ("//sessions/0", {}),
            ("/sessions/99", {}),
            ("/sessions/0/statements/9", {}),
            ("/sessions?size=101", {}),
            ("/sessions?size=1&size=2", {}),
            ("/sessions?size=one", {}),
            ("/version", {}),
        ],
    )
    def test_what_is_odd_is_flasks(
        self, path: str, headers: dict[str, str], front: FrontClient, flask_is_asked: list[str]
    ) -> None:
        front.send("GET", path, headers, [b"{}"] if "Content-Length" in headers else ())
        assert flask_is_asked

    def test_one_that_must_not_is_refused_by_flask(
        self, front: FrontClient, monkeypatch: pytest.MonkeyPatch, flask_is_asked: list[str]
    ) -> None:
        monkeypatch.setattr(identity, "ANONYMOUS", Principal(user="eve"))
        assert front.send("GET", "/sessions/0").status == 403
        assert flask_is_asked

    def test_one_sees_what_is_ones_own(self, front: FrontClient, monkeypatch: pytest.MonkeyPatch) -> None:
        assert front.send("GET", "/sessions/0").status == 200  # and is remembered
        monkeypatch.setattr(identity, "ANONYMOUS", Principal(user="eve", scopes=frozenset({"jobs:read"})))
        assert front.send("GET", "/sessions/0").status == 404
        assert json.loads(front.send("GET", "/sessions").body)["total"] == 0

    def test_long_ones_are_compressed(self, front: FrontClient) -> None:
        plain = front.send("GET", "/sessions?size=100")
        answer = front.send("GET", "/sessions", {"Accept-Encoding": "gzip"})
        if len(plain.body) >= KIBI:
            assert gzip.decompress(answer.body) == plain.body
        assert int(dict(answer.headers)["Content-Length"]) == len(answer.body)

    def test_the_prefix_is_taken_off(self, make_gateway: MakeGateway) -> None:
        gateway = make_gateway(url_prefix="/livy")
        gateway.open()
        assert gateway.at_front.send("GET", "/livy/sessions/0").body == gateway.at_front.send("GET", "/sessions/0").body

    def test_a_heartbeat_is_written_by_flask(
        self, gateway: Gateway, front: FrontClient, flask_is_asked: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gateway.open(heartbeatTimeoutInSecond=60)
        flask_is_asked.clear()
        assert front.send("GET", "/sessions/1/state").status == 200
        assert not flask_is_asked  # it was heard of a moment ago
        gateway.db.run("UPDATE sessions SET heartbeat = '2026-01-01T00:00:00.000000+00:00' WHERE id = 1")
        assert front.send("GET", "/sessions/1/state").status == 200
        assert flask_is_asked
        assert gateway.db.value("SELECT heartbeat FROM sessions WHERE id = 1") > "2026-01-02"


class TestWhatIsRemembered:
    def test_every_change_is_seen(self, gateway: Gateway, front: FrontClient) -> None:
        session = gateway.open()["id"]
        seen = [front.send("GET", f"/sessions/{session}").body]
        gateway.make_idle()
        seen.append(front.send("GET", f"/sessions/{session}").body)
        gateway.log_of(session, "one line\n")
        seen.append(front.send("GET", f"/sessions/{session}").body)
        gateway.run(session)
        seen.append(front.send("GET", f"/sessions/{session}").body)
        gateway.lose_driver(session)
        seen.append(front.send("GET", f"/sessions/{session}").body)
        assert len(set(seen)) == len(seen)

    def test_lists_too(self, gateway: Gateway, front: FrontClient) -> None:
        totals = []
        for _ in range(3):
            gateway.open()
            totals.append(json.loads(front.send("GET", "/sessions").body)["total"])
        gateway.send("DELETE", "/sessions/1")
        totals.append(json.loads(front.send("GET", "/sessions").body)["total"])
        assert totals == [1, 2, 3, 2]

    def test_progress_of_a_statement_is_seen(self, gateway: Gateway, front: FrontClient) -> None:
        session = gateway.open_idle()
        gateway.run(session)
        gateway.statements.claim(utc_now())
        for share in (0.1, 0.5, 0.9):
            gateway.statements.set_progress(session, 0, share)
            assert json.loads(front.send("GET", f"/sessions/{session}/statements/0").body)["progress"] == share


def test_a_header_with_an_underscore_stands_for_no_other(make_gateway: MakeGateway) -> None:
    front = make_gateway(csrf_protection=True).at_front
    body, length = [b'{"kind": "pyspark"}'], {"Content-Length": "19"}
    for name, status in (("X_Requested_By", 400), ("X-Requested-By", 201)):
        assert front.send("POST", "/sessions", {**length, name: "me", "Content_Length": "3"}, body).status == status


def test_a_body_that_cannot_be_kept_is_refused(front: FrontClient, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(BytesIO):
        def write(self, data: object) -> int:
            raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(threads, "SpooledTemporaryFile", lambda size: Full())
    answer = front.send("POST", "/sessions", {"Content-Length": "2"}, [b"{}"])
    assert (answer.status, json.loads(answer.body)["msg"]) == (
        507,
        "there is no room for the body on the gateway's disk: make some",
    )


class TestMemory:
    """Whoever sends much leaves little behind."""

    def test_of_long_paths(self, gateway: Gateway, front: FrontClient) -> None:
        assert gateway.front.polls.at(b"/sessions/" + b"a" * 10_000) is None

    def test_of_long_texts(self) -> None:
        made: list[int] = []

        def make(length: int) -> str:
            made.append(length)
            return "x" * length

        texts = Remembered(make)
        for length in (10, 10, 100_000, 100_000):
            assert texts(length) == "x" * length
        assert made == [10, 100_000, 100_000]

    def test_of_many_texts(self) -> None:
        texts = Remembered(str)
        for number in range(5000):
            texts(number)
        assert len(texts._texts) <= 1024

    def test_of_long_records(self, gateway: Gateway) -> None:
        small, large = gateway.open()["id"], gateway.open(conf={"spark.long": "x" * 100_000})["id"]
        one, other = ([gateway.sessions.find(ANONYMOUS, ref) for _ in range(2)] for ref in (small, large))
        assert one[0] is one[1]
        assert other[0] == other[1] and other[0] is not other[1]

    def test_of_the_store(self, gateway: Gateway) -> None:
        gateway.open(conf={"spark.long": "x" * 1_000_000})
        for number in range(20):
            gateway.db.polled("SELECT options, :number AS number FROM sessions", {"number": number})
        assert isinstance(gateway.db, SqliteDatabase)
        assert sum(len(str(rows)) for rows in gateway.db._local.polled.values()) < 8_000_000


class TestHolds:
    def test_a_first_poll_ends_with_its_statement(self, gateway: Gateway, front: FrontClient) -> None:
        session = gateway.open_idle()
        gateway.run(session)

        async def poll_and_answer() -> Answer:
            polling = asyncio.ensure_future(front.ask("GET", f"/sessions/{session}/statements/0"))
            await asyncio.sleep(0)
            gateway.answer(session)
            return await polling

        assert json.loads(front.loop.run_until_complete(poll_and_answer()).body)["state"] == "available"

    def test_what_is_held_is_answered_when_the_worker_ends(self, make_gateway: MakeGateway, bell: object) -> None:
        gateway = make_gateway()
        session = gateway.open_idle()
        bell.then = lambda: None  # type: ignore[attr-defined]

        async def delete_and_end() -> Answer:
            deleting = asyncio.ensure_future(gateway.at_front.ask("DELETE", f"/sessions/{session}"))
            while gateway.db.value("SELECT count(*) FROM sessions"):
                await gateway.at_front.ask("GET", "/version")
            gateway.front.let_go()
            return await deleting

        assert gateway.at_front.loop.run_until_complete(delete_and_end()).body == b'{"msg":"deleted"}'

    def test_deletes_that_wait_hold_no_thread(self, make_gateway: MakeGateway, bell: object) -> None:
        gateway = make_gateway(web_threads=2)
        sessions = [gateway.open_idle() for _ in range(20)]
        bell.then = lambda: None  # type: ignore[attr-defined]

        async def delete_all() -> list[Answer]:
            deleting = [
                asyncio.ensure_future(gateway.at_front.ask("DELETE", f"/sessions/{session}")) for session in sessions
            ]
            version = await gateway.at_front.ask("GET", "/version")
            assert version.status == 200
            while gateway.db.value("SELECT count(*) FROM sessions"):
                await gateway.at_front.ask("GET", "/version")
            assert not any(one.done() for one in deleting)
            gateway.act()
            return await asyncio.gather(*deleting)

        answers = gateway.at_front.loop.run_until_complete(delete_all())
        assert {answer.body for answer in answers} == {b'{"msg":"deleted"}'}


class TestBodies:
    """As Flask reads them, however they come."""

    @pytest.fixture
    def echo(self, make_gateway: MakeGateway) -> FrontClient:
        gateway = make_gateway(request_limit=300 * KIBI)

        def answer() -> Response:
            said = request.get_data()
            return Response(said[:1] * len(said), headers={"X-Length": str(request.content_length)})

        app: Flask = gateway.front.flask
        app.add_url_rule("/echo", view_func=answer, methods=["POST"], scope="public")
        return gateway.at_front

    @pytest.mark.parametrize("size", [0, 1, 64 * KIBI, 64 * KIBI + 1, 300 * KIBI])
    @pytest.mark.parametrize("pieces", [1, 3], ids=["whole", "in pieces"])
    @pytest.mark.parametrize("is_chunked", [False, True], ids=["with its length", "in chunks"])
    def test_come_as_they_were_sent(self, size: int, pieces: int, is_chunked: bool, echo: FrontClient) -> None:
        headers = {"Transfer-Encoding": "chunked"} if is_chunked else {"Content-Length": str(size)}
        step = size // pieces + 1
        body = [b"x" * len(range(at, min(size, at + step))) for at in range(0, size or 1, step)]
        answer = echo.send("POST", "/echo", headers, body)
        assert (answer.status, answer.body) == (200, b"x" * size)
        assert dict(answer.headers)["X-Length"] == str(size)

    def test_of_a_request_without_one_nothing_is_awaited(self, echo: FrontClient) -> None:
        assert echo.send("POST", "/echo").body == b""

    @pytest.mark.parametrize("headers", [{"Content-Length": str(300 * KIBI + 1)}, {"Transfer-Encoding": "chunked"}])
    def test_that_are_too_long_are_refused(self, headers: dict[str, str], echo: FrontClient) -> None:
        answer = echo.send("POST", "/echo", headers, [b"x" * 100 * KIBI] * 4)
        assert answer.status == 413
        assert b"larger than the 307200 bytes" in answer.body

    def test_that_break_off_reach_nobody(self, gateway: Gateway, front: FrontClient) -> None:
        answer = front.send("POST", "/sessions", {"Content-Length": "100"}, [])
        assert answer.status == 408
        assert gateway.get("/sessions")["total"] == 0

    def test_of_uploads_may_be_as_long_as_uploads(self, make_gateway: MakeGateway) -> None:
        gateway = make_gateway(request_limit=KIBI, upload_limit=200 * KIBI)
        session = gateway.open_idle()
        body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.py"\r\n\r\n' + b"#" * 150 * KIBI
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        for path, status in ((f"/sessions/{session}/upload-pyfile", 200), (f"/sessions/{session}/statements", 413)):
            sent = [body, b"\r\n--b--\r\n"]
            length = {"Content-Length": str(sum(map(len, sent)))}
            assert gateway.at_front.send("POST", path, {**headers, **length}, sent).status == status


def test_a_long_answer_is_given_out_in_pieces(gateway: Gateway) -> None:
    app = gateway.front.flask
    app.add_url_rule("/long", view_func=lambda: Response(b"x" * 1_000_000), scope="public")
    answer = gateway.at_front.send("GET", "/long")
    assert answer.body == b"x" * 1_000_000
    assert max(answer.pieces) <= 256 * KIBI


def test_an_answer_that_is_made_in_pieces_is_given_out_so(gateway: Gateway) -> None:
    closed: list[bool] = []

    def pieces() -> Iterator[bytes]:
        try:
            for _ in range(10):
                yield b"x" * 100_000
        finally:
            closed.append(True)

    gateway.front.flask.add_url_rule("/made", view_func=lambda: Response(pieces()), scope="public")
    answer = gateway.at_front.send("GET", "/made")
    assert answer.body == b"x" * 1_000_000
    assert closed == [True]


def test_a_web_socket_is_refused(front: FrontClient, gateway: Gateway) -> None:
    said = []

    async def hear(message: object) -> None:
        said.append(message)

    async def nothing() -> dict[str, str]:
        return {"type": "websocket.connect"}

    front.loop.run_until_complete(gateway.front({"type": "websocket"}, nothing, hear))
    assert said == [{"type": "websocket.close"}]
