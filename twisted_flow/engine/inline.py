"""In the server's own process and thread: ``async def`` methods as tasks, others called on the spot.

The default for an executor whose methods all are asynchronous. A plain ``def`` runs here only if the user says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from inspect import isasyncgen, iscoroutine, isgenerator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import Unavailable
from ..executor.at_once import at_once
from ..executor.call import Call, Context, awaited, error_of, response_to
from ..executor.table import Endpoint, find
from ..interfaces import IEngine, IExecutor
from ..loop import spawn
from ..maybe import MaybeDeferred
from ..message import Request, Response
from .checkup import Calls, checkup

__all__ = ["InlineEngine"]


@implementer(IEngine)
class InlineEngine:
    """See the module. `window` bounds the tasks under way."""

    window = 256

    def __init__(self, executor: IExecutor) -> None:
        self.executor = executor
        self.name: str = executor.name
        self.endpoints = executor.endpoints
        self.health = "new"
        self.asked = False  # whether a question for its health is not answered yet
        self._calls: dict[str, Call] = {}
        self._under_way = Calls()

    def start(self) -> Deferred[None]:
        """See `IEngine`."""

        def opened(calls: Any) -> Deferred[None]:
            self._calls = calls
            return maybeDeferred(waited_for, self.executor.warm_up).addCallback(warm)

        def warm(_: Any) -> None:
            if self.health == "starting":  # not stopped meanwhile
                self.health = "ready"

        self.health = "starting"
        return maybeDeferred(self.executor.open).addCallback(opened)

    def check(self, timeout: float, stuck_after: float | None) -> Deferred[None]:
        """See `IEngine`."""
        ask = partial(maybeDeferred, waited_for, self.executor.check_health)
        return checkup(self, ask, timeout, self._under_way.longest(), stuck_after)

    def stop(self) -> Deferred[None]:
        """See `IEngine`."""
        if self.health in ("new", "stopped"):
            return succeed(None)
        self.health = "stopping"

        def stopped(_: Any) -> Any:
            self.health = "stopped"
            return _

        return maybeDeferred(waited_for, self.executor.close).addBoth(stopped)

    def dispatch(self, request: Request) -> MaybeDeferred[Response]:
        """See `IDispatcher`."""
        name = request.header.exec_endpoint
        call = find(self._calls, name)
        if call is None:
            if not self._calls:
                raise Unavailable(f"executor {self.name!r} is {self.health}")
            return response_to(request, None)
        return run_on_loop(self.name, call, request, find(self.endpoints, name).waits, self._under_way)

    def at_once(self, endpoint: str) -> Call | None:
        """See `IEngine`."""
        return never_waiting(self, self._calls, endpoint)


def never_waiting(engine: IEngine, calls: Mapping[str, Call], endpoint: str) -> Call | None:
    """How *engine*, which has *calls* once it has started, calls *endpoint*, if that never waits."""
    described: Endpoint | None = find(engine.endpoints, endpoint)
    if described is None or described.waits:
        return None
    if not calls:
        raise Unavailable(f"executor {engine.name!r} is {engine.health}")
    call: Call = find(calls, endpoint)
    if "context" not in described.wants:
        return call
    return lambda request, _: call(request, Context(request.request_id, request.deadline))


def waited_for(hook: Callable[[], Any]) -> Any:
    """What *hook* of an executor returns; a Deferred where it has to be waited for."""
    result = hook()
    return spawn(result) if iscoroutine(result) else result


def run_on_loop(name: str, call: Call, request: Request, waits: bool, under_way: Calls) -> MaybeDeferred[Response]:
    """What *call*, a method of the executor called *name*, answers to *request*, waited for on the event loop.

    :param waits: whether it may have to be waited for.
    :param under_way: where it is noted while it is.
    :raises FlowError: as *call* does.
    """
    context = Context(request.request_id, request.deadline)
    try:
        result = call(request, context)
        if result is None:  # the most frequent of all
            return response_to(request, None)
        if iscoroutine(result):
            if not waits:
                return response_to(request, at_once(result))
            result = spawn(result)
        elif isasyncgen(result):
            result = spawn(awaited(result))
        elif not isinstance(result, Deferred):
            return response_to(request, result)
    except BaseException as wrong:  # SystemExit of a user's method is the user's mistake too
        error = error_of(wrong, name)
    else:
        answer = result.addCallbacks(_returned, _raised, callbackArgs=(request, name), errbackArgs=(name, context))
        under_way.add(answer)
        return answer
    raise error


def _returned(result: Any, request: Request, name: str) -> Response:
    try:
        return response_to(request, list(result) if isgenerator(result) else result)
    except BaseException as wrong:
        error = error_of(wrong, name)
    raise error


def _raised(failure: Failure, name: str, context: Context) -> Failure:
    if failure.check(CancelledError):
        context.cancelled = True
        return failure
    return Failure(error_of(failure.value, name))
