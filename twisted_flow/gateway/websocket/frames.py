"""Plain data frames (RFC 6455): whole, unfragmented, masked by the client, with nothing reserved."""

from __future__ import annotations

import numpy as np

__all__ = ["BINARY", "TEXT", "frame_head", "plain_frame", "unmasked"]

TEXT, BINARY = 1, 2
_FINAL_TEXT, _FINAL_BINARY = 0x80 | TEXT, 0x80 | BINARY
_LARGE = 1024  # bytes from which numpy is the faster one


def plain_frame(data: bytes, at: int, most: int) -> tuple[int, bytes] | None:
    """The plain frame that begins at *at* in *data*: where it ends, and its payload.

    None where there is none: not whole yet, not plain, larger than *most*, or not as the RFC wants it. That is then
    Autobahn's to judge.
    """
    if len(data) - at < 6 or data[at] not in (_FINAL_TEXT, _FINAL_BINARY) or data[at + 1] < 128:
        return None
    length, start = data[at + 1] & 127, at + 2
    if length == 126:
        length, start = int.from_bytes(data[start : start + 2], "big"), start + 2
        if length < 126:  # the shortest form is the only right one
            return None
    elif length == 127:
        length, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        if length < 65536:
            return None
    end = start + 4 + length
    if length > most or end > len(data):
        return None
    payload = unmasked(data[start + 4 : end], data[start : start + 4])
    if data[at] == _FINAL_TEXT and not payload.isascii():
        try:
            payload.decode()
        except UnicodeDecodeError:
            return None
    return end, payload


def unmasked(payload: bytes, mask: bytes) -> bytes:
    """*payload* without its *mask* of four bytes."""
    length = len(payload)
    if length < _LARGE:
        key = int.from_bytes((mask * (length // 4 + 1))[:length], "little")
        return (int.from_bytes(payload, "little") ^ key).to_bytes(length, "little")
    padded = np.frombuffer(payload + bytes(-length % 4), "<u4")
    plain: bytes = (padded ^ np.frombuffer(mask, "<u4")).tobytes()
    return plain[:length]


def frame_head(opcode: int, length: int) -> bytes:
    """The head of a whole unmasked frame with *length* bytes of payload."""
    if length < 126:
        return bytes((0x80 | opcode, length))
    if length < 65536:
        return bytes((0x80 | opcode, 126)) + length.to_bytes(2, "big")
    return bytes((0x80 | opcode, 127)) + length.to_bytes(8, "big")
