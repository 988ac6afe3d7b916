"""``targetPeapod``: which nodes a request is meant for. It comes from callers, and is held to what costs little."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from ..errors import ValidationError

__all__ = ["named"]

_LONGEST, _MOST_WAYS, _LATIN = 500, 100_000, 255
_UNNAMED = re.compile(r"executor(?=[0-9]+$)")  # which are pod0, pod1, … to existing clients
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")


def named(target: str, names: Collection[str]) -> Iterable[str]:
    """Those of *names* that begin with a match of *target*, a regular expression; all of them if that is ''.

    :raises ValidationError: if it is none, or one that could take long: ``re`` tries ways one by one, and meanwhile
        nobody else is answered.
    """
    if not target:
        return names
    if len(target) > _LONGEST:
        raise ValidationError.at("/targetPeapod", f"has more than {_LONGEST} characters")
    try:
        ways = _ways(_parser.parse(target), max(map(len, names), default=0))
        if ways > _MOST_WAYS:
            raise ValidationError.at("/targetPeapod", "nested repeats, or too many of them, are not supported")
        match = re.compile(target).match
        return [name for name in names if match(name) or match(_UNNAMED.sub("pod", name))]
    except (re.error, OverflowError, RecursionError) as error:
        raise ValidationError.at("/targetPeapod", f"is not a regular expression: {error}") from None


def _widest(item: Any) -> int:
    """The last character that *item* of a set names."""
    operation, argument = item
    kind = str(operation)
    return int(argument[1] if kind == "RANGE" else argument if kind == "LITERAL" else 0)


def _ways(parsed: Any, length: int) -> float:
    """In how many ways *parsed* could match the beginning of a text of so many characters, at most."""
    ways = 1.0
    for operation, argument in parsed:
        match str(operation):
            case kind if kind in _REPEATS:
                least, most, body = argument
                times = max(least, min(most, length))
                each = _ways(body, length)
                ways *= (times - least + 1) * (each**times if each == 1 or times < 100 else float("inf"))
            case "BRANCH":
                ways *= sum(_ways(branch, length) for branch in argument[1])
            case "SUBPATTERN":
                ways *= _ways(argument[-1], length)
            case "ASSERT" | "ASSERT_NOT":
                ways *= _ways(argument[1], length)
            case "ATOMIC_GROUP":
                ways *= _ways(argument, length)
            case "IN":
                if any(_widest(item) > _LATIN for item in argument):  # takes long to compile
                    raise ValidationError.at("/targetPeapod", "sets of characters beyond Latin-1 are not supported")
            case "GROUPREF_EXISTS":
                ways *= sum(_ways(branch, length) for branch in argument[1:] if branch is not None)
    return ways
