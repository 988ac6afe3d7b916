"""Tags and parameters as protobuf bytes: ``google.protobuf.Struct``, which knows what JSON knows."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..values import plain_dict
from .wire import double, field, tags_of, text_field, varint

__all__ = ["tags_field", "write_struct"]

_TAGS = tags_of("jina.DocumentProto")["tags"]
_VALUE = tags_of("google.protobuf.Value")
_ENTRIES, _KEY, _VALUE_OF_ENTRY = (varint(number << 3 | 2) for number in (1, 1, 2))  # as of any map
_SHORT = 64  # characters of a name: what is kept is bounded


def tags_field(tags: dict[str, object]) -> bytes:
    """*tags* as a field; a number alone, such as a score, in one go."""
    if len(tags) == 1:
        ((name, value),) = tags.items()
        if type(value) is float and value - value == 0.0 and len(name) < _SHORT:
            return _before_tag(name) + double(value)
    return field(_TAGS, write_struct(tags))


def write_struct(values: dict[str, object]) -> bytes:
    """The ``google.protobuf.Struct`` that says *values*.

    :raises TypeError: if there is something among them that JSON cannot say.
    :raises OverflowError: if a number is beyond a double.
    """
    return _entries(plain_dict(values))


def _entries(values: dict[str, object]) -> bytes:
    out = []
    for name, value in values.items():
        if (type(value) is float or type(value) is int) and value - value == 0 and len(name) < _SHORT:
            out.append(_before_number(name) + double(float(value)))
        else:
            out.append(field(_ENTRIES, text_field(_KEY, name) + field(_VALUE_OF_ENTRY, _value(value))))
    return b"".join(out)


@lru_cache(maxsize=256)
def _before_number(name: str) -> bytes:
    """What stands before the eight bytes of the number called *name*."""
    before = text_field(_KEY, name) + _VALUE_OF_ENTRY + varint(9) + _VALUE["number_value"]
    return _ENTRIES + varint(len(before) + 8) + before


@lru_cache(maxsize=256)
def _before_tag(name: str) -> bytes:
    """The same, where it is a document's only tag."""
    before = _before_number(name)
    return _TAGS + varint(len(before) + 8) + before


def _value(value: Any) -> bytes:
    if value is None:
        return _VALUE["null_value"] + b"\0"
    if isinstance(value, bool):
        return _VALUE["bool_value"] + (b"\1" if value else b"\0")
    if isinstance(value, int | float):
        if value - value != 0:  # JSON has no word for what is not finite
            return _value(None)
        return _VALUE["number_value"] + double(float(value))
    if isinstance(value, str):
        return text_field(_VALUE["string_value"], value)
    if isinstance(value, dict):
        return field(_VALUE["struct_value"], _entries(value))
    return field(_VALUE["list_value"], b"".join([field(_ENTRIES, _value(item)) for item in value]))
