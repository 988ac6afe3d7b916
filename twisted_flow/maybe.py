"""Results that may be there at once: a Deferred costs more than most calls, so only what must be waited for has one."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, Union

if TYPE_CHECKING:
    from twisted.internet.defer import (
        Deferred,
    )  # who names the type need not load Twisted: an executor's child has none

__all__ = ["MaybeDeferred"]

T = TypeVar("T")

MaybeDeferred = Union[T, "Deferred[T]"]
"""It, if it is there; else a Deferred of it. What fails at once is raised.

Which of the two it is, its type tells (``type(it) is Response``; what may be there already is of a final class):
``isinstance(it, Deferred)`` takes thirty times as long, as a Deferred is an abstract base class to Python.
"""
