"""Plain data frames (RFC 6455): whole, unfragmented, masked by the client, with nothing reserved."""

from __future__ import annotations

import struct

import numpy as np

__all__ = ["BINARY", "TEXT", "frame_head", "masked", "plain_head", "plain_payload"]

TEXT, BINARY = 1, 2
_FINAL_TEXT, _FINAL_BINARY = 0x80 | TEXT, 0x80 | BINARY
_medium, _large = struct.Struct(">BBH").pack, struct.Struct(">BBQ").pack
_LARGE = 1024  # bytes from which numpy is the faster one


def plain_head(data: bytes | bytearray, at: int, most: int) -> tuple[int, int] | None:
    """Where the payload of the plain frame that begins at *at* in *data* begins, and where it ends.

    None where there is none: its head is not whole yet, it is not plain, has more than *most* bytes, or is not as the
    RFC wants it. That is then Autobahn's to judge.
    """
    if len(data) - at < 6 or data[at] not in (_FINAL_TEXT, _FINAL_BINARY) or data[at + 1] < 128:
        return None
    length, start = data[at + 1] & 127, at + 2
    if length == 126:
        length, start = int.from_bytes(data[start : start + 2], "big"), start + 2
        if length < 126:  # the shortest form is the only right one
            return None
    elif length == 127:
        if len(data) - at < 14:
            return None
        length, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        if length < 65536:
            return None
    return (start + 4, start + 4 + length) if length <= most else None


def plain_payload(data: bytes | bytearray, at: int, start: int, end: int) -> bytes | None:
    """The payload, from *start* to *end*, of the plain frame at *at*; None where it is a text and not UTF-8."""
    payload = masked(data[start:end], data[start - 4 : start])
    if data[at] == _FINAL_TEXT and not payload.isascii():
        try:
            payload.decode()
        except UnicodeDecodeError:
            return None
    return payload


def masked(payload: bytes | bytearray, mask: bytes | bytearray) -> bytes:
    """*payload* under a *mask* of four bytes, which a second time takes off."""
    length = len(payload)
    if length < _LARGE:
        key = int.from_bytes((mask * (length // 4 + 1))[:length], "little")
        return (int.from_bytes(payload, "little") ^ key).to_bytes(length, "little")
    if missing := -length % 8:
        payload = payload + bytes(missing)  # not in place: it is the caller's
    plain: bytes = (np.frombuffer(payload, "<u8") ^ np.frombuffer(mask * 2, "<u8")).tobytes()
    return plain[:length]


def frame_head(opcode: int, length: int, mask: bytes = b"") -> bytes:
    """The head of a whole frame with *length* bytes of payload, under *mask* if a client sends it."""
    first, second = 0x80 | opcode, 0x80 if mask else 0
    if length < 126:
        return bytes((first, second | length)) + mask
    if length < 65536:
        return _medium(first, second | 126, length) + mask
    return _large(first, second | 127, length) + mask
