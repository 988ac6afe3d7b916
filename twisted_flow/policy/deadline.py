"""Deadlines: a request whose time runs out is answered so, wherever it waits, and its work is cancelled."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from ..document import DocumentArray
from ..errors import DeadlineExceeded
from ..interfaces import IChanging, IDispatcher
from ..maybe import MaybeDeferred
from ..message import Request, Response, ResponseStream
from ..outcome import Outcome
from ..parts import Parts
from .watching import watch_of

__all__ = ["Deadline"]


@implementer(IDispatcher, IChanging)
class Deadline:
    """Gives each request the time that it names, or *default*; a stream has to be over by then.

    Around an executor it is *default*, or what is left of the request's time.

    :param inner: what answers.
    :param default: seconds; None: no end.
    :param clock: tells and hands out time.
    """

    def __init__(self, inner: IDispatcher, default: float | None, clock: IReactorTime) -> None:
        self.inner, self.default, self.clock = inner, default, clock

    def watch(self, forget: Callable[[], object]) -> Callable[[], object]:
        """See `IChanging`."""
        return watch_of(self.inner)(forget)

    def dispatch(self, request: Request) -> MaybeDeferred[Outcome]:
        """See `IDispatcher`."""
        seconds = request.timeout or self.default
        if seconds is None:
            return self.inner.dispatch(request)
        now = time.monotonic()
        if request.deadline is not None:  # one of an executor's own, within the request's
            if self.default is None or request.deadline <= now + self.default:
                return self.inner.dispatch(request)
            seconds = self.default
        request = replace(request, deadline=now + seconds)
        outcome: MaybeDeferred[Outcome] = self.inner.dispatch(request)
        if type(outcome) is Response:
            return outcome
        return _Timer(self.clock, seconds).watch(outcome)


class _Timer:
    """The time of one request, whose answer was not there at once."""

    __slots__ = ("alarm", "parts", "rung", "seconds", "waited")

    def __init__(self, clock: IReactorTime, seconds: float) -> None:
        self.seconds, self.rung = seconds, False
        self.waited: Deferred[Any] | None = None  # what is cancelled when time is up: this, or the parts
        self.parts: Parts | None = None
        self.alarm = clock.callLater(seconds, self._ring)

    def watch(self, outcome: Any) -> MaybeDeferred[Outcome]:
        if type(outcome) is ResponseStream:
            return self._came(outcome)
        self.waited = outcome
        answer: Deferred[Outcome] = outcome.addCallbacks(self._came, self._failed)
        return answer

    def _ring(self) -> None:
        self.rung = True
        if self.parts is not None:
            self.parts.cancel()
        elif self.waited is not None:
            self.waited.cancel()

    def _came(self, outcome: Outcome) -> Outcome:
        if type(outcome) is not ResponseStream:
            self._stop()
            return outcome
        self.parts = parts = outcome.parts
        if self.rung:
            parts.cancel()
        outcome.parts = Parts(self._pull, parts.cancel, parts.rest)
        parts.when_over(self._stop)
        return outcome

    def _pull(self) -> MaybeDeferred[DocumentArray | None]:
        if self.rung:
            raise self._late()
        assert self.parts is not None
        part = self.parts.pull()
        if part is None or type(part) is DocumentArray:
            return part
        return cast("Deferred[Any]", part).addErrback(self._failed)

    def _stop(self) -> None:
        if self.alarm.active():
            self.alarm.cancel()

    def _failed(self, failure: Failure) -> Failure:
        self._stop()
        if self.rung and failure.check(CancelledError):
            raise self._late()
        return failure

    def _late(self) -> DeadlineExceeded:
        return DeadlineExceeded(f"not finished within {self.seconds:g} s")
