"""Whatever is sent, the answer is one of the contract's: never an unexpected failure."""

from __future__ import annotations

import json
import random
from typing import Any
from urllib.parse import quote

import pytest

ROUNDS = 150

ROUTES = [
    ("POST", "/sessions"),
    ("POST", "/batches"),
    ("POST", "/sessions/{ref}/statements"),
    ("POST", "/sessions/{ref}/statements/{ref}/cancel"),
    ("POST", "/sessions/{ref}/completion"),
    ("POST", "/sessions/{ref}/connect"),
    ("POST", "/sessions/{ref}/submit-job"),
    ("POST", "/sessions/{ref}/run-job"),
    ("GET", "/sessions/{ref}/jobs/{ref}"),
    ("POST", "/sessions/{ref}/jobs/{ref}/cancel"),
    ("POST", "/sessions/{ref}/add-jar"),
    ("POST", "/sessions/{ref}/add-pyfile"),
    ("POST", "/sessions/{ref}/add-file"),
    ("POST", "/sessions/{ref}/upload-jar"),
    ("POST", "/sessions/{ref}/upload-pyfile"),
    ("POST", "/sessions/{ref}/upload-file"),
    ("GET", "/sessions{query}"),
    ("GET", "/batches{query}"),
    ("GET", "/sessions/{ref}"),
    ("GET", "/sessions/{ref}/state"),
    ("GET", "/sessions/{ref}/log{query}"),
    ("GET", "/sessions/{ref}/statements{query}"),
    ("GET", "/sessions/{ref}/statements/{ref}"),
    ("GET", "/batches/{ref}"),
    ("GET", "/batches/{ref}/log{query}"),
    ("DELETE", "/sessions/{ref}"),
    ("DELETE", "/batches/{ref}"),
    ("GET", "/version{query}"),
]

NAMES = [
    "kind", "name", "conf", "jars", "pyFiles", "files", "archives", "driverMemory", "driverCores", "executorMemory",
    "executorCores", "numExecutors", "queue", "proxyUser", "ttl", "idleTimeout", "heartbeatTimeoutInSecond", "file",
    "args", "className", "code", "cursor", "msg_type", "job", "jobType", "uri", "bogus",
]  # fmt: skip

SCALARS: list[Any] = [
    None, True, False, 0, 1, -1, 2**31, -(2**63), 10**400, 1.5, -0.0, 1e308, float("nan"), float("inf"), "", "0", "1",
    "-1", "a", "sql", "pyspark", "shared", "1g", "8h", "9" * 50, " ", "\0", "\n", "\ud800", "\udfff\ud800", "🎉",
    "é" * 300,
    "/bin/true", "/", "//", "file:", "file://", "file:///bin/true", "http://[", "http://[::1", "hdfs:///x", "a:b",
    "%00",
    "/bin/true#", "#", "\\", "../x", "~", "*", "/*", "x" * 5000, "spark.jars", "$(id)", "{}", "\u2028", "\x7f\x80",
]  # fmt: skip

REFS = [
    "0",
    "1",
    "00",
    "-1",
    "7",
    "2147483647",
    "2147483648",
    "9" * 60,
    "",
    " ",
    "a",
    "a/b",
    "é",
    "\0",
    "%",
    "🎉",
    "..",
    ".",
]
QUERIES = ["", "?", "?from=0", "?from=-1&size=-1", "?size=", "?from=abc", "?from=2147483647&size=2147483647",
           "?order=desc",
    "?order=%00", "?from=%C3%A9", "?from=1&from=x", "?size=99999999999", "?from=-2147483648", "?_method=DELETE",
           "?size=%EF%BC%91", "?" + "a=b&" * 500, "?from[]=1"]  # fmt: skip
HEADERS: list[dict[str, str]] = [
    {}, {}, {}, {"Content-Encoding": "gzip"}, {"Content-Encoding": "deflate"}, {"Accept": "application/vnd.livy.v9"},
    {"Accept-Encoding": "gzip"}, {"Content-Type": "multipart/form-data; boundary=x"},
    {"Content-Type": "multipart/form-data"},
    {"Content-Type": "text/plain; charset=x"},
    {"X-HTTP-Method-Override": "GET"}, {"Transfer-Encoding": "chunked"}, {"Origin": "null"}, {"Origin": "http://["},
]  # fmt: skip


NEARLY_RIGHT: list[dict[str, Any]] = [
    {"code": "1", "kind": "sql"}, {"file": "/bin/true"}, {"job": "AAAA", "jobType": "python"}, {"uri": "/bin/true"},
]  # fmt: skip
PARTS = [b"", b"--x--", b"--x\r\n", b"--x\r\n\r\n\r\n--x--"] + [
    b'--x\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n\r\nbytes\r\n--x--\r\n' % (part, name)
    for part in (b"jar", b"file", b"other")
    for name in (b"a.txt", b"", b"..", b"../../x", b"\xff\xfe", b"a\0b", b"a;b", b"x" * 3000, b"C:\\x")
]


class Nonsense:
    """Requests that are nearly right, from a seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def value(self, depth: int = 0) -> Any:
        kind = self._chance.random()
        if depth < 3 and kind < 0.15:
            return [self.value(depth + 1) for _ in range(self._chance.randrange(4))]
        if depth < 3 and kind < 0.3:
            return {str(self._chance.choice(SCALARS)): self.value(depth + 1) for _ in range(self._chance.randrange(4))}
        return self._chance.choice(SCALARS)

    def body(self, path: str = "") -> bytes:
        kind = self._chance.random()
        if "/upload-" in path:
            return self._chance.choice(PARTS)
        if kind < 0.05:
            return self._chance.randbytes(self._chance.randrange(40))
        if kind < 0.1:
            return self._chance.choice(
                [b"", b"{", b"[" * 100_000, b'{"a":' * 5000, b"\xef\xbb\xbf{}", b"{}{}", b"nul", b"1e999"]
            )
        document = {name: self.value() for name in self._chance.sample(NAMES, self._chance.randrange(1, 4))}
        if self._chance.random() < 0.5:
            document |= self._chance.choice(NEARLY_RIGHT)
        text = json.dumps(document if kind < 0.95 else self.value(), ensure_ascii=self._chance.random() < 0.5)
        return text.encode("utf-8", "surrogatepass")

    def path(self, template: str) -> str:
        while "{ref}" in template:
            template = template.replace("{ref}", quote(self._chance.choice(REFS), safe=""), 1)
        return template.replace("{query}", self._chance.choice(QUERIES))

    def headers(self) -> dict[str, str]:
        return self._chance.choice(HEADERS)


@pytest.mark.parametrize(("method", "template"), ROUTES, ids=str)
def test_nonsense_never_makes_an_unexpected_failure(method: str, template: str, gateway) -> None:
    gateway.client.application.config["PROPAGATE_EXCEPTIONS"] = False
    gateway.open_idle(name="a"), gateway.open(), gateway.submit()
    gateway.run(0)
    nonsense = Nonsense(seed=ROUTES.index((method, template)))
    for _ in range(ROUNDS):
        path, body, headers = nonsense.path(template), nonsense.body(template), nonsense.headers()
        response = gateway.send(method, path, body, headers=headers)
        expected = response.status_code < 500 or "Session is in state" in response.text
        assert expected, (method, path, body, headers, response.text)
        if response.status_code == 400 and response.data:
            assert set(response.json) == {"msg"}, (method, path, body, headers, response.text)


def test_after_all_the_nonsense_everything_still_answers(gateway) -> None:
    nonsense = Nonsense(seed=1000)
    gateway.client.application.config["PROPAGATE_EXCEPTIONS"] = False
    for _ in range(300):
        gateway.send("POST", nonsense.path("/sessions"), nonsense.body())
        gateway.send("POST", nonsense.path("/batches"), nonsense.body())
    for path in ("/sessions", "/batches"):
        page = gateway.get(path)
        assert page["total"] == len(gateway.get(path + "?size=1000")["sessions"])
