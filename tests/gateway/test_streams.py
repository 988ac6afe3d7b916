"""Answers in parts, where a protocol cannot send them yet: one collected answer, and what is held is held till its end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.grpc_calls import call, grpc_server, proto
from tests.streams import Streaming
from tests.support import HTTP, replies, wait_for
from tests.support import post as posted
from tests.websockets import WebSocket, frame, frames
from twisted_flow.errors import NotFound

BODY = {"data": [{"id": "d", "text": "asked"}], "execEndpoint": "/x"}
KINDS = [False, True]


def texts(body: bytes) -> list[str]:
    return [each["text"] for each in json.loads(body)["data"]["docs"]]


@pytest.mark.parametrize("lane", KINDS)
@pytest.mark.parametrize("later", KINDS)
class TestHTTP:
    def test_collected(self, lane: bool, later: bool) -> None:
        """All parts are in one answer, which waits for the last of them."""
        source = Streaming("a", "later", later=later)
        http = HTTP(source, lane=lane)
        wire = http.connect()
        wire.receive(posted(body=BODY))
        if later:
            source.come()
        assert not wire.value()
        source.come("b")
        (reply,) = replies(wire.value())
        assert texts(reply.body) == ["a", "b"]
        assert [route["pod"] for route in reply.json["routes"]] == ["gateway", "inner"]

    def test_failure(self, lane: bool, later: bool) -> None:
        """A part that fails is an error."""
        source = Streaming("a", NotFound("no more"), later=later)
        wire = HTTP(source, lane=lane).connect()
        wire.receive(posted(body=BODY))
        if later:
            source.come()
        (reply,) = replies(wire.value())
        assert (reply.status, reply.json["detail"]) == (404, "no more")

    def test_the_client_is_gone(self, lane: bool, later: bool) -> None:
        """What it waited for is cancelled."""
        source = Streaming("a", "later", later=later)
        wire = HTTP(source, lane=lane).connect()
        wire.receive(posted(body=BODY))
        if later:
            source.come()
        wire.lose()
        assert source.cancelled == 1


def test_order() -> None:
    """Later requests of a connection wait for the end of a stream."""
    source = Streaming("later")
    http = HTTP(source)
    wire = http.connect()
    wire.receive(posted(body=BODY) * 2)
    assert len(source.coming) == 2
    second = source.coming.pop()
    second.callback(None)
    assert not wire.value()
    source.come("a")
    assert [len(json.loads(reply.body)["data"]["docs"]) for reply in replies(wire.value())] == [1, 0]


@pytest.mark.parametrize("later", KINDS)
class TestWebSocket:
    def test_collected(self, later: bool) -> None:
        """A message waits for its last part, and counts as in flight till then."""
        source = Streaming("a", "later", later=later)
        wire = WebSocket(source).open()
        wire.receive(frame(json.dumps(BODY).encode()))
        if later:
            source.come()
        session = wire.protocol.flow_session
        assert (session.under_way.in_flight, wire.value()) == (1, b"")
        source.come("b")
        assert session.under_way.in_flight == 0
        ((_, payload),) = frames(wire.value())
        assert texts(payload) == ["a", "b"]

    def test_cancelled_by_its_id(self, later: bool) -> None:
        """A stream ends as any other request does."""
        source = Streaming("a", "later", later=later)
        wire = WebSocket(source).open()
        wire.receive(frame(json.dumps({**BODY, "requestId": "r9"}).encode()))
        if later:
            source.come()
        wire.receive(frame(b'{"cancel": "r9"}'))
        assert source.cancelled == 1
        ((_, payload),) = frames(wire.value())
        assert json.loads(payload)["status"]["exception"]["name"] == "Cancelled"


class TestGRPC:
    @pytest.fixture
    def served(self) -> Iterator[Any]:
        """The parts, and a channel to a server over them."""
        source = Streaming("a", "later")
        with grpc_server(source) as channel:
            yield source, channel

    def test_call(self, served: Any) -> None:
        """A stream of requests."""
        source, channel = served
        answers = call(channel, [proto("/", "x")])
        source.asked.get(timeout=30)
        wait_for(lambda: source.come("b"))
        (answer,) = answers
        assert [each.text for each in answer.data.docs] == ["a", "b"]

    def test_post(self, served: Any) -> None:
        """A single request."""
        source, channel = served
        answering = channel.unary_unary(
            "/twisted_flow.Flow/Post", lambda message: message.SerializeToString(), type(proto("/")).FromString
        ).future(proto("/", "x"), timeout=30)
        source.asked.get(timeout=30)
        wait_for(lambda: source.come("b"))
        assert [each.text for each in answering.result().data.docs] == ["a", "b"]
