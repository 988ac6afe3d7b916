"""The table of frames: each rule of RFC 9113 that a peer can break, and the error that it gets."""

from __future__ import annotations

import pytest

from tests.http2 import ACKNOWLEDGED, HELLO, REQUEST, RESPONSE, End, greeted, request
from twisted_flow.wire.http2.codes import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    WITH_PRIORITY,
)
from twisted_flow.wire.http2.fields import block
from twisted_flow.wire.http2.frames import frame, reset, settings, window_update
from twisted_flow.wire.http2.settings import OurSettings

ALL = END_HEADERS | END_STREAM
BLOCK = block(REQUEST)
OPEN = request(1)
ENDED = request(1, ended=True)
TABLE_OVERFLOW = b"\x3f\xe1\xff\x03"  # a table of 65,536 bytes, of which nobody has spoken


def of(*fields: tuple[bytes, bytes]) -> bytes:
    """A request of just those *fields*."""
    return frame(HEADERS, ALL, 1, block(fields))


def with_length(length: bytes, *sizes: int) -> bytes:
    """A request that says its length, and DATA of those *sizes*, ended by the last."""
    data = [
        frame(DATA, END_STREAM if place == len(sizes) - 1 else 0, 1, bytes(size)) for place, size in enumerate(sizes)
    ]
    return request(1, (b"content-length", length)) + b"".join(data)


# section, what is sent after hello, what comes back
RULES = [
    ("4.1 the reserved bit is ignored", frame(PING, 0, 2**31, bytes(8)), ["PING ACK"]),
    ("4.1 an unknown frame is ignored", frame(0x77, 255, 3, b"x") + frame(PING, 0, 0, bytes(8)), ["PING ACK"]),
    ("4.1 an unknown flag is ignored", frame(PING, 0xFE, 0, bytes(8)), ["PING ACK"]),
    ("4.2 DATA too large", OPEN + frame(DATA, 0, 1, bytes(16385)), ["GOAWAY FRAME_SIZE_ERROR"]),
    ("4.2 HEADERS too large", frame(HEADERS, ALL, 1, bytes(16385)), ["GOAWAY FRAME_SIZE_ERROR"]),
    ("4.2 an unknown frame too large", frame(0x77, 0, 0, bytes(16385)), ["GOAWAY FRAME_SIZE_ERROR"]),
    ("4.3 an invalid index", frame(HEADERS, ALL, 1, b"\xff\xff\x00"), ["GOAWAY COMPRESSION_ERROR"]),
    ("4.3 a block that is cut off", frame(HEADERS, ALL, 1, BLOCK[:-1]), ["GOAWAY COMPRESSION_ERROR"]),
    ("4.3 a table larger than ours", frame(HEADERS, ALL, 1, TABLE_OVERFLOW + BLOCK), ["GOAWAY COMPRESSION_ERROR"]),
    ("4.3 a change of the table behind fields", frame(HEADERS, ALL, 1, BLOCK + b"\x20"), ["GOAWAY COMPRESSION_ERROR"]),
    ("4.3 DATA within a block", frame(HEADERS, 0, 1, BLOCK) + frame(DATA, 0, 1, b"x"), ["GOAWAY PROTOCOL_ERROR"]),
    ("4.3 PING within a block", frame(HEADERS, 0, 1, BLOCK) + frame(PING, 0, 0, bytes(8)), ["GOAWAY PROTOCOL_ERROR"]),
    ("4.3 an unknown frame within a block", frame(HEADERS, 0, 1, BLOCK) + frame(0x77, 0, 1), ["GOAWAY PROTOCOL_ERROR"]),
    ("4.3 HEADERS within a block", frame(HEADERS, 0, 1, BLOCK) + request(3), ["GOAWAY PROTOCOL_ERROR"]),
    (
        "4.3 another stream's CONTINUATION",
        frame(HEADERS, 0, 1, BLOCK) + frame(CONTINUATION, END_HEADERS, 3),
        ["GOAWAY PROTOCOL_ERROR"],
    ),
    ("5.1 DATA on an idle stream", frame(DATA, 0, 1, b"x"), ["GOAWAY PROTOCOL_ERROR"]),
    ("5.1 RST_STREAM on an idle stream", reset(1, 8), ["GOAWAY PROTOCOL_ERROR"]),
    ("5.1 WINDOW_UPDATE on an idle stream", window_update(1, 1), ["GOAWAY PROTOCOL_ERROR"]),
    ("5.1 CONTINUATION on an idle stream", frame(CONTINUATION, END_HEADERS, 1, BLOCK), ["GOAWAY PROTOCOL_ERROR"]),
    ("5.1 PRIORITY on an idle stream", frame(PRIORITY, 0, 1, bytes(5)), []),
    ("5.1 DATA after the end", ENDED + frame(DATA, 0, 1, b"x"), ["RST_STREAM 1 STREAM_CLOSED"]),
    ("5.1 HEADERS after the end", ENDED + request(1, ended=True), ["GOAWAY STREAM_CLOSED"]),
    ("5.1 CONTINUATION after the end", ENDED + frame(CONTINUATION, 4, 1, BLOCK), ["GOAWAY PROTOCOL_ERROR"]),
    ("5.1 WINDOW_UPDATE after the end", ENDED + window_update(1, 1), []),
    ("5.1 RST_STREAM after the end", ENDED + reset(1, 8), []),
    ("5.1 DATA after RST_STREAM", OPEN + reset(1, 8) + frame(DATA, 0, 1, b"x"), ["RST_STREAM 1 STREAM_CLOSED"]),
    ("5.1 HEADERS after RST_STREAM", OPEN + reset(1, 8) + request(1), ["GOAWAY STREAM_CLOSED"]),
    ("5.1 RST_STREAM twice", OPEN + reset(1, 8) + reset(1, 8), []),
    ("5.1.1 an even stream", request(2), ["GOAWAY PROTOCOL_ERROR"]),
    ("5.1.1 a stream with a lower number", request(5) + request(3), ["GOAWAY STREAM_CLOSED"]),
    ("5.1.2 more streams than there may be", b"".join(request(2 * n + 1) for n in range(4)), ["RST_STREAM 7 REFUSED_STREAM"]),
    ("6.1 DATA without a stream", frame(DATA, 0, 0, b"x"), ["GOAWAY PROTOCOL_ERROR"]),
    ("6.1 padding as long as the frame", OPEN + frame(DATA, PADDED, 1, b"\x03ab"), ["GOAWAY PROTOCOL_ERROR"]),
    ("6.1 no room for the padding's length", OPEN + frame(DATA, PADDED, 1), ["GOAWAY PROTOCOL_ERROR"]),
    ("6.1 padding alone", OPEN + frame(DATA, PADDED, 1, b"\x02ab"), []),
    ("6.2 HEADERS without a stream", frame(HEADERS, ALL, 0, BLOCK), ["GOAWAY PROTOCOL_ERROR"]),
    ("6.2 padding longer than the block", frame(HEADERS, ALL | PADDED, 1, b"\x05ab"), ["GOAWAY PROTOCOL_ERROR"]),
    ("6.2 no room for the priority", frame(HEADERS, ALL | WITH_PRIORITY, 1, b"ab"), ["GOAWAY FRAME_SIZE_ERROR"]),
    ("6.2 no room for the padding's length", frame(HEADERS, ALL | PADDED, 1), ["GOAWAY FRAME_SIZE_ERROR"]),
    ("6.3 PRIORITY without a stream", frame(PRIORITY, 0, 0, bytes(5)), ["GOAWAY PROTOCOL_ERROR"]),
    ("6.3 PRIORITY of another length", OPEN + frame(PRIORITY, 0, 1, bytes(4)), ["RST_STREAM 1 FRAME_SIZE_ERROR"]),
    ("6.4 RST_STREAM without a stream", frame(RST_STREAM, 0, 0, bytes(4)), ["GOAWAY PROTOCOL_ERROR"]),
    ("6.4 RST_STREAM of another length", OPEN + frame(RST_STREAM, 0, 1, bytes(3)), ["GOAWAY FRAME_SIZE_ERROR"]),
    ("6.5 SETTINGS of a stream", frame(SETTINGS, 0, 1), ["GOAWAY PROTOCOL_ERROR"]),
    ("6.5 SETTINGS of another length", frame(SETTINGS, 0, 0, bytes(5)), ["GOAWAY FRAME_SIZE_ERROR"]),
    ("6.5 an acknowledgement that says something", frame(SETTINGS, ACK, 0, bytes(6)), ["GOAWAY FRAME_SIZE_ERROR"]),
    ("6.5.2 ENABLE_PUSH is neither 0 nor 1", settings({2: 2}), ["GOAWAY PROTOCOL_ERROR"]),
    ("6.5.2 an initial window that is too large", settings({4: 2**31}), ["GOAWAY FLOW_CONTROL_ERROR"]),
    ("6.5.2 frames that are too small", settings({5: 16383}), ["GOAWAY PROTOCOL_ERROR"]),
    ("6.5.2 frames that are too large", settings({5: 2**24}), ["GOAWAY PROTOCOL_ERROR"]),
    ("6.5.2 an unknown setting", settings({0x77: 1}), ["SETTINGS ACK"]),
    ("6.5.3 settings are acknowledged", settings({1: 0, 2: 0, 3: 1, 4: 1, 5: 16384, 6: 9}), ["SETTINGS ACK"]),
    ("6.6 PUSH_PROMISE", OPEN + frame(PUSH_PROMISE, 4, 1, bytes(4)), ["GOAWAY PROTOCOL_ERROR"]),
    ("6.7 PING", frame(PING, 0, 0, b"abcdefgh"), ["PING ACK"]),
    ("6.7 an answer to PING that nobody sent", frame(PING, ACK, 0, bytes(8)), []),
    ("6.7 PING of a stream", frame(PING, 0, 1, bytes(8)), ["GOAWAY PROTOCOL_ERROR"]),
    ("6.7 PING of another length", frame(PING, 0, 0, bytes(6)), ["GOAWAY FRAME_SIZE_ERROR"]),
    ("6.8 GOAWAY of a stream", frame(GOAWAY, 0, 1, bytes(8)), ["GOAWAY PROTOCOL_ERROR"]),
    ("6.8 GOAWAY that is too short", frame(GOAWAY, 0, 0, bytes(7)), ["GOAWAY FRAME_SIZE_ERROR"]),
    ("6.9 WINDOW_UPDATE of another length", frame(WINDOW_UPDATE, 0, 0, bytes(3)), ["GOAWAY FRAME_SIZE_ERROR"]),
    ("6.9 the connection's window grows by nothing", window_update(0, 0), ["GOAWAY PROTOCOL_ERROR"]),
    ("6.9 a stream's window grows by nothing", OPEN + window_update(1, 0), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("6.9.1 the connection's window overflows", window_update(0, 2**31 - 1), ["GOAWAY FLOW_CONTROL_ERROR"]),
    ("6.9.1 a stream's window overflows", OPEN + window_update(1, 2**31 - 1), ["RST_STREAM 1 FLOW_CONTROL_ERROR"]),
    (
        "6.9.2 a setting makes a window overflow",
        OPEN + window_update(1, 2**31 - 65536) + settings({4: 65536}),
        ["SETTINGS ACK", "GOAWAY FLOW_CONTROL_ERROR"],
    ),
    ("6.10 CONTINUATION without HEADERS", OPEN + frame(CONTINUATION, 4, 1, BLOCK), ["GOAWAY PROTOCOL_ERROR"]),
    (
        "6.10 CONTINUATION behind a whole block",
        OPEN + frame(CONTINUATION, 0, 1) + frame(PING, 0, 0, bytes(8)),
        ["GOAWAY PROTOCOL_ERROR"],
    ),
    ("8.1 HEADERS behind a request that do not end it", OPEN + request(1, fields=[]), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.1 a second request on a stream", OPEN + request(1, ended=True), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.1 trailers", OPEN + request(1, (b"a", b"b"), fields=[], ended=True), []),
    ("8.1.1 less than content-length", with_length(b"5", 1, 1), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.1.1 more than content-length", with_length(b"5", 3, 3), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.1.1 as much as content-length", with_length(b"5", 2, 3), []),
    ("8.1.1 two lengths", request(1, (b"content-length", b"1"), (b"content-length", b"2")), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.1.1 no number for a length", request(1, (b"content-length", b"-1")), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.2.1 a name in capitals", request(1, (b"A", b"b")), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.2.1 a name with a space", request(1, (b"a b", b"c")), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.2.1 an empty name", request(1, (b"", b"c")), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.2.1 a colon within a name", request(1, (b"a:b", b"c")), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.2.1 a line's end in a value", request(1, (b"a", b"b\r\nc")), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.2.1 a zero in a value", request(1, (b"a", b"b\0")), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.2.1 a space before a value", request(1, (b"a", b" b")), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.2.1 a space behind a value", request(1, (b"a", b"b\t")), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.2.1 an empty value", request(1, (b"a", b"")), []),
    ("8.2.2 connection", request(1, (b"connection", b"close")), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.2.2 transfer-encoding", request(1, (b"transfer-encoding", b"chunked")), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.2.2 te: gzip", request(1, (b"te", b"gzip")), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.2.2 te: trailers", request(1, (b"te", b"trailers")), []),
    ("8.3 an unknown pseudo-header field", request(1, fields=[*REQUEST, (b":x", b"y")]), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.3 a response's pseudo-header field", of(*REQUEST, (b":status", b"200")), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.3 a pseudo-header field in trailers", OPEN + of((b":path", b"/")), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.3 a pseudo-header field behind others", of((b"a", b"b"), *REQUEST), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.3.1 no :method", of(*REQUEST[1:]), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.3.1 no :scheme", of(REQUEST[0], *REQUEST[2:]), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.3.1 no :path", of(*REQUEST[:2]), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.3.1 an empty :path", of(*REQUEST[:2], (b":path", b"")), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.3.1 two :path", of(*REQUEST, (b":path", b"/c")), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.3.1 no fields at all", of(), ["RST_STREAM 1 PROTOCOL_ERROR"]),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "back"), [row[1:] for row in RULES], ids=[row[0] for row in RULES])
@pytest.mark.parametrize("pieces", ["at once", "byte by byte"])
def test_a_client_breaks_a_rule(sent: bytes, back: list[str], pieces: str) -> None:
    """A server answers each with the error that the RFC has for it; what is no error it takes."""
    end = greeted(ours=OurSettings(streams=3))
    if pieces == "at once":
        told = end.receive(sent)
    else:
        told = [each for at in range(len(sent)) for each in end.receive(sent[at : at + 1])]
    assert told == back
    goes_on = not back or not back[-1].startswith("GOAWAY")
    assert (end.fault is None) is goes_on
    assert end.receive(frame(PING, 0, 0, bytes(8))) == (["PING ACK"] if goes_on else [])


@pytest.mark.parametrize(
    ("sent", "back"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", ["GOAWAY PROTOCOL_ERROR"]),
        (PREFACE[:-1] + b"x", ["GOAWAY PROTOCOL_ERROR"]),
        (PREFACE + frame(PING, 0, 0, bytes(8)), ["GOAWAY PROTOCOL_ERROR"]),
        (PREFACE + ACKNOWLEDGED, ["GOAWAY PROTOCOL_ERROR"]),
        (PREFACE + request(1), ["GOAWAY PROTOCOL_ERROR"]),
        (PREFACE + frame(DATA, 0, 0, b"x"), ["GOAWAY PROTOCOL_ERROR"]),
        (PREFACE + frame(0x77, 0, 0), ["GOAWAY PROTOCOL_ERROR"]),
        (PREFACE + frame(SETTINGS, 0, 0), ["SETTINGS ACK"]),
    ],
)
def test_hello(sent: bytes, back: list[str]) -> None:
    """Section 3.4: the preface, then SETTINGS."""
    end = End()
    assert end.told() == ["SETTINGS", "WINDOW_UPDATE 0"]
    assert end.receive(sent) == back


OPENED = [
    ("5.1.1 a stream of the server's", frame(HEADERS, 4, 2, RESPONSE), ["GOAWAY PROTOCOL_ERROR"]),
    ("5.1 HEADERS for a stream that was not opened", frame(HEADERS, 4, 3, RESPONSE), ["GOAWAY PROTOCOL_ERROR"]),
    ("5.1 DATA for a stream that was not opened", frame(DATA, 0, 3, b"x"), ["GOAWAY PROTOCOL_ERROR"]),
    ("6.5.2 a server that wants pushes", settings({2: 1}), ["GOAWAY PROTOCOL_ERROR"]),
    ("6.6 PUSH_PROMISE", frame(PUSH_PROMISE, 4, 1, bytes(4)), ["GOAWAY PROTOCOL_ERROR"]),
    ("8.3.2 no :status", frame(HEADERS, 4, 1, block([(b"a", b"b")])), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.3.2 a request's fields", frame(HEADERS, 4, 1, BLOCK), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("8.3.2 :status of two digits", frame(HEADERS, 4, 1, block([(b":status", b"20")])), ["RST_STREAM 1 PROTOCOL_ERROR"]),
    ("a response", frame(HEADERS, 4, 1, RESPONSE), []),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "back"), [row[1:] for row in OPENED], ids=[row[0] for row in OPENED])
def test_a_server_breaks_a_rule(sent: bytes, back: list[str]) -> None:
    """A client answers likewise."""
    from tests.http2 import Heard

    end = greeted(server=False)
    end.http2.open(BLOCK, Heard(None))
    assert end.told() == ["HEADERS 1"]
    assert end.receive(sent) == back


def test_hello_of_a_client() -> None:
    """It begins with the preface, and asks for no pushes."""
    end = End(server=False)
    assert end.written.startswith(PREFACE)
    first = end.frames()[0]
    assert first.kind == SETTINGS
    assert b"\x00\x02\x00\x00\x00\x00" in first.payload
    assert HELLO.startswith(PREFACE)
