"""Dynamic batching: the documents of several requests reach a method in one call. See `Batching`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import ExecutorError, FlowError
from ..executor.batching import Batching
from ..executor.call import error_of
from ..executor.requests import ANY_OTHER
from ..executor.table import Endpoint, find
from ..interfaces import IChanging, IDescribed, IEngine
from ..maybe import MaybeDeferred
from ..message import Request, Response, collecting
from ..outcome import Outcome, collected, dispatch_whole
from ..telemetry.numbers import ExecutorNumbers
from .admission import Admission
from .replicas import described
from .shared_call import Key, Member, Piece, SharedCall, key_of

__all__ = ["Batch"]


@implementer(IEngine, IChanging, IDescribed)
class Batch:
    """See the module.

    A call goes when it is full; or when its time is over and a copy of the executor has nothing to do: until then it
    may well grow.

    :param engine: what is called: one, or several as one.
    :param batchings: how many documents, and how long, by endpoint; `ANY_OTHER` stands for all others.
    :param clock: hands out time.
    :param copies: how many calls run at once, where that are fewer than the engine takes; each may have another one
        behind it. None: all that the engine takes.
    :param numbers: counts the documents of each call.
    """

    def __init__(
        self,
        engine: IEngine,
        batchings: Mapping[str, Batching],
        clock: IReactorTime,
        copies: int | None = None,
        numbers: ExecutorNumbers | None = None,
    ) -> None:
        self.engine, self.batchings, self.clock, self.copies = engine, batchings, clock, copies
        self._numbers = numbers or ExecutorNumbers()
        self.name: str = engine.name
        self.endpoints: Mapping[str, Endpoint] = engine.endpoints
        self.start: Callable[[], Deferred[None]] = engine.start
        self.stop: Callable[[], Deferred[None]] = engine.stop
        self.check: Callable[[float, float | None], Deferred[None]] = engine.check
        self._admission = Admission(engine, sys.maxsize)  # which lets through what the engine takes
        self.watch = self._admission.watch
        self._largest = max(each.preferred_batch_size for each in batchings.values())
        self._open: dict[Key, SharedCall] = {}
        self._due: dict[SharedCall, None] = {}  # of the open ones, whose time is over
        self._full: dict[SharedCall, None] = {}
        self._under_way = self._number = self._calls = self._documents = 0
        self._going = False
        self.watch(self._go)  # a process that runs again has room

    @property
    def health(self) -> str:
        """See `IEngine`."""
        return str(self.engine.health)

    @property
    def window(self) -> int:
        """As many requests as fill the calls that the engine has at once."""
        window: int = self.engine.window
        return max(window, self._most * self._largest) if window else 0

    @property
    def _most(self) -> int:
        """Calls that are handed over at once."""
        return int(self.engine.window) if self.copies is None else 2 * self.copies

    def describe(self) -> dict[str, object]:
        """See `IDescribed`. Calls, and their documents, are those since the start."""
        waiting = sum(call.size for call in (*self._open.values(), *self._full))
        batches = {"calls": self._calls, "documents": self._documents, "waiting": waiting}
        return {**described(self.engine), "window": self.window, "batches": batches}

    def dispatch(self, request: Request) -> MaybeDeferred[Outcome]:
        """See `IDispatcher`."""
        endpoint: Endpoint | None = find(self.endpoints, request.header.exec_endpoint)
        batching = None
        if endpoint is not None:
            batching = self.batchings.get(endpoint.name) or self.batchings.get(ANY_OTHER)
        if batching is None:
            return self._admission.dispatch(request)
        if request.parts is not None:
            return dispatch_whole(request, self.dispatch)
        request = collecting(request)
        member = Member(request, batching.preferred_batch_size)
        key = key_of(request)
        for piece in member.pieces:
            self._put(piece, key, batching)
        self._go()
        return member.answer

    def _put(self, piece: Piece, key: Key, batching: Batching) -> None:
        """Add *piece* to the call that is open for its like, or to a new one."""
        size = batching.preferred_batch_size
        call = self._open.get(key)
        if call is not None and call.size + piece.weight > size:
            self._close(call)
            call = None
        if call is None:
            self._number += 1
            call = self._open[key] = SharedCall(key, self._number, self._drop)
        call.add(piece)
        if call.size >= size:
            self._close(call)
        elif call.alarm is None:
            call.alarm = self.clock.callLater(batching.timeout / 1000, self._ring, call)

    def _close(self, call: SharedCall) -> None:
        """Nothing more goes into *call*."""
        self._drop(call)
        self._full[call] = None

    def _drop(self, call: SharedCall) -> None:
        """*call* is none of those that wait."""
        if self._open.get(call.key) is call:
            del self._open[call.key]
        self._due.pop(call, None)
        self._full.pop(call, None)
        if call.alarm is not None and call.alarm.active():
            call.alarm.cancel()

    def _ring(self, call: SharedCall) -> None:
        self._due[call] = None
        self._go()

    def _next(self) -> SharedCall | None:
        """What is to be handed over now: the oldest. One whose time is over waits for a copy that has nothing to do,
        unless others wait behind it.
        """
        call, due, most = next(iter(self._full), None), next(iter(self._due), None), self._most
        if due is not None and (call is None or due.number < call.number):
            if call is None and self.copies is not None:
                most = self.copies
            call = due
        elif call is not None and call.alone:  # it may end the process, and what else is there with it
            most = self.copies or 1
        return call if self._under_way < most else None

    def _go(self) -> None:
        """Hand over what there is, as far as there is room."""
        if self._going:
            return
        self._going = True
        try:
            while (call := self._next()) is not None:
                self._send(call)
        finally:
            self._going = False

    def _send(self, call: SharedCall) -> None:
        self._drop(call)
        self._under_way += 1
        self._calls += 1
        try:
            endpoint: Endpoint | None = find(self.endpoints, call.endpoint)
            request = call.request(endpoint is not None and endpoint.idempotent)
            self._documents += len(request.docs)
            self._numbers.batch_documents.observe(len(request.docs))
            outcome = collected(self._admission.dispatch(request))
        except BaseException:
            self._failed(Failure(), call)
            return
        if type(outcome) is Response:
            self._came(outcome, call)
        else:
            call.answer = outcome
            outcome.addCallbacks(self._came, self._failed, callbackArgs=(call,), errbackArgs=(call,))

    def _came(self, response: Response, call: SharedCall) -> None:
        self._under_way -= 1
        self._go()  # first, so that the executor need not wait until all have been told
        try:
            call.divide(response)
        except ExecutorError as error:
            endpoint: Endpoint | None = find(self.endpoints, call.endpoint)
            method = call.endpoint if endpoint is None else endpoint.method  # a flow elsewhere may have it no more
            error.detail = (
                f"executor {self.name!r}: the batched method {method!r} {error.detail}: it returns as many as it got, "
                "in their order, or changes them in place"
            )
            error.executor = self.name
            call.fail(Failure())
        except Exception as raised:  # whatever a method has left there
            call.fail(Failure(error_of(raised, self.name)))

    def _failed(self, failure: Failure, call: SharedCall) -> None:
        """Each member fails; or is called alone, where that does no harm and may help: it may be called again, or has
        not been called yet.
        """
        self._under_way -= 1
        error: Any = failure.value
        again = len(call.pieces) > 1 and isinstance(error, FlowError) and (bool(call.spares) or not error.begun)
        if again:
            for number, piece in enumerate(call.pieces):
                if piece.gone:
                    continue
                if error.begun:
                    piece.docs, piece.groundtruths = call.spares[number]
                alone = SharedCall(object(), call.number, self._drop)
                alone.alone = error.crashed
                alone.add(piece)
                self._full[alone] = None
        self._go()
        if not again:
            call.fail(failure)
