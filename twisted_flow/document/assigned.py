"""What is assigned to a field, as a value of the field's type; what is plainly meant as one is made one."""

from __future__ import annotations

import math
import mimetypes
import operator
from collections.abc import Callable, Iterable
from operator import attrgetter
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

from .numbers import MOST_32

__all__ = ["MOST_COUNT", "count", "counts", "guarded", "name", "number", "octets", "path", "text"]

MOST_COUNT = 2**32 - 1
"""What protobuf has 32 bits for."""

_T = TypeVar("_T")
Convert = Callable[[str, object], object]
"""Makes a value of a field's type: from the field's name, for the error, and what was assigned.

Raises TypeError or ValueError, in one line, on what is not meant as one."""


if TYPE_CHECKING:

    class guarded(Generic[_T]):  # noqa: N801
        """See below, as mypy has to see it."""

        def __init__(self, field: str, convert: Callable[[str, object], _T], doc: str) -> None: ...
        def __get__(self, document: object, owner: object = None) -> _T: ...
        def __set__(self, document: object, value: object) -> None: ...

else:

    def guarded(field: str, convert: Convert, doc: str) -> object:
        """A property over the slot *field* (``_id``), whose values go through *convert*."""
        called = f"Document.{field[1:]}"

        def assign(document: object, value: object) -> None:
            setattr(document, field, convert(called, value))

        return property(attrgetter(field), assign, doc=doc)


def _wrong(field: str, wanted: str, value: object) -> TypeError:
    return TypeError(f"{field} takes {wanted}, not {type(value).__qualname__}")


def text(field: str, value: object) -> str:
    """A str; None is the empty one."""
    if type(value) is str:
        return value
    if value is None:
        return ""
    if isinstance(value, str):
        return str.__str__(value)
    raise _wrong(field, "a str", value)


def name(field: str, value: object) -> str:
    """A str, or what is often used as an identifier: whole numbers, UUIDs."""
    if type(value) is str:
        return value
    if isinstance(value, UUID):
        return str(value)
    if value is None or isinstance(value, str | bool) or not hasattr(value, "__index__"):
        return text(field, value)
    return str(operator.index(value))


def mime_type(field: str, value: object) -> str:
    """A media type; a file's suffix stands for its own."""
    given = text(field, value)
    return given if not given or "/" in given else mimetypes.guess_type(f"x.{given.lstrip('.')}")[0] or given


def path(field: str, value: object) -> str:
    """A str, or a path."""
    return str(value) if isinstance(value, PurePath) else text(field, value)


def octets(field: str, value: Any) -> bytes:
    """Bytes; what has a buffer is copied."""
    if type(value) is bytes:
        return value
    if isinstance(value, bytes | bytearray | memoryview) or (not isinstance(value, str) and _has_buffer(value)):
        return bytes(memoryview(value))
    raise _wrong(field, "bytes", value)


def _has_buffer(value: Any) -> bool:
    try:
        memoryview(value).release()
    except TypeError:
        return False
    return True


def count(field: str, value: Any) -> int:
    """A whole number that protobuf has room for: 0 to 2^32-1; None is 0."""
    if value is None:
        return 0
    try:
        number = operator.index(value)
    except TypeError:
        raise _wrong(field, "an int", value) from None
    if not 0 <= number <= MOST_COUNT:
        raise ValueError(f"{field} takes whole numbers from 0 to {MOST_COUNT}, not {number}")
    return int(number)


def counts(field: str, value: object) -> list[int]:
    """A list of such."""
    if value is None:
        return []
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise _wrong(field, "a list of ints", value)
    return [count(field, each) for each in value]


def number(field: str, value: Any) -> float:
    """A float that 32 bits have room for, as protobuf has it; None is 0."""
    if value is None:
        return 0.0
    if type(value) is not float:
        if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
            raise _wrong(field, "a number", value)
        try:
            value = float.__float__(float(value))
        except (TypeError, ValueError, OverflowError):
            raise _wrong(field, "a number", value) from None
    if -MOST_32 < value < MOST_32 or not math.isfinite(value):
        return value  # type: ignore[no-any-return]
    raise ValueError(f"{field} takes numbers that a float of 32 bits has room for, not {value!r}")
