"""Calling a method on the event loop: an ``async def`` that never suspends at once, one that does as a task."""

from __future__ import annotations

from inspect import isasyncgen, iscoroutine, isgenerator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..document import DocumentArray
from ..errors import FlowError
from ..executor.arrivals import Arrivals
from ..executor.at_once import at_once
from ..executor.call import Call, Context, awaited, error_of, part_of, response_to
from ..executor.steps import AsynchronousGenerator, PlainGenerator, make_parts
from ..executor.table import Endpoint
from ..feed import Feed, Relay
from ..loop import Signal, crossing, sleep_some_turns, spawn
from ..maybe import MaybeDeferred
from ..message import Request, Response, ResponseStream
from ..outcome import Outcome, promised
from ..parts import Credit, Parts
from ..pump import Pump
from ..telemetry.tracebacks import traceback_of
from .lifecycle import CallsUnderWay

__all__ = ["note_closing", "run_on_loop"]

log = Logger()


def run_on_loop(
    name: str, call: Call, request: Request, endpoint: Endpoint, under_way: CallsUnderWay
) -> MaybeDeferred[Outcome]:
    """The response to *request* by *call*, a method of the executor *name*, awaited on the event loop.

    :param endpoint: that it is: one that takes parts gets those that *request* has, as they come.
    :param under_way: where the call is listed while it runs.
    :raises FlowError: as *call* does.
    """
    context = Context.of(request)
    if endpoint.takes_parts:
        context.arrivals = _arriving(request)
    try:
        result = call(request, context)
        if result is None:  # the most frequent of all
            return response_to(request, None)
        if iscoroutine(result):
            if not endpoint.suspends:
                return response_to(request, at_once(result))
            result = spawn(result, request)
        elif isasyncgen(result):
            if request.stream:
                return _streamed(result, request, name, context)
            result = spawn(awaited(result), request)
        elif isgenerator(result) and request.stream:
            return ResponseStream(request, _stepped(result, name, context), [])
        elif not isinstance(result, Deferred):
            return response_to(request, result)
    except BaseException as raised:  # SystemExit of a user's method is the user's mistake too
        error = error_of(raised, name)
    else:
        answer: Deferred[Any] = result.addCallbacks(
            _returned, _raised, callbackArgs=(request, name, context), errbackArgs=(name, context)
        )
        if request.parts is not None:
            return promised(answer, request)
        under_way.add(answer)
        return answer
    raise error


def _arriving(request: Request) -> Arrivals:
    """The documents of *request*, for its method."""
    parts = request.parts
    if parts is None:
        return Arrivals(Signal(), request.docs, whole=True)
    to_loop, to_reactor = crossing()
    arrivals = Arrivals(Signal(), request.docs, whole=False, more=lambda taken: to_reactor(pump.more, taken))
    pump = Pump(
        parts,
        lambda part, cost: to_loop(arrivals.put, part, cost),
        lambda failure: to_loop(arrivals.end, None if failure is None else failure.value),
    )
    pump.more(0)
    return arrivals


def _returned(result: object, request: Request, name: str, context: Context) -> Response:
    try:
        return response_to(request, list(result) if isgenerator(result) else result, context)
    except BaseException as raised:
        error = error_of(raised, name)
    raise error


def _stepped(generator: PlainGenerator, name: str, context: Context) -> Parts:
    """The parts that a plain generator makes, each when it is pulled."""

    def pull() -> DocumentArray | None:
        try:
            return part_of(next(generator))
        except StopIteration:
            return None
        except BaseException as raised:
            error = error_of(raised, name)
        raise error

    def cancel() -> None:
        context.cancelled = True
        try:
            generator.close()
        except BaseException as raised:
            note_closing(error_of(raised, name), name)

    return Parts(pull, cancel)


def _streamed(generator: AsynchronousGenerator, request: Request, name: str, context: Context) -> ResponseStream:
    """The answer whose parts *generator* makes, in one task."""
    to_loop, to_reactor = crossing()
    credit = Credit(Signal())

    def cancel() -> None:
        context.cancelled = True
        work.cancel()

    def is_cancelled() -> bool:
        return context.cancelled

    def spoilt(raised: Exception) -> None:
        note_closing(error_of(raised, name), name)

    feed = Feed(lambda more: to_loop(credit.add, more), cancel)
    put = Relay(feed, to_reactor).put
    work = spawn(make_parts(generator, put, credit, is_cancelled, sleep_some_turns, spoilt), request)
    work.addCallbacks(
        lambda _: to_reactor(feed.end), lambda failure: to_reactor(feed.end, error_of(failure.value, name))
    )
    return ResponseStream(request, feed.parts, [])


def note_closing(error: FlowError, name: str) -> None:
    """Note in the log what the ``finally`` of a generator of the executor *name* has raised: nobody waits for it."""
    log.error(
        "executor {name}: a generator that was closed raised{because}",
        name=name, because=f"\n{traceback_of(error.__cause__)}" if error.__cause__ is not None else f" {error}",
    )  # fmt: skip


def _raised(failure: Failure, name: str, context: Context) -> Failure:
    if failure.check(CancelledError):
        context.cancelled = True
        return failure
    return Failure(error_of(failure.value, name))
