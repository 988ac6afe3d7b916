"""Frames between a server and a process of an executor: a kind, the id of a call, a body, and arrays beside it.

::

    kind (1 byte), 0, number of arrays (2), bytes of the body (4), id of the call (8); little endian
    bytes of each array (8 each); the body; the arrays. Each of these begins at a multiple of 8.

Arrays are not part of the body, so that neither side copies them: the measured gain is a factor of four.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from struct import pack as pack_numbers
from struct import unpack_from as unpack_numbers
from typing import TypeAlias

import numpy as np

__all__ = ["MOST_ARRAYS", "FrameReader", "Piece", "Taker", "frame"]

MOST_ARRAYS = 4096
"""Arrays of a frame, at most: a writer leaves further ones in the body."""

_HEAD = Struct("<BxHIQ")
_SHARED = 256 * 1024  # bytes of the buffer that small frames are read into
_LARGE = 32 * 1024  # bytes of a frame that gets a buffer of its own
_ZEROS = bytes(8)

Piece: TypeAlias = bytes | bytearray | memoryview
"""A buffer of bytes, one of those that a frame is written as."""

Taker = Callable[[int, int, memoryview, list[memoryview]], object]
"""Takes a frame: kind, id, body, arrays. The body is valid during the call only; arrays of a large frame stay valid."""


def frame(kind: int, call: int, body: bytes, arrays: Sequence[Piece] = ()) -> list[Piece]:
    """The frame as buffers, to be written one after another.

    :param arrays: buffers of bytes, `MOST_ARRAYS` at most.
    """
    if not arrays:
        return [_HEAD.pack(kind, 0, len(body), call) + body + _ZEROS[: -len(body) % 8]]
    sizes = [len(array) for array in arrays]
    head = _HEAD.pack(kind, len(arrays), len(body), call) + pack_numbers(f"<{len(sizes)}Q", *sizes)
    pieces: list[Piece] = [head + body + _ZEROS[: -len(body) % 8]]
    for array, size in zip(arrays, sizes, strict=True):
        pieces.append(array)
        if size % 8:
            pieces.append(_ZEROS[: -size % 8])
    return pieces


def _up(size: int) -> int:
    return (size + 7) & ~7


class FrameReader:
    """Cuts what is read into frames: small ones in one shared buffer, each large one in a buffer of its own.

    :param take: is called with each frame.
    """

    def __init__(self, take: Taker) -> None:
        self._take = take
        self._shared = memoryview(bytearray(_SHARED))
        self._begin = self._end = 0  # of what is in the shared buffer and not taken yet
        self._large: memoryview | None = None
        self._filled = 0  # bytes of the large one

    def room(self) -> memoryview:
        """Where to read into; never empty."""
        if self._large is not None:
            return self._large[self._filled :]
        return self._shared[self._end :]

    def needs_all(self) -> bool:
        """Whether nothing can be taken before `room` is full."""
        return self._large is not None

    def filled(self, size: int) -> None:
        """Note that *size* bytes were read into `room`; take the frames that are whole now."""
        if self._large is not None:
            self._filled += size
            if self._filled < len(self._large):
                return
            whole, self._large = self._large, None
            self._cut(whole, 0, len(whole))
            return
        self._end += size
        while self._end - self._begin >= _HEAD.size:
            total = self._total()
            if total is None:
                break
            if total > _LARGE:
                self._begin_large(total)
                if self._large is None:  # all of it was there
                    continue
                break
            if total > self._end - self._begin:
                break
            self._cut(self._shared, self._begin, self._begin + total)
            self._begin += total
        if self._begin == self._end:
            self._begin = self._end = 0
        elif self._begin > _SHARED // 2 or self._end == _SHARED:
            rest = self._end - self._begin
            self._shared[:rest] = bytes(self._shared[self._begin : self._end])
            self._begin, self._end = 0, rest

    def feed(self, data: Piece) -> None:
        """Take *data*, where it was not read into `room`."""
        rest = memoryview(data)
        while rest:
            room = self.room()
            size = min(len(room), len(rest))
            room[:size] = rest[:size]
            rest = rest[size:]
            self.filled(size)

    def _total(self) -> int | None:
        """The size of the frame that begins in the shared buffer; None where its head is not all there."""
        arrays: int
        body: int
        _, arrays, body, _ = _HEAD.unpack_from(self._shared, self._begin)
        if not arrays:
            return _HEAD.size + _up(body)
        at = self._begin + _HEAD.size
        if self._end - at < 8 * arrays:
            return None
        sizes = unpack_numbers(f"<{arrays}Q", self._shared, at)
        return _HEAD.size + 8 * arrays + _up(body) + sum(map(_up, sizes))

    def _begin_large(self, total: int) -> None:
        there = min(self._end - self._begin, total)
        large = np.empty(total, np.uint8).data  # not cleared first
        large[:there] = self._shared[self._begin : self._begin + there]
        self._begin += there
        if there == total:
            self._cut(large, 0, total)
        else:
            self._large, self._filled = large, there

    def _cut(self, buffer: memoryview, begin: int, end: int) -> None:
        kind, count, size, call = _HEAD.unpack_from(buffer, begin)
        at = begin + _HEAD.size
        if not count:
            self._take(kind, call, buffer[at : at + size], [])
            return
        sizes = unpack_numbers(f"<{count}Q", buffer, at)
        at += 8 * count
        body = buffer[at : at + size]
        at += _up(size)
        arrays: list[memoryview] = []
        owned = buffer is not self._shared
        for each in sizes:
            piece = buffer[at : at + each]
            if not owned or 4 * each < end - begin:  # who keeps a small one shall not keep the whole frame
                piece = memoryview(bytearray(piece))
            arrays.append(piece)
            at += _up(each)
        self._take(kind, call, body, arrays)
