"""The lane and twisted.web behind it, byte by byte, in memory."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.support import HELLO, HTTP, Dispatcher, Held, Log, post, replies
from twisted_flow.errors import ConfigurationError, ExecutorError, QueueFull
from twisted_flow.gateway.http.plain_heads import IGNORED, PLAIN
from twisted_flow.gateway.http.routes import HTTPSettings, Route, check_route
from twisted_flow.limits import Limits

BODY = json.dumps(HELLO).encode()
HOST = b"Host: flow.invalid\r\n"
PLAIN_POST = post(body=HELLO)
CHUNKED = (
    b"POST /post HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
)


def head(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([*lines, b"", b""]) + body


def posted(*lines: bytes, length: bool = True, start: bytes = b"POST /post HTTP/1.1", body: bytes = BODY) -> bytes:
    fields = [*lines, b"Content-Length: %d" % len(body)] if length else list(lines)
    return head(start, *fields, body=body)


H = HOST.strip()
ROWS: dict[str, tuple[bytes, list[int], bool]] = {
    # name: what is sent, the statuses that come back, whether the server ends the connection
    "plain": (PLAIN_POST, [200], False),
    "pipelined": (PLAIN_POST * 3, [200] * 3, False),
    "pipelined, a bad one between": (PLAIN_POST + post(body=b"{") + PLAIN_POST, [200, 400, 200], False),
    "no body where none is needed": (head(b"GET /status HTTP/1.1", H), [200], False),
    "HEAD": (head(b"HEAD /status HTTP/1.1", H), [200], False),
    "another route after ours": (PLAIN_POST + head(b"GET /nope HTTP/1.1", H) + PLAIN_POST, [200, 404, 200], False),
    "wrong method": (head(b"GET /post HTTP/1.1", H), [405], False),
    "unknown method": (head(b"BREW /post HTTP/1.1", H), [501], True),
    "percent-encoded path": (posted(H, start=b"POST /p%6fst HTTP/1.1"), [200], False),
    "absolute form": (posted(H, start=b"POST http://flow.invalid/post HTTP/1.1"), [200], False),
    "asterisk form": (head(b"OPTIONS * HTTP/1.1", H), [200], False),
    "path that is not UTF-8": (head(b"GET /%ff HTTP/1.1", H), [400], False),
    "double slash": (posted(H, start=b"POST //post HTTP/1.1"), [200], False),
    "longer path": (posted(H, start=b"POST /post-secret HTTP/1.1"), [404], False),
    "query": (posted(H, start=b"POST /post?arrays=list HTTP/1.1"), [200], False),
    "chunked": (CHUNKED, [200], False),
    "chunked, then plain": (CHUNKED + PLAIN_POST, [200, 200], False),
    "bad chunk size": (CHUNKED.replace(b"\r\n\r\n%x" % len(BODY), b"\r\n\r\nzz"), [400], True),
    "transfer coding unknown": (posted(H, b"Transfer-Encoding: gzip, chunked", length=False), [501], True),
    "coding beside length": (posted(H, b"Transfer-Encoding: chunked"), [400], True),
    "two codings": (posted(H, b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", length=False), [400, 501], True),
    "coding in HTTP/1.0": (posted(H, b"Transfer-Encoding: chunked", length=False, start=b"POST /post HTTP/1.0"), [400], True),
    "no length": (posted(H, length=False, body=b""), [400], False),
    "two equal lengths": (posted(H, b"Content-Length: %d" % len(BODY)), [400], True),
    "two lengths": (posted(H, b"Content-Length: 3"), [400], True),
    "list of lengths": (posted(H, b"Content-Length: 3, 3", length=False), [400], True),
    "signed length": (posted(H, b"Content-Length: +3", length=False), [400], True),
    "negative length": (posted(H, b"Content-Length: -3", length=False), [400], True),
    "huge length": (posted(H, b"Content-Length: 99999999999999999999", length=False), [400, 413], True),
    "folded header": (posted(H, b"X-A: b\r\n c"), [400], True),
    "bare LF": (PLAIN_POST.replace(b"\r\n", b"\n"), [400], True),
    "one bare LF": (posted(H, b"X-A: b\nX-B: c"), [400], True),
    "bare CR": (posted(H, b"X-A: b\rX-B: c"), [400], True),
    "NUL in a value": (posted(H, b"X-A: \x00"), [400], True),
    "space before the colon": (posted(H, b"X-A : b"), [400], True),
    "no name": (posted(H, b": b"), [400], True),
    "no colon": (posted(H, b"X-A"), [400], True),
    "no Host": (posted(), [400], True),
    "two Hosts": (posted(H, H), [400], True),
    "bad Host": (posted(b"Host: a b"), [400], True),
    "HTTP/1.0": (posted(H, start=b"POST /post HTTP/1.0"), [200], True),
    "HTTP/1.0 without Host": (posted(start=b"POST /post HTTP/1.0"), [200], True),
    "HTTP/2.0": (posted(H, start=b"POST /post HTTP/2.0"), [505], True),
    "HTTP/0.9": (b"GET /post\r\n\r\n", [400], True),
    "two spaces": (posted(H, start=b"POST  /post HTTP/1.1"), [400], True),
    "lower-case method": (posted(H, start=b"post /post HTTP/1.1"), [501], True),
    "not HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", [400], True),
    "Connection: close": (posted(H, b"Connection: close") + PLAIN_POST, [200], True),
    "Connection: keep-alive": (posted(H, b"Connection: keep-alive"), [200], False),
    "Expect": (posted(H, b"Expect: 100-continue"), [100, 200], False),
    "other Expect": (posted(H, b"Expect: tea"), [417], True),
    "empty line before": (b"\r\n" + PLAIN_POST, [200], False),
    "endless request line": (b"GET /" + b"a" * 20_000, [414], True),
    "long request line": (head(b"GET /" + b"a" * 20_000 + b" HTTP/1.1", H), [414], True),
    "large head": (posted(H, b"X-A: " + b"a" * 70_000), [431], True),
    "endless head": (b"GET / HTTP/1.1\r\n" + b"X-A: aaaaaaaaa\r\n" * 6000, [431], True),
    "many fields": (posted(H, *[b"X-%d: a" % n for n in range(101)]), [431], True),
    "large body": (posted(H, b"Content-Length: 2000001", length=False, body=b""), [413], True),
    "large chunks": (
        head(b"POST /post HTTP/1.1", H, b"Transfer-Encoding: chunked") + b"f4240\r\n" + b"a" * 1_000_000 + b"\r\nf4241\r\n" + b"a" * 1_000_001,
        [413],
        True,
    ),
    "not JSON's type": (posted(H, b"Content-Type: text/xml"), [415], False),
    "JSON in Latin-1": (posted(H, b"Content-Type: application/json; charset=latin-1"), [415], False),
    "curl's type": (posted(H, b"Content-Type: application/x-www-form-urlencoded"), [200], False),
    "compressed": (posted(H, b"Content-Encoding: gzip"), [415], False),
    "accepts HTML alone": (posted(H, b"Accept: text/html"), [406], False),
    "accepts JSON and more": (posted(H, b"Accept: application/json, text/plain, */*"), [200], False),
    "refuses JSON": (posted(H, b"Accept: application/json;q=0"), [406], False),
    "a timeout": (posted(H, b"X-Request-Timeout: 5"), [200], False),
    "a timeout that cannot be kept": (posted(H, b"X-Request-Timeout: 5e-324"), [400], False),
    "a bad timeout": (posted(H, b"X-Request-Timeout: soon"), [400], False),
    "bad arrays": (posted(H, start=b"POST /post?arrays=xml HTTP/1.1"), [422], False),
    "close among others": (posted(H, b"Connection: close, TE") + PLAIN_POST, [200], True),
    "close in a second field": (posted(H, b"Connection: TE", b"Connection: Close") + PLAIN_POST, [200], True),
    "a host that IDNA refuses": (posted(b"Host: a..b"), [200], False),
    "a host with a long label": (posted(b"Host: " + b"a" * 70 + b".b"), [200], False),
    "the same, by the library": (posted(b"Host: a..b", start=b"POST /post?a HTTP/1.1"), [200], False),
    "identity": (posted(H, b"Content-Encoding: Identity"), [200], False),
    "two codings of the content": (posted(H, b"Content-Encoding: gzip", b"Content-Encoding: identity"), [415], False),
    "codings in one field": (posted(H, b"Content-Encoding: identity, gzip"), [415], False),
    "a chunk that is announced too large": (
        head(b"POST /post HTTP/1.1", H, b"Transfer-Encoding: chunked") + b"1e8481\r\n", [413], True,
    ),
    "CONNECT": (head(b"CONNECT flow.invalid:80 HTTP/1.1", H), [501], True),
    "a target that is no path": (head(b"GET post HTTP/1.1", H), [400], True),
    "an asterisk for a path": (head(b"GET * HTTP/1.1", H), [400], True),
    "another scheme": (posted(H, start=b"POST ftp://flow.invalid/post HTTP/1.1"), [400], True),
    "two Origins": (posted(H, b"Origin: http://evil.example", b"Origin: http://flow.invalid"), [400], True),
    "two types": (posted(H, b"Content-Type: text/plain", b"Content-Type: application/json"), [400], True),
    "two timeouts": (posted(H, b"X-Request-Timeout: 1", b"X-Request-Timeout: 2"), [400], True),
    "two empty lines before": (b"\r\n\r\n" + PLAIN_POST, [400], True),
    "another page's form": (posted(H, b"Origin: https://evil.example", b"Content-Type: text/plain"), [403], False),
    "another page's form without a type": (posted(H, b"Origin: https://evil.example"), [403], False),
    "a page of no origin": (posted(H, b"Origin: null"), [403], False),
    "another site's, without an origin": (posted(H, b"Sec-Fetch-Site: cross-site"), [403], False),
    "our own page": (posted(H, b"Origin: http://flow.invalid", b"Sec-Fetch-Site: same-origin"), [200], False),
    "our own page over TLS": (posted(H, b"Origin: https://flow.invalid:443"), [200], False),
    "our own name with another port": (posted(H, b"Origin: http://flow.invalid:81"), [403], False),
    "another page looks": (head(b"GET /status HTTP/1.1", H, b"Origin: https://evil.example"), [200], False),
    "upgrade that nobody takes": (head(b"GET /nope HTTP/1.1", H, b"Connection: Upgrade", b"Upgrade: tea"), [404], False),
}  # fmt: skip
LIMITS = Limits(max_body=2_000_000)


def outcome(http: HTTP, *parts: bytes, head_request: bool = False) -> tuple[list[int], bool]:
    wire = http.connect()
    for part in parts:
        wire.receive(part)
    return [reply.status for reply in replies(wire.value(), head_request)], wire.closed


def expected(name: str) -> tuple[list[list[int]], bool]:
    _, statuses, closed = ROWS[name]
    either = name in ("two codings", "huge length")  # two of our checks hold, either may speak
    return ([[status] for status in statuses] if either else [statuses]), closed


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("lane", [True, False], ids=["lane", "klein alone"])
def test_row(name: str, lane: bool) -> None:
    """Each row has the answer that RFC 9110 and 9112 ask for, with the lane and without it."""
    statuses, closed = expected(name)
    http = HTTP(lane=lane, limits=LIMITS)
    got, ended = outcome(http, ROWS[name][0], head_request=name == "HEAD")
    assert got in statuses
    assert ended == closed
    if statuses[0][-1] >= 400 and len(statuses[0]) == 1:
        assert http.dispatcher.requests == []


@pytest.mark.parametrize("lane", [True, False], ids=["lane", "klein alone"])
def test_a_refused_HEAD_has_no_body(lane: bool) -> None:
    """Whatever it is refused for."""
    for field in (b"Expect: tea", b"X-A : b", b"X-A: " + b"a" * 70_000, b"Content-Length: 99999999999"):
        wire = HTTP(lane=lane).connect()
        wire.receive(head(b"HEAD /status HTTP/1.1", H, field))
        got, _, body = wire.value().partition(b"\r\n\r\n")
        assert got.startswith(b"HTTP/1.1 4"), got
        assert body == b""


@pytest.mark.parametrize("lane", [True, False], ids=["lane", "klein alone"])
@pytest.mark.parametrize("status", [204, 205])
def test_statuses_without_a_body(status: int, lane: bool) -> None:
    """The next answer on the connection begins where that ends."""
    exposed = (Route(path="/x", endpoint="/x", status_code=status),)
    http = HTTP(lane=lane, exposed=exposed)
    wire = http.connect()
    wire.receive(post("/x", HELLO) + PLAIN_POST + post("/x", b"{"))
    first, _, rest = wire.value().partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Type" not in first
    assert (b"Content-Length" in first) == (status == 205)
    assert [reply.status for reply in replies(rest)] == [200, 400]


@pytest.mark.parametrize("status", [100, 206, 226, 299, 304, 404, "200", 200.0, True])
def test_statuses_of_no_success(status: Any) -> None:
    """What is none is refused when it is asked for."""
    with pytest.raises(ConfigurationError, match="status_code"):
        check_route(Route(path="/x", endpoint="/x", status_code=status), HTTPSettings())


@pytest.mark.parametrize("lane", [True, False], ids=["lane", "klein alone"])
def test_allowed_hosts(lane: bool) -> None:
    """Under another name, such as one that was made to lead here, the answer is a 421."""
    http = HTTP(lane=lane, allowed_hosts=("flow.invalid", "localhost:12345"))
    for host, status in (
        ("flow.invalid", 200), ("FLOW.invalid:99", 200), ("localhost:12345", 200), ("localhost", 421), ("evil.example", 421),
    ):  # fmt: skip
        for start in (b"POST /post HTTP/1.1", b"POST /post?a HTTP/1.1"):
            assert outcome(http, posted(b"Host: " + host.encode(), start=start))[0] == [status], host
    assert outcome(http, posted(H, start=b"POST http://evil.example/post HTTP/1.1"))[0] == [421]


@pytest.mark.parametrize(
    "name", ["plain", "pipelined, a bad one between", "another route after ours", "chunked, then plain"]
)
def test_split_anywhere(name: str) -> None:
    """Where the network cuts the bytes makes no difference."""
    raw, statuses, _ = ROWS[name]
    for cut in range(1, len(raw)):
        assert outcome(HTTP(), raw[:cut], raw[cut:])[0] == statuses, cut
    assert outcome(HTTP(), *(raw[n : n + 1] for n in range(len(raw))))[0] == statuses


def test_bad_head_after_hand_over() -> None:
    """Once twisted.web has the connection, its heads are judged all the same."""
    for name, (raw, _, _) in ROWS.items():
        statuses, closed = expected(name)
        if name not in ("HEAD", "asterisk form"):
            got, ended = outcome(HTTP(limits=LIMITS), head(b"GET /nope HTTP/1.1", H), raw)
            blunt = [[404, 400]] if statuses[0][-1] in (501, 505) else []  # twisted.web reads the first line itself
            assert got in [[404, *each] for each in statuses] + blunt, name
            assert ended == closed, name


def test_head_that_is_not_whole_is_not_acted_on() -> None:
    """``POST /post`` may yet become ``POST /post-secret``."""
    http = HTTP()
    wire = http.connect()
    wire.receive(b"POST /post")
    assert http.dispatcher.requests == []
    wire.receive(b"-secret HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n")
    assert [reply.status for reply in replies(wire.value())] == [404]


AGREEMENT: dict[str, bytes] = {
    "seed": post(body={"data": [{"text": "hello world"}], "execEndpoint": "/index"}),
    "crud": post("/search", {"data": ["a", "b"], "parameters": {"top_k": 3.0}}),
    "put": post("/update", {"data": None}, method="PUT"),
    "ids kept": post(body={"data": [{"id": "x"}], "execEndpoint": "/", "requestId": "mine"}),
    "old client": post(body={"request_id": "o", "data": [{"mime_type": "t"}], "exec_endpoint": "/index"}),
    "not JSON": post(body=b"{nope"),
    "wrong type": post(body={"data": [{"text": 5}], "execEndpoint": "/"}),
    "no endpoint": post(body={"data": []}),
    "empty": post("/index", b""),
    "fails": post(body={"data": [{"text": "fail"}], "execEndpoint": "/"}),
    "full": post(body={"data": [{"text": "full"}], "execEndpoint": "/"}),
    "exposed": post("/foo", {"data": []}),
    "status": head(b"GET /status HTTP/1.1", H),
}


def normal(value: Any) -> Any:
    """*value* without what differs from one answer to the next."""
    if isinstance(value, dict):
        hidden = {"requestId", "podId", "startTime", "endTime", "instance", "date"}
        return {name: "·" if name in hidden else normal(item) for name, item in value.items()}
    return [normal(item) for item in value] if isinstance(value, list) else value


def moody(request: Any) -> None:
    """Fails where the first document says so."""
    text = request.docs[0].text if request.docs else None
    if text == "fail":
        raise ExecutorError("as asked")
    if text == "full":
        raise QueueFull("as asked", retry_after=2)
    for document in request.docs:
        document.id = "same"


@pytest.mark.parametrize("name", AGREEMENT)
def test_lane_and_klein_agree(name: str) -> None:
    """What the lane answers, Klein answers too: status, header fields and body."""
    from twisted_flow.gateway.http.routes import Route

    exposed = (Route(path="/foo", endpoint="/foo", status_code=201),)
    ways = []
    for lane in (True, False):
        http = HTTP(Dispatcher(moody), lane=lane, exposed=exposed)
        wire = http.connect()
        wire.receive(AGREEMENT[name])
        on_lane = type(wire.protocol).__name__ == "Lane"
        assert on_lane is lane, "the row is not one for the lane"
        (reply,) = replies(wire.value())
        ways.append((reply.status, normal(reply.headers), normal(reply.json)))
    assert ways[0] == ways[1]


def test_plain_heads_say_nothing_that_klein_looks_at() -> None:
    """What the Klein path reads of a head is in what the lane knows of it, or makes it not plain."""
    looked_at: set[bytes] = set()

    class Spy(dict):  # type: ignore[type-arg]
        pass

    from twisted.web.http_headers import Headers

    original = Headers.getRawHeaders

    def spy(self: Any, name: Any, default: Any = None) -> Any:
        looked_at.add(name.lower().encode() if isinstance(name, str) else name.lower())
        return original(self, name, default)

    Headers.getRawHeaders = spy  # type: ignore[method-assign, assignment]
    try:
        http = HTTP(lane=False, cors=True)
        http.send(PLAIN_POST)
        http.send(head(b"GET /status HTTP/1.1", H))
    finally:
        Headers.getRawHeaders = original  # type: ignore[method-assign]
    assert {b"content-type", b"accept", b"origin", b"x-request-timeout"} <= looked_at
    assert not looked_at & IGNORED
    assert looked_at - PLAIN.keys() == {
        b"origin", b"x-request-timeout", b"content-encoding", b"cookie", b"expect",
    } | (looked_at & {b"if-none-match", b"if-modified-since", b"accept-encoding-never", b"x-forwarded-for"})  # fmt: skip


@pytest.mark.parametrize("name", sorted(PLAIN.keys() | IGNORED))
def test_plain_head_stays_on_the_lane(name: bytes) -> None:
    """The header fields that common clients send keep their connection on the lane."""
    value = {
        b"accept": b"*/*",
        b"connection": b"keep-alive",
        b"sec-fetch-site": b"same-origin",
        b"content-type": b"application/json",
    }.get(name, b"something")
    extra = [] if name in (b"host", b"content-length") else [name.title() + b": " + value]
    wire = HTTP().connect()
    wire.receive(posted(H, *extra))
    assert type(wire.protocol).__name__ == "Lane"
    assert replies(wire.value())[0].status == 200


class TestOrder:
    def test_answers_leave_in_the_order_of_the_requests(self) -> None:
        """Whichever is ready first."""
        held = Held()
        wire = HTTP(held).connect()
        wire.receive(b"".join(post("/index", {"data": [], "requestId": str(n)}) for n in range(4)))
        for position in (2, 0, 3, 1):
            held.release(position)
        assert [reply.json["requestId"] for reply in replies(wire.value())] == ["0", "1", "2", "3"]

    def test_hand_over_waits_for_earlier_answers(self) -> None:
        """A head that is not the lane's is not looked at before the lane's answers are out."""
        held = Held()
        wire = HTTP(held).connect()
        wire.receive(PLAIN_POST + head(b"GET /nope HTTP/1.1", H))
        assert wire.value() == b""
        held.release()
        assert [reply.status for reply in replies(wire.value())] == [200, 404]

    def test_refusal_waits_for_earlier_answers(self) -> None:
        """What came before a bad head is answered before it."""
        held = Held()
        wire = HTTP(held).connect()
        wire.receive(PLAIN_POST + posted(H, H))
        assert wire.value() == b""
        held.release()
        assert [reply.status for reply in replies(wire.value())] == [200, 400]


class TestBackPressure:
    def test_reading_stops_at_the_pipeline_bound(self) -> None:
        """With 16 requests unanswered no more is read; answers let it go on."""
        held = Held()
        wire = HTTP(held).connect()
        wire.receive(PLAIN_POST * 40)
        assert len(held.requests) == 16
        assert wire.producerState == "paused"
        for position in range(40):
            held.release(position)
        assert len(replies(wire.value())) == 40
        assert wire.producerState == "producing"

    def test_client_that_does_not_read(self) -> None:
        """While its answers lie unread nothing more is taken from it, and it is dropped in the end."""
        http = HTTP()
        wire = http.connect()
        wire.protocol.pauseProducing()
        wire.receive(PLAIN_POST * 40)
        assert http.dispatcher.requests == []
        assert wire.producerState == "paused"
        wire.protocol.resumeProducing()
        assert len(http.dispatcher.requests) == 40
        wire.protocol.pauseProducing()
        http.pass_seconds(62)
        assert wire.disconnected

    def test_client_that_is_gone(self) -> None:
        """Its work is cancelled, and what it had sent beyond is never begun."""
        held = Held()
        wire = HTTP(held).connect()
        wire.receive(PLAIN_POST * 20)
        wire.lose()
        assert held.cancelled == 16
        assert len(held.requests) == 16

    def test_client_of_klein_that_is_gone(self) -> None:
        """The same on the other way."""
        held = Held()
        wire = HTTP(held).connect()
        wire.receive(posted(H, b"X-Own: 1"))
        assert len(held.requests) == 1
        wire.lose()
        assert held.cancelled == 1

    def test_too_many_connections(self) -> None:
        """One more than may be is not served."""
        http = HTTP(limits=Limits(max_connections=2))
        http.connect(), http.connect()
        assert http.connect().closed


class TestTimes:
    @pytest.mark.parametrize("name", ["lane", "klein"])
    def test_slow_head(self, name: str) -> None:
        """A head that drips in gets its 10 seconds, and no more for every drip."""
        http = HTTP()
        wire = http.connect()
        if name == "klein":
            wire.receive(head(b"GET /nope HTTP/1.1", H))
            wire.clear()
        for byte in b"POST /post H":
            wire.receive(
                bytes([byte]) if name == "lane" else b"POST / HTTP/1.1\r\n" if byte == ord("P") else b"X: a\r\n"
            )
            http.pass_seconds(1)
        (reply,) = replies(wire.value())
        assert (reply.status, wire.closed) == (408, True)
        assert reply.json["retryable"] is True

    @pytest.mark.parametrize("extra", [(), (b"X-Own: 1",)], ids=["lane", "klein"])
    def test_stalled_body(self, extra: tuple[bytes, ...]) -> None:
        """A body may take its time while it comes on; 30 seconds of nothing end it."""
        http = HTTP()
        wire = http.connect()
        wire.receive(posted(H, *extra)[: -len(BODY)])
        for n in range(3):
            http.pass_seconds(25)
            wire.receive(BODY[n : n + 1])
        assert wire.value() == b""
        http.pass_seconds(31)
        assert [reply.status for reply in replies(wire.value())] == [408]

    @pytest.mark.parametrize("extra", [(), (b"X-Own: 1",)], ids=["lane", "klein"])
    def test_idle(self, extra: tuple[bytes, ...]) -> None:
        """A connection on which nothing is asked is closed after 75 seconds, not before."""
        http = HTTP()
        wire = http.connect()
        wire.receive(posted(H, *extra))
        http.pass_seconds(74)
        assert not wire.closed
        http.pass_seconds(3)
        assert wire.closed

    def test_working_is_not_idle(self) -> None:
        """A request that takes long is waited for."""
        held = Held()
        http = HTTP(held)
        wire = http.connect()
        wire.receive(PLAIN_POST)
        http.pass_seconds(300)
        held.release()
        assert [reply.status for reply in replies(wire.value())] == [200]

    def test_lingering_ends(self) -> None:
        """After a refusal what still comes is dropped for a while, then the connection."""
        http = HTTP()
        wire = http.connect()
        wire.receive(posted(H, H))
        wire.receive(b"more" * 1000)
        assert not wire.disconnected
        http.pass_seconds(7)
        assert wire.disconnected
        assert len(http.connections) == 0


class TestDrain:
    @pytest.mark.parametrize("extra", [(), (b"X-Own: 1",)], ids=["lane", "klein"])
    def test_idle_connections_close_at_once(self, extra: tuple[bytes, ...]) -> None:
        """Nobody waits for a client that asks nothing."""
        http = HTTP()
        wire = http.connect()
        wire.receive(posted(H, *extra))
        drained = http.connections.drain(30)
        assert wire.closed
        wire.lose()
        http.clock.advance(0)
        assert drained.result == 0

    @pytest.mark.parametrize("extra", [(), (b"X-Own: 1",)], ids=["lane", "klein"])
    def test_requests_in_flight_are_answered(self, extra: tuple[bytes, ...]) -> None:
        """And told that the connection ends."""
        held = Held()
        http = HTTP(held)
        wire = http.connect()
        wire.receive(posted(H, *extra))
        drained = http.connections.drain(30)
        assert not wire.closed
        held.release()
        (reply,) = replies(wire.value())
        assert (reply.status, wire.closed) == (200, True)
        wire.lose()
        http.clock.advance(0)
        assert drained.result == 0

    @pytest.mark.parametrize("extra", [(), (b"X-Own: 1",)], ids=["lane", "klein"])
    def test_request_that_is_half_in(self, extra: tuple[bytes, ...]) -> None:
        """It may come in whole, and is answered."""
        http = HTTP()
        wire = http.connect()
        raw = posted(H, *extra)
        wire.receive(raw[:-5])
        http.connections.drain(30)
        wire.receive(raw[-5:])
        (reply,) = replies(wire.value())
        assert (reply.status, reply.headers.get("connection"), wire.closed) == (200, "close", True)

    def test_grace_ends(self) -> None:
        """What takes longer is cut, cancelled and counted."""
        held = Held()
        http = HTTP(held)
        http.connect().receive(PLAIN_POST)
        drained = http.connections.drain(30)
        http.pass_seconds(29)
        assert not drained.called
        http.pass_seconds(2)
        assert drained.result == 1
        assert held.cancelled == 1

    @pytest.mark.parametrize("extra", [(), (b"X-Own: 1",)], ids=["lane", "klein"])
    def test_what_is_cut_is_told_so(self, extra: tuple[bytes, ...]) -> None:
        """Whoever has waited longer than the grace is answered that the server is stopping, in the order of the requests."""
        held = Held()
        http = HTTP(held)
        wire, half = http.connect(), http.connect()
        wire.receive(posted(H, *extra) * 2)
        half.receive(posted(H, *extra)[:-3])
        http.connections.drain(30)
        with Log() as lines:
            http.pass_seconds(30)
            http.clock.advance(0.25)
        told = replies(wire.value())
        assert [(each.status, each.json["title"]) for each in told] == [(503, "Unavailable")] * (1 if extra else 2)
        assert wire.closed
        assert half.closed
        assert not any("caller" in line for line in lines)
        http.pass_seconds(1)
        assert http.port.ending.cut == len(told)
        assert len(http.connections) == 0


@pytest.mark.parametrize("extra", [(), (b"X-Own: 1",)], ids=["lane", "klein"])
class TestHalfClose:
    """A client that has closed its half still gets what it has asked for in whole."""

    def test_answers(self, extra: tuple[bytes, ...]) -> None:
        """All of them, then the connection ends."""
        held = Held()
        http = HTTP(held)
        wire = http.connect()
        wire.receive(posted(H, *extra) * 3)
        wire.end_input()
        assert not wire.closed
        for position in range(3):
            http.clock.advance(0.1)
            held.release(position)
        assert [each.status for each in replies(wire.value())] == [200] * 3
        assert wire.closed
        wire.lose()
        assert http.clock.getDelayedCalls() == [http.connections._sweeping.call]

    @pytest.mark.parametrize("rest", [b"", PLAIN_POST[:20], PLAIN_POST[:-3]])
    def test_what_is_not_whole(self, extra: tuple[bytes, ...], rest: bytes) -> None:
        """It is given up; what was asked before is answered."""
        held = Held()
        http = HTTP(held)
        idle, wire = http.connect(), http.connect()
        idle.receive(rest)
        idle.end_input()
        assert idle.closed
        assert idle.value() == b""
        wire.receive(posted(H, *extra) + rest)
        wire.end_input()
        held.release(0)
        assert [each.status for each in replies(wire.value())] == [200]
        assert wire.closed

    def test_grace(self, extra: tuple[bytes, ...]) -> None:
        """It looks the same as a client that is gone: after two seconds what was asked is cancelled."""
        held = Held()
        http = HTTP(held)
        wire = http.connect()
        wire.receive(posted(H, *extra))
        wire.end_input()
        http.clock.advance(1.9)
        assert held.cancelled == 0
        http.clock.advance(0.2)
        assert (held.cancelled, wire.disconnected) == (1, True)

    def test_who_reads_slowly(self, extra: tuple[bytes, ...]) -> None:
        """The grace is for answers to be made; one that is on its way is read in the client's own time."""
        held = Held()
        http = HTTP(held)
        wire = http.connect()
        wire.receive(posted(H, *extra))
        wire.end_input()
        held.release(0)
        http.clock.advance(2.1)
        assert wire.closed
        assert not wire.disconnected

    def test_one_behind_the_other(self, extra: tuple[bytes, ...]) -> None:
        """Many requests are taken in several turns of the loop; whatever came in whole is answered, on either path."""
        http = HTTP()
        wire = http.connect()
        wire.protocol.dataReceived(PLAIN_POST * 3 + posted(H, *extra) * 100 + PLAIN_POST)
        wire.protocol.readConnectionLost()
        wire.turn()
        assert [each.status for each in replies(wire.value())] == [200] * 104
        assert wire.closed

    def test_refusal(self, extra: tuple[bytes, ...]) -> None:
        """What is refused is told so; nothing more is waited for."""
        http = HTTP()
        wire = http.connect()
        wire.receive(posted(H, *extra) + b"nonsense\r\n\r\n")
        wire.end_input()
        assert [each.status for each in replies(wire.value())] == [200, 400]
        assert wire.closed


def test_random_bytes_never_raise() -> None:
    """Garbage is answered or waited for; it never raises, and reaches no dispatcher."""
    source = random.Random(3)
    pieces = [b"GET ", b"POST ", b"/post", b" HTTP/1.1", b"\r\n", b"\r\n\r\n", b"Host: a", b"\n", b"\x00", b": ", b"{}"]
    for _ in range(500):
        http = HTTP()
        wire = http.connect()
        for _ in range(source.randrange(1, 20)):
            wire.receive(source.choice(pieces) if source.random() < 0.8 else source.randbytes(5))
        assert http.dispatcher.requests == []


@pytest.mark.parametrize("lane", [True, False], ids=["lane", "klein"])
@pytest.mark.parametrize(
    ("raw", "status", "name"),
    [
        (b"GET / NONSENSE\r\n\r\n", 400, "BadRequest"),
        (b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", 404, "NotFound"),
        (b"DELETE /status HTTP/1.1\r\nHost: a\r\n\r\n", 405, "MethodNotAllowed"),
        (b"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 413, "PayloadTooLarge"),
        (
            b"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Type: text/html\r\n\r\n{}",
            415,
            "Unsupported",
        ),
        (
            b"POST /post HTTP/1.1\r\nHost: a\r\nOrigin: https://e.example\r\nContent-Length: 2\r\n\r\n{}",
            403,
            "Permission",
        ),
    ],
)
def test_a_line_for_each_refusal(lane: bool, raw: bytes, status: int, name: str) -> None:
    """What never comes to be a request has one line in the log, under the id that its answer names."""
    with Log() as lines:
        (reply,) = HTTP(lane=lane).send(raw)
    assert reply.status == status
    (line,) = lines
    assert f"request {reply.json['instance']}: {name}" in line
