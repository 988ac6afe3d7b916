"""Results that are there already: most calls need not wait, and a callback costs more than a look."""

from __future__ import annotations

from typing import TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

__all__ = ["result_of", "settled"]

T = TypeVar("T")


def result_of(deferred: Deferred[T]) -> T | None:
    """What *deferred* has fired with; None where it has not yet, or has failed."""
    if not deferred.called or deferred.paused or type(deferred.result) is Failure:
        return None
    return cast(T, deferred.result)


def settled(deferred: Deferred[T]) -> bool:
    """Whether *deferred* has fired and waits for nothing more."""
    return deferred.called and not deferred.paused
