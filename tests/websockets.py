"""A WebSocket gateway in memory, and frames as a client sends them."""

from __future__ import annotations

import struct
from typing import Any

from tests.support import HTTP, Wire
from twisted_flow.gateway.websocket.gateway import Handshake
from twisted_flow.wire.websocket import masked

MASK = b"\x11\x22\x33\x44"


def frame(
    payload: bytes, opcode: int = 1, *, fin: bool = True, mask: bytes | None = MASK, rsv: int = 0, form: int = 0
) -> bytes:
    """A frame, as a client sends it; *form* forces a length form."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    bit = 0x80 if mask is not None else 0
    length = len(payload)
    form = form or (7 if length < 126 else 16 if length < 65536 else 64)
    head = {
        7: bytes([first, bit | length if length < 126 else 0]),
        16: bytes([first, bit | 126]) + struct.pack("!H", length & 0xFFFF),
        64: bytes([first, bit | 127]) + struct.pack("!Q", length),
    }[form]
    return head + (b"" if mask is None else mask) + (payload if mask is None else masked(payload, mask))


def frames(raw: bytes) -> list[tuple[int, bytes]]:
    """What the server sent."""
    found = []
    while raw:
        opcode, length, start = raw[0] & 15, raw[1], 2
        if length == 126:
            length, start = struct.unpack("!H", raw[2:4])[0], 4
        elif length == 127:
            length, start = struct.unpack("!Q", raw[2:10])[0], 10
        found.append((opcode, raw[start : start + length]))
        raw = raw[start + length :]
    return found


class WebSocket(HTTP):
    """A WebSocket gateway in memory."""

    def __init__(self, dispatcher: Any = None, *, lane: bool = True, debug: bool = False, **settings: Any) -> None:
        super().__init__(dispatcher, debug=debug, **settings)
        self.lane = lane
        self.factory.site.resource.upgrade = Handshake(self.dispatcher, self.app.entry.gateway, self.connections)

    def open(self, *fields: str, behind: bytes = b"") -> Wire:
        """A connection whose handshake is done."""
        wire = self.connect()
        OPEN.append(wire)
        lines = [
            "GET / HTTP/1.1",
            "Host: flow.invalid",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
        ]
        wire.receive(
            "\r\n".join([*lines, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *fields, "", ""]).encode() + behind
        )
        if not behind:
            assert wire.value().startswith(b"HTTP/1.1 101"), wire.value()
            self.handshake = wire.value().decode()
            wire.clear()
        if not self.lane:
            wire.protocol.flow_quiet = lambda: False
        return wire


OPEN: list[Wire] = []


def lose(wire: Wire) -> None:
    if not wire.disconnected:
        wire.disconnected = True
        wire.lose()
