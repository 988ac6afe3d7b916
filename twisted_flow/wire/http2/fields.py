"""Header blocks: HPACK (RFC 7541), and which fields a message may have (RFC 9113 section 8)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import cast, final

from hpack import Decoder
from hpack.exceptions import HPACKError, OversizedHeaderListError

from .codes import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, ConnectionFault

__all__ = ["BEYOND", "Fields", "HeaderReader", "block", "status"]

BEYOND = 4
"""How many times as large as they may be header fields are read: then one message fails, not its connection."""

_REMEMBERED, _REMEMBERED_SIZE = 64, 2048  # blocks of a connection, and bytes of each
_REQUEST = frozenset((b":method", b":scheme", b":path", b":authority"))
_NEEDED = (b":method", b":scheme", b":path")
_OF_CONNECTIONS = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
_SECRET = frozenset((b"authorization", b"cookie", b"proxy-authorization"))
_NAME = re.compile(rb":?[!#$%&'*+\-.^_`|~0-9a-z]+")  # RFC 9110's token, in lower case
_VALUE = re.compile(rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")
_DIGITS = re.compile(rb"[0-9]{1,19}")


@final
class Fields:
    """What a header block says. It may stand for many blocks: it is not to be changed, but for `meaning`.

    :param pairs: all fields, in their order.
    :param server: whether a server reads it.
    """

    __slots__ = ("length", "meaning", "pairs", "pseudo", "too_large", "wrong")

    def __init__(self, pairs: list[tuple[bytes, bytes]], server: bool) -> None:
        self.pseudo: dict[bytes, bytes] = {}
        """Pseudo-header fields, such as ``:path``. Trailers have none."""
        self.pairs: list[tuple[bytes, bytes]] = []
        """The other fields."""
        self.length: int | None = None
        """``content-length``."""
        self.too_large = False
        self.meaning: object = None
        """Whatever the owner wants to remember of it."""
        self.wrong = self._sorted(pairs) or self._wrong_pseudo(server)
        """What makes the message malformed (section 8.1.1); '': nothing."""

    def _sorted(self, pairs: list[tuple[bytes, bytes]]) -> str:
        for name, value in pairs:
            if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
                return "a field has characters that are not allowed"
            if name[:1] == b":":
                if self.pairs or name in self.pseudo:
                    return "a pseudo-header field stands behind others, or twice"
                self.pseudo[name] = value
                continue
            if name in _OF_CONNECTIONS or (name == b"te" and value.lower() != b"trailers"):
                return f"the field {name.decode()} is not for HTTP/2"
            if name == b"content-length":
                if not _DIGITS.fullmatch(value) or self.length not in (None, int(value)):
                    return "content-length is exactly one number"
                self.length = int(value)
            self.pairs.append((name, value))
        return ""

    def _wrong_pseudo(self, server: bool) -> str:
        pseudo = self.pseudo
        if not pseudo:
            return ""
        if not server:
            return "" if pseudo.keys() == {b":status"} and len(pseudo[b":status"]) == 3 else "a response has a :status"
        if not pseudo.keys() <= _REQUEST or not all(pseudo.get(name) for name in _NEEDED):
            return "a request has :method, :scheme and :path"
        return ""


class HeaderReader:
    """Reads the header blocks of one connection.

    The blocks of a client repeat byte for byte, once its table is warm: one that left the table as it was is
    remembered, until the table changes.

    :param most: bytes of the fields of a block, counted as RFC 9113 section 6.5.2 says; `BEYOND` times as many end the
        connection.
    """

    def __init__(self, most: int, server: bool) -> None:
        self._server, self._most = server, most
        self._decoder = Decoder(max_header_list_size=BEYOND * most)
        self._known: dict[bytes, Fields] = {}

    def read(self, block: bytes) -> Fields:
        """What *block* says.

        :raises ConnectionFault: if it cannot be read: then none that follows can be.
        """
        known = self._known.get(block)
        if known is not None:
            return known
        before = self._table()
        try:
            pairs = cast("list[tuple[bytes, bytes]]", self._decoder.decode(block, raw=True))
        except OversizedHeaderListError:
            raise ConnectionFault(ENHANCE_YOUR_CALM, "the header fields are too large") from None
        except (HPACKError, ValueError, IndexError) as error:
            raise ConnectionFault(COMPRESSION_ERROR, f"a header block cannot be read: {type(error).__name__}") from None
        fields = Fields(pairs, self._server)
        if len(block) > self._most >> 5 and sum(len(name) + len(value) + 32 for name, value in pairs) > self._most:
            fields.too_large = True
        after = self._table()
        if after[:2] != before[:2] or after[2] is not before[2] or len(self._known) >= _REMEMBERED:
            self._known.clear()
        elif len(block) <= _REMEMBERED_SIZE and not _has_secret(block, pairs):
            self._known[block] = fields
        return fields

    def _table(self) -> tuple[object, ...]:
        """What tells whether the table has changed: each new entry is an object of its own, at the front."""
        table = self._decoder.header_table
        entries = table.dynamic_entries
        return table.maxsize, len(entries), entries[0] if entries else None


def _has_secret(block: bytes, pairs: list[tuple[bytes, bytes]]) -> bool:
    """Whether *block*, which says *pairs*, says credentials letter by letter: they belong to one message, and are not
    remembered. (Those in the table are there as long as the client has them there.)
    """
    return any(name in _SECRET for name, _ in pairs) and any(_literals(block))


def _literals(block: bytes) -> Iterator[bool]:
    """Whether each field of *block* is a literal, up to the first that is (RFC 7541 section 6)."""
    at = 0
    while at < len(block):
        yield not block[at] & 128
        more = block[at] & 127 == 127
        at += 1
        while more and at < len(block):
            more = bool(block[at] & 128)
            at += 1


def status(code: int) -> bytes:
    """The beginning of a response's block, with ``:status``."""
    return b"\x88" if code == 200 else _literal(b":status", str(code).encode())


def block(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A header block of *fields*, which no table remembers (RFC 7541 section 6.2.2): its bytes are always the same."""
    return b"".join(_literal(name, value) for name, value in fields)


def _literal(name: bytes, value: bytes) -> bytes:
    return b"\x00" + _length(len(name)) + name + _length(len(value)) + value


def _length(number: int) -> bytes:
    """An integer with a prefix of seven bits (RFC 7541 section 5.1), without Huffman."""
    if number < 127:
        return bytes((number,))
    number, out = number - 127, bytearray((127,))
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)
