"""Answers in parts, for who asks: the same over HTTP, WebSocket and gRPC."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from zope.interface import implementer

from tests.grpc_calls import call, grpc_served, grpc_server, proto
from tests.streams import Streaming, T
from tests.support import HTTP, Dispatcher, replies, request, wait_for
from tests.support import post as posted
from tests.websockets import WebSocket, frame, frames, lose
from twisted_flow import Document, DocumentArray, Limits
from twisted_flow.answer import Answer, AnswerStream
from twisted_flow.codec.protobuf import RequestProto
from twisted_flow.document.weight import weight
from twisted_flow.errors import NotFound
from twisted_flow.feed import Feed
from twisted_flow.gateway import sending
from twisted_flow.gateway.grpc.library import LibraryGateway
from twisted_flow.interfaces import IDispatcher
from twisted_flow.loop import spawn
from twisted_flow.message import Request, ResponseStream, StatusCode
from twisted_flow.parts import Parts, cost_of

BODY = {"data": [{"id": "d", "text": "asked"}], "execEndpoint": "/x", "requestId": "r1"}
EVENTS, LINES = "Accept: text/event-stream", "Accept: application/jsonl"


def events(body: bytes) -> list[tuple[str, Any]]:
    """The events in *body*: their names, and their data."""
    found = []
    for event in body.decode().split("\n\n")[:-1]:
        said = dict(line.split(": ", 1) for line in event.split("\n"))
        found.append((said.get("event", ""), json.loads(said["data"])))
    return found


def chunks(raw: bytes) -> bytes:
    """What has come of a body in chunks."""
    body, raw = b"", raw.partition(b"\r\n\r\n")[2]
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        body, raw = body + raw[: int(size, 16)], raw[int(size, 16) + 2 :]
    return body


@pytest.mark.parametrize("lane", [True, False], ids=["lane", "klein"])
class TestHTTP:
    def test_events(self, lane: bool) -> None:
        """Each document is an event as soon as it is there; the end tells routes and status."""
        source = Streaming("a", "later", "later")
        wire = HTTP(source, lane=lane).connect()
        wire.receive(posted("/post", BODY, EVENTS))
        head, _, _ = wire.value().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        for field in (b"Content-Type: text/event-stream", b"X-Accel-Buffering: no", b"Cache-Control: no-store"):
            assert field.lower() in head.lower()
        ((name, document),) = events(chunks(wire.value()))
        assert (name, document["text"]) == ("", "a")
        source.come("b")
        assert [data.get("text") for _, data in events(chunks(wire.value()))] == ["a", "b"]
        source.come()
        (reply,) = replies(wire.value())
        (*_, (name, end)) = events(reply.body)
        assert (name, end["requestId"], end["status"]["code"]) == ("end", "r1", StatusCode.SUCCESS)
        assert [route["pod"] for route in end["routes"]] == ["gateway", "inner"]
        assert end["header"]["execEndpoint"] == "/x"

    def test_lines(self, lane: bool) -> None:
        """The same as lines of JSON."""
        (reply,) = HTTP(Streaming("a", "b"), lane=lane).send(posted("/post", BODY, LINES))
        first, second, end = map(json.loads, reply.body.splitlines())
        assert (reply.headers["content-type"], first["text"], second["text"]) == ("application/jsonl", "a", "b")
        assert end["status"]["code"] == StatusCode.SUCCESS

    def test_a_whole_answer(self, lane: bool) -> None:
        """Who asks for parts gets them of an answer that is whole, too."""
        body = {**BODY, "data": ["a", "b"]}
        (reply,) = HTTP(Dispatcher(), lane=lane).send(posted("/post", body, EVENTS))
        assert [data.get("text", name) for name, data in events(reply.body)] == ["a", "b", "end"]

    @pytest.mark.parametrize(
        ("accept", "form"),
        [
            ("*/*", "application/json"),
            ("application/json, text/event-stream;q=0.5", "application/json"),
            ("text/event-stream, */*;q=0.1", "text/event-stream"),
            ("application/json;q=0.5, application/jsonl", "application/jsonl"),
            ("text/event-stream;q=0, application/jsonl;q=0.2", "application/jsonl"),
        ],
    )
    def test_accept(self, lane: bool, accept: str, form: str) -> None:
        """What Accept prefers decides; without a word for parts there are none, whatever the body says."""
        body = {**BODY, "stream": True}
        (reply,) = HTTP(Streaming("a", "b"), lane=lane).send(posted("/post", body, f"Accept: {accept}"))
        assert reply.headers["content-type"] == form
        if form == "application/json":
            assert [each["text"] for each in reply.json["data"]["docs"]] == ["a", "b"]

    @pytest.mark.parametrize("accept", [EVENTS, LINES])
    def test_fails_at_first(self, lane: bool, accept: str) -> None:
        """What fails before its first part has its own status."""
        (reply,) = HTTP(Streaming(NotFound("nothing")), lane=lane).send(posted("/post", BODY, accept))
        assert (reply.status, reply.headers["content-type"]) == (404, "application/problem+json")
        assert reply.json["detail"] == "nothing"

    def test_fails_later(self, lane: bool) -> None:
        """What fails behind a part tells so in its place, and the connection lives on."""
        http = HTTP(Streaming("a", NotFound("no more")), lane=lane)
        first, second = http.send(posted("/post", BODY, EVENTS) + posted("/post", BODY, LINES))
        assert [name for name, _ in events(first.body)] == ["", "error"]
        problem = events(first.body)[1][1]
        assert (problem["title"], problem["status"], problem["instance"]) == ("NotFound", 404, "r1")
        assert json.loads(second.body.splitlines()[-1])["detail"] == "no more"

    def test_a_part_that_cannot_be_written(self, lane: bool) -> None:
        """It ends the stream, and the work."""
        source = Streaming("a", "later", "c")
        wire = HTTP(source, lane=lane).connect()
        wire.receive(posted("/post", BODY, EVENTS))
        odd = Document("b")
        odd._tags = {"odd": object()}
        source.coming.pop().callback(DocumentArray([odd]))
        (reply,) = replies(wire.value())
        (*_, (name, problem)) = events(reply.body)
        assert (name, problem["title"]) == ("error", "ExecutorError")
        assert source.cancelled == 1

    def test_heartbeats(self, lane: bool) -> None:
        """While no part comes a comment is sent; then its head has gone, and a failure is an event."""
        source = Streaming("later", "later")
        http = HTTP(source, lane=lane)
        wire = http.connect()
        wire.receive(posted("/post", BODY, EVENTS))
        http.clock.advance(14)
        assert not wire.value()
        http.clock.advance(1)
        assert chunks(wire.value()) == b":\n\n"
        source.come("a")
        http.clock.advance(15)
        http.clock.advance(15)
        assert chunks(wire.value()).endswith(b":\n\n")
        source.coming.pop().errback(NotFound("x"))
        (reply,) = replies(wire.value())
        assert events(reply.body.replace(b":\n\n", b""))[-1][0] == "error"

    def test_heartbeats_before_there_is_a_stream(self, lane: bool) -> None:
        """They come as well while the request itself waits; the client that goes away cancels it."""
        source = Streaming("a", later=True)
        http = HTTP(source, lane=lane)
        wire = http.connect()
        wire.receive(posted("/post", BODY, EVENTS))
        http.clock.advance(15)
        assert chunks(wire.value()) == b":\n\n"
        source.come()
        (reply,) = replies(wire.value())
        assert [name for name, _ in events(reply.body.replace(b":\n\n", b""))] == ["", "end"]
        failing, waiting = Streaming(NotFound("x"), later=True), Streaming(later=True)
        wire = HTTP(failing, lane=lane).connect()
        wire.receive(posted("/post", BODY, EVENTS))
        failing.come()
        assert replies(wire.value())[0].status == 404
        wire = HTTP(waiting, lane=lane).connect()
        wire.receive(posted("/post", BODY, EVENTS))
        wire.lose()
        assert waiting.cancelled == 1

    def test_the_client_is_gone(self, lane: bool) -> None:
        """Its stream is cancelled, whether a part is awaited or the client did not read."""
        source = Streaming("a", "later")
        wire = HTTP(source, lane=lane).connect()
        wire.receive(posted("/post", BODY, EVENTS))
        wire.lose()
        assert source.cancelled == 1

    def test_a_client_that_does_not_read(self, lane: bool) -> None:
        """Nothing is pulled for it until it reads again."""
        source = Streaming("later", *map(str, range(200)))
        http = HTTP(source, lane=lane)
        wire = http.connect()
        wire.receive(posted("/post", BODY, EVENTS))
        wire.protocol.pauseProducing()
        source.come("a")
        http.clock.advance(1)
        assert source.pulled == 1
        wire.protocol.resumeProducing()
        assert source.pulled == 65  # then others have their turn
        for _ in range(9):
            http.clock.advance(0)
        (reply,) = replies(wire.value())
        assert len(events(reply.body)) == 202

    def test_order(self, lane: bool) -> None:
        """Answers leave in the order of their requests, streams among them."""
        source = Streaming("later")
        wire = HTTP(source, lane=lane).connect()
        wire.receive(posted("/post", {**BODY, "requestId": "r1"}, EVENTS))
        wire.receive(posted("/post", {**BODY, "requestId": "r2"}, LINES))
        source.come()
        source.come()
        first, second = replies(wire.value())
        assert events(first.body)[0][1]["requestId"] == "r1"
        assert json.loads(second.body)["requestId"] == "r2"

    def test_cut(self, lane: bool) -> None:
        """When the grace of a drain is over a stream ends with an error, and so does its connection."""
        source = Streaming("a", "later")
        http = HTTP(source, lane=lane)
        wire = http.connect()
        wire.receive(posted("/post", BODY, EVENTS))
        http.connections.drain(5)
        assert not wire.disconnected
        http.clock.advance(5)
        (*_, (name, problem)) = events(chunks(wire.value()))
        assert (name, problem["title"]) == ("error", "Unavailable")

    def test_old_http(self, lane: bool) -> None:
        """HTTP/1.0 knows no chunks: the end of the connection is the end."""
        wire = HTTP(Streaming("a"), lane=lane).connect()
        wire.receive(posted("/post", BODY, EVENTS).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        head, _, body = wire.value().partition(b"\r\n\r\n")
        assert b"chunked" not in head.lower()
        assert [name for name, _ in events(body)] == ["", "end"]


STREAM = {**BODY, "stream": True}


def answers(wire: Any) -> list[Any]:
    """What has come over a WebSocket: texts, or None for other frames."""
    return [json.loads(payload) for opcode, payload in frames(wire.value()) if opcode == 1]


def texts(answer: Any) -> list[str]:
    return [each["text"] for each in answer["data"]["docs"]]


class TestWebSocket:
    def test_parts(self) -> None:
        """Each part is an answer that is PENDING; the last has routes, and no documents."""
        source = Streaming("a", "later", "later")
        wire = WebSocket(source).open()
        wire.receive(frame(json.dumps(STREAM).encode()))
        assert [texts(each) for each in answers(wire)] == [["a"]]
        source.come("b")
        source.come()
        first, second, end = answers(wire)
        assert [each["status"]["code"] for each in (first, second, end)] == [
            StatusCode.PENDING,
            StatusCode.PENDING,
            StatusCode.SUCCESS,
        ]
        assert {each["requestId"] for each in (first, second, end)} == {"r1"}
        assert (texts(second), texts(end), second["routes"]) == (["b"], [], [])
        assert [route["pod"] for route in end["routes"]] == ["gateway", "inner"]

    def test_bytes(self) -> None:
        """The same in protobuf, by its field."""
        wire = WebSocket(Streaming("a")).open()
        wire.receive(frame(proto("/x", "q", request_id="r7", stream=True).SerializeToString(), 2))
        first, end = [RequestProto.FromString(payload) for _, payload in frames(wire.value())]
        assert ([each.text for each in first.data.docs], first.status.code) == (["a"], StatusCode.PENDING)
        assert (list(end.data.docs), end.status.code, end.request_id) == ([], StatusCode.SUCCESS, "r7")

    def test_failure(self) -> None:
        """What fails is told as any failure is, behind the parts that came; the connection lives on."""
        wire = WebSocket(Streaming("a", NotFound("no more"))).open()
        wire.receive(frame(json.dumps(STREAM).encode()) * 2)
        assert [each["status"]["code"] for each in answers(wire)] == [1, 3, 1, 3]
        assert answers(wire)[1]["status"]["exception"]["name"] == "NotFound"

    @pytest.mark.parametrize("awaited", [True, False])
    def test_cancelled(self, awaited: bool) -> None:
        """It ends by its id, at any time, and says so once."""
        source = Streaming("later", "later")
        wire = WebSocket(source).open()
        wire.receive(frame(json.dumps(STREAM).encode()))
        wire.protocol.flow_session.full = not awaited
        source.come("a")
        assert source.pulled == 1 + awaited
        wire.receive(frame(b'{"cancel": "r1"}'))
        wire.receive(frame(b'{"cancel": "r1"}'))
        assert source.cancelled == 1
        first, last = answers(wire)
        assert (first["status"]["code"], texts(first)) == (StatusCode.PENDING, ["a"])
        assert last["status"]["exception"]["name"] == "Cancelled"

    def test_others_go_on(self) -> None:
        """A stream whose part is awaited, or that has much to say, holds up nothing of its connection."""
        source = Streaming("a", "later")
        wire = WebSocket(source, limits=Limits(max_in_flight=2)).open()
        for number in range(5):
            wire.receive(frame(json.dumps({**STREAM, "requestId": f"s{number}"}).encode()))
        assert [each["requestId"] for each in answers(wire)] == [f"s{number}" for number in range(5)]
        assert not wire.protocol.flow_paused

    def test_a_client_that_does_not_read(self) -> None:
        """Nothing is pulled for it until it reads again."""
        source = Streaming("later", *["a"] * 100)
        web = WebSocket(source)
        wire = web.open()
        wire.receive(frame(json.dumps(STREAM).encode()))
        wire.protocol.pauseProducing()
        source.come("a")
        web.clock.advance(1)
        assert source.pulled == 1
        wire.protocol.resumeProducing()
        assert source.pulled == 65
        web.clock.advance(0)
        assert len(answers(wire)) == 102

    def test_the_client_is_gone(self) -> None:
        """Nothing runs for it."""
        source = Streaming("a", "later")
        wire = WebSocket(source).open()
        wire.receive(frame(json.dumps(STREAM).encode()))
        lose(wire)
        assert source.cancelled == 1

    def test_drain(self) -> None:
        """A stream may end within the grace; then the connection closes."""
        source = Streaming("a", "later")
        web = WebSocket(source)
        wire = web.open()
        wire.receive(frame(json.dumps(STREAM).encode()))
        web.connections.drain(5)
        assert 8 not in [opcode for opcode, _ in frames(wire.value())]
        source.come()
        assert [opcode for opcode, _ in frames(wire.value())] == [1, 1, 8]


def test_slow_parts_leave_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where parts that are made on the spot take long, others have their turn between them."""

    class Slow:
        over = False

        def pull(self) -> Answer:
            return Answer(b"x", "")

    monkeypatch.setattr(sending, "_TIME", -1)
    sent: list[Answer] = []
    later: list[Any] = []
    stream: Any = Slow()
    sending.Sending(stream, sent.append, lambda: False, lambda: None, later.append).go_on()
    for number in range(1, 4):
        assert len(sent) == number
        later.pop()()


class TestGRPC:
    @pytest.fixture
    def served(self) -> Iterator[Any]:
        """The parts, and a channel to a server over them."""
        source = Streaming("a", "later", "c")
        with grpc_server(source) as channel:
            yield source, channel

    def stream(self, channel: Any, message: Any) -> Any:
        method = channel.unary_stream(
            "/twisted_flow.Flow/Stream", RequestProto.SerializeToString, RequestProto.FromString
        )
        return method(message, timeout=30)

    def test_call(self, served: Any) -> None:
        """On the stream of requests, each part has its request's id."""
        source, channel = served
        parts = call(channel, [proto("/", "x", request_id="r5", stream=True)])
        assert [each.text for each in next(parts).data.docs] == ["a"]
        wait_for(lambda: source.come("b"))
        rest = list(parts)
        assert [[each.text for each in part.data.docs] for part in rest] == [["b"], ["c"], []]
        assert [part.status.code for part in rest] == [1, 1, 0]
        assert [route.pod for route in rest[-1].routes] == ["gateway", "inner"]
        assert {part.request_id for part in rest} == {"r5"}

    def test_stream(self, served: Any) -> None:
        """The method for one request needs no word for it."""
        source, channel = served
        parts = self.stream(channel, proto("/", "x"))
        assert [each.text for each in next(parts).data.docs] == ["a"]
        wait_for(lambda: source.come("b"))
        assert [[each.text for each in part.data.docs] for part in parts] == [["b"], ["c"], []]

    def test_failure(self, served: Any) -> None:
        """It fails by a gRPC status, behind the parts that came, or at once."""
        source, channel = served
        parts = self.stream(channel, proto("/", "x"))
        next(parts)
        source.asked.get(timeout=30)
        wait_for(lambda: source.coming.pop().errback(NotFound("no more")))
        with pytest.raises(grpc.RpcError) as failed:
            next(parts)
        assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.NOT_FOUND, "no more")
        source.given = (NotFound("nothing"),)
        with pytest.raises(grpc.RpcError) as failed:
            next(self.stream(channel, proto("/", "x")))
        assert failed.value.details() == "nothing"

    def test_cancelled(self, served: Any) -> None:
        """A client that cancels its call ends the work."""
        source, channel = served
        parts = self.stream(channel, proto("/", "x"))
        next(parts)
        source.asked.get(timeout=30)
        ended: queue.SimpleQueue[int] = queue.SimpleQueue()
        source.cancel = lambda: ended.put(1)
        parts.cancel()
        assert ended.get(timeout=30)

    def test_cancelled_when_it_begins(self) -> None:
        """A call that is cancelled in the turn in which its stream comes ends that stream."""
        made = grpc_served(Streaming(), "grpcio")
        gateway, ended = LibraryGateway(made), []

        def run() -> Any:
            coming: Deferred[Any] = Deferred()
            work = spawn(gateway._come(coming))
            parts = Parts(lambda: None, lambda: ended.append(1))
            stream = ResponseStream(request(), parts, [])
            reactor.callLater(0.01, lambda: (coming.callback(AnswerStream(stream, gateway._entry_of_streams, T)), work.cancel()))  # type: ignore[attr-defined]  # fmt: skip
            work.addErrback(lambda _: None)
            return deferLater(reactor, 0.05, lambda: None)  # type: ignore[arg-type]

        wait_for(run)
        assert ended == [1]
        made.address.close()


@implementer(IDispatcher)
class Ready:
    """Answers by parts that are all made already."""

    def __init__(self, *docs: Document) -> None:
        self.docs = docs

    def dispatch(self, request: Request) -> Any:
        feed = Feed(lambda taken: None, lambda: None)
        feed.put_all([(DocumentArray([each]), cost_of(weight([each]))) for each in self.docs])
        feed.end()
        return ResponseStream(request, feed.parts, [])


class TestTogether:
    def test_in_one_message(self) -> None:
        """Parts that are there leave together."""
        wire = WebSocket(Ready(*(Document(str(n)) for n in range(5)))).open()
        wire.receive(frame(json.dumps({**BODY, "stream": True}).encode()))
        first, end = (json.loads(payload) for _, payload in frames(wire.value()))
        assert [doc["text"] for doc in first["data"]["docs"]] == list("01234")
        assert (first["status"]["code"], end["status"]["code"]) == (1, 0)

    def test_in_one_piece(self) -> None:
        """Over HTTP each is an event all the same."""
        wire = HTTP(Ready(*(Document(str(n)) for n in range(5)))).connect()
        wire.receive(posted("/post", BODY, EVENTS))
        (reply,) = replies(wire.value())
        assert [data.get("text", name) for name, data in events(reply.body)] == [*"01234", "end"]
        assert wire.value().count(b"\r\ndata: ") <= 1  # chunks that begin with one

    @pytest.mark.parametrize("bad", [0, 2, 4])
    def test_what_cannot_be_written_spoils_nothing_before_it(self, bad: int) -> None:
        """The error is behind all that is well."""
        docs = [Document(str(n), tags={"x": object()} if n == bad else {}) for n in range(5)]
        wire = WebSocket(Ready(*docs)).open()
        wire.receive(frame(json.dumps({**BODY, "stream": True}).encode()))
        *parts, error = (json.loads(payload) for _, payload in frames(wire.value()))
        assert [doc["text"] for part in parts for doc in part["data"]["docs"]] == [str(n) for n in range(bad)]
        assert error["status"]["exception"]["name"] == "ExecutorError"

    def test_large_ones_leave_alone(self) -> None:
        """A message gets no larger than a client may take, because others are ready too."""
        sizes = [10, 10, 3_500_000, 10, 900_000, 900_000, 10]
        wire = WebSocket(Ready(*(Document("x" * size) for size in sizes))).open()
        wire.receive(frame(json.dumps({**BODY, "stream": True}).encode()))
        *parts, _ = (json.loads(payload)["data"]["docs"] for _, payload in frames(wire.value()))
        assert [len(doc["text"]) for part in parts for doc in part] == sizes
        assert max(sum(len(doc["text"]) for doc in part) for part in parts) < 3_800_000

    def test_lists_of_numbers(self) -> None:
        """The bound of what arrays expand to holds for each document, as if they came one by one."""
        docs = [Document(embedding=np.zeros(80)) for _ in range(5)]
        wire = WebSocket(Ready(*docs), limits=Limits(max_expanded=100)).open()
        wire.receive(frame(json.dumps({**BODY, "stream": True, "arrays": "list"}).encode()))
        *parts, end = (json.loads(payload) for _, payload in frames(wire.value()))
        assert sum(len(part["data"]["docs"]) for part in parts) == 5
        assert end["status"]["code"] == 0
