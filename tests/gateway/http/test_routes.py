"""The routes of a flow over HTTP: each row of the wire's table, and what comes before any route."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import HTTP, Dispatcher, Reply, post
from twisted_flow.errors import QueueFull
from twisted_flow.gateway.http.routes import Route

H = b"Host: flow.invalid"


def get(path: str, *fields: bytes, method: bytes = b"GET") -> bytes:
    return b"\r\n".join([method + b" " + path.encode() + b" HTTP/1.1", H, *fields, b"", b""])


def one(http: HTTP, raw: bytes) -> Reply:
    (reply,) = http.send(raw)
    return reply


def endpoint_of(http: HTTP, raw: bytes) -> str | None:
    http.dispatcher.requests.clear()
    assert one(http, raw).status == 200
    return http.dispatcher.requests[0].header.exec_endpoint if http.dispatcher.requests else None  # type: ignore[no-any-return]


class TestTable:
    @pytest.mark.parametrize(
        ("path", "methods"),
        [("/index", ["POST"]), ("/search", ["POST"]), ("/update", ["PUT", "POST"]), ("/delete", ["DELETE", "POST"])],
    )
    def test_crud(self, path: str, methods: list[str]) -> None:
        """A route goes to its endpoint, whatever the body says."""
        for method in methods:
            body = {"data": ["a"], "execEndpoint": "/other"}
            assert endpoint_of(HTTP(), post(path, body, method=method)) == path
        assert one(HTTP(), post(path, {}, method="PATCH")).headers["allow"] == ", ".join(sorted(methods))

    def test_post(self) -> None:
        """``/post`` goes where the body says."""
        assert endpoint_of(HTTP(), post("/post", {"execEndpoint": "/mine"})) == "/mine"
        assert one(HTTP(), post("/post", {})).status == 422

    def test_status(self) -> None:
        """``/status`` has the keys that existing clients know."""
        assert one(HTTP(), get("/status")).json.keys() >= {"jina", "envs", "used_memory"}

    def test_hidden(self) -> None:
        """What is hidden is not there."""
        http = HTTP(debug_endpoints=False, crud_endpoints=False, docs=False)
        for path in ("/status", "/post", "/index", "/search", "/update", "/delete", "/docs", "/redoc", "/openapi.json"):
            assert one(http, get(path)).status == 404

    def test_exposed(self) -> None:
        """A route of one's own, with methods and status of one's own; it wins over a built-in one."""
        routes = (
            Route(path="/foo", endpoint="/bar", methods=("PUT", "GET"), status_code=202),
            Route(path="/index", endpoint="/mine"),
        )
        http = HTTP(exposed=routes)
        for raw in (post("/foo", {"data": ["a"]}, method="PUT"), post("/foo", {"data": ["a"]}, "X-A: b", method="PUT")):
            assert one(http, raw).status == 202
        assert endpoint_of(HTTP(exposed=routes), post("/index", {})) == "/mine"
        assert http.dispatcher.requests[0].header.exec_endpoint == "/bar"

    def test_arrays(self) -> None:
        """``?arrays=list`` asks for nested lists, the body's key too, and the route's word wins."""
        body = {"data": [{"embedding": [1.5]}], "execEndpoint": "/"}
        for raw in (post("/post?arrays=list", body), post("/post", {**body, "arrays": "list"})):
            assert one(HTTP(), raw).json["data"]["docs"][0]["embedding"] == [1.5]
        dense = one(HTTP(), post("/post?arrays=dense", {**body, "arrays": "list"})).json
        assert "dense" in dense["data"]["docs"][0]["embedding"]

    def test_timeout(self) -> None:
        """A header gives a request its time."""
        http = HTTP()
        one(http, post("/index", {"timeout": 9}, "X-Request-Timeout: 2.5"))
        assert http.dispatcher.requests[0].timeout == 2.5


class TestErrors:
    @pytest.mark.parametrize(
        "raw",
        [get("/nope"), get("/post"), get("/%ff"), post("/index", b"{"), post("/index", b"x", "Accept: text/html")],
    )
    def test_problem(self, raw: bytes) -> None:
        """Every error is a problem document with an id."""
        reply = one(HTTP(), raw)
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json["status"] == reply.status
        assert len(reply.json["instance"]) == 32
        assert reply.headers["server"] == "twisted_flow"
        assert "date" in reply.headers


@pytest.mark.parametrize("extra", [(), ("X-Own: 1",)], ids=["lane", "klein"])
class TestRequestIds:
    """What a client, or a proxy, calls a request."""

    @pytest.mark.parametrize("name", ["abc", "a b", "x" * 128, "~!"])
    def test_taken(self, extra: tuple[str, ...], name: str) -> None:
        """It is the request's id, and is told in the answer."""
        http = HTTP()
        for body in ({"data": []}, {"data": ["a" * 70_000]}):
            reply = one(http, post("/search", body, f"X-Request-ID: {name}", *extra))
            assert (reply.json["requestId"], reply.headers["x-request-id"]) == (name, name)
        assert [asked.request_id for asked in http.dispatcher.requests] == [name, name]

    def test_the_body_says_more(self, extra: tuple[str, ...]) -> None:
        """An id in the body is the one that counts."""
        reply = one(HTTP(), post("/search", {"data": [], "requestId": "mine"}, "X-Request-ID: theirs", *extra))
        assert (reply.json["requestId"], reply.headers["x-request-id"]) == ("mine", "mine")
        reply = one(HTTP(), post("/search", {"data": [], "requestId": "é"}, "X-Request-ID: theirs", *extra))
        assert (reply.json["requestId"], reply.headers["x-request-id"]) == ("é", "\\xe9")

    @pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\x00", "\u2028", "\x85"])
    def test_no_id_ends_a_field(self, extra: tuple[str, ...], end: str) -> None:
        """An id in a body may be any text; in the answer's head it is one printable line."""
        body = {"data": [], "requestId": f"a{end}Set-Cookie: x=1"}
        for raw in (body, body | {"data": 5}):
            reply = one(HTTP(), post("/search", raw, "X-Request-ID: theirs", *extra))
            assert "set-cookie" not in reply.headers
            told = reply.headers["x-request-id"]
            assert told.startswith("a\\")
            assert told.endswith("Set-Cookie: x=1")
            assert told.isascii()
            assert told.isprintable()

    @pytest.mark.parametrize("name", ["", "x" * 129, "\xe9", "a\tb"])
    def test_not_taken(self, extra: tuple[str, ...], name: str) -> None:
        """What is too long, or cannot be printed, is passed over."""
        raw = post("/search", {"data": []}, f"X-Request-ID: {name}", *extra)
        reply = one(HTTP(), raw)
        assert (reply.status, len(reply.json["requestId"])) == (200, 32)
        assert "x-request-id" not in reply.headers

    def test_failures(self, extra: tuple[str, ...]) -> None:
        """They are told under it too, whatever they are of."""

        def broken(request: Any) -> None:
            raise QueueFull("later", retry_after=1)

        named = ("X-Request-ID: abc", *extra)
        for dispatcher, body in ((Dispatcher(broken), b'{"data": []}'), (None, b"{"), (None, b'{"data": 5}')):
            reply = one(HTTP(dispatcher), post("/search", body, *named))
            assert (reply.json["instance"], reply.headers["x-request-id"]) == ("abc", "abc")

    def test_none_remembered(self, extra: tuple[str, ...]) -> None:
        """What is remembered of heads that name their requests is one and the same."""
        http = HTTP()
        for number in range(20):
            one(http, post("/search", {"data": []}, f"X-Request-ID: {number}", *extra))
        assert len(http.factory.heads._known) <= 1


class TestOtherOrigins:
    ORIGIN = b"Origin: https://a.example"
    PREFLIGHT = (ORIGIN, b"Access-Control-Request-Method: POST", b"Access-Control-Request-Headers: content-type")

    def allowed(self, cors: Any, *fields: bytes) -> str | None:
        return one(HTTP(cors=cors), get("/status", *fields)).headers.get("access-control-allow-origin")

    def test_closed(self) -> None:
        """By default other origins' pages get nothing."""
        assert self.allowed(False, self.ORIGIN) is None
        reply = one(HTTP(), get("/post", *self.PREFLIGHT, method=b"OPTIONS"))
        assert (reply.status, "access-control-allow-origin" in reply.headers) == (204, False)

    def test_open(self) -> None:
        """Open to all, or to some."""
        assert self.allowed(True, self.ORIGIN) == "*"
        assert self.allowed(("https://a.example",), self.ORIGIN) == "https://a.example"
        assert self.allowed(("https://b.example",), self.ORIGIN) is None
        assert self.allowed(True) is None
        reply = one(HTTP(cors=("https://a.example",)), get("/status", self.ORIGIN))
        assert reply.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in reply.headers

    def test_preflight(self) -> None:
        """A preflight is told methods and header fields; errors carry the permission too."""
        reply = one(HTTP(cors=True), get("/post", *self.PREFLIGHT, method=b"OPTIONS"))
        assert reply.status == 204
        assert reply.headers["access-control-allow-methods"] == "POST, OPTIONS"
        assert reply.headers["access-control-allow-headers"] == "content-type"
        assert one(HTTP(cors=True), get("/nope", self.ORIGIN)).headers["access-control-allow-origin"] == "*"

    @pytest.mark.parametrize("lane", [True, False])
    @pytest.mark.parametrize(
        ("raw", "status"),
        [
            (b"POST /post HTTP/1.1\r\n%bContent-Length: 99999999999\r\n\r\n", 413),
            (b"POST /post HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\nFFFFFFFFF\r\n", 413),
            (b"GET /status HTTP/1.1\r\n%bX: " + b"x" * 70_000, 431),
            (b"GET /status HTTP/1.1\r\n%bbad field\r\n\r\n", 400),
            (b"NONSENSE /status HTTP/1.1\r\n%b\r\n", 501),
            (b"GET /status HTTP/1.1\r\n%b\nX: 1\r\n\r\n", 400),
        ],
    )
    def test_refusals(self, lane: bool, raw: bytes, status: int) -> None:
        """What is refused before any route has it is told to an allowed page all the same."""
        fields = b"Host: a\r\n" + self.ORIGIN + b"\r\n"
        told = {}
        for cors in (True, ("https://a.example",), ("https://b.example",), False):
            (reply,) = HTTP(cors=cors, lane=lane).send(raw % fields)
            assert reply.status == status
            told[cors] = reply.headers.get("access-control-allow-origin")
        assert list(told.values()) == ["*", "https://a.example", None, None]
        (reply,) = HTTP(cors=True, lane=lane).send(raw % b"Host: a\r\n")
        assert "access-control-allow-origin" not in reply.headers

    def test_what_pages_may_see(self) -> None:
        """Beside the body they see when to come again, and the request's id."""
        reply = one(HTTP(cors=True), get("/status", self.ORIGIN))
        assert reply.headers["access-control-expose-headers"] == "Retry-After, X-Request-ID"

    def test_null(self) -> None:
        """A page without an origin (of a file, or a sandbox) may ask where all may, and nowhere else."""
        body = b'{"data": []}'
        raw = b"POST /search HTTP/1.1\r\nHost: a\r\nOrigin: null\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        assert [one(HTTP(cors=cors), raw).status for cors in (True, False, ("https://a.example",))] == [200, 403, 403]

    def test_options(self) -> None:
        """OPTIONS tells what a path takes."""
        assert one(HTTP(), get("/update", method=b"OPTIONS")).headers["allow"] == "POST, PUT, OPTIONS"
        assert one(HTTP(), get("/nope", method=b"OPTIONS")).status == 404


class TestPages:
    @pytest.mark.parametrize(
        "path", ["/docs", "/redoc", "/openapi.json", "/docs/swagger.js", "/docs/swagger.css", "/redoc/redoc.js"]
    )
    def test_served(self, path: str) -> None:
        """Pages come from the package's files, under a strict policy, and are not sent twice."""
        reply = one(HTTP(), get(path))
        assert reply.status == 200
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        again = one(HTTP(), get(path, b"If-None-Match: " + reply.headers["etag"].encode()))
        assert (again.status, again.body) == (304, b"")

    @pytest.mark.parametrize("path", ["/docs", "/redoc"])
    def test_nothing_from_elsewhere(self, path: str) -> None:
        """They name no other host, and run no script of their own."""
        page = one(HTTP(title="<b>"), get(path)).body.decode()
        assert "//" not in page
        assert "<script>" not in page
        assert "&lt;b&gt;" in page


def test_head() -> None:
    """HEAD has GET's header fields, and no body."""
    wire = HTTP().connect()
    wire.receive(get("/status", method=b"HEAD"))
    assert wire.value().endswith(b"\r\n\r\n")
    assert json.dumps("Content-Length")[1:-1].encode() in wire.value()
