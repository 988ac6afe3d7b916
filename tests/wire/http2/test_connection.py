"""One connection of HTTP/2: windows, turns, floods, drains; and both ends against each other, and against another's."""

from __future__ import annotations

from typing import Any

import h2.config
import h2.connection
import h2.events
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from zope.interface.verify import verifyObject

from tests.http2 import ACKNOWLEDGED, HELLO, REQUEST, RESPONSE, TRAILERS, End, Heard, fields_in, greeted, request
from twisted_flow.wire.http2.codes import (
    CANCEL,
    CONTINUATION,
    DATA,
    END_STREAM,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    SETTINGS,
)
from twisted_flow.wire.http2.connection import Connection
from twisted_flow.wire.http2.fields import block
from twisted_flow.wire.http2.frames import PAIR, frame, goaway, reset, window_update
from twisted_flow.wire.http2.frames import settings as say
from twisted_flow.wire.http2.interfaces import IHTTP2Owner, IStreamListener
from twisted_flow.wire.http2.settings import OurSettings
from twisted_flow.wire.http2.stream import NOBODY, Stream

BLOCK = block(REQUEST)


def opened(end: End, id: int = 1, **more: Any) -> Heard:
    """A request came on the stream *id*."""
    end.receive(request(id, **more))
    return end.heard[-1]


def stream_of(heard: Heard) -> Stream:
    assert heard.stream is not None
    return heard.stream


class TestAnswers:
    def test_whole(self) -> None:
        """Fields, data and trailers leave as one write, each with its flags."""
        end = greeted()
        stream = stream_of(opened(end, ended=True))
        stream.answer(RESPONSE, b"hello", TRAILERS)
        frames = end.frames()
        assert [str(each) for each in frames] == ["HEADERS 1", "DATA 1", "HEADERS 1 END_STREAM"]
        assert frames[1].payload == b"hello"
        assert fields_in(frames) == [[(b":status", b"200"), (b"a", b"b")], [(b"t", b"u")]]
        assert not end.http2.streams

    def test_in_pieces(self) -> None:
        """What is sent in one turn is one frame."""
        end = greeted()
        stream = stream_of(opened(end, ended=True))
        stream.headers(RESPONSE)
        for piece in (b"a", b"b", b"c"):
            stream.send(piece)
        assert [each.payload for each in end.frames() if each.kind == DATA] == [b"abc"]
        stream.send(b"d")
        stream.finish()
        stream.send(b"not this")
        frames = end.frames()
        assert [(str(each), each.payload) for each in frames] == [("DATA 1 END_STREAM", b"d")]

    @pytest.mark.parametrize("ended", [True, False])
    def test_fields_alone(self, ended: bool) -> None:
        """An answer without data; where the client has not ended, it is told that nobody listens (section 8.1)."""
        end = greeted()
        stream = stream_of(opened(end, ended=ended))
        stream.headers(RESPONSE)
        stream.finish()
        assert end.told() == ["HEADERS 1 END_STREAM"] + ([] if ended else ["RST_STREAM 1 NO_ERROR"])
        assert end.receive(frame(DATA, END_STREAM, 1, b"late")) == ([] if not ended else ["RST_STREAM 1 STREAM_CLOSED"])

    def test_early(self) -> None:
        """What leaves early is sent once, and what comes after it as ever: while frames are taken, or at any time."""
        end = greeted()
        early: list[str] = []

        def answer(stream: Stream, fields: Any) -> None:
            stream.answer(RESPONSE, b"x", TRAILERS)
            end.http2.flush_early()
            early.append(end.written.hex())

        end.on_opened = answer
        whole = ["HEADERS 1", "DATA 1", "HEADERS 1 END_STREAM", "RST_STREAM 1 NO_ERROR"]
        assert end.receive(request(1)) == whole
        assert early[0]
        end.on_opened = lambda stream, fields: None
        stream = stream_of(opened(end, 3, ended=True))
        end.http2.flush_early()
        stream.answer(RESPONSE, b"x", TRAILERS)
        assert end.told() == ["HEADERS 3", "DATA 3", "HEADERS 3 END_STREAM"]

    def test_large_fields(self) -> None:
        """A block that has no room in one frame goes on in CONTINUATIONs, with nothing between them."""
        end = greeted()
        stream = stream_of(opened(end, ended=True))
        large = block([(b"a", b"b" * 40_000)])
        stream.headers(RESPONSE + large)
        stream.send(b"x")
        stream.finish(TRAILERS)
        frames = end.frames()
        assert [each.kind for each in frames] == [HEADERS, CONTINUATION, CONTINUATION, DATA, HEADERS]
        assert [bool(each.flags & 4) for each in frames[:3]] == [False, False, True]
        assert b"".join(each.payload for each in frames[:3]) == RESPONSE + large


class TestWindows:
    def test_of_a_stream(self) -> None:
        """No more is sent than the window of the stream has; the rest follows as it grows, also by a setting."""
        end = End()
        end.receive(PREFACE + say({4: 10}) + ACKNOWLEDGED)
        stream = stream_of(opened(end, ended=True))
        stream.send(bytes(range(40)))
        stream.finish()
        sent = [each.payload for each in end.frames()]
        end.receive(window_update(1, 5))
        assert end.receive(window_update(1, 5)) == ["DATA 1"]
        assert end.receive(say({4: 15})) == ["SETTINGS ACK", "DATA 1"]
        assert end.receive(say({4: 0})) == ["SETTINGS ACK"]  # fifteen less than nothing
        assert end.receive(window_update(1, 15)) == []
        assert end.receive(window_update(1, 100)) == ["DATA 1 END_STREAM"]
        assert sent == [bytes(range(10))]

    def test_of_the_connection(self) -> None:
        """It is shared, and those that wait have their turn as it grows."""
        end = End()
        end.receive(PREFACE + say({4: 2**20}) + ACKNOWLEDGED)
        streams = [stream_of(opened(end, id, ended=True)) for id in (1, 3)]
        for stream in streams:
            stream.send(bytes(50_000))
            stream.finish()
        sent = [(each.stream, len(each.payload)) for each in end.frames()]
        assert sum(size for _, size in sent) == 65535
        assert {id for id, _ in sent} == {1, 3}
        end.http2.receive(window_update(0, 100_000))
        rest = [(each.stream, len(each.payload)) for each in end.frames()]
        assert sum(size for _, size in rest) == 34_465
        assert not end.http2.streams

    def test_frames_of_the_size_that_the_peer_takes(self) -> None:
        """No frame is larger; larger ones are sent to who takes them."""
        for size in (16384, 30_000):
            end = End()
            end.receive(PREFACE + say({4: 2**20, 5: size}) + ACKNOWLEDGED)
            stream = stream_of(opened(end, ended=True))
            stream.send(bytes(20_000))
            stream.send(bytes(20_000))
            sizes = [len(each.payload) for each in end.frames()]
            assert max(sizes) == size
            assert sum(sizes) == 40_000

    def test_who_does_not_read(self) -> None:
        """While the socket is full nothing of streams is written, but answers to pings; then all of it."""
        end = greeted()
        heard = opened(end, ended=True)
        end.full = True
        stream_of(heard).send(bytes(1000))
        assert end.told() == []
        assert end.receive(frame(PING, 0, 0, bytes(8))) == ["PING ACK"]
        end.full = False
        end.http2.flush()
        assert end.told() == ["DATA 1"]

    def test_full(self) -> None:
        """A stream on which much waits says so, and when that has left."""
        end = greeted()
        heard = opened(end)
        stream = stream_of(heard)
        stream.send(bytes(65536))
        assert not stream.full
        stream.send(b"x")
        assert stream.full
        end.told()
        assert heard.events == []
        end.receive(window_update(0, 9) + window_update(1, 9))
        assert heard.events == ["roomy"]
        assert not stream.full

    def test_given_back(self) -> None:
        """What is taken makes room, for the stream and the connection; what is not, does not."""
        ours = OurSettings(window=1000, connection_window=70_000)
        end = greeted(ours=ours)
        heard = opened(end)
        assert end.receive(frame(DATA, 0, 1, bytes(400))) == []
        assert end.receive(frame(DATA, 0, 1, bytes(400))) == ["WINDOW_UPDATE 1"]
        heard.holds = True
        assert end.receive(frame(DATA, 0, 1, bytes(1000))) == []
        assert end.receive(frame(DATA, 0, 1, b"x")) == ["RST_STREAM 1 FLOW_CONTROL_ERROR"]
        assert heard.events == ["FLOW_CONTROL_ERROR"]

    def test_of_a_connection_that_nobody_takes_from(self) -> None:
        """All streams together have a bound too."""
        ours = OurSettings(window=50_000, connection_window=70_000)
        end = greeted(ours=ours)
        for id in (1, 3):
            opened(end, id).holds = True
        pieces = [frame(DATA, 0, id, bytes(10_000)) for id in (1, 3) for _ in range(4)]
        assert [each for piece in pieces for each in end.receive(piece)] == ["GOAWAY FLOW_CONTROL_ERROR"]

    def test_of_streams_that_end(self) -> None:
        """What came on streams that were reset, or refused, or answered before it came, is given back to the others."""
        ours = OurSettings(window=70_000, connection_window=70_000)
        end = greeted(ours=ours)
        for id in range(1, 101, 2):
            heard = opened(end, id)
            heard.holds = True
            end.receive(frame(DATA, 0, id, bytes(10_000)))
            if id % 4 == 1:
                end.receive(reset(id, CANCEL))
            else:
                stream_of(heard).reset(CANCEL)
                end.receive(frame(DATA, 0, id, bytes(1000)))
        assert end.fault is None


class TestEnds:
    def test_the_peer_cancels(self) -> None:
        """The listener hears it, once; nothing more is sent."""
        end = greeted()
        heard = opened(end)
        stream_of(heard).send(b"x")
        end.http2.receive(reset(1, CANCEL))
        assert heard.events == ["CANCEL"]
        stream_of(heard).send(b"y")
        stream_of(heard).finish(TRAILERS)
        stream_of(heard).reset(CANCEL)
        stream_of(heard).credit(5)
        assert end.told() == []

    def test_the_socket_is_gone(self) -> None:
        """All listeners hear it."""
        end = greeted()
        heard = [opened(end, 1), opened(end, 3)]
        end.http2.lose()
        assert [each.events for each in heard] == [["CANCEL"], ["CANCEL"]]
        assert end.receive(request(5)) == []

    def test_drain(self) -> None:
        """GOAWAY twice: what the client sends until it has seen the first is answered, what comes later is not."""
        end = greeted()
        first = opened(end, 1, ended=True)
        end.http2.drain()
        frames = end.frames()
        assert [str(each) for each in frames] == ["GOAWAY NO_ERROR", "PING"]
        assert PAIR.unpack_from(frames[0].payload)[0] == 2**31 - 1
        second = opened(end, 3, ended=True)
        end.http2.receive(frame(PING, 1, 0, frames[1].payload))
        (last,) = end.frames()
        assert PAIR.unpack_from(last.payload) == (3, 0)
        assert end.receive(request(5, ended=True)) == []
        assert len(end.heard) == 2
        assert not end.http2.empty
        for heard in (first, second):
            stream_of(heard).answer(RESPONSE, b"x", TRAILERS)
        end.told()
        assert end.http2.empty

    def test_drain_of_who_does_not_answer(self) -> None:
        """A whole second is enough."""
        end = greeted()
        end.http2.drain()
        end.told()
        end.http2.tick()
        assert end.told() == []
        end.http2.tick()
        assert end.told() == ["GOAWAY NO_ERROR"]
        assert end.http2.empty

    def test_the_server_goes_away(self) -> None:
        """A client's streams that it has not taken are lost, so that they can be asked elsewhere; the others go on."""
        end = greeted(server=False)
        heard = [Heard(None), Heard(None)]
        for each in heard:
            end.http2.open(BLOCK, each)
        end.receive(goaway(1, 0))
        assert [each.events for each in heard] == [[], ["REFUSED_STREAM"]]
        assert end.gone == [(1, 0)]
        assert not end.http2.has_room
        end.receive(frame(HEADERS, 5, 1, RESPONSE))
        assert heard[0].events == ["ended"]

    def test_who_does_not_acknowledge(self) -> None:
        """Settings that are not acknowledged end the connection, in time."""
        end = End()
        end.receive(PREFACE + frame(SETTINGS, 0, 0))
        for _ in range(31):
            end.http2.tick()
        assert "GOAWAY SETTINGS_TIMEOUT" in end.told()


FLOODS = {
    "SETTINGS": frame(SETTINGS, 0, 0),
    "acknowledgements": ACKNOWLEDGED,
    "PING": frame(PING, 0, 0, bytes(8)),
    "PRIORITY": frame(PRIORITY, 0, 1, bytes(5)),
    "empty DATA": frame(DATA, 0, 1),
    "WINDOW_UPDATE": window_update(0, 1),
    "WINDOW_UPDATE of a stream": window_update(1, 1),
    "unknown frames": frame(0x77, 0, 0),
    "DATA for streams that are closed": request(1, fields=[]) + frame(DATA, 0, 1, b"x"),
}


class TestFloods:
    @pytest.mark.parametrize("kind", FLOODS)
    def test_frames_that_bring_nothing(self, kind: str) -> None:
        """A few thousand at once, or so many a second for good, and the connection ends; fewer are taken."""
        end = greeted()
        opened(end)
        for _ in range(20):
            end.receive(FLOODS[kind] * 100)
            end.http2.tick()
        assert end.fault is None
        told = [each for _ in range(60) for each in end.receive(FLOODS[kind] * 100)]
        assert told[-1] == "GOAWAY ENHANCE_YOUR_CALM"

    def test_rapid_reset(self) -> None:
        """Streams that are opened and reset (CVE-2023-44487)."""
        end, id = greeted(), 1
        while end.fault is None and id < 40_000:
            end.receive(b"".join(request(n, ended=True) + reset(n, CANCEL) for n in range(id, id + 200, 2)))
            id += 200
        assert end.fault is not None
        assert end.fault.detail.startswith("too many frames that bring nothing")
        assert id < 10_000
        assert not end.http2.streams

    def test_streams_that_are_refused(self) -> None:
        """More streams than there may be, again and again."""
        end, id = greeted(ours=OurSettings(streams=10)), 1
        while end.fault is None and id < 40_000:
            end.receive(b"".join(request(n) for n in range(id, id + 200, 2)))
            assert len(end.http2.streams) <= 10
            id += 200
        assert end.fault is not None

    @pytest.mark.parametrize("size", [0, 1, 1000, 16384])
    def test_continuation(self, size: int) -> None:
        """A block without end (CVE-2024-27316)."""
        end = greeted()
        end.receive(frame(HEADERS, 0, 1, BLOCK))
        sent = 0
        while end.fault is None and sent < 10**7:
            end.receive(frame(CONTINUATION, 0, 1, bytes(size)))
            sent += size + 9
        assert end.fault is not None
        assert sent < 300_000

    def test_fields_that_grow(self) -> None:
        """A small block that stands for many fields (an HPACK bomb): its size is bounded as it is read."""
        end = greeted()
        bomb = b"\x40\x01x\x7f\xa1\x1e" + b"v" * 4000 + b"\xbe" * 5000
        assert end.receive(frame(HEADERS, 5, 1, BLOCK + bomb)) == ["GOAWAY ENHANCE_YOUR_CALM"]

    @pytest.mark.parametrize("size", [66_000, 200_000])
    def test_fields_that_are_too_large(self, size: int) -> None:
        """They are read all the same, so that it is the fault of that stream alone."""
        end = greeted()
        opened(end, ended=True)
        large = BLOCK + block([(b"a", b"b" * size)])
        pieces = [large[at : at + 16384] for at in range(0, len(large), 16384)]
        sent = frame(HEADERS, 1, 3, pieces[0]) + b"".join(frame(CONTINUATION, 0, 3, each) for each in pieces[1:-1])
        assert end.receive(sent + frame(CONTINUATION, 4, 3, pieces[-1])) == ["RST_STREAM 3 ENHANCE_YOUR_CALM"]
        assert opened(end, 5, ended=True).events == ["ended"]

    def test_turns(self) -> None:
        """What comes at once is taken over several turns: others have theirs between."""
        end = greeted()
        end.http2.receive(b"".join(request(id, ended=True) for id in range(1, 401, 2)))
        seen = [len(end.heard)]
        while end.due:
            due, end.due = end.due, []
            for each in due:
                each()
            seen.append(len(end.heard))
        assert seen[0] == 64
        assert len(end.heard) == 200 - 72 == end.http2.ours.streams  # no more are open at once

    def test_small_windows(self) -> None:
        """A peer that takes a byte at a time gets a byte at a time, and what waits is not copied each time."""
        end = End()
        end.receive(PREFACE + say({4: 1}) + ACKNOWLEDGED)
        stream = stream_of(opened(end, ended=True))
        stream.send(bytes(10_000_000))
        assert end.told() == ["DATA 1"]
        for _ in range(1000):
            assert end.receive(window_update(1, 1)) == ["DATA 1"]
        assert stream.unsent == 10_000_000 - 1001


def test_a_table_that_is_warm() -> None:
    """A block that changes nothing means the same when it comes again; after a change it is read anew."""
    import hpack

    encoder, end = hpack.Encoder(), greeted()
    ids = iter(range(1, 101, 2))

    def ask(path: bytes, **options: Any) -> Heard:
        encoded = encoder.encode([*REQUEST[:2], (b":path", path), (b"x", b"y")])
        end.receive(frame(HEADERS, 5, next(ids), encoded))
        return end.heard[-1]

    first, second, third = ask(b"/a"), ask(b"/a"), ask(b"/a")
    assert first.fields is not None
    assert second.fields is third.fields
    for path in (b"/b", b"/a", b"/c", b"/c", b"/a"):
        heard = ask(path)
        assert heard.fields is not None
        assert heard.fields.pseudo[b":path"] == path
    encoder.header_table_size = 0
    assert ask(b"/a").fields is not second.fields
    assert ask(b"/a").fields.pairs == [(b"x", b"y")]  # type: ignore[union-attr]


def test_interfaces() -> None:
    """What provides what."""
    assert verifyObject(IHTTP2Owner, greeted())
    assert verifyObject(IStreamListener, NOBODY)
    assert verifyObject(IStreamListener, Heard(None))


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """*data* in pieces of about those *sizes*, again and again."""
    pieces, at, turn = [], 0, 0
    while at < len(data):
        size = max(sizes[turn % len(sizes)], len(data) // 300)
        pieces.append(data[at : at + size])
        at, turn = at + size, turn + 1
    return pieces


BODIES = st.lists(st.integers(0, 300_000), min_size=1, max_size=4)
SIZES = st.lists(st.integers(1, 70_000), min_size=1, max_size=5)
WINDOWS = st.builds(
    OurSettings,
    window=st.integers(65_535, 200_000),
    connection_window=st.integers(65_536, 400_000),
    frame_size=st.sampled_from([16384, 20_000, 100_000]),
)
RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(BODIES, SIZES, WINDOWS, WINDOWS)
@RELAXED
def test_both_ends(bodies: list[int], sizes: list[int], ours: OurSettings, theirs: OurSettings) -> None:
    """Whatever the windows, and however the bytes are cut up: each side gets what the other one has sent, and no more
    than it allows.
    """
    client, server = End(False, ours), End(True, theirs)

    def echo(stream: Stream, fields: Any) -> None:
        stream.headers(RESPONSE)

    server.on_opened = echo
    heard = []
    for size in bodies:
        listener = Heard(None)
        listener.stream = stream = client.http2.open(BLOCK, listener)
        stream.send(b"a" * size)
        stream.finish()
        heard.append(listener)
    answered: set[int] = set()
    for _ in range(100_000):
        client.turn()
        server.turn()
        if not client.written and not server.written:
            break
        for one, other in ((client, server), (server, client)):
            written, one.written = one.written, b""
            for piece in cut(written, sizes):
                other.http2.receive(piece)
                other.http2.patience.left = 4096  # one-byte windows are no attack here
        for place, each in enumerate(server.heard):
            if "ended" in each.events and place not in answered:
                answered.add(place)
                stream_of(each).send(each.body)
                stream_of(each).finish(TRAILERS)
    assert (client.fault, server.fault) == (None, None)
    assert [len(each.body) for each in heard] == bodies
    assert all([event for event in each.events if event != "roomy"] == ["ended"] for each in heard)
    assert not client.http2.streams
    assert not server.http2.streams
    for end in (client, server):
        http2: Connection = end.http2
        assert http2.room + http2._owed == http2.ours.connection_window


@given(BODIES, SIZES)
@RELAXED
def test_with_another_implementation(bodies: list[int], sizes: list[int]) -> None:
    """Hyper's h2 as the client: the same."""
    server = End(True, OurSettings(window=100_000, connection_window=150_000))
    server.on_opened = lambda stream, fields: stream.headers(RESPONSE)
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
    client.initiate_connection()
    left = {}
    for size in bodies:
        id = client.get_next_available_stream_id()
        client.send_headers(id, REQUEST, end_stream=not size)
        left[id] = size
    got = dict.fromkeys(left, 0)
    ended, answered = set(), set()
    for _ in range(10_000):
        for id in list(left):
            while left[id] and (room := min(client.local_flow_control_window(id), 16384, left[id])):
                left[id] -= room
                client.send_data(id, b"a" * room, end_stream=not left[id])
        for piece in cut(client.data_to_send(), sizes):
            server.http2.receive(piece)
        for place, each in enumerate(server.heard):
            if "ended" in each.events and place not in answered:
                answered.add(place)
                stream_of(each).send(each.body)
                stream_of(each).finish(TRAILERS)
        server.turn()
        written, server.written = server.written, b""
        for piece in cut(written, sizes):
            for event in client.receive_data(piece):
                if isinstance(event, h2.events.DataReceived):
                    got[event.stream_id] += len(event.data)
                    client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    ended.add(event.stream_id)
        if len(ended) == len(bodies):
            break
    assert list(got.values()) == bodies
    assert server.fault is None
    assert HELLO  # both have said it


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 255), st.integers(0, 5), st.binary(max_size=40))))
@settings(max_examples=300, deadline=None)
def test_any_frames(frames: list[tuple[int, int, int, bytes]]) -> None:
    """Whatever comes, nothing is raised; what is answered is well formed; and a fault is told, once."""
    for server in (True, False):
        end = greeted(server)
        if server:
            end.on_opened = lambda stream, fields: stream.answer(RESPONSE, b"x", TRAILERS)
        else:
            end.http2.open(BLOCK, Heard(None))
        told = end.receive(b"".join(frame(*each) for each in frames))
        assert sum(each.startswith("GOAWAY") for each in told) == (end.fault is not None)


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_any_bytes(data: bytes) -> None:
    """The same for bytes."""
    for server in (True, False):
        end = greeted(server)
        end.receive(data)
        fresh = End(server)
        fresh.receive(PREFACE[: len(data) % 30] + data)
