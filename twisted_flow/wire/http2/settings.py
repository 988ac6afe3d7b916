"""SETTINGS (RFC 9113 section 6.5): ours, and what a peer has said."""

from __future__ import annotations

from struct import Struct as Format
from typing import final

from msgspec import Struct

from .codes import (
    ENABLE_PUSH,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    INITIAL_WINDOW,
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    MAX_FRAME_SIZE,
    MAX_HEADER_LIST_SIZE,
    MOST_WINDOW,
    PROTOCOL_ERROR,
    SHORTEST_FRAME_SIZE,
    ConnectionFault,
)

__all__ = ["OurSettings", "TheirSettings"]

_PAIR = Format(">HI")
_LARGEST_FRAME_SIZE = 2**24 - 1


@final
class OurSettings(Struct, frozen=True, kw_only=True):
    """What one end says, and holds the other to."""

    window: int = 2**20
    """Bytes that may come on a stream and are not taken yet; `INITIAL_WINDOW`, which a peer may send before it has seen
    this, or more.
    """
    connection_window: int = 2**24
    """The same of all streams."""
    frame_size: int = SHORTEST_FRAME_SIZE
    """Bytes of a frame's payload."""
    streams: int = 128
    """Streams that the peer may have open."""
    fields: int = 2**16
    """Bytes of a header block, and of its fields, which count 32 more each."""

    def told(self, server: bool) -> dict[int, int]:
        """As SETTINGS has them."""
        values = {
            INITIAL_WINDOW_SIZE: self.window,
            MAX_FRAME_SIZE: self.frame_size,
            MAX_HEADER_LIST_SIZE: self.fields,
        }
        values[MAX_CONCURRENT_STREAMS if server else ENABLE_PUSH] = self.streams if server else 0
        return values


@final
class TheirSettings:
    """What the peer has said. Until then it has said nothing out of the ordinary."""

    def __init__(self) -> None:
        self.window = INITIAL_WINDOW
        self.frame_size = SHORTEST_FRAME_SIZE
        self.streams: int | None = None
        """Streams that we may have open; None: any number."""

    def read(self, payload: bytes, server: bool) -> int:
        """Note what *payload* says.

        :param server: whether this end is a server: only a client may say whether it wants pushes.
        :return: by how many bytes the windows of streams change.
        :raises ConnectionFault: if something in it is not as it has to be.
        """
        if len(payload) % _PAIR.size:
            raise ConnectionFault(FRAME_SIZE_ERROR, "SETTINGS of another length than a multiple of six")
        before = self.window
        for name, value in _PAIR.iter_unpack(payload):
            if name == INITIAL_WINDOW_SIZE:
                if value > MOST_WINDOW:
                    raise ConnectionFault(FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE is too large")
                self.window = value
            elif name == MAX_FRAME_SIZE:
                if not SHORTEST_FRAME_SIZE <= value <= _LARGEST_FRAME_SIZE:
                    raise ConnectionFault(PROTOCOL_ERROR, "SETTINGS_MAX_FRAME_SIZE is out of bounds")
                self.frame_size = value
            elif name == MAX_CONCURRENT_STREAMS:
                self.streams = value
            elif name == ENABLE_PUSH and value > int(server):
                raise ConnectionFault(PROTOCOL_ERROR, "SETTINGS_ENABLE_PUSH is 0 or 1, and a server's 0")
        return self.window - before
