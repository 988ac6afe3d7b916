"""Tracebacks for the log: where in the user's code something was raised, told in full a few times a minute."""

from __future__ import annotations

import os
import pathlib
import time
import traceback
from collections.abc import Sequence

from .elsewhere import RaisedElsewhere
from .printable import one_line

__all__ = ["MOST_OFTEN", "Repeats", "raised_at", "stacks_of", "told_elsewhere", "told_in_full", "traceback_of"]

_MOST_FRAMES, _FIRST = 50, 10
_MOST_CAUSES = 5
_OURS = str(pathlib.Path(__file__).parent.parent)
MOST_OFTEN = 10
"""Times within a minute that something is told in full."""
_WHILE, _PLACES = 60.0, 1000


def told_in_full(error: BaseException) -> str:
    """*error* in one line, and below that where a user's code raised it, if it did."""
    for each in (error, error.__cause__):
        if isinstance(each, RaisedElsewhere):
            return f"{one_line(error)}\n{each.trace}"
    frames = traceback.extract_tb(error.__traceback__)
    theirs = any(not _is_plumbing(each.filename) for each in frames)
    return f"{one_line(error)}\n{traceback_of(error)}" if theirs else one_line(error)


def traceback_of(error: BaseException) -> str:
    """Where *error* was raised, and what led to it; of long stacks the user's frames are kept."""
    if isinstance(error, RaisedElsewhere):
        return error.trace
    told = ""
    left: BaseException | None = error
    seen: set[int] = set()
    while left is not None and len(seen) < _MOST_CAUSES and id(left) not in seen:
        seen.add(id(left))
        frames = _kept(traceback.extract_tb(left.__traceback__))
        where = "Traceback (most recent call last):\n" + "".join(traceback.StackSummary.from_list(frames).format())
        told += (where if frames else "") + one_line(left)
        cause, between = left.__cause__, "which was raised from:"
        if cause is None:
            cause, between = None if left.__suppress_context__ else left.__context__, "which was raised while handling:"
        left = cause
        told += f"\n{between}\n" if left is not None and id(left) not in seen else ""
    return told


def stacks_of(error: BaseException) -> tuple[str, ...]:
    """The whole traceback of *error*, as Python prints it."""
    if isinstance(error, RaisedElsewhere):
        return (f"{error.trace}\n",)
    return tuple(traceback.format_exception(error))


def raised_at(error: BaseException) -> tuple[str, int]:
    """The file and the line of a user's code at which *error* was raised; '' and 0 where it was not."""
    if isinstance(error, RaisedElsewhere):
        return error.location
    trace, location = error.__traceback__, ("", 0)
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_OURS):
            location = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
    return location


def told_elsewhere(error: BaseException) -> tuple[str, str, str, tuple[str, int]]:
    """What another process is told of *error*: its class, its text, its traceback, and where it was raised: what
    `raised_elsewhere` takes.
    """
    name = type(error).__name__
    return name, one_line(error).removeprefix(f"{name}: "), traceback_of(error), raised_at(error)


def _kept(frames: Sequence[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    while len(frames) > 1 and _is_plumbing(frames[0].filename):  # how the method was called
        frames = frames[1:]
    if len(frames) <= _MOST_FRAMES:
        return list(frames)
    theirs = [each for each in frames if "site-packages" not in each.filename]
    frames = theirs if theirs else frames
    return [*frames[:_FIRST], *frames[-(_MOST_FRAMES - _FIRST) :]] if len(frames) > _MOST_FRAMES else list(frames)


def _is_plumbing(file: str) -> bool:
    return file.startswith(_OURS) or any(f"{os.sep}{name}{os.sep}" in file for name in ("twisted", "asyncio"))


class Repeats:
    """Counts how often something was raised at one line of code within a minute."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], tuple[float, int]] = {}

    def count(self, error: BaseException) -> tuple[str, int]:
        """The line of code at which *error* was raised, and how often that happened within this minute."""
        location = raised_at(error)
        now = time.monotonic()
        since, times = self._seen.get(location, (now, 0))
        if now - since > _WHILE:
            since, times = now, 0
        if len(self._seen) >= _PLACES:
            self._seen.clear()
        self._seen[location] = since, times + 1
        return f"{location[0]}, line {location[1]}", times + 1
