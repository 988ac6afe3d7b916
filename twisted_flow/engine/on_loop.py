"""Calling a method on the event loop: an ``async def`` that never suspends at once, one that does as a task."""

from __future__ import annotations

from inspect import isasyncgen, iscoroutine, isgenerator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from ..executor.at_once import at_once
from ..executor.call import Call, Context, awaited, error_of, response_to
from ..loop import spawn
from ..maybe import MaybeDeferred
from ..message import Request, Response
from ..outcome import Outcome
from .lifecycle import CallsUnderWay

__all__ = ["run_on_loop"]


def run_on_loop(
    name: str, call: Call, request: Request, suspends: bool, under_way: CallsUnderWay
) -> MaybeDeferred[Outcome]:
    """The response to *request* by *call*, a method of the executor *name*, awaited on the event loop.

    :param suspends: whether it may have to be awaited for more than one step.
    :param under_way: where the call is listed while it runs.
    :raises FlowError: as *call* does.
    """
    context = Context.of(request)
    try:
        result = call(request, context)
        if result is None:  # the most frequent of all
            return response_to(request, None)
        if iscoroutine(result):
            if not suspends:
                return response_to(request, at_once(result))
            result = spawn(result, request)
        elif isasyncgen(result):
            result = spawn(awaited(result), request)
        elif not isinstance(result, Deferred):
            return response_to(request, result)
    except BaseException as raised:  # SystemExit of a user's method is the user's mistake too
        error = error_of(raised, name)
    else:
        answer: Deferred[Any] = result.addCallbacks(
            _returned, _raised, callbackArgs=(request, name), errbackArgs=(name, context)
        )
        under_way.add(answer)
        return answer
    raise error


def _returned(result: object, request: Request, name: str) -> Response:
    try:
        return response_to(request, list(result) if isgenerator(result) else result)
    except BaseException as raised:
        error = error_of(raised, name)
    raise error


def _raised(failure: Failure, name: str, context: Context) -> Failure:
    if failure.check(CancelledError):
        context.cancelled = True
        return failure
    return Failure(error_of(failure.value, name))
