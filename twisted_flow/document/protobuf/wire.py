"""Protobuf's wire format, as far as it is written and read by hand (protobuf.dev/programming-guides/encoding)."""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from .descriptor import message

__all__ = [
    "Unusual",
    "double",
    "field",
    "key_of",
    "long_size",
    "number_field",
    "size_of",
    "tags_of",
    "text_field",
    "varint",
]

_ONE_BYTE = [bytes([number]) for number in range(128)]
_VARINT, _EIGHT_BYTES, _DELIMITED, _FOUR_BYTES = 0, 1, 2, 5  # wire types
_WIRE_TYPES = {
    FieldDescriptor.CPPTYPE_DOUBLE: _EIGHT_BYTES,
    FieldDescriptor.CPPTYPE_FLOAT: _FOUR_BYTES,
    FieldDescriptor.CPPTYPE_STRING: _DELIMITED,
    FieldDescriptor.CPPTYPE_MESSAGE: _DELIMITED,
}

double = Struct("<d").pack
"""A float as its eight bytes."""
_encode = str.encode


class Unusual(Exception):
    """What protobuf's own reader had better look at: it is rare, or wrong."""


def tags_of(name: str) -> dict[str, bytes]:
    """The tags of the fields of the message called *name*; of lists of numbers in their packed form."""
    tags = {}
    for each in message(name).DESCRIPTOR.fields:
        wire_type = _DELIMITED if each.is_repeated else _WIRE_TYPES.get(each.cpp_type, _VARINT)
        tags[each.name] = varint(each.number << 3 | wire_type)
    return tags


def key_of(tag: bytes) -> int:
    """*tag* as the reader by hand has it: its first byte, and its second, if there is one, above that."""
    return int.from_bytes(tag, "little")


def varint(number: int) -> bytes:
    """*number*, which is not negative: seven bits a byte, the lowest first."""
    if number < 128:
        return _ONE_BYTE[number]
    if number < 16384:
        return bytes((number & 127 | 128, number >> 7))
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    digits.append(number)
    return bytes(digits)


size_of = lru_cache(maxsize=1024)(varint)
"""A size: those of a message's parts are the same ones again and again."""


def field(tag: bytes, payload: bytes) -> bytes:
    """A field of bytes, or of a message that is encoded already."""
    size = len(payload)
    return tag + (_ONE_BYTE[size] if size < 128 else size_of(size)) + payload


def text_field(tag: bytes, text: str) -> bytes:
    """A field of text.

    :raises TypeError: if it is something else.
    :raises UnicodeEncodeError: if it cannot be UTF-8.
    """
    payload = _encode(text)
    size = len(payload)
    return tag + (_ONE_BYTE[size] if size < 128 else size_of(size)) + payload


def number_field(tag: bytes, number: Any) -> bytes:
    """A field of type uint32.

    :raises TypeError: if it is no whole number.
    :raises ValueError: if it does not fit.
    """
    return tag + uint32(number)


def uint32(number: Any) -> bytes:
    """The same without the tag."""
    if not 0 <= number < 1 << 32:
        raise ValueError(f"{number} does not fit 32 bits")
    return varint(number)


def long_size(body: bytes, at: int) -> tuple[int, int]:
    """The size of two bytes or more that stands at *at*, and where it ends.

    :raises Unusual: if it is longer than a message may be.
    """
    low, high = body[at], body[at + 1]
    if high < 128:
        return low & 127 | high << 7, at + 2
    size, shift, at = low & 127 | (high & 127) << 7, 14, at + 2
    while shift < 35:
        digit = body[at]
        at += 1
        size |= (digit & 127) << shift
        if digit < 128:
            return size, at
        shift += 7
    raise Unusual("a size of more than 32 bits")
