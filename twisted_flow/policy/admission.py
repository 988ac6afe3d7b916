"""Admission: an engine gets as many calls as it takes, some more wait, and the rest are told so at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from zope.interface import implementer

from ..errors import QueueFull
from ..executor.call import Call
from ..interfaces import IEngine, IStation
from ..maybe import MaybeDeferred
from ..message import Request, Response

__all__ = ["Admission"]


class _Waiter:
    """A request that waits, and later the one that was let through for it."""

    def __init__(self, admission: Admission, request: Request) -> None:
        self.admission, self.request = admission, request
        self.answer: Deferred[Response] = Deferred(self.cancel)
        self.response: Deferred[Response] | None = None

    def cancel(self, _: Deferred[Response]) -> None:
        """Who waits may leave; what is under way is cancelled."""
        if self.response is None:
            del self.admission.waiting[self]
        else:
            self.response.cancel()

    def enter(self, response: Deferred[Response]) -> None:
        """It is this one's turn."""
        self.response = response
        response.chainDeferred(self.answer)


@implementer(IStation)
class Admission:
    """Lets through what fits in the engine's window; up to *most* wait; beyond that the answer is `QueueFull`.

    :param engine: what answers.
    :param most: how many requests may wait.
    """

    def __init__(self, engine: IEngine, most: int) -> None:
        self.engine, self.most = engine, most
        self._dispatch: Callable[[Request], Any] = engine.dispatch
        self.waiting: dict[_Waiter, None] = {}  # in the order of their coming; any may leave
        self._under_way = 0
        self._admitting = False

    def dispatch(self, request: Request) -> MaybeDeferred[Response]:
        """See `IDispatcher`."""
        if self.waiting or self._under_way >= self.engine.window:
            return self._wait(request)
        response: MaybeDeferred[Response] = self._dispatch(request)
        if type(response) is not Response:  # what is answered already takes no place
            self._under_way += 1
            response.addBoth(self._ended)
        return response

    def at_once(self, endpoint: str) -> Call | None:
        """See `IStation`: what is answered at once takes no place, and need not wait for one."""
        return self.engine.at_once(endpoint)

    def _wait(self, request: Request) -> Deferred[Response]:
        if len(self.waiting) >= self.most:
            raise QueueFull(f"{self.most} requests wait for executor {self.engine.name!r}", retry_after=1)
        waiter = _Waiter(self, request)
        self.waiting[waiter] = None
        return waiter.answer

    def _ended(self, outcome: Any) -> Any:
        self._under_way -= 1
        if self.waiting:
            self._admit()
        return outcome

    def _admit(self) -> None:
        """Those that wait, as far as there is room."""
        if self._admitting:
            return
        self._admitting = True
        while self.waiting and self._under_way < self.engine.window:
            waiter = next(iter(self.waiting))
            del self.waiting[waiter]
            self._under_way += 1
            waiter.enter(maybeDeferred(self._dispatch, waiter.request).addBoth(self._ended))
        self._admitting = False
