"""What connecting failed with, as the caller is told."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure

from ..errors import FlowError, Unavailable

__all__ = ["no_connection"]


def no_connection(failure: Failure, address: str) -> Failure:
    """`Unavailable`; but that the caller has cancelled it says nothing of the server at *address*."""
    if failure.check(CancelledError, FlowError):
        return failure
    return Failure(Unavailable(f"cannot connect to {address}: {failure.getErrorMessage()}"))
