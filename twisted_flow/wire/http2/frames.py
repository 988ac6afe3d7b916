"""Frames, as bytes (RFC 9113 sections 4 and 6)."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct

from .codes import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
)

__all__ = [
    "HEAD", "HEAD_SIZE", "NUMBER", "PAIR", "data_head", "frame", "goaway", "headers", "reset", "settings",
    "window_update",
]  # fmt: skip

HEAD = Struct(">IBI")
"""Of a frame: 256 times the bytes of its payload, plus its type; its flags; its stream."""
HEAD_SIZE = 9
NUMBER, PAIR = Struct(">I"), Struct(">II")
_SETTING = Struct(">HI")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame of the type *kind*."""
    return HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload


def data_head(size: int, ended: bool, stream: int) -> bytes:
    """The head of a DATA frame with *size* bytes, the last of its stream where that has *ended*."""
    return HEAD.pack(size << 8 | DATA, END_STREAM if ended else 0, stream)


def headers(block: bytes, ended: bool, stream: int, most: int) -> bytes:
    """A header *block*: as HEADERS, and as CONTINUATION what is more than *most* bytes."""
    flags = END_STREAM if ended else 0
    if len(block) <= most:
        return HEAD.pack(len(block) << 8 | HEADERS, flags | END_HEADERS, stream) + block
    pieces = [block[at : at + most] for at in range(0, len(block), most)]
    made = [frame(HEADERS, flags, stream, pieces[0])]
    made += (frame(CONTINUATION, 0, stream, piece) for piece in pieces[1:-1])
    return b"".join([*made, frame(CONTINUATION, END_HEADERS, stream, pieces[-1])])


def settings(values: Mapping[int, int]) -> bytes:
    """SETTINGS with those *values*."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*pair) for pair in values.items()))


def window_update(stream: int, more: int) -> bytes:
    """WINDOW_UPDATE."""
    return frame(WINDOW_UPDATE, 0, stream, NUMBER.pack(more))


def reset(stream: int, code: int) -> bytes:
    """RST_STREAM."""
    return frame(RST_STREAM, 0, stream, NUMBER.pack(code))


def goaway(last: int, code: int, detail: str = "") -> bytes:
    """GOAWAY: streams after *last* are not answered."""
    return frame(GOAWAY, 0, 0, PAIR.pack(last, code) + detail.encode())
