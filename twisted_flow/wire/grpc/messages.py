"""Messages in the data of a stream: a byte that says whether one is compressed, its length in four, and itself."""

from __future__ import annotations

import zlib
from struct import Struct
from typing import final

from .statuses import INTERNAL, RESOURCE_EXHAUSTED, UNIMPLEMENTED, CallFault

__all__ = ["ENCODINGS", "LARGE", "MessageReader", "framed", "known_encoding", "message_head", "whole_message"]

LARGE = 1 << 14
"""Bytes of a message that is better not copied to stand behind its head."""

ENCODINGS = "identity, deflate, gzip"
"""What a message may be compressed by, as ``grpc-accept-encoding`` says it."""

_prefix = Struct(">BI")
_PREFIX = _prefix.size
_unpack, _pack = _prefix.unpack_from, _prefix.pack
_WBITS = {"deflate": zlib.MAX_WBITS, "gzip": 16 + zlib.MAX_WBITS}


def message_head(size: int) -> bytes:
    """What stands before a message of *size* bytes."""
    return _pack(0, size)


def framed(message: bytes) -> bytes:
    """*message* as a stream's data has it."""
    return _pack(0, len(message)) + message


def whole_message(data: bytes, at: int, end: int, most: int) -> bytes | None:
    """The message that the bytes of *data* from *at* to *end* are, where they are one, not compressed, and have no more
    than *most* bytes; else None.
    """
    if end - at < _PREFIX:
        return None
    flag, size = _unpack(data, at)
    return data[at + _PREFIX : end] if size == end - at - _PREFIX <= most and not flag else None


@final
class MessageReader:
    """The messages of one direction of a call.

    :param most: bytes of one, also when it is no longer compressed; None: any number.
    :param encoding: how those that are compressed are, as ``grpc-encoding`` names it.
    """

    __slots__ = ("_at", "_data", "_encoding", "_end", "_most", "starved")

    def __init__(self, most: int | None, encoding: str = "identity") -> None:
        self._most, self._encoding = most, encoding
        self._data: bytes | bytearray = b""
        self._at = self._end = 0
        self.starved = True
        """Whether more has to come before there is another message."""

    @property
    def held(self) -> int:
        """Bytes that are kept: of what was fed, but not taken."""
        return self._end - self._at

    def feed(self, data: bytes, at: int, end: int) -> None:
        """The bytes of *data* from *at* to *end* have come. They are copied by `keep`, at the end of the turn."""
        if self._at == self._end:
            self._data, self._at, self._end = data, at, end
        else:
            if type(self._data) is not bytearray:
                self.keep()
            self._data += data[at:end]
            self._end += end - at
        self.starved = False

    def next_size(self) -> int:
        """Bytes of the next message, as they are on the wire, as far as that is known: 0 where it is not."""
        return _unpack(self._data, self._at)[1] if self._end - self._at >= _PREFIX else 0

    def next(self) -> bytes | None:
        """The next message; None where it is not all there.

        :raises CallFault: if it is too large, or cannot be decompressed.
        """
        data, at, end = self._data, self._at, self._end
        if end - at < _PREFIX:
            self.starved = True
            return None
        flag, size = _unpack(data, at)
        if self._most is not None and size > self._most:
            raise CallFault(RESOURCE_EXHAUSTED, f"SERVER: Received message larger than max ({size} vs. {self._most})")
        stop = at + _PREFIX + size
        if stop > end:
            self.starved = True
            return None
        self._at = stop
        begin = at + _PREFIX
        if type(data) is bytes:
            message = data[begin:stop]
        else:
            with memoryview(data) as view:
                message = bytes(view[begin:stop])
        return self._inflated(message, flag) if flag else message

    def keep(self) -> None:
        """Copy what is not taken: what was fed may be part of something large."""
        if self._at < self._end:
            if type(self._data) is bytearray and self._at == 0:
                return
            self._data = bytearray(self._data[self._at : self._end])
        else:
            self._data = b""
        self._at, self._end = 0, len(self._data)

    def _inflated(self, message: bytes, flag: int) -> bytes:
        if flag != 1:
            raise CallFault(INTERNAL, f"a message has the flag {flag}; there are 0 and 1")
        wbits = _WBITS.get(self._encoding)
        if wbits is None:
            raise CallFault(INTERNAL, "a message is compressed, though grpc-encoding names nothing")
        most = self._most
        try:
            decoder = zlib.decompressobj(wbits)
            plain = decoder.decompress(message, 0 if most is None else most + 1)
        except zlib.error as error:
            raise CallFault(INTERNAL, f"a message cannot be decompressed: {error}") from None
        if most is not None and len(plain) > most:
            raise CallFault(RESOURCE_EXHAUSTED, "Decompressed message larger than max")
        if not decoder.eof or decoder.unused_data:
            raise CallFault(INTERNAL, "a message cannot be decompressed: it is not one stream, or not whole")
        return plain


def known_encoding(name: str) -> str:
    """*name*, if messages may be compressed so.

    :raises CallFault: if not.
    """
    if name not in _WBITS and name != "identity":
        raise CallFault(UNIMPLEMENTED, f"Compression algorithm '{name}' is not supported")
    return name
