"""Numbers, the same on every protocol.

A protobuf Struct knows only doubles, so a whole number within ±2^53 reaches executors as an int, however it was
written. Weights and scores are floats of 32 bits there, and so they are everywhere.
"""

from __future__ import annotations

import math
from struct import Struct
from typing import Any

from ..errors import ValidationError
from .values import escaped

__all__ = ["MOST_32", "float32", "settle", "settle_score"]

_MOST = 2.0**53
MOST_32 = 2.0**128 - 2.0**103
"""What is below is rounded to the largest float of 32 bits, if not to a smaller one."""
_float32 = Struct("<f")
_DEEPEST = 64


def float32(number: float, pointer: str) -> float:
    """*number* as it would be after a float of 32 bits.

    :param pointer: where it stands in the message (a JSON Pointer).
    :raises ValidationError: if it is beyond those.
    """
    if -MOST_32 < number < MOST_32 or not math.isfinite(number):
        rounded: float = _float32.unpack(_float32.pack(number))[0]
        return rounded
    raise ValidationError.at(pointer, "is beyond a float of 32 bits")


def settle_score(score: Any, pointer: str, level: int = 0) -> None:
    """The same for the value of *score*, a `NamedScore`, and of those that it is made of. None is NaN, for which JSON
    has no word.
    """
    if level > _DEEPEST:
        raise ValidationError.at(pointer, "nested too deep")
    value = score.value
    if value != 0.0:
        score.value = math.nan if value is None else float32(value, f"{pointer}/value")
    for position, operand in enumerate(score.operands):
        settle_score(operand, f"{pointer}/operands/{position}", level + 1)


def settle(container: dict[str, object] | list[object], pointer: str, max_depth: int) -> None:
    """Make ints of the whole floats in *container*, in place, at every level.

    :param pointer: where *container* stands in the message (a JSON Pointer).
    :param max_depth: how many levels there may be, *container* being the first.
    :raises ValidationError: if there are more.
    """
    keys = _settled(container, max_depth)
    if keys is not None:
        path = "".join(f"/{escaped(str(key))}" for key in reversed(keys))
        raise ValidationError.at(pointer + path, "nested too deep")


def _settled(container: dict[str, object] | list[object], max_depth: int) -> list[object] | None:
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
