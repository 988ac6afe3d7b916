"""Streams: how many there may be, and how long their parts may take. The time of a whole stream is `Deadline`'s."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from ..document import DocumentArray
from ..errors import DeadlineExceeded, QueueFull
from ..interfaces import IChanging, IDispatcher
from ..limits import Limits
from ..maybe import MaybeDeferred
from ..message import Request, ResponseStream
from ..outcome import Outcome, until_done
from ..parts import Parts
from .watching import watch_of

__all__ = ["Streams"]


@implementer(IDispatcher, IChanging)
class Streams:
    """See the module. Requests that neither ask for parts nor come in parts pass it by.

    :param inner: what answers.
    :param limits: `max_streams`, `first_part_timeout`, `part_timeout`.
    :param clock: hands out time.
    """

    def __init__(self, inner: IDispatcher, limits: Limits, clock: IReactorTime) -> None:
        self.inner, self.limits, self.clock = inner, limits, clock
        self.under_way = 0

    def watch(self, forget: Callable[[], object]) -> Callable[[], object]:
        """See `IChanging`."""
        return watch_of(self.inner)(forget)

    def dispatch(self, request: Request) -> MaybeDeferred[Outcome]:
        """See `IDispatcher`."""
        if not request.stream and request.parts is None:
            return self.inner.dispatch(request)
        if self.under_way >= self.limits.max_streams:
            raise QueueFull(f"{self.under_way} streams are under way, as many as there may be", retry_after=1)
        self.under_way += 1
        first = self.limits.first_part_timeout
        due = None if first is None else self.clock.seconds() + first
        try:
            outcome: MaybeDeferred[Outcome] = self.inner.dispatch(request)
        except BaseException:
            self._ended()
            raise
        outcome = until_done(outcome, self._ended)
        if not isinstance(outcome, Deferred):
            return self._timed(outcome, due)
        return self._by(outcome, due).addCallback(self._timed, due)

    def _ended(self) -> None:
        self.under_way -= 1

    def _timed(self, outcome: Outcome, due: float | None) -> Outcome:
        """*outcome*; of a stream the first part comes by *due*, each other in its time."""
        if type(outcome) is not ResponseStream or (due is None and self.limits.part_timeout is None):
            return outcome
        inner, begun = outcome.parts, False

        def pull() -> MaybeDeferred[DocumentArray | None]:
            nonlocal begun
            part = inner.pull()
            if not isinstance(part, Deferred):
                begun = True
                return part
            if not begun:
                return self._by(part, due).addCallback(came)
            return self._within(part, self.limits.part_timeout, "no part within {:g} s of the one before")

        def came(part: Any) -> Any:
            nonlocal begun
            begun = True
            return part

        outcome.parts = Parts(pull, inner.cancel, inner.rest)
        return outcome

    def _by(self, waiting: Deferred[Any], due: float | None) -> Deferred[Any]:
        if due is None:
            return waiting
        seconds = max(due - self.clock.seconds(), 0)
        return self._within(waiting, seconds, "no first part within {:g} s", self.limits.first_part_timeout)

    def _within(
        self, waiting: Deferred[Any], seconds: float | None, detail: str, told: float | None = None
    ) -> Deferred[Any]:
        if seconds is None:
            return waiting
        error = DeadlineExceeded(detail.format(seconds if told is None else told))
        return waiting.addTimeout(seconds, self.clock, lambda _, __: Failure(error))
