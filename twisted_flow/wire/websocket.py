"""Plain data frames (RFC 6455): whole, unfragmented, masked by the client, with nothing reserved."""

from __future__ import annotations

import numpy as np

__all__ = ["BINARY", "CLOSE", "TEXT", "frame_end", "frame_head", "masked", "plain_frame"]

TEXT, BINARY, CLOSE = 1, 2, 8  # opcodes; from CLOSE on they are not of messages
_FINAL_TEXT = 0x80 | TEXT
_PLAIN = (_FINAL_TEXT, 0x80 | BINARY)
_LARGE = 1024  # bytes from which numpy is the faster one
_number = int.from_bytes
_REPEATED = [((1 << 32 * words) - 1) // 0xFFFFFFFF for words in range(_LARGE // 4 + 1)]
"""By how much a mask is multiplied to stand over so many words, time after time."""


def plain_frame(data: bytes | bytearray, at: int, most: int) -> tuple[bytes | None, int] | None:
    """The payload of the plain frame that begins at *at* in *data*, and where it ends; the payload is None where that
    is not all there yet.

    None where there is no such frame: its head is not whole yet, it is not plain, has more than *most* bytes, is not as
    the RFC wants it, or a text that is not UTF-8. That is then Autobahn's to judge.
    """
    if len(data) - at < 6 or data[at] not in _PLAIN or data[at + 1] < 128:
        return None
    size, start = data[at + 1] & 127, at + 6
    if size == 126:
        size, start = data[at + 2] << 8 | data[at + 3], start + 2
        if size < 126:  # the shortest form is the only right one
            return None
    elif size == 127:
        size, start = int.from_bytes(data[at + 2 : at + 10], "big"), start + 8
        if size < 65536 or len(data) - at < 10:
            return None
    if size > most:
        return None
    end = start + size
    if end > len(data):
        return None, end
    payload = masked(data, data[start - 4 : start], start, end)
    if data[at] == _FINAL_TEXT and not payload.isascii():
        try:
            payload.decode()
        except UnicodeDecodeError:
            return None
    return payload, end


def frame_end(data: bytes | bytearray, at: int) -> int | None:
    """Where the frame that begins at *at* in *data* ends, whatever it is; None where its head is not all there."""
    there = len(data) - at
    if there < 2:
        return None
    size, head = data[at + 1] & 127, 2 + (data[at + 1] >> 7) * 4
    extra = {126: 2, 127: 8}.get(size, 0)
    if extra:
        if there < 2 + extra:
            return None
        size = int.from_bytes(data[at + 2 : at + 2 + extra], "big")
    return at + head + extra + size


def masked(data: bytes | bytearray, mask: bytes | bytearray, start: int = 0, end: int | None = None) -> bytes:
    """*data* from *start* to *end* under a *mask* of four bytes, which a second time takes off."""
    if end is None:
        end = len(data)
    length = end - start
    if length < _LARGE:
        words = (length + 3) >> 2
        key = _number(mask, "little") * _REPEATED[words]
        return (_number(data[start:end], "little") ^ key).to_bytes(words << 2, "little")[:length]
    words, rest = length >> 3, length & 7
    plain = np.frombuffer(data, "<u8", words, start) ^ np.frombuffer(mask * 2, "<u8")
    if not rest:
        whole: bytes = plain.tobytes()
        return whole
    last = _number(data[end - rest : end], "little") ^ _number(mask, "little") * _REPEATED[2]
    return b"".join((plain, last.to_bytes(8, "little")[:rest]))


def frame_head(opcode: int, length: int, mask: bytes = b"") -> bytes:
    """The head of a whole frame with *length* bytes of payload, under *mask* if a client sends it."""
    first, second = 0x80 | opcode, 0x80 if mask else 0
    if length < 126:
        return bytes((first, second | length)) + mask
    if length < 65536:
        return bytes((first, second | 126, length >> 8, length & 255)) + mask
    return bytes((first, second | 127)) + length.to_bytes(8, "big") + mask
