"""HTTP/2 in memory: an end with a recording owner, frames taken apart, and bytes as a client sends them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import hpack
from zope.interface import implementer

from twisted_flow.wire.http2 import codes
from twisted_flow.wire.http2.codes import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    SETTINGS,
    ConnectionFault,
)
from twisted_flow.wire.http2.connection import Connection
from twisted_flow.wire.http2.fields import Fields, block, status
from twisted_flow.wire.http2.frames import HEAD, HEAD_SIZE, NUMBER, PAIR, frame
from twisted_flow.wire.http2.interfaces import IHTTP2Owner, IStreamListener
from twisted_flow.wire.http2.settings import OurSettings
from twisted_flow.wire.http2.stream import Stream

ACKNOWLEDGED = frame(SETTINGS, ACK, 0)
HELLO = PREFACE + frame(SETTINGS, 0, 0) + ACKNOWLEDGED
REQUEST = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a/b"), (b":authority", b"x")]


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes

    def __str__(self) -> str:
        """As a table of tests has it: 'RST_STREAM 1 STREAM_CLOSED'."""
        name = (
            "DATA HEADERS PRIORITY RST_STREAM SETTINGS PUSH_PROMISE PING GOAWAY WINDOW_UPDATE CONTINUATION"
        ).split()[self.kind]
        if self.kind == codes.GOAWAY:
            return f"GOAWAY {codes.NAMES[PAIR.unpack_from(self.payload)[1]]}"
        if self.kind == codes.RST_STREAM:
            return f"RST_STREAM {self.stream} {codes.NAMES[NUMBER.unpack(self.payload)[0]]}"
        if self.kind in (codes.SETTINGS, codes.PING):
            return name + (" ACK" if self.flags & ACK else "")
        ended = " END_STREAM" if self.kind in (DATA, HEADERS) and self.flags & END_STREAM else ""
        return f"{name} {self.stream}{ended}"


def frames_of(data: bytes) -> list[Frame]:
    """The frames that *data* is; a preface before them is left out."""
    found, at = [], len(PREFACE) if data.startswith(PREFACE) else 0
    while at < len(data):
        word, flags, stream = HEAD.unpack_from(data, at)
        end = at + HEAD_SIZE + (word >> 8)
        assert end <= len(data), "a frame is cut off"
        found.append(Frame(word & 255, flags, stream, data[at + HEAD_SIZE : end]))
        at = end
    return found


def request(stream: int, *more: tuple[bytes, bytes], ended: bool = False, fields: Any = REQUEST) -> bytes:
    """HEADERS that open *stream*."""
    flags = END_HEADERS | (END_STREAM if ended else 0)
    return frame(HEADERS, flags, stream, block([*fields, *more]))


def fields_in(frames: list[Frame]) -> list[list[tuple[bytes, bytes]]]:
    """What the header blocks among *frames* say."""
    decoder = hpack.Decoder()
    return [[tuple(pair) for pair in decoder.decode(each.payload, raw=True)] for each in frames if each.kind == HEADERS]


@implementer(IStreamListener)
class Heard:
    """What came on a stream; each byte is given back at once, unless `holds`."""

    def __init__(self, stream: Stream | None, fields: Fields | None = None) -> None:
        self.stream, self.fields = stream, fields
        self.body = b""
        self.more: list[Fields] = []
        self.events: list[object] = []
        self.holds = False

    def headers(self, fields: Fields) -> None:
        self.more.append(fields)

    def data(self, data: bytes, at: int, end: int) -> None:
        assert 0 <= at < end <= len(data)
        self.body += data[at:end]
        if not self.holds and self.stream is not None:
            self.stream.credit(end - at)

    def ended(self) -> None:
        self.events.append("ended")

    def lost(self, code: int) -> None:
        self.events.append(codes.NAMES[code] if code < len(codes.NAMES) else code)

    def roomy(self) -> None:
        self.events.append("roomy")


@implementer(IHTTP2Owner)
class End:
    """One end of a connection, and all that it writes and hears."""

    def __init__(self, server: bool = True, ours: OurSettings | None = None) -> None:
        self.full = False
        self.written = b""
        self.heard: list[Heard] = []
        self.due: list[Callable[[], object]] = []
        self.gone: list[tuple[int, int]] = []
        self.fault: ConnectionFault | None = None
        self.on_opened: Callable[[Stream, Fields], None] = lambda stream, fields: None
        self.http2 = Connection(self, server, ours or OurSettings())
        self.http2.start()

    def write(self, data: bytes) -> None:
        self.written += data

    def hurry(self) -> None: ...

    def later(self, function: Callable[[], object]) -> None:
        self.due.append(function)

    def opened(self, stream: Stream, fields: Fields) -> Heard:
        heard = Heard(stream, fields)
        self.heard.append(heard)
        self.on_opened(stream, fields)
        return heard

    def going_away(self, last: int, code: int) -> None:
        self.gone.append((last, code))

    def closed(self) -> None: ...

    def failed(self, fault: ConnectionFault) -> None:
        self.fault = fault

    def turn(self) -> None:
        """Let turns go by until nobody wants another one."""
        while self.due:
            due, self.due = self.due, []
            for each in due:
                each()

    def receive(self, data: bytes) -> list[str]:
        """Take *data*; return what was written since the last time, in words."""
        self.http2.receive(data)
        return self.told()

    def told(self) -> list[str]:
        """What was written since the last time, in words."""
        return [str(each) for each in self.frames()]

    def frames(self) -> list[Frame]:
        """What was written since the last time."""
        self.turn()
        written, self.written = self.written, b""
        return frames_of(written)


def greeted(server: bool = True, ours: OurSettings | None = None) -> End:
    """An end that has said hello, and been greeted."""
    end = End(server, ours)
    end.receive(HELLO if server else HELLO[len(PREFACE) :])
    return end


RESPONSE = status(200) + block([(b"a", b"b")])
TRAILERS = block([(b"t", b"u")])
