"""Retries: a call that failed, and may be repeated, is repeated after a while, on the documents as they were."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..document import DocumentArray
from ..errors import FlowError, QueueFull
from ..executor.table import Endpoint, find
from ..interfaces import IChanging, IDispatcher
from ..maybe import MaybeDeferred
from ..message import Request, Response, ResponseStream, copy_of
from ..outcome import Outcome, dispatch_whole
from ..parts import Parts
from ..telemetry.printable import printable
from .watching import watch_of

__all__ = ["Retry"]

log = Logger()

_FIRST, _FACTOR, _MOST = 0.1, 2.0, 5.0  # seconds between two attempts, of which jitter takes up to a half


@implementer(IDispatcher, IChanging)
class Retry:
    """Repeats calls of endpoints that are ``idempotent`` where they fail with what is ``retryable``.

    `QueueFull` is not repeated: the caller is told at once, and when to come again. What a process has ended over is
    repeated once: it may be the request that does it.

    :param inner: what answers.
    :param endpoints: which those are.
    :param retries: how often a call is repeated.
    :param clock: hands out time.
    :param chance: numbers from 0 to 1.
    :param now: tells the time that deadlines are in.
    """

    def __init__(
        self,
        inner: IDispatcher,
        endpoints: Mapping[str, Endpoint],
        retries: int,
        clock: IReactorTime,
        chance: Callable[[], float] = random.random,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.inner, self.endpoints, self.retries, self.clock = inner, endpoints, retries, clock
        self.chance, self.now = chance, now

    def watch(self, forget: Callable[[], object]) -> Callable[[], object]:
        """See `IChanging`."""
        return watch_of(self.inner)(forget)

    def dispatch(self, request: Request) -> MaybeDeferred[Outcome]:
        """See `IDispatcher`."""
        endpoint: Endpoint | None = find(self.endpoints, request.header.exec_endpoint)
        if endpoint is None or not endpoint.idempotent:
            return self.inner.dispatch(request)
        if request.parts is not None:
            if endpoint.takes_parts:  # what has come and gone cannot be sent again
                return self.inner.dispatch(request)
            return dispatch_whole(request, self.dispatch)
        return _Attempts(self, request).first()


class _Attempts:
    """One request, and what is needed to repeat it."""

    __slots__ = ("alarm", "answer", "crashed", "left", "policy", "spare", "wait", "waited")

    def __init__(self, policy: Retry, request: Request) -> None:
        self.policy, self.left, self.wait = policy, policy.retries, _FIRST
        self.spare = request
        self.answer: Deferred[Outcome] = Deferred(self._cancel)
        self.waited: Deferred[Any] | None = None
        self.alarm: Any = None
        self.crashed = False

    def first(self) -> MaybeDeferred[Outcome]:
        """Dispatch it: the answer, if it is there at once."""
        request, self.spare = self.spare, copy_of(self.spare)
        try:
            outcome: MaybeDeferred[Outcome] = self.policy.inner.dispatch(request)
        except FlowError as error:
            if not self._again(error):
                raise
            return self.answer
        if type(outcome) is Response:
            return outcome
        self._take(outcome)
        return self.answer

    def _repeat(self) -> None:
        request = self.spare
        if self.left:
            self.spare = copy_of(request)
        try:
            outcome: MaybeDeferred[Outcome] = self.policy.inner.dispatch(request)
        except BaseException:
            self._failed(Failure())
        else:
            self._take(outcome)

    def _take(self, outcome: MaybeDeferred[Outcome]) -> None:
        if type(outcome) is Response:
            self._settle(outcome)
        elif type(outcome) is ResponseStream:
            self._begin(outcome)
        else:
            self.waited = outcome
            self.waited.addCallbacks(self._came, self._failed)

    def _came(self, outcome: Outcome) -> None:
        self.waited = None
        self._take(outcome)

    def _begin(self, stream: ResponseStream) -> None:
        """A stream is handed on with its first part: from then on nothing is repeated."""
        try:
            part = stream.parts.pull()
        except BaseException:
            self._failed(Failure())
            return
        if part is None or type(part) is DocumentArray:
            self._begun(part, stream)
        else:
            self.waited = cast("Deferred[Any]", part)
            self.waited.addCallbacks(self._begun, self._failed, callbackArgs=(stream,))

    def _begun(self, part: DocumentArray | None, stream: ResponseStream) -> None:
        self.waited = None
        if part is not None:
            stream.parts = _with_first(part, stream.parts)
        self._settle(stream)

    def _settle(self, outcome: Outcome) -> None:
        self.spare = cast(Request, None)  # it is not needed any more
        self.answer.callback(outcome)

    def _failed(self, failure: Failure) -> None:
        self.waited = None
        if not self._again(failure.value):
            self.answer.errback(failure)

    def _again(self, error: BaseException | None) -> bool:
        """Whether it is going to be repeated, since it failed with *error*."""
        if not isinstance(error, FlowError) or not error.retryable or isinstance(error, QueueFull) or not self.left:
            return False
        if error.crashed and self.crashed:  # it may well be what ends the process
            return False
        self.crashed = self.crashed or error.crashed
        policy, deadline = self.policy, self.spare.deadline
        wait = max(self.wait * (1 - policy.chance() / 2), error.retry_after or 0)
        if deadline is not None and policy.now() + wait >= deadline:
            return False
        self.left -= 1
        self.wait = min(self.wait * _FACTOR, _MOST)
        log.info(
            "request {id}: {name}: {detail}; repeated in {wait:.2f} s",
            id=printable(self.spare.request_id), name=error.name, detail=printable(error.detail), wait=wait,
        )  # fmt: skip
        self.alarm = policy.clock.callLater(wait, self._repeat)
        return True

    def _cancel(self, _: object) -> None:
        self.left = 0
        if self.waited is not None:
            self.waited.cancel()
        elif self.alarm is not None and self.alarm.active():
            self.alarm.cancel()


def _with_first(part: DocumentArray, rest: Parts) -> Parts:
    """*rest*, with *part* before it."""
    first = [part]

    def pull() -> MaybeDeferred[DocumentArray | None]:
        return first.pop() if first else rest.pull()

    return Parts(pull, rest.cancel, lambda docs: None if first else rest.rest(docs))
