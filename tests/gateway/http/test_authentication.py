"""Who asks over HTTP: on the lane and by Klein alike, before a body is read, and in order."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from tests.authenticators import Answers, Knows, Says
from tests.support import HELLO, HTTP, Dispatcher, Log, post, replies
from twisted_flow.errors import Unauthenticated
from twisted_flow.gateway.http.health import HEALTH

SECRET = "Authorization: Bearer hunter2"
WAYS = pytest.mark.parametrize("lane", [True, False])


@WAYS
def test_known_and_unknown(lane: bool) -> None:
    """401 with the way to do better; nothing was asked; and the principal of who is known."""
    http = HTTP(lane=lane, guard=Knows())
    for wrong in ((), ("Authorization: Bearer wrong",), ("Authorization: hunter2",)):
        (reply,) = http.send(post("/post", HELLO, *wrong))
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == "Bearer"
        assert reply.json["title"] == "Unauthenticated"
    assert not http.dispatcher.requests
    for scheme in ("Bearer", "bearer", "BEARER"):
        (reply,) = http.send(post("/post", HELLO, f"Authorization: {scheme} hunter2"))
        assert reply.status == 200
    assert [each.principal for each in http.dispatcher.requests] == ["ann"] * 3


def test_a_connection_lives_on() -> None:
    """On the lane a refused request ends nothing where its body has come."""
    wire = HTTP(guard=Knows()).connect()
    wire.receive(post("/post", HELLO) + post("/post", HELLO, SECRET) + post("/post", HELLO, "Authorization: x"))
    assert [each.status for each in replies(wire.value())] == [401, 200, 401]
    wire.receive(post("/post", HELLO, SECRET))
    assert [each.status for each in replies(wire.value())][3:] == [200]


@WAYS
def test_a_body_is_not_waited_for(lane: bool) -> None:
    """It is refused when its head has ended, and nobody is told to go on and send it."""
    for extra in ((), ("Expect: 100-continue",)):
        wire = HTTP(lane=lane, guard=Knows()).connect()
        whole = post("/post", HELLO, *extra)
        head, _, _ = whole.partition(b"\r\n\r\n")
        wire.receive(head + b"\r\n\r\n")
        assert [each.status for each in replies(wire.value())] == [401]


@WAYS
def test_one_that_answers_later(lane: bool) -> None:
    """What is behind waits; the answers keep their order, though a later one would be known first."""
    knows = Knows(later=True)
    http = HTTP(lane=lane, guard=knows)
    wire = http.connect()
    wire.receive(post("/post", HELLO, SECRET) + post("/post", HELLO) + post("/post", HELLO, SECRET))
    assert wire.value() == b""
    assert len(knows.asked) == 1
    assert not http.dispatcher.requests
    statuses = []
    for position in range(3):
        if position < len(knows.asked):
            knows.settle(position)
            http.pass_seconds(1)
            statuses = [each.status for each in replies(wire.value())]
    assert statuses == ([200, 401, 200] if lane else [200, 401])  # Klein's way ends the connection with a refusal


@WAYS
def test_while_it_is_asked_nothing_is_read(lane: bool) -> None:
    knows = Knows(later=True)
    http = HTTP(lane=lane, guard=knows)
    wire = http.connect()
    whole = post("/post", HELLO | {"parameters": {"x": "y" * 100_000}}, SECRET)
    head, _, body = whole.partition(b"\r\n\r\n")
    wire.receive(head + b"\r\n\r\n")
    wire.receive(body)
    assert wire.producerState == "paused"
    assert len(knows.asked) == 1
    assert not http.dispatcher.requests
    knows.settle(0)
    http.pass_seconds(1)
    assert wire.producerState == "producing"
    assert [each.status for each in replies(wire.value())] == [200]
    assert http.dispatcher.requests[0].principal == "ann"


@WAYS
@pytest.mark.parametrize("body", [True, False])
def test_denied_later(lane: bool, body: bool) -> None:
    knows = Knows(later=True)
    http = HTTP(lane=lane, guard=knows)
    wire = http.connect()
    whole = post("/post", HELLO)
    wire.receive(whole if body else whole.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    knows.settle(0)
    http.pass_seconds(1)
    assert [each.status for each in replies(wire.value())] == [401]
    assert not http.dispatcher.requests


@WAYS
def test_a_client_that_goes_away_meanwhile(lane: bool) -> None:
    """Nobody has to be told any more who it was."""
    knows, cancelled = Knows(later=True), []
    http = HTTP(lane=lane, guard=knows)
    wire = http.connect()
    wire.receive(post("/post", HELLO, SECRET))
    knows.asked[0].addErrback(lambda failure: cancelled.append(failure.type.__name__))
    wire.lose()
    assert cancelled == ["CancelledError"] or knows.asked[0].called
    assert not http.dispatcher.requests


@WAYS
def test_a_stop_meanwhile(lane: bool) -> None:
    """What has come is answered, and the connection ends."""
    knows = Knows(later=True)
    http = HTTP(lane=lane, guard=knows)
    wire = http.connect()
    wire.receive(post("/post", HELLO, SECRET))
    stopped = http.port.stopService()
    knows.settle(0)
    http.pass_seconds(1)
    assert [each.status for each in replies(wire.value())] == [200]
    assert wire.disconnecting
    assert stopped is not None


class TestOpen:
    @WAYS
    @pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz", "http://flow.invalid/livez"])
    def test_health(self, lane: bool, path: str) -> None:
        (reply,) = HTTP(lane=lane, guard=Knows()).send(f"GET {path} HTTP/1.1\r\nHost: flow.invalid\r\n\r\n".encode())
        assert reply.status == 200

    @pytest.mark.parametrize("cors", [True, ("https://a.example",)])
    def test_preflights(self, cors: Any) -> None:
        """Of pages that may ask; what is no preflight is not open, nor any where there is no CORS."""
        preflight = ("Origin: https://a.example", "Access-Control-Request-Method: POST")
        for method, fields, settings, status in (
            ("OPTIONS", preflight, {"cors": cors}, 204),
            ("OPTIONS", preflight[:1], {"cors": cors}, 401),
            ("OPTIONS", (), {"cors": cors}, 401),
            ("OPTIONS", preflight, {}, 401),
            ("POST", preflight, {"cors": cors}, 401),
        ):
            lines = [f"{method} /post HTTP/1.1", "Host: flow.invalid", *fields, "", ""]
            (reply,) = HTTP(guard=Knows(), **settings).send("\r\n".join(lines).encode())
            assert reply.status == status

    def test_a_page_may_read_why(self) -> None:
        """The refusal is told to pages of allowed origins."""
        (reply,) = HTTP(guard=Knows(), cors=True).send(post("/post", HELLO, "Origin: https://a.example"))
        assert reply.status == 401
        assert reply.headers["access-control-allow-origin"] == "*"

    @pytest.mark.parametrize("docs", [True, False])
    def test_docs(self, docs: bool) -> None:
        http = HTTP(guard=Knows(), open_docs=docs)
        for path in ("/docs", "/redoc", "/openapi.json", "/docs/swagger.js"):
            (reply,) = http.send(f"GET {path} HTTP/1.1\r\nHost: flow.invalid\r\n\r\n".encode())
            assert reply.status == (200 if docs else 401)
        (reply,) = http.send(b"GET /status HTTP/1.1\r\nHost: flow.invalid\r\n\r\n")
        assert reply.status == 401


class TestSecrets:
    def test_no_memo_holds_them(self) -> None:
        """What is remembered of a head is the head without them; and wrong ones push nothing out."""
        http = HTTP(guard=Knows())
        http.send(post("/post", HELLO, SECRET))
        heads = http.factory.heads
        known = dict(heads._known)
        assert len(known) == 1
        assert b"hunter2" not in repr(known).encode()
        for number in range(2000):
            http.send(post("/post", HELLO, f"Authorization: Bearer wrong{number}"))
        assert heads._known == known
        with_secret = post("/post", HELLO, SECRET).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        assert heads.read(with_secret)[1] == b"Bearer hunter2"

    @WAYS
    def test_the_log_is_not_told(self, lane: bool) -> None:
        with Log() as lines:
            HTTP(lane=lane, guard=Knows()).send(post("/post", HELLO, "Authorization: Bearer wrong-secret"))
        assert lines
        assert "wrong-secret" not in "".join(lines)

    @WAYS
    def test_it_is_asked_for_each_request(self, lane: bool) -> None:
        """What held a moment ago need not hold any more, unless who knows tells of changes."""
        said = iter(["ann", "bob", ""])
        http = HTTP(lane=lane, guard=Answers(lambda: next(said)))
        assert [each.status for each in http.send(post("/post", HELLO, SECRET) * 3)] == [200, 200, 403]
        assert [each.principal for each in http.dispatcher.requests] == ["ann", "bob"]

    @WAYS
    def test_it_is_asked_once_until_it_changes(self, lane: bool) -> None:
        """About the same credentials of one connection; about others, and on others, anew."""
        knows = Knows()
        http = HTTP(lane=lane, guard=knows)
        wire = http.connect()

        def ask(*fields: str) -> int:
            wire.receive(post("/post", HELLO, *fields))
            http.pass_seconds(1)
            return replies(wire.value())[-1].status

        assert [ask(SECRET), ask(SECRET), len(knows.seen)] == [200, 200, 1]
        knows.changed()
        assert [ask(SECRET), ask(SECRET), len(knows.seen)] == [200, 200, 2]
        http.send(post("/post", HELLO, SECRET))
        assert len(knows.seen) == 3
        assert ask("Authorization: Bearer wrong") == 401

    @WAYS
    def test_what_was_asked_before_it_changed(self, lane: bool) -> None:
        """What comes of that later holds for who has asked, and for nobody after that."""
        knows = Knows(later=True)
        http = HTTP(lane=lane, guard=knows)
        wire = http.connect()
        wire.receive(post("/post", HELLO, SECRET) * 2)
        knows.changed()
        knows.settle(0)
        http.pass_seconds(1)
        assert [len(replies(wire.value())), len(knows.asked)] == [1, 2]
        knows.settle(1)
        wire.receive(post("/post", HELLO, SECRET))
        http.pass_seconds(1)
        assert [len(replies(wire.value())), len(knows.asked)] == [3, 2]


@WAYS
def test_every_rule(lane: bool) -> None:
    """All that Klein's map has, by each method that it takes: nothing without credentials, but what is open."""
    http = HTTP(lane=lane, guard=Knows())
    opened = set()
    for rule in http.app.klein.url_map.iter_rules():
        for method in rule.methods or ():
            raw = f"{method} {rule.rule} HTTP/1.1\r\nHost: flow.invalid\r\nContent-Length: 0\r\n\r\n".encode()
            wire = http.connect()
            wire.receive(raw)
            if not wire.value().startswith(b"HTTP/1.1 401 "):
                opened.add(rule.rule)
    assert opened == set(HEALTH)


def test_several_authorizations_are_none() -> None:
    (reply,) = HTTP(guard=Knows()).send(post("/post", HELLO, SECRET, SECRET))
    assert reply.status == 400


def test_a_dispatcher_sees_no_credentials() -> None:
    """A method is told who asks, and nothing more."""
    dispatcher = Dispatcher()
    HTTP(dispatcher, guard=Knows()).send(post("/post", HELLO, SECRET))
    assert "hunter2" not in repr(dispatcher.requests[0])


class TestWhatAnAttackFound:
    @WAYS
    def test_a_deferred_that_has_fired(self, lane: bool) -> None:
        """As that of an authenticator with a cache: it is as good as a name, or an error."""
        http = HTTP(lane=lane, guard=Says(lambda: succeed("ann")))
        assert [each.status for each in http.send(post("/post", HELLO) * 2)] == [200, 200]
        assert {each.principal for each in http.dispatcher.requests} == {"ann"}
        (reply,) = HTTP(lane=lane, guard=Says(lambda: fail(Unauthenticated("no")))).send(post("/post", HELLO))
        assert reply.status == 401

    @WAYS
    def test_one_that_is_cancelled_by_itself(self, lane: bool) -> None:
        """It is answered all the same, and the connection ends when it is told to."""
        asked: Deferred[str] = Deferred()
        http = HTTP(lane=lane, guard=Says(lambda: asked))
        wire = http.connect()
        wire.receive(post("/post", HELLO))
        asked.cancel()
        http.pass_seconds(1)
        assert [each.status for each in replies(wire.value())] == [503]

    @WAYS
    def test_it_is_asked_once_though_the_body_comes_later(self, lane: bool) -> None:
        knows = Knows()
        wire = HTTP(lane=lane, guard=knows).connect()
        raw = post("/post", HELLO, SECRET)
        wire.receive(raw[:-5])
        wire.receive(raw[-5:-2])
        wire.receive(raw[-2:])
        assert [each.status for each in replies(wire.value())] == [200]
        assert len(knows.seen) == 1

    @WAYS
    def test_who_leaves_while_it_is_asked(self, lane: bool) -> None:
        """Is seen, in the time that half a close has."""
        knows = Knows(later=True)
        http = HTTP(lane=lane, guard=knows)
        wire = http.connect()
        wire.receive(post("/post", HELLO, SECRET))
        wire.end_input()
        http.pass_seconds(3)
        assert knows.asked[0].called
        assert not len(http.connections)

    def test_spaces_and_empty_fields_mean_the_same_whatever_is_remembered(self) -> None:
        http = HTTP(guard=Knows())
        for _ in range(2):
            assert [each.status for each in http.send(post("/post", HELLO, "Authorization:  Bearer hunter2"))] == [200]
            assert [each.status for each in http.send(post("/post", HELLO, SECRET))] == [200]
            assert [each.status for each in http.send(post("/post", HELLO, SECRET, "authorization:"))] == [400]
            assert [each.status for each in http.send(post("/post", HELLO, "authorization:"))] == [401]
