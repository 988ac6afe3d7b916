"""Exceptions that were raised in another process: known here by their text alone."""

from __future__ import annotations

from functools import lru_cache

__all__ = ["RaisedElsewhere", "raised_elsewhere"]


class RaisedElsewhere(Exception):
    """What another process tells of an exception that was raised there; its class here has the same name.

    :param text: its own, in one line.
    :param trace: its traceback, as the log has it.
    :param location: the file and the line where it was raised.
    """

    def __init__(self, text: str, trace: str, location: tuple[str, int]) -> None:
        super().__init__(text)
        self.trace, self.location = trace, location


@lru_cache(maxsize=256)
def _named(name: str) -> type[RaisedElsewhere]:
    return type(name, (RaisedElsewhere,), {"__module__": "builtins"})


def raised_elsewhere(name: str, text: str, trace: str, location: tuple[str, int]) -> RaisedElsewhere:
    """The exception whose class is called *name*. See `RaisedElsewhere`."""
    return _named(name)(text, trace, location)
