"""Converting what a program puts into tags and parameters to JSON's types: one rule for every protocol."""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, NoReturn, TypeVar
from uuid import UUID

import msgspec
import numpy as np

from ..limits import MAX_DEPTH

__all__ = [
    "SCALARS",
    "GuardedDict",
    "Tags",
    "Unsayable",
    "escaped",
    "key_text",
    "plain_dict",
    "plain_value",
    "too_deep",
]

SCALARS = frozenset((str, int, float, bool, type(None)))
"""The types of what JSON says as it is."""
_LISTS = (list, tuple, set, frozenset, deque)
_T = TypeVar("_T")
_set: Any = dict.__setitem__


class Unsayable(TypeError):
    """A value that JSON has no type for.

    :param pointer: where it stands (a JSON Pointer).
    """

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(f"{pointer}: {detail}" if pointer else detail)
        self.pointer, self.detail = pointer, detail


def too_deep(pointer: str = "") -> Unsayable:
    """What stands at *pointer* is nested deeper than readers take it."""
    return Unsayable(pointer, f"more than {MAX_DEPTH} levels deep")


def escaped(key: str) -> str:
    """*key* as a step of a JSON Pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def plain_dict(values: Mapping[Any, object], pointer: str = "", level: int = 1) -> dict[str, object]:
    """*values* in what JSON can say; the very same object, if it is that already and has no list or dict in it.

    :param pointer: where they stand (a JSON Pointer).
    :param level: how many levels of lists and dicts there are with this one.
    :raises Unsayable: naming the field that it cannot say, or that is nested too deep.
    """
    if type(values) is dict or type(values) is Tags:
        for key, value in values.items():
            if type(key) is not str or type(value) not in SCALARS:
                break
        else:
            return values
    if level > MAX_DEPTH:
        raise too_deep(pointer)
    made = {}
    for key, value in values.items():
        name = key if type(key) is str else key_text(key, pointer)
        made[name] = value if type(value) in SCALARS else plain_value(value, f"{pointer}/{escaped(name)}", level)
    return made


def plain_value(value: object, pointer: str = "", level: int = 0) -> Any:
    """The same for any value; lists and dicts are made anew."""
    kind = type(value)
    if kind in SCALARS:
        return value
    if isinstance(value, Enum):
        return plain_value(value.value, pointer, level)
    if isinstance(value, Mapping):
        made = plain_dict(value, pointer, level + 1)
        return made.copy() if made is value else made
    if isinstance(value, _LISTS):
        if level >= MAX_DEPTH:
            raise too_deep(pointer)
        return [
            item if type(item) in SCALARS else plain_value(item, f"{pointer}/{position}", level + 1)
            for position, item in enumerate(value)
        ]
    if isinstance(value, np.ndarray | np.generic) and not isinstance(value, str | bytes | float):
        return _of_numpy(value, pointer, level)
    return _plain_scalar(value, pointer)


def _plain_scalar(value: object, pointer: str) -> object:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return msgspec.to_builtins(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        as_float = float(value) if value.is_finite() else None
        return as_float if as_float is not None and as_float == value else str(value)
    if isinstance(value, UUID | PurePath):
        return str(value)
    _cannot(value, pointer)


def _of_numpy(value: Any, pointer: str, level: int) -> object:
    """Numpy's scalars and arrays: numbers and lists of them, dates as text."""
    try:
        said = _numbers_of(value, pointer, level)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, Unsayable):
            raise
        _cannot(value, pointer)  # months, which are no number of seconds, say
    if np.ndim(value) + level > MAX_DEPTH:
        raise too_deep(pointer)
    return said


def _numbers_of(value: Any, pointer: str, level: int) -> object:
    kind = value.dtype.kind
    said: object
    if kind == "M":
        where: Any = np.where
        said = where(np.isnat(value), None, np.datetime_as_string(value)).tolist()
    elif kind == "m":
        said = np.where(np.isnat(value), np.nan, value / np.timedelta64(1, "s")).tolist()
    elif kind in "biu":
        said = value.tolist()
    elif kind == "f":
        said = value.astype(np.float64).tolist()
    elif kind in "USO":
        said = value.tolist()
        said = said if type(said) is np.ndarray else plain_value(said, pointer, level)
    else:
        _cannot(value, pointer)
    return said


def _cannot(value: object, pointer: str) -> NoReturn:
    raise Unsayable(pointer, f"an object of the class {type(value).__qualname__} cannot be said in JSON")


def key_text(key: object, pointer: str = "") -> str:
    """*key* of a dict as a text.

    :raises Unsayable: if it is neither a text, a number nor a truth value.
    """
    if isinstance(key, Enum):
        return key_text(key.value, pointer)
    if isinstance(key, str):
        return str.__str__(key)
    if isinstance(key, bool | np.bool_):
        return "true" if key else "false"
    if isinstance(key, int | float | np.integer | np.floating):
        return str(int(key) if isinstance(key, int | np.integer) else float(key))
    raise Unsayable(pointer, f"a key is a text, a number or a truth value, not a {type(key).__qualname__}")


class GuardedDict(dict[str, _T]):
    """A dict that converts what is put into it (`kept`). The dict that it is made of is taken as it is."""

    __slots__ = ()

    def __setitem__(self, key: object, value: object) -> None:
        _set(self, key if type(key) is str else key_text(key), self.kept(key, value))

    def kept(self, key: object, value: object) -> _T:
        """*value* as it is kept."""
        raise NotImplementedError

    def update(self, *others: object, **more: object) -> None:
        for key, value in dict(*others, **more).items():
            self[key] = value

    def setdefault(self, key: object, default: object = None) -> _T:
        if key not in self:
            self[key] = default
        return self[key if type(key) is str else key_text(key)]

    def __ior__(self, other: object) -> Any:  # type: ignore[misc]
        self.update(other)
        return self


class Tags(GuardedDict[object]):
    """A document's tags. Values are converted to JSON's types, and copied, when they are put in; a value that JSON has
    no type for stays for the other executors of the flow, but cannot leave it.
    """

    __slots__ = ()

    def __setitem__(self, key: object, value: object) -> None:
        if type(key) is str and type(value) in SCALARS:
            _set(self, key, value)
        else:
            super().__setitem__(key, value)

    def kept(self, key: object, value: object) -> object:
        try:
            return plain_value(value, "", 1)
        except Unsayable:
            return value
