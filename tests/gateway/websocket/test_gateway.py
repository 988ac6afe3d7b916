"""WebSocket: frame by frame in memory, by the lane and by Autobahn alone; and a client that is not ours."""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
import struct
from datetime import UTC, datetime
from typing import Any

import pytest
import websockets
from hypothesis import given
from hypothesis import strategies as st

from tests.support import Dispatcher, Held, Log, connect, serving
from tests.websockets import WebSocket, frame, frames, lose
from twisted_flow.codec import protobuf
from twisted_flow.errors import NotFound
from twisted_flow.gateway.websocket import gateway as module
from twisted_flow.limits import Limits
from twisted_flow.message import Route, status_of
from twisted_flow.wire.websocket import frame_head, masked, plain_frame

HELLO = b'{"requestId": "r1", "data": [{"id": "a", "text": "hello"}], "execEndpoint": "/x"}'
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def ask(server: WebSocket, *parts: bytes) -> list[tuple[int, Any]]:
    wire = server.open()
    for part in parts:
        wire.receive(part)
    lose(wire)
    return [(opcode, json.loads(payload) if opcode == TEXT else payload) for opcode, payload in frames(wire.value())]


def short(answers: list[tuple[int, Any]]) -> list[Any]:
    """What matters of answers: the code of a close, the texts or the error of an answer."""
    found: list[Any] = []
    for opcode, payload in answers:
        if opcode == CLOSE:
            found.append(struct.unpack("!H", payload[:2])[0] if payload else 1005)
        elif opcode == TEXT:
            exception = payload["status"]["exception"]
            found.append(exception["name"] if exception else [doc["text"] for doc in payload["data"]["docs"]])
        elif opcode == PONG:
            found.append(("pong", payload))
        else:
            found.append(payload)
    return found


BIG = json.dumps({"data": ["x" * 70_000], "execEndpoint": "/x"}).encode()
MIDDLE = json.dumps({"data": ["x" * 300], "execEndpoint": "/x"}).encode()
ROWS: dict[str, tuple[bytes, list[Any]]] = {
    "text": (frame(HELLO), [["hello"]]),
    "several in one read": (frame(HELLO) * 3, [["hello"]] * 3),
    "length of 16 bits": (frame(MIDDLE), [["x" * 300]]),
    "length of 64 bits": (frame(BIG), [["x" * 70_000]]),
    "unicode": (frame('{"data": ["grüße 🎉"], "execEndpoint": "/x"}'.encode()), [["grüße 🎉"]]),
    "mask of zeros": (frame(HELLO, mask=b"\0\0\0\0"), [["hello"]]),
    "fragments": (frame(HELLO[:9], fin=False) + frame(HELLO[9:20], 0, fin=False) + frame(HELLO[20:], 0), [["hello"]]),
    "ping between fragments": (frame(HELLO[:9], fin=False) + frame(b"p", PING) + frame(HELLO[9:], 0), [("pong", b"p"), ["hello"]]),
    "ping, then plain": (frame(b"", PING) + frame(HELLO), [("pong", b""), ["hello"]]),
    "unasked pong": (frame(b"x", PONG) + frame(HELLO), [["hello"]]),
    "bad JSON": (frame(b"{") + frame(HELLO), ["BadRequest", ["hello"]]),
    "wrong field": (frame(b'{"requestId":"r7","data":5}') + frame(HELLO), ["ValidationError", ["hello"]]),
    "empty message": (frame(b"") + frame(HELLO), ["BadRequest", ["hello"]]),
    "no mask": (frame(HELLO, mask=None), [1002]),
    "good, then no mask": (frame(HELLO) + frame(HELLO, mask=None), [["hello"], 1002]),
    "reserved bit": (frame(HELLO) + frame(HELLO, rsv=4), [["hello"], 1002]),
    "unknown opcode": (frame(HELLO, 3), [1002]),
    "continuation of nothing": (frame(HELLO, 0), [1002]),
    "new message within fragments": (frame(HELLO[:9], fin=False) + frame(HELLO), [1002]),
    "16 bits for a short one": (frame(HELLO, form=16), [1002]),
    "64 bits for a short one": (frame(HELLO, form=64), [1002]),
    "bad UTF-8": (frame(HELLO) + frame(b'{"\xff": 1}'), [["hello"], 1007]),
    "bad UTF-8 in a value that nobody reads": (frame(b'{"data":["a"],"x":"\xff"}'), [1007]),
    "too large": (frame(HELLO) + frame(b"x" * 200_001), [["hello"], 1009]),
    "too large in fragments": (frame(b"x" * 150_000, fin=False) + frame(b"x" * 60_000, 0), [1009]),
    "close": (frame(struct.pack("!H", 1000), CLOSE), [1000]),
    "end of input": (frame(HELLO) + frame(b"\0", BINARY), [["hello"], 1000]),
    "long control frame": (frame(b"x" * 126, PING), [1002]),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("lane", [True, False], ids=["lane", "autobahn alone"])
def test_row(name: str, lane: bool) -> None:
    """Each row has its answers, by the lane and by Autobahn alone; good ones before a bad frame are kept."""
    raw, expected = ROWS[name]
    assert short(ask(WebSocket(lane=lane, limits=Limits(max_body=200_000)), raw)) == expected


@pytest.mark.parametrize(
    "name", ["several in one read", "fragments", "bad JSON", "good, then no mask", "length of 16 bits", "end of input"]
)
def test_split_anywhere(name: str) -> None:
    """Where the network cuts the bytes makes no difference."""
    raw, expected = ROWS[name]
    for cut in range(1, len(raw)):
        assert short(ask(WebSocket(), raw[:cut], raw[cut:])) == expected, cut
    assert short(ask(WebSocket(), *(raw[n : n + 1] for n in range(len(raw))))) == expected


@given(st.binary(max_size=3000), st.binary(min_size=4, max_size=4), st.sampled_from([TEXT, BINARY]))
def test_frames(payload: bytes, mask: bytes, opcode: int) -> None:
    """Masking is undone; a plain frame is read as it was written."""
    assert masked(masked(payload, mask), mask) == payload
    raw = frame(payload, opcode, mask=mask)
    data = b"\0" * 3 + raw + b"more"
    whole = (payload, 3 + len(raw)) if opcode == BINARY or _is_text(payload) else None
    assert plain_frame(data, 3, 10_000) == plain_frame(bytearray(data), 3, 10_000) == whole
    if len(payload) > 1:
        assert plain_frame(data[: 2 + len(raw)], 3, 10_000) == (None, 3 + len(raw))
    assert plain_frame(data, 3, len(payload) - 1) is None
    assert frames(frame_head(opcode, len(payload)) + payload) == [(opcode, payload)]
    assert frame_head(opcode, len(payload), mask) + masked(payload, mask) == raw


def test_more_comes_meanwhile() -> None:
    """A message that arrives while another is being answered is answered too."""
    message = frame(HELLO)
    late = [message, message[:5]]

    def answering(request: Any) -> None:
        if late:
            wire.receive(late.pop(0))

    wire = WebSocket(Dispatcher(answering)).open()
    wire.receive(message)
    wire.receive(message[5:])
    assert len(frames(wire.value())) == 3


def _is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(
    st.lists(
        st.one_of(st.binary(max_size=20), st.sampled_from([frame(HELLO), frame(b"{"), frame(b"x", PING)])), max_size=8
    )
)
def test_garbage(parts: list[bytes]) -> None:
    """Whatever comes, by the lane or Autobahn alone, the answers are the same."""
    ways = [short(ask(WebSocket(lane=lane), *parts)) for lane in (True, False)]
    assert ways[0] == ways[1]


class TestHandshake:
    def test_subprotocols(self) -> None:
        """The client's first that is known; 'json' and 'bytes' fix the encoding whatever the frames are."""
        server = WebSocket()
        wire = server.open("Sec-WebSocket-Protocol: tea, json, bytes")
        assert "sec-websocket-protocol: json" in server.handshake.lower()
        wire.receive(frame(HELLO, BINARY))
        assert frames(wire.value())[0][0] == TEXT
        wire = server.open()
        assert "sec-websocket-protocol" not in server.handshake.lower()

    def test_frames_behind_the_handshake(self) -> None:
        """What a client sends before it has read the handshake's answer is not lost."""
        wire = WebSocket().open(behind=frame(HELLO))
        assert wire.value().startswith(b"HTTP/1.1 101")
        assert b'"text":"hello"' in wire.value()

    def test_not_an_upgrade(self) -> None:
        """A plain request to / is told what is there."""
        (reply,) = WebSocket().send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (reply.status, reply.headers["upgrade"]) == (426, "websocket")

    @pytest.mark.parametrize(
        ("cors", "origin", "opens"),
        [
            (("null",), "null", True),
            (("null",), "file://", True),
            (True, "file://", True),
            (False, "null", False),
            (("https://a.example",), "file://", False),
            (False, "http://flow.invalid", True),
            (False, "https://a.example", False),
            (True, "https://a.example", True),
            (("https://a.example",), "https://a.example", True),
            (("https://b.example",), "https://a.example", False),
            (("https://b.example",), "http://flow.invalid", True),
        ],
    )
    def test_origin(self, cors: Any, origin: str, opens: bool) -> None:
        """Pages of other origins open no WebSocket, unless they may."""
        wire = WebSocket(cors=cors).open(f"Origin: {origin}", behind=b"\0")
        assert wire.value().startswith(b"HTTP/1.1 101" if opens else b"HTTP/1.1 403")


class TestRequests:
    def test_binary(self) -> None:
        """Binary frames are protobuf, and so are their answers, errors included."""
        from tests.wire_samples import R1, R3

        answers = ask(
            WebSocket(), frame(bytes.fromhex(R1), BINARY), frame(bytes.fromhex(R3), BINARY), frame(b"\xff", BINARY)
        )
        read = [protobuf.decode_response(payload) for opcode, payload in answers if opcode == BINARY]
        assert [each.request.request_id for each in read[:2]] == ["r1", "r3"]
        assert read[0].docs.texts == ["hello world"]
        assert [route.pod for route in read[0].routes] == ["gateway"]
        assert (read[2].status.code, read[2].status.exception.name) == (3, "BadRequest")  # type: ignore[union-attr]

    def test_error_keeps_the_id(self) -> None:
        """A request that cannot be taken, or fails, is answered under its id; in the log's words, on one line."""

        def fail(request: Any) -> None:
            raise NotFound("no such thing")

        server = WebSocket(Dispatcher(fail))
        (_, wrong), (_, failed) = ask(server, frame(b'{"requestId":"r7","data":5}'), frame(HELLO))
        assert wrong["requestId"] == "r7"
        assert failed["requestId"] == "r1"
        assert failed["status"]["code"] == 3
        assert failed["status"]["description"] == "NotFound: no such thing"
        assert failed["status"]["exception"]["args"] == ["no such thing"]
        assert failed["header"]["execEndpoint"] == "/x"

    def test_as_they_are_ready(self) -> None:
        """Many requests are in flight; answers come as they are ready."""
        held = Held()
        wire = WebSocket(held).open()
        for n in range(3):
            wire.receive(frame(json.dumps({"requestId": str(n), "execEndpoint": "/"}).encode()))
        for position in (2, 0, 1):
            held.release(position)
        assert [json.loads(payload)["requestId"] for _, payload in frames(wire.value())] == ["2", "0", "1"]

    def test_end_of_input_waits(self) -> None:
        """After the last frame what is in flight is answered, then the connection closes normally."""
        held = Held()
        wire = WebSocket(held).open()
        wire.receive(frame(HELLO) + frame(b"\0", BINARY))
        assert frames(wire.value()) == []
        held.release()
        assert [opcode for opcode, _ in frames(wire.value())] == [TEXT, CLOSE]

    @pytest.mark.parametrize("how", ["json", "protobuf"])
    def test_cancel(self, how: str) -> None:
        """A request is cancelled by its id, and answered so; the rest goes on."""
        held = Held()
        wire = WebSocket(held).open()
        wire.receive(frame(HELLO) + frame(HELLO.replace(b"r1", b"r2")))
        if how == "json":
            wire.receive(frame(b'{"cancel": "r1"}'))
        else:
            proto = protobuf.RequestProto(request_id="r1")
            proto.control.command = proto.control.CANCEL
            wire.receive(frame(proto.SerializeToString(), BINARY))
        assert held.cancelled == 1
        held.release(1)
        first, second = (json.loads(payload) for _, payload in frames(wire.value()))
        assert (first["requestId"], first["status"]["exception"]["name"]) == ("r1", "Cancelled")
        assert second["requestId"] == "r2"

    def test_cancel_by_a_shared_id(self) -> None:
        """An id that several requests have means all of them."""
        held = Held()
        wire = WebSocket(held).open()
        wire.receive(frame(HELLO) + frame(HELLO) + frame(b'{"cancel": "r1"}'))
        assert held.cancelled == 2
        assert [json.loads(payload)["requestId"] for _, payload in frames(wire.value())] == ["r1", "r1"]

    @pytest.mark.parametrize("second", [b"r1", b"r2"])
    def test_gone(self, second: bytes) -> None:
        """Nothing runs for a client that is gone, whatever ids it gave."""
        held = Held()
        wire = WebSocket(held).open()
        wire.receive(frame(HELLO) + frame(HELLO.replace(b"r1", second)))
        wire.lose()
        assert held.cancelled == 2


class TestBounds:
    def test_in_flight(self) -> None:
        """With 128 requests unanswered no more is begun, and few more read; answers let it go on."""
        held = Held()
        wire = WebSocket(held).open()
        padding = {"execEndpoint": "/", "data": ["x" * 1000]}
        wire.receive(b"".join(frame(json.dumps({"requestId": str(n), **padding}).encode()) for n in range(600)))
        assert len(held.requests) == 16  # nothing says yet how large the answers are
        held.release(0)
        wire.turn()
        assert len(held.requests) == 129
        assert wire.producerState == "paused"
        for position in range(1, 600):
            held.release(position)
            wire.turn()
        assert len(frames(wire.value())) == 600
        assert wire.producerState == "producing"

    @pytest.mark.parametrize("cut", [0, 3, 5, 70])
    @pytest.mark.parametrize("before", [b"", frame(b"a", PING), frame(b"", 0) * 0])
    def test_in_flight_however_it_comes(self, before: bytes, cut: int) -> None:
        """The bound holds wherever the network cuts, and whatever goes before."""
        held = Held()
        wire = WebSocket(held, limits=Limits(max_in_flight=4)).open()
        raw = before + frame(HELLO) * 20
        wire.receive(raw[:cut])
        wire.receive(raw[cut:])
        for position in range(20):
            assert len(held.requests) == min(position + 4, 20)
            held.release(position)
        assert [opcode for opcode, _ in frames(wire.value())].count(TEXT) == 20

    def test_the_connection_itself_is_heard(self) -> None:
        """Pings are answered, and a close is, though there is no room for another request."""
        held = Held()
        wire = WebSocket(held, limits=Limits(max_in_flight=2)).open()
        wire.receive(frame(HELLO) * 2 + frame(b"there?", PING) + frame(struct.pack("!H", 1000), CLOSE))
        assert frames(wire.value()) == [(PONG, b"there?"), (CLOSE, struct.pack("!H", 1000))]

    def test_others_have_their_turn(self) -> None:
        """No more frames are taken in a turn of the loop than ``max_steps``, whatever they are."""
        for each, opcode in ((frame(HELLO), TEXT), (frame(b"", PING), PONG)):
            server = WebSocket()
            wire = server.open()
            wire.protocol.dataReceived(each * 300)
            assert [got for got, _ in frames(wire.value())] == [opcode] * 64
            wire.turn()
            assert [got for got, _ in frames(wire.value())] == [opcode] * 300
            wire.clear()
            wire.protocol.dataReceived(each * 300)
            lose(wire)
            wire.turn()
            assert len(frames(wire.value())) == 64

    @pytest.mark.parametrize("payload", [b"", b"x"])
    def test_fragments_are_bounded(self, payload: bytes) -> None:
        """A message of no end of fragments ends its connection, however small they are."""
        wire = WebSocket(limits=Limits(max_body=100_000)).open()
        wire.receive(frame(payload, fin=False) + frame(payload, 0, fin=False) * 2000)
        assert [(opcode, body[:2]) for opcode, body in frames(wire.value())] == [(CLOSE, struct.pack("!H", 1009))]
        lose(wire)
        wire = WebSocket(limits=Limits(max_body=100_000)).open()
        wire.receive(frame(HELLO[:1], fin=False) + frame(b"", 0, fin=False) * 1000 + frame(HELLO[1:], 0))
        assert b"hello" in frames(wire.value())[0][1]

    def test_what_is_not_whole_is_bounded_and_let_go(self) -> None:
        """Messages that never end are kept up to ``max_buffered`` over all connections, and no longer than these."""
        server = WebSocket(limits=Limits(max_buffered=250_000))
        part = frame(b"x" * 100_000, BINARY, fin=False)
        wires = [server.open() for _ in range(3)]
        for wire in wires:
            wire.receive(part)
        assert [frames(wire.value())[:1] for wire in wires[:2]] == [[], []]
        assert frames(wires[2].value())[0][1][:2] == struct.pack("!H", 1013)
        protocol = wires[0].protocol
        for wire in wires:
            lose(wire)
        assert server.connections.buffered.bytes == 0
        assert protocol.message_data is None
        wire = server.open()
        wire.receive(part + frame(b"x" * 100_000, 0))
        assert server.connections.buffered.bytes == 0

    def test_nobody_is_dropped_for_what_he_cannot_say(self) -> None:
        """A ping that we cannot see answered, because we do not read, ends no connection."""
        held = Held()
        server = WebSocket(held, limits=Limits(max_in_flight=1))
        wire = server.open()
        wire.receive(frame(HELLO) + frame(b'{"execEndpoint": "/", "data": ["' + b"x" * 70_000 + b'"]}') * 20)
        assert wire.producerState == "paused"
        wire.protocol.onAutoPingTimeout()
        assert not wire.disconnecting
        for position in range(21):
            held.release(position)
            wire.turn()
        assert wire.producerState == "producing"
        wire.protocol.onAutoPingTimeout()
        assert wire.disconnecting or wire.disconnected

    def test_answers_before_a_bad_close(self) -> None:
        """They arrive, and so does the code that says what was wrong."""
        for bad in (b"\x01", struct.pack("!H", 1005), struct.pack("!H", 1000) + b"\xff"):
            wire = WebSocket().open()
            wire.receive(frame(HELLO) * 2 + frame(bad, CLOSE))
            found = frames(wire.value())
            assert [opcode for opcode, _ in found] == [TEXT, TEXT, CLOSE]
            assert struct.unpack("!H", found[2][1][:2])[0] in (1002, 1007)

    def test_reader_that_does_not_read(self) -> None:
        """While its answers lie unread nothing more is taken, and it is dropped in the end."""
        server = WebSocket()
        wire = server.open()
        wire.protocol.pauseProducing()
        wire.receive(frame(HELLO) * 5)
        assert server.dispatcher.requests == []
        wire.protocol.resumeProducing()
        assert len(server.dispatcher.requests) == 5
        wire.protocol.pauseProducing()
        server.pass_seconds(62)
        assert wire.disconnected

    def test_ping(self, tmp_path: pathlib.Path) -> None:
        """A silent client is pinged, and dropped if it does not answer."""
        with serving("--protocol=websocket", "--ping-interval=1", "--ping-timeout=1", cwd=tmp_path) as server:
            with connect(server.port) as silent:  # type: ignore[attr-defined]
                silent.sendall(HANDSHAKE)
                received = b""
                while chunk := silent.recv(1000):
                    received += chunk
        assert frames(received.partition(b"\r\n\r\n")[2])[0][0] == PING

    def test_drain(self) -> None:
        """When the server is stopping, what is in flight is answered, then the connection closes as going away."""
        held = Held()
        server = WebSocket(held)
        wire, idle = server.open(), server.open()
        wire.receive(frame(HELLO))
        server.connections.drain(30)
        assert short([(CLOSE, frames(idle.value())[0][1])]) == [1001]
        wire.receive(frame(HELLO.replace(b"r1", b"r2")))
        held.release()
        late, done, close = frames(wire.value())
        assert json.loads(late[1])["status"]["exception"]["name"] == "Unavailable"
        assert json.loads(done[1])["requestId"] == "r1"
        assert struct.unpack("!H", close[1][:2])[0] == 1001

    def test_what_is_cut_is_told_so(self) -> None:
        """Whoever has waited longer than the grace is answered that the server is stopping, under his own id."""
        held = Held()
        server = WebSocket(held)
        wire = server.open()
        wire.receive(frame(HELLO) + frame(HELLO.replace(b"r1", b"r2")) + frame(HELLO)[:7])
        server.connections.drain(30)
        server.clock.pump([1.0] * 29)
        with Log() as lines:
            server.clock.advance(1.2)
        *told, close = frames(wire.value())
        answers = [json.loads(body) for _, body in told]
        assert [each["requestId"] for each in answers] == ["r1", "r2"]
        assert {each["status"]["exception"]["name"] for each in answers} == {"Unavailable"}
        assert struct.unpack("!H", close[1][:2])[0] == 1001
        assert not any("caller" in line for line in lines)

    @pytest.mark.parametrize("rest", [frame(HELLO)[:1], frame(HELLO)[:-2], frame(HELLO, fin=False)])
    def test_half_a_message_holds_no_drain(self, rest: bytes) -> None:
        """What has not come in whole is not waited for when the server is stopping; what has is answered."""
        held = Held()
        server = WebSocket(held)
        idle, busy = server.open(), server.open()
        idle.receive(rest)
        busy.receive(frame(HELLO) + rest)
        server.connections.drain(30)
        assert [opcode for opcode, _ in frames(idle.value())] == [CLOSE]
        held.release()
        assert [opcode for opcode, _ in frames(busy.value())] == [TEXT, CLOSE]

    @pytest.mark.parametrize("rest", [b"", frame(HELLO)[:1], frame(HELLO)[:-2], frame(HELLO, fin=False)])
    def test_half_close(self, rest: bytes) -> None:
        """Who closes its half of the connection gets what was asked in whole; what is not is given up."""
        held = Held()
        server = WebSocket(held)
        wire = server.open()
        wire.receive(frame(HELLO) * 3 + rest)
        wire.end_input()
        for position in range(3):
            held.release(position)
        assert [opcode for opcode, _ in frames(wire.value())] == [TEXT] * 3 + [CLOSE]
        assert wire.closed
        wire = server.open()
        wire.receive(frame(HELLO) + rest)
        wire.end_input()
        server.clock.advance(2.1)
        assert (held.cancelled, wire.disconnected) == (1, True)
        for early in (server.open(), server.connect()):
            early.end_input()
            assert early.closed


def test_client_that_is_not_ours(tmp_path: pathlib.Path) -> None:
    """``websockets`` talks to a process: text and binary, 1, 57 and 5,000 documents, garbage between."""

    async def talk(port: int) -> None:
        async with websockets.connect(f"ws://127.0.0.1:{port}/", max_size=None) as socket:
            for count in (0, 1, 57, 5000):
                await socket.send(json.dumps({"data": [f"t{n}" for n in range(count)], "execEndpoint": "/x"}))
                await socket.send("{garbage")
                answers = [json.loads(await socket.recv()) for _ in range(2)]
                assert sorted(len(each["data"]["docs"]) for each in answers) == [0, count]
                assert sorted(each["status"]["code"] for each in answers) == [0, 3]
            await socket.send(b"\x00")
            with pytest.raises(websockets.ConnectionClosedOK):
                await socket.recv()

    with serving("--protocol=websocket", "--protocol=http", cwd=tmp_path) as server:
        asyncio.run(talk(server.port))  # type: ignore[attr-defined]


def test_memory_stays_flat(tmp_path: pathlib.Path) -> None:
    """A client that sends and never reads stops the writer, and costs the server little."""

    async def flood(port: int, resident: Any) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HANDSHAKE)
        await reader.readuntil(b"\r\n\r\n")
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        before, block = resident(), frame(json.dumps({"data": ["x" * 50_000], "execEndpoint": "/"}).encode()) * 4
        for _ in range(500):
            writer.write(block)
            try:
                await asyncio.wait_for(writer.drain(), 1)
            except TimeoutError:
                break
        else:
            pytest.fail("the server read on")
        assert resident() - before < 40_000_000
        writer.transport.abort()

    with serving("--protocol=websocket", cwd=tmp_path) as server:
        statm = pathlib.Path(f"/proc/{server.process.pid}/statm")
        asyncio.run(flood(server.port, lambda: int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")))  # type: ignore[attr-defined]


def test_module_names_do_not_clash() -> None:
    """What the protocol adds to Autobahn's class hides none of Autobahn's names but those that it means to."""
    from autobahn.twisted.websocket import WebSocketServerProtocol

    ours = {name for name in vars(module.FlowProtocol) if not name.startswith("__")}
    meant = {"onConnect", "onOpen", "onMessage", "onClose", "dataReceived", "dropConnection", "onAutoPingTimeout"}
    assert ours & set(dir(WebSocketServerProtocol)) <= meant | {"transport", "factory", "_abc_impl"}


def test_routes_of_errors() -> None:
    """An error names the executors that the request came by."""

    def fail(_: object) -> None:
        error = NotFound("x")
        now = datetime.now(UTC)
        error.routes = [Route("a", "1", now, now), Route("b", "2", now, now, status_of(error))]
        raise error

    wire = WebSocket(Dispatcher(fail)).open()
    wire.receive(frame(HELLO))
    ((_, payload),) = frames(wire.value())
    told = json.loads(payload)["routes"]
    assert [route["pod"] for route in told] == ["gateway", "a", "b"]
    assert [route["status"] and route["status"]["exception"]["name"] for route in told] == [
        "NotFound",
        None,
        "NotFound",
    ]
