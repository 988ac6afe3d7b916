"""Numbers in tags and parameters.

A protobuf Struct knows only doubles, so on every protocol a whole number within ±2^53 reaches executors as an int,
however it was written.
"""

from __future__ import annotations

from typing import Any

from ..errors import ValidationError

__all__ = ["settle"]

_MOST = 2.0**53


def settle(container: dict[str, Any] | list[Any], pointer: str, max_depth: int) -> None:
    """Make ints of the whole floats in *container*, in place, at every level.

    :param pointer: where *container* stands in the message (a JSON Pointer).
    :param max_depth: how many levels there may be, *container* being the first.
    :raises ValidationError: if there are more.
    """
    keys = _settled(container, max_depth)
    if keys is not None:
        path = "".join(f"/{str(key).replace('~', '~0').replace('/', '~1')}" for key in reversed(keys))
        raise ValidationError.at(pointer + path, "nested too deep")


def _settled(container: dict[str, Any] | list[Any], max_depth: int) -> list[Any] | None:
    """The same; the keys that lead to what is nested too deep, the last one first, if there is something."""
    if max_depth < 1:
        return []
    items: Any = container.items() if type(container) is dict else enumerate(container)
    for key, value in items:
        kind = type(value)
        if kind is float:
            if value.is_integer() and -_MOST <= value <= _MOST:
                container[key] = int(value)
        elif (kind is dict or kind is list) and (value or max_depth == 1):
            deeper = _settled(value, max_depth - 1)
            if deeper is not None:
                deeper.append(key)
                return deeper
    return None
