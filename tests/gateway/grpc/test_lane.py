"""The lane of gRPC, over bytes in memory and time that passes by hand: what it holds, and what it bounds."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from tests.grpc_calls import proto
from tests.http2 import ACKNOWLEDGED, HELLO, Frame, fields_in, frames_of
from twisted_flow import Limits
from twisted_flow.codec.protobuf import RequestProto
from twisted_flow.errors import NotFound
from twisted_flow.gateway.grpc.call import ICall
from twisted_flow.gateway.grpc.lane import GRPCLane
from twisted_flow.interfaces import IGateway
from twisted_flow.message import Request
from twisted_flow.testing import Answering, MemoryConnection, MemoryGateway
from twisted_flow.wire.grpc.statuses import NAMES, percent_decoded
from twisted_flow.wire.http2.codes import CANCEL, DATA, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, SETTINGS
from twisted_flow.wire.http2.fields import block
from twisted_flow.wire.http2.frames import frame, goaway, headers, reset, window_update
from twisted_flow.wire.http2.frames import settings as say
from twisted_flow.wire.http2.interfaces import IHTTP2Owner

CALL, POST, STREAM = "/jina.JinaRPC/Call", "/twisted_flow.Flow/Post", "/twisted_flow.Flow/Stream"
Message = bytes


def framed(message: bytes, compressed: bool = False) -> bytes:
    return bytes((compressed,)) + len(message).to_bytes(4, "big") + message


def ask(text: str = "a", on: str = "/x", **fields: Any) -> bytes:
    encoded: bytes = proto(on, text, **fields).SerializeToString()
    return encoded


def opening(path: str, stream: int = 1, ended: bool = False, **fields: str) -> bytes:
    """HEADERS of a call; of *fields* underscores are hyphens."""
    said = {"content-type": "application/grpc", "te": "trailers", **{k.replace("_", "-"): v for k, v in fields.items()}}
    pairs = [(":method", "POST"), (":scheme", "http"), (":path", path), *said.items()]
    return headers(block((name.encode(), value.encode()) for name, value in pairs), ended, stream, 1 << 20)


def data(message: bytes, stream: int = 1, ended: bool = True) -> bytes:
    """DATA with *message*, in frames of the usual size."""
    body = framed(message)
    pieces = [body[at : at + 16384] for at in range(0, len(body), 16384)]
    last = len(pieces) - 1
    return b"".join(
        frame(DATA, END_STREAM if ended and n == last else 0, stream, each) for n, each in enumerate(pieces)
    )


def held() -> tuple[list[Deferred[None]], Callable[[Request], Deferred[None]]]:
    """What answers each request when its Deferred is fired, and those."""
    waiting: list[Deferred[None]] = []

    def wait(request: Request) -> Deferred[None]:
        waiting.append(Deferred())
        return waiting[-1]

    return waiting, wait


class Client:
    """A connection, and what came over it."""

    def __init__(
        self, answer: Callable[[Request], object] = lambda request: None, hello: bytes = HELLO, **limits: Any
    ) -> None:
        self.source = Answering(answer)
        self.gateway = MemoryGateway("grpc", self.source, Limits(**limits))
        self.wire = self.gateway.connect()
        self.wire.receive(hello)
        self.told()

    @property
    def lane(self) -> GRPCLane:
        lane: GRPCLane = self.wire.protocol
        return lane

    def send(self, sent: bytes) -> list[Frame]:
        self.wire.receive(sent)
        return self.told()

    def told(self) -> list[Frame]:
        """What came since the last time."""
        got = frames_of(self.wire.value())
        self.wire.clear()
        return got

    def pass_by(self, seconds: int) -> list[Frame]:
        for _ in range(seconds):
            self.gateway.clock.advance(1)
        return self.told()

    def kept(self) -> int:
        """Bytes that are counted for all connections."""
        total: int = self.lane.account.total.bytes
        return total


def status(frames: list[Frame]) -> tuple[str, str]:
    """How a call has ended."""
    fields = dict(pair for said in fields_in(frames) for pair in said)
    return NAMES[int(fields[b"grpc-status"])], percent_decoded(fields.get(b"grpc-message", b""))


def texts(frames: list[Frame], stream: int = 1) -> list[str]:
    """Of the documents that came on a stream."""
    body = b"".join(each.payload for each in frames if each.kind == DATA and each.stream == stream)
    found = []
    while body:
        size = int.from_bytes(body[1:5], "big")
        found += [doc.text for doc in RequestProto.FromString(body[5 : 5 + size]).data.docs]
        body = body[5 + size :]
    return found


class TestCalls:
    def test_interfaces(self) -> None:
        """What provides what."""
        client = Client(lambda request: Deferred())
        assert verifyObject(IHTTP2Owner, client.lane)
        assert verifyObject(IGateway, client.gateway.gateway)
        paths = [CALL, POST, STREAM, "/grpc.health.v1.Health/Watch"]
        client.send(b"".join(opening(path, 2 * place + 1) for place, path in enumerate(paths)))
        calls = [stream.listener for stream in client.lane.http2.streams.values()]
        assert len(calls) == len(paths)
        assert all(verifyObject(ICall, call) for call in calls)

    def test_one_write(self) -> None:
        """All that one read leads to leaves as one write."""
        client = Client()
        writes: list[bytes] = []
        client.wire.write = writes.append  # type: ignore[method-assign]
        client.wire.receive(b"".join(opening(POST, n) + data(ask(), n) for n in (1, 3, 5)))
        assert len(writes) == 1
        assert [texts(frames_of(writes[0]), n) for n in (1, 3, 5)] == [["a"]] * 3

    @given(st.lists(st.integers(1, 400), min_size=1, max_size=8))
    @settings(max_examples=50, deadline=None)
    def test_cut_up(self, sizes: list[int]) -> None:
        """However the bytes are cut up, and the messages over frames, the answers are the same."""
        client = Client()
        body = b"".join(framed(ask(str(n))) for n in range(20))
        pieces, at = [], 0
        while at < len(body):
            size = sizes[len(pieces) % len(sizes)]
            pieces.append(frame(DATA, 0, 1, body[at : at + size]))
            at += size
        sent = opening(CALL) + b"".join(pieces) + frame(DATA, END_STREAM, 1)
        got: list[Frame] = []
        for at in range(0, len(sent), sizes[0]):
            got += client.send(sent[at : at + sizes[0]])
        assert texts(got) == [str(n) for n in range(20)]
        assert status(got) == ("OK", "")
        assert client.kept() == 0

    @pytest.mark.parametrize(
        ("content_type", "taken"),
        [
            ("application/grpc", True),
            ("application/grpc+proto", True),
            ("application/grpc;charset=utf-8", True),
            ("application/grpc-web", False),
            ("application/json", False),
            ("", False),
        ],
    )
    def test_content_types(self, content_type: str, taken: bool) -> None:
        """The variants of gRPC's; all others are told to use HTTP/1.1."""
        told = Client().send(opening(POST, content_type=content_type) + data(ask()))
        assert (texts(told) == ["a"]) is taken
        assert taken or str(told[0]) == "RST_STREAM 1 HTTP_1_1_REQUIRED"

    @pytest.mark.parametrize("path", [POST, STREAM, CALL])
    def test_compression(self, path: str) -> None:
        """Messages are decompressed; by what nobody knows is UNIMPLEMENTED, and what is known is told."""
        client = Client()
        sent = frame(
            DATA, END_STREAM, 1, framed(gzip.compress(ask()), True) + framed(ask("b"))[: 0 if path != CALL else None]
        )
        assert texts(client.send(opening(path, grpc_encoding="gzip") + sent))[0] == "a"
        told = client.send(opening(path, 3, grpc_encoding="snappy", ended=True))
        assert status(told) == ("UNIMPLEMENTED", "Compression algorithm 'snappy' is not supported")
        assert (b"grpc-accept-encoding", b"identity, deflate, gzip") in fields_in(told)[-1]
        for stream, encoding in ((5, "identity"), (7, "gzip"), (9, "deflate")):
            told = client.send(opening(path, stream, grpc_encoding=encoding))
            told += client.send(frame(DATA, END_STREAM, stream, framed(b"not this", True)))
            assert status(told)[0] == "INTERNAL"
        told = client.send(opening(path, 11) + frame(DATA, END_STREAM, 11, b"\x02" + framed(ask())[1:]))
        assert status(told)[0] == "INTERNAL"

    @pytest.mark.parametrize("path", [POST, STREAM, CALL, "/grpc.health.v1.Health/Check"])
    def test_cut_off(self, path: str) -> None:
        """An end in the middle of a message is an error, not an empty request."""
        client = Client()
        told = client.send(opening(path) + frame(DATA, END_STREAM, 1, framed(ask())[:-1]))
        assert status(told) == ("INTERNAL", "the stream has ended in the middle of a message")
        assert client.source.requests == []
        assert client.kept() == 0


class TestDeadlines:
    def test_before_the_request(self) -> None:
        """A deadline that is over before the request has come, and one that is not."""
        client = Client(lambda request: Deferred())
        client.send(opening(POST, 1, grpc_timeout="5S") + opening(POST, 3, grpc_timeout="20S"))
        assert status(client.pass_by(5))[0] == "DEADLINE_EXCEEDED"
        client.send(data(ask(), 3))
        (request,) = client.source.requests
        assert request.timeout == 15

    def test_of_a_stream(self) -> None:
        """A stream's own deadline ends it, and cancels what is under way."""
        cancelled: list[object] = []
        client = Client(lambda request: Deferred(cancelled.append))
        client.send(opening(CALL, grpc_timeout="3000m") + data(ask(), ended=False))
        assert client.pass_by(2) == []
        assert status(client.pass_by(1))[0] == "DEADLINE_EXCEEDED"
        assert len(cancelled) == 1

    @pytest.mark.parametrize("odd", ["", "5", "S", "999999999S", "-5S", "5s"])
    def test_what_is_none(self, odd: str) -> None:
        """What says no time is an error, as it is to grpcio; none at all is no time left."""
        client = Client()
        assert status(client.send(opening(POST, grpc_timeout=odd) + data(ask())))[0] == "INTERNAL"
        assert status(client.send(opening(CALL, 3, grpc_timeout="0n") + data(ask(), 3)))[0] == "DEADLINE_EXCEEDED"
        assert client.source.requests == []


class TestBounds:
    def test_message_too_large(self) -> None:
        """It is refused when its length is known; the connection, and other calls, live on."""
        client = Client(max_body=1000)
        for path, stream in ((POST, 1), (CALL, 3), (STREAM, 5)):
            told = client.send(opening(path, stream) + frame(DATA, 0, stream, b"\0\0\1\0\0"))
            assert status(told) == ("RESOURCE_EXHAUSTED", "SERVER: Received message larger than max (65536 vs. 1000)")
        assert texts(client.send(opening(POST, 7) + data(ask(), 7)), 7) == ["a"]

    def test_message_larger_than_the_window(self) -> None:
        """It comes in all the same, and is counted while it does."""
        client = Client()
        sent = data(ask("a" * 5_000_000))
        client.send(opening(POST))
        for at in range(0, len(sent), 200_000):
            assert at - 70_000 < client.kept() < at + 10_000
            client.send(sent[at : at + 200_000])
        assert 5_000_000 < client.kept() < 5_010_000  # it is being read, in turns with everything else
        client.wire.lose()
        assert client.kept() == 0

    def test_parts_of_many_messages(self) -> None:
        """What has come of messages that are not all there is bounded for all calls together."""
        client = Client(max_body=100_000, max_in_flight_size=100_000)
        told: list[Frame] = []
        for stream in range(1, 61, 2):
            told += client.send(opening(POST, stream) + frame(DATA, 0, stream, framed(bytes(90_000))[:10_000]))
        refused = [each for each in told if each.kind == HEADERS]
        assert client.kept() <= 200_000
        assert len(refused) == 10
        assert status(told)[0] == "RESOURCE_EXHAUSTED"
        client.send(b"".join(reset(stream, CANCEL) for stream in range(1, 61, 2)))
        assert client.kept() == 0

    @pytest.mark.parametrize("path", ["/grpc.health.v1.Health/Check", POST, STREAM])
    def test_what_stands_behind_the_message(self, path: str) -> None:
        """What comes behind the only message of a call is not kept, nor counted, whenever it comes."""
        client = Client()
        message = framed(b"" if path not in (POST, STREAM) else ask())
        for stream in range(1, 41, 2):
            client.send(
                opening(path, stream)
                + frame(DATA, 0, stream, message + bytes(10_000))
                + frame(DATA, 0, stream, bytes(16_000))
            )
        assert client.kept() == 0
        client.wire.lose()
        assert client.kept() == 0

    @pytest.mark.parametrize("path", [POST, STREAM, CALL, "/grpc.health.v1.Health/Check"])
    def test_a_message_that_does_not_come(self, path: str) -> None:
        """A part of a message is not kept without end, though the client answers pings; the connection lives."""
        client = Client(body_timeout=30)
        client.send(opening(path) + frame(DATA, 0, 1, framed(bytes(60_000))[:10_000]))
        assert client.kept() == 10_000
        told: list[Frame] = []
        for _ in range(4):
            told += client.pass_by(9) + client.send(frame(PING, 0, 0, bytes(8)))
        assert status([each for each in told if each.kind == HEADERS][-1:]) == (
            "DEADLINE_EXCEEDED",
            "no byte of the message for 30 s",
        )
        assert client.kept() == 0
        assert not client.wire.closed

    def test_in_flight(self) -> None:
        """No more requests of a stream are taken than may be in flight; those of other streams are."""
        client = Client(lambda request: Deferred() if request.docs[0].text == "wait" else None, max_in_flight=4)
        client.send(opening(CALL) + b"".join(data(ask("wait"), ended=False) for _ in range(600)))
        assert len(client.source.requests) == 4
        assert texts(client.send(opening(CALL, 3) + data(ask(), 3)), 3) == ["a"]

    def test_who_sends_on(self) -> None:
        """What is not taken is not given back: the sender has to stop; it is, once there is room."""
        waiting, wait = held()
        client = Client(wait, max_in_flight=1, max_in_flight_size=1_000_000)
        told = client.send(opening(CALL))
        message = ask("a" * 15_000)
        sent = 0
        while not any(str(each).startswith("RST") or each.kind == GOAWAY for each in told) and sent < 60:
            told = client.send(data(message, ended=False))
            sent += 1
        kept = client.kept()
        assert sent == 60
        assert kept < 1_000_000
        while waiting:
            waiting.pop(0).callback(None)
            client.send(window_update(0, 16_000) + window_update(1, 16_000))
        assert len(client.source.requests) == 60
        assert client.kept() == 0

    def test_calls(self) -> None:
        """More calls than there may be are refused, in a way that says that they may be repeated."""
        client = Client(lambda request: Deferred(), max_calls=100)
        told = client.send(b"".join(opening(POST, n) + data(ask(), n) for n in range(1, 241, 2)))
        assert len(client.lane.http2.streams) == 100
        assert [str(each) for each in told] == [f"RST_STREAM {n} REFUSED_STREAM" for n in range(201, 241, 2)]

    def test_ten_thousand_streams(self) -> None:
        """They are opened and cancelled, some at a time: nothing is left of them, and requests were cancelled."""
        cancelled: list[object] = []
        client = Client(lambda request: Deferred(cancelled.append))
        for first in range(1, 20_001, 200):
            streams = range(first, first + 200, 2)
            client.send(b"".join(opening(POST, n) + data(ask(), n) for n in streams))
            client.send(b"".join(reset(n, CANCEL) for n in streams))
            client.pass_by(1)
        assert len(cancelled) == 10_000
        assert client.lane.http2.streams == {}
        assert client.kept() == 0
        assert not client.wire.closed

    def test_rapid_reset(self) -> None:
        """As fast as it can be: the connection ends, and with it all that it had begun."""
        cancelled: list[object] = []
        client = Client(lambda request: Deferred(cancelled.append))
        stream = 1
        while not client.wire.closed and stream < 60_000:
            sent = b"".join(
                opening(POST, n) + data(ask(), n) + reset(n, CANCEL) for n in range(stream, stream + 100, 2)
            )
            told = client.send(sent)
            stream += 100
        assert "GOAWAY ENHANCE_YOUR_CALM" in map(str, told)
        assert stream < 12_000
        assert len(cancelled) == len(client.source.requests)

    def test_who_takes_nothing(self) -> None:
        """An answer for which the client opens no window is given up in time, and so is its request's memory."""
        client = Client(hello=PREFACE + say({4: 10}) + ACKNOWLEDGED, write_timeout=60)
        client.send(opening(POST) + data(ask("a" * 1000)))
        assert client.lane.http2.streams
        for _ in range(5):
            client.pass_by(19)
            client.send(frame(PING, 0, 0, bytes(8)))
        assert not client.lane.http2.streams
        assert not client.wire.closed

    def test_answers_that_nobody_takes(self) -> None:
        """Calls whose answers are not taken are bounded by what waits: further ones are refused, until it has left."""
        client = Client(hello=PREFACE + say({4: 0}) + ACKNOWLEDGED, max_in_flight_size=1_000_000)
        big = ask("a" * 60_000)
        for stream in range(1, 101, 2):
            client.send(opening(POST, stream) + data(big, stream))
        assert len(client.source.requests) == 17
        assert client.lane.http2.unsent < 1_100_000
        client.send(b"".join(reset(stream, CANCEL) for stream in range(1, 101, 2)))
        assert client.lane.http2.unsent == 0
        assert texts(client.send(say({4: 65535}) + opening(POST, 101) + data(ask(), 101)), 101) == ["a"]

    def test_who_does_not_go_on(self) -> None:
        """A frame, or a preface, that is not all there is not waited for without end."""
        for begun in (frame(DATA, 0, 1, bytes(100))[:-1], opening(POST)[:-3], b"\0\0"):
            client = Client(body_timeout=10)
            client.send(opening(CALL) + begun if begun[3:4] == b"\0" else begun)
            client.pass_by(9)
            assert not client.wire.disconnected
            client.pass_by(3)
            assert client.wire.disconnected
        client = Client(hello=PREFACE[:20], header_timeout=10)
        client.pass_by(12)
        assert client.wire.disconnected

    def test_who_is_gone(self) -> None:
        """Who says nothing is pinged; who does not answer that is gone."""
        client = Client(ping_interval=20, ping_timeout=10)
        told = client.pass_by(21)
        assert [str(each) for each in told] == ["PING"]
        client.send(frame(PING, 1, 0, told[0].payload))
        client.pass_by(19)
        assert not client.wire.disconnected
        client.pass_by(12)
        assert client.wire.disconnected


class TestEnds:
    def test_drain(self) -> None:
        """What has come is answered, also what crosses the first GOAWAY; then the connection closes."""
        waiting, wait = held()
        client = Client(wait)
        client.send(opening(POST) + data(ask()))
        stopped = client.gateway.close()
        told = client.told()
        assert [str(each) for each in told] == ["GOAWAY NO_ERROR", "PING"]
        client.send(opening(POST, 3) + data(ask(), 3))
        assert len(waiting) == 2
        client.send(frame(PING, 1, 0, told[1].payload))
        for each in waiting:
            each.callback(None)
        client.wire.turn()
        told = client.told()
        assert [texts(told, stream) for stream in (1, 3)] == [["a"], ["a"]]
        assert client.wire.closed
        client.wire.lose()
        client.wire.turn()
        assert stopped.called

    def test_a_stream_that_crosses_the_first_goaway(self) -> None:
        """It is taken, so its requests are answered; a watch of health is told, and ended."""
        client = Client()
        client.send(opening(CALL))
        client.gateway.close()
        ping = client.told()[1].payload
        told = client.send(
            opening(CALL, 3) + data(ask(), 3) + opening("/grpc.health.v1.Health/Watch", 5) + data(b"", 5)
        )
        told += client.send(frame(PING, 1, 0, ping)) + client.pass_by(2)
        assert texts(told, 3) == ["a"]
        assert {each.stream for each in told if each.kind == HEADERS and each.flags & END_STREAM} == {1, 3, 5}
        assert client.wire.closed

    def test_a_check_without_a_message(self) -> None:
        """It is told that the server stops; an empty success would be no answer."""
        client = Client()
        client.send(opening("/grpc.health.v1.Health/Check"))
        client.gateway.close()
        client.wire.turn()
        assert status([each for each in client.told() if each.kind == HEADERS])[0] == "UNAVAILABLE"

    def test_who_does_not_read_to_its_end(self) -> None:
        """A connection that is to end is not kept by a client that does not read what is left."""
        client = Client(write_timeout=30)
        client.lane.pauseProducing()
        client.gateway.close()
        client.pass_by(2)
        assert client.wire.disconnecting
        client.pass_by(31)
        assert client.wire.disconnected

    def test_cut(self) -> None:
        """What takes longer than the grace is answered Unavailable."""
        client = Client(lambda request: Deferred(), drain_grace=5)
        client.send(opening(POST) + data(ask()) + opening(CALL, 3) + data(ask(), 3, ended=False) + opening(POST, 5))
        client.gateway.close()
        told = client.pass_by(6)
        ended = {each.stream: status([each]) for each in told if each.kind == HEADERS and each.flags & END_STREAM}
        assert ended[1] == ("UNAVAILABLE", "the server stopped before the request was answered")
        assert ended[5] == ("UNAVAILABLE", "the server is stopping")
        assert b"Unavailable" in b"".join(each.payload for each in told if each.kind == DATA and each.stream == 3)

    def test_half_a_connection(self) -> None:
        """A client that sends no more gets the answers to what it has asked."""
        waiting, wait = held()
        client = Client(wait)
        client.send(opening(POST) + data(ask()) + opening(POST, 3))
        client.wire.end_input()
        assert not client.wire.closed
        waiting[0].callback(None)
        client.wire.turn()
        assert texts(client.told()) == ["a"]
        assert client.wire.closed

    def test_half_a_connection_with_much_on_it(self) -> None:
        """All that had come before the end is taken, in as many turns as that needs."""
        client = Client()
        sent = b"".join(opening(POST, n) + data(ask(), n) for n in range(1, 401, 2))
        client.wire.protocol.dataReceived(sent)
        client.wire.protocol.readConnectionLost()
        client.wire.turn()
        assert sum(each.kind == HEADERS and bool(each.flags & END_STREAM) for each in client.told()) == 200
        assert client.wire.closed

    def test_a_client_that_is_about_to_go(self) -> None:
        """Its GOAWAY says that no more calls come: those that are under way go on, and then the connection ends."""
        client = Client()
        client.send(opening(CALL) + goaway(0, 0))
        assert texts(client.send(data(ask(), ended=False))) == ["a"]
        assert texts(client.send(data(ask("b")))) == ["b"]
        assert client.wire.closed

    def test_gone(self) -> None:
        """What a client has asked that is gone is cancelled, and forgotten."""
        cancelled: list[object] = []
        client = Client(lambda request: Deferred(cancelled.append))
        half = opening(POST, 5) + data(ask("a" * 30_000), 5)[:25_000]
        client.send(opening(POST) + data(ask()) + opening(CALL, 3) + data(ask(), 3) + half)
        assert client.kept() > 20_000
        client.wire.lose()
        assert len(cancelled) == 2
        assert client.kept() == 0

    def test_a_fault_of_one_call(self) -> None:
        """An error on one stream leaves the others."""

        def refuse(request: Request) -> None:
            if request.docs[0].text == "no":
                raise NotFound("no \u00fc\n%")

        client = Client(refuse)
        told = client.send(
            b"".join(opening(POST, n) + data(ask(text), n) for n, text in ((1, "a"), (3, "no"), (5, "b")))
        )
        assert status([each for each in told if each.stream == 3]) == ("NOT_FOUND", "no \u00fc\n%")
        assert (texts(told, 1), texts(told, 5)) == (["a"], ["b"])

    def test_a_fault_of_the_connection(self) -> None:
        """A client that breaks HTTP/2 is told why, and its connection closed."""
        client = Client()
        told = client.send(frame(SETTINGS, 0, 1))
        assert str(told[-1]) == "GOAWAY PROTOCOL_ERROR"
        assert b"SETTINGS of a stream" in told[-1].payload
        assert client.wire.half_closed  # what it still sends is read for a while, so that it sees why
        client.wire.receive(bytes(1000))
        client.pass_by(7)
        assert client.wire.disconnected

    def test_who_does_not_read(self) -> None:
        """While the socket is full, no answer is written; when it is not, all are."""
        client = Client()
        wire: MemoryConnection = client.wire
        client.lane.pauseProducing()
        assert client.send(opening(POST) + data(ask())) == []
        client.lane.resumeProducing()
        wire.turn()
        assert texts(client.told()) == ["a"]

    def test_windows_of_a_byte(self) -> None:
        """A client with tiny windows gets its answer piece by piece."""
        client = Client(hello=PREFACE + say({4: 7}) + ACKNOWLEDGED)
        got = client.send(opening(POST) + data(ask("abcdefgh" * 10)))
        for _ in range(100):
            got += client.send(window_update(1, 7))
        assert texts(got) == ["abcdefgh" * 10]
        assert status(got) == ("OK", "")
