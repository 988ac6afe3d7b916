"""Floods, drips and large bodies over HTTP, in memory: what one connection may take of the others' time and room."""

from __future__ import annotations

import pytest

from tests.support import HELLO, HTTP, Held, post, replies
from twisted_flow.limits import Limits

STATUS = b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST /post HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
FLOODS = {
    "requests": (STATUS * 1000, 64),
    "requests, by the library": (b"GET /nope HTTP/1.1\r\nHost: a\r\n\r\n" + STATUS * 1000, 65),
}


@pytest.mark.parametrize("name", FLOODS)
def test_others_have_their_turn(name: str) -> None:
    """One connection's requests are answered some at a time, and meanwhile no more of them are read."""
    raw, most = FLOODS[name]
    http = HTTP()
    wire = http.connect()
    wire.protocol.dataReceived(raw)
    assert 0 < wire.value().count(b"HTTP/1.1 ") <= most
    assert wire.producerState == "paused"
    wire.turn()
    assert wire.value().count(b"HTTP/1.1 ") == raw.count(b"GET ")
    assert wire.producerState == "producing"
    wire.protocol.dataReceived(raw)
    wire.lose()
    wire.turn()


def test_chunks_have_their_turns() -> None:
    """A body of one-byte chunks is read some at a time."""
    http = HTTP()
    wire = http.connect()
    body = b'{"execEndpoint":"/x","data":["' + b"x" * 20_000 + b'"]}'
    chunks = b"".join(b"1\r\n%c\r\n" % each for each in body) + b"0\r\n\r\n"
    wire.protocol.dataReceived(CHUNKED + chunks)
    assert wire.value() == b""
    assert wire.producerState == "paused"
    wire.turn()
    assert [reply.status for reply in replies(wire.value())] == [200]
    assert wire.producerState == "producing"


DRIPS = {
    "empty lines": (b"", b"\r\n"),
    "a first line": (b"GET ", b"/"),
    "a first line, by the library": (b"GET /nope HTTP/1.1\r\nHost: a\r\n\r\nGET ", b"/"),
    "fields": (b"GET / HTTP/1.1\r\n", b"X-A: b\r\n"),
    "fields, by the library": (b"GET /nope HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n", b"X-A: b\r\n"),
    "a chunk's size": (CHUNKED, b"0"),
    "a chunk's extension": (CHUNKED + b"5;a=", b"b"),
    "a trailer": (CHUNKED + b"2\r\n{}\r\n0\r\nX-A: ", b"b"),
}


@pytest.mark.parametrize("name", DRIPS)
def test_a_drip_keeps_no_connection_open(name: str) -> None:
    """Who sends a byte a second is cut when the time for a head, or for some of a body, is over."""
    first, drop = DRIPS[name]
    http = HTTP(limits=Limits(header_timeout=5, body_timeout=7, idle_timeout=20))
    wire = http.connect()
    wire.receive(first)
    for second in range(25):
        if wire.closed:
            break
        if second % 2:
            wire.receive(drop)
        http.clock.advance(1)
    assert wire.closed
    assert second <= 12 if name != "empty lines" else second <= 22


def test_a_body_that_comes_on_is_waited_for() -> None:
    """Bytes of a body are progress, on either way."""
    body = post(body=HELLO)
    for raw in (body, CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body) - body.find(b"{"), body[body.find(b"{") :])):
        http = HTTP(limits=Limits(body_timeout=3, header_timeout=3))
        wire = http.connect()
        wire.receive(raw[:-40])
        for at in range(len(raw) - 40, len(raw) - 12):
            http.clock.advance(1)
            wire.receive(raw[at : at + 1])
        wire.receive(raw[-12:])
        assert [reply.status for reply in replies(wire.value())] == [200]


@pytest.mark.parametrize("lane", [True, False])
def test_what_comes_in_is_bounded_over_all_connections(lane: bool) -> None:
    """Bodies that are not answered yet have ``max_buffered`` bytes together; one more is told so before it comes."""
    http = HTTP(Held(), lane=lane, limits=Limits(max_buffered=2500))
    announced = post(body=b"x" * 1000)[:-900]
    wires = [http.connect() for _ in range(3)]
    for wire in wires:
        wire.receive(announced)
    assert [wire.value() for wire in wires[:2]] == [b"", b""]
    (reply,) = replies(wires[2].value())
    assert (reply.status, reply.json["title"], reply.headers["retry-after"]) == (503, "QueueFull", "1")
    for wire in wires:
        wire.lose()
    assert http.connections.buffered.bytes == 0


@pytest.mark.parametrize("lane", [True, False])
def test_what_is_answered_is_kept_no_longer(lane: bool) -> None:
    """In flight a body counts, and when it is answered it does not."""
    held = Held()
    http = HTTP(held, lane=lane)
    wire = http.connect()
    wire.receive(post(body=HELLO)[:-3])
    wire.receive(post(body=HELLO)[-3:])
    assert http.connections.buffered.bytes > 0
    held.release(0)
    wire.turn()
    assert http.connections.buffered.bytes == 0
    assert [reply.status for reply in replies(wire.value())] == [200]


def test_a_pipeline_is_bounded_in_bytes() -> None:
    """Of large requests, or large answers that wait for an earlier one, fewer are in flight."""
    held = Held()
    http = HTTP(held, limits=Limits(max_in_flight_size=5000))
    wire = http.connect()
    large = post(body={"data": ["x" * 2000], "execEndpoint": "/x"})
    wire.receive(large * 10)
    assert len(held.requests) == 3
    held.release(1)
    held.release(2)
    assert len(held.requests) == 3
    for position in (0, *range(3, 10)):
        held.release(position)
    assert [reply.status for reply in replies(wire.value())] == [200] * 10
    assert http.connections.buffered.bytes == 0
