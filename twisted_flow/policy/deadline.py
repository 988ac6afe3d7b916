"""Deadlines: a request whose time runs out is answered so, wherever it waits, and its work is cancelled."""

from __future__ import annotations

import time
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import DeadlineExceeded
from ..interfaces import IDispatcher
from ..maybe import MaybeDeferred
from ..message import Request, Response

__all__ = ["Deadline"]


@implementer(IDispatcher)
class Deadline:
    """Gives each request the time that it names, or *default*.

    :param inner: what answers.
    :param default: seconds; None: no end.
    :param clock: tells and hands out time.
    """

    def __init__(self, inner: IDispatcher, default: float | None, clock: IReactorTime) -> None:
        self.inner, self.default, self.clock = inner, default, clock

    def dispatch(self, request: Request) -> MaybeDeferred[Response]:
        """See `IDispatcher`."""
        seconds = request.timeout or self.default
        if seconds is None:
            return self.inner.dispatch(request)
        request = replace(request, deadline=time.monotonic() + seconds)
        response: MaybeDeferred[Response] = self.inner.dispatch(request)
        if type(response) is Response:
            return response
        alarm = self.clock.callLater(seconds, response.cancel)
        return response.addBoth(_ended, alarm, seconds)


def _ended(outcome: Any, alarm: IDelayedCall, seconds: float) -> Any:
    if alarm.active():
        alarm.cancel()
    elif isinstance(outcome, Failure) and outcome.check(CancelledError):
        raise DeadlineExceeded(f"not done within {seconds:g} s")
    return outcome
