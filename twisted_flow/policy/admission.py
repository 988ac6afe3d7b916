"""Admission: an engine gets as many calls as it takes, some more wait, and the rest are told so at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import QueueFull
from ..executor.call import Call
from ..executor.table import Endpoint
from ..interfaces import IChanging, IDescribed, IDirect, IDispatcher, IEngine
from ..maybe import MaybeDeferred
from ..message import Request, Response, ResponseStream
from ..outcome import Outcome, until_done
from .replicas import described

__all__ = ["Admission"]


class _Waiter:
    """A request that waits, and later the one that was let through for it."""

    def __init__(self, admission: Admission, request: Request) -> None:
        self.admission, self.request = admission, request
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
        until_done(outcome, self.admission.ended)
        self.answer.callback(outcome)

    def _failed(self, failure: Failure) -> None:
        self.admission.ended()
        self.answer.errback(failure)


@implementer(IDispatcher, IDirect, IDescribed)
class Admission:
    """Lets through what fits in the engine's window; up to *most* wait; beyond that the answer is `QueueFull`.

    :param engine: what answers.
    :param most: how many requests may wait.
    """

    def __init__(self, engine: IEngine, most: int) -> None:
        self.engine, self.most = engine, most
        self.name: str = engine.name
        self._dispatch: Callable[[Request], Any] = engine.dispatch
        self.waiting: dict[_Waiter, None] = {}  # in the order of their coming; any may leave
        self._under_way = 0
        self._admitting = False
        changing = IChanging(engine, None)
        if changing is not None:  # a process that runs again has room
            changing.watch(self._admit)

    def dispatch(self, request: Request) -> MaybeDeferred[Outcome]:
        """See `IDispatcher`."""
        if self.waiting or self._under_way >= self.engine.window:
            return self._wait(request)
        outcome: MaybeDeferred[Outcome] = self._dispatch(request)
        if type(outcome) is not Response:  # what is answered already takes no room
            self._under_way += 1
            until_done(outcome, self.ended)
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
        changing = IChanging(self.engine, None)
        return (lambda: None) if changing is None else changing.watch(forget)

    def _wait(self, request: Request) -> Deferred[Outcome]:
        if len(self.waiting) >= self.most:
            raise QueueFull(f"{self.most} requests wait for executor {self.engine.name!r}", retry_after=1)
        waiter = _Waiter(self, request)
        self.waiting[waiter] = None
        return waiter.answer

    def ended(self) -> None:
        """A call is over: there is room for another one."""
        self._under_way -= 1
        if self.waiting:
            self._admit()

    def _admit(self) -> None:
        """Those that wait, as far as there is room."""
        if self._admitting:
            return
        self._admitting = True
        while self.waiting and self._under_way < self.engine.window:
            waiter = next(iter(self.waiting))
            del self.waiting[waiter]
            try:
                outcome: MaybeDeferred[Outcome] = self._dispatch(waiter.request)
            except BaseException:
                waiter.answer.errback(Failure())
                continue
            if type(outcome) is Response:
                waiter.answer.callback(outcome)
            elif type(outcome) is ResponseStream:
                self._under_way += 1
                until_done(outcome, self.ended)
                waiter.answer.callback(outcome)
            else:
                self._under_way += 1
                waiter.enter(outcome)
        self._admitting = False
