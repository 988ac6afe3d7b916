"""Admission: an engine gets as many calls as it takes, some more wait, and the rest are told so at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import QueueFull
from ..executor.call import Call
from ..executor.table import Endpoint
from ..interfaces import IDescribed, IDirect, IDispatcher, IEngine
from ..maybe import MaybeDeferred
from ..message import Request
from ..outcome import Outcome
from ..telemetry.numbers import ExecutorNumbers
from .rate import Rate
from .replicas import described
from .watching import watch_of

__all__ = ["Admission"]

_SOONEST, _LATEST = 0.1, 60.0  # seconds after which trying again makes sense
_SURE = 0.9  # of its time has to be enough for a request to wait: where many come, all have just that


class _Waiter:
    """A request that waits, and later the one that was let through for it."""

    def __init__(self, admission: Admission, request: Request) -> None:
        self.admission, self.request = admission, request
        self.since = admission.now()
        self.answer: Deferred[Outcome] = Deferred(self.cancel)
        self.response: Deferred[Outcome] | None = None

    def cancel(self, _: Deferred[Outcome]) -> None:
        """Leave the queue, or cancel the call that is under way."""
        if self.response is None:
            del self.admission.waiting[self]
        else:
            self.response.cancel()

    def enter(self, response: Deferred[Outcome]) -> None:
        """The request has been dispatched: there is room."""
        self.response = response
        response.addCallbacks(self._came, self._failed)

    def _came(self, outcome: Outcome) -> None:
        self.admission.ended()
        self.answer.callback(outcome)

    def _failed(self, failure: Failure) -> None:
        self.admission.ended()
        self.answer.errback(failure)


@implementer(IDispatcher, IDirect, IDescribed)
class Admission:
    """Lets through what fits in the engine's window; up to *most* wait; beyond that the answer is `QueueFull`, as it
    is for a request whose time would be over before its turn.

    :param engine: what answers.
    :param most: how many requests may wait.
    :param now: tells the time that deadlines are in.
    :param numbers: counts those that wait.
    """

    def __init__(
        self,
        engine: IEngine,
        most: int,
        now: Callable[[], float] = time.monotonic,
        numbers: ExecutorNumbers | None = None,
    ) -> None:
        self.engine, self.most, self.now = engine, most, now
        self._numbers = numbers or ExecutorNumbers()
        self._numbers.queued = lambda: len(self.waiting)
        self._rate = Rate(now)
        self.name: str = engine.name
        self._dispatch: Callable[[Request], Any] = engine.dispatch
        self.waiting: dict[_Waiter, None] = {}  # in the order of their coming; any may leave
        self._under_way = 0
        self._admitting = False
        self.watch(self._changed)  # a process that runs again has room

    def dispatch(self, request: Request) -> MaybeDeferred[Outcome]:
        """See `IDispatcher`."""
        if self.waiting or self._under_way >= self.engine.window:
            return self._wait(request)
        outcome: MaybeDeferred[Outcome] = self._dispatch(request)
        if isinstance(outcome, Deferred):  # what is answered already takes no room, nor a stream but for its steps
            self._under_way += 1
            outcome.addBoth(self._came)
        return outcome

    def _came(self, outcome: Any) -> Any:
        self.ended()
        return outcome

    @property
    def endpoints(self) -> Mapping[str, Endpoint]:
        """The executor's."""
        endpoints: Mapping[str, Endpoint] = self.engine.endpoints
        return endpoints

    @property
    def health(self) -> str:
        """The engine's."""
        return str(self.engine.health)

    def describe(self) -> dict[str, object]:
        """See `IDescribed`."""
        return {**described(self.engine), "under_way": self._under_way, "queued": len(self.waiting)}

    def direct(self, endpoint: str) -> Call | None:
        """See `IDirect`: what is answered at once takes no room, and need not wait for some."""
        direct = IDirect(self.engine, None)
        return None if direct is None else direct.direct(endpoint)

    def watch(self, forget: Callable[[], object]) -> Callable[[], object]:
        """See `IChanging`."""
        return watch_of(self.engine)(forget)

    def _wait(self, request: Request) -> Deferred[Outcome]:
        waiting = len(self.waiting)
        if waiting >= self.most:
            raise self._full(f"{waiting} requests wait for executor {self.name!r}")
        if not waiting:
            self._rate.begin()
        elif request.deadline is not None and self.engine.window:
            seconds = self._rate.seconds_for(self._under_way + waiting + 1)
            if seconds is not None and self._rate.sure and seconds > _SURE * (request.deadline - self.now()):
                raise self._full(
                    f"{waiting} requests wait for executor {self.name!r}, longer than this one has time: "
                    f"about {seconds:.2g} s"
                )
        waiter = _Waiter(self, request)
        self.waiting[waiter] = None
        return waiter.answer

    def _full(self, detail: str) -> QueueFull:
        """The error for who cannot wait: trying again makes sense when those have been answered that wait now."""
        seconds = self._rate.seconds_for(len(self.waiting))
        return QueueFull(detail, retry_after=1 if seconds is None else min(max(seconds, _SOONEST), _LATEST))

    def ended(self) -> None:
        """A call is over: there is room for another one."""
        self._under_way -= 1
        if self.waiting:
            self._rate.ended()
            self._admit()

    def _changed(self) -> None:
        """The engine starts or stops, or has more room, or less."""
        if not self._under_way:  # it has not worked
            self._rate.begin()
        self._admit()

    def _admit(self) -> None:
        """Those that wait, as far as there is room."""
        if self._admitting:
            return
        self._admitting = True
        while self.waiting and self._under_way < self.engine.window:
            waiter = next(iter(self.waiting))
            del self.waiting[waiter]
            self._numbers.queue_seconds.observe(self.now() - waiter.since)
            try:
                outcome: MaybeDeferred[Outcome] = self._dispatch(waiter.request)
            except BaseException:
                waiter.answer.errback(Failure())
                continue
            if isinstance(outcome, Deferred):
                self._under_way += 1
                waiter.enter(outcome)
            else:
                self._rate.ended()
                waiter.answer.callback(outcome)
        self._admitting = False
