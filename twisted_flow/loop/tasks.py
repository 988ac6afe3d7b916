"""Coroutines as Deferreds, and Deferreds for coroutines."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from .catch_exit import ExitRaised, catch_exit
from .reactor import asyncio_loop, new_loop
from .threads import from_thread

__all__ = ["Signal", "crossing", "sleep_a_turn", "sleep_some_turns", "spawn", "tasks", "to_future", "wait_a_while"]

Signal = asyncio.Event
"""What a coroutine waits for, and a callback on the loop sets."""

T = TypeVar("T")
Crossing = Callable[..., object]
"""Has a function called, with its arguments, on the other side."""


def tasks() -> list[Any]:
    """The tasks of the reactor's event loop."""
    return list(asyncio.all_tasks(loop)) if (loop := asyncio_loop()) is not None else []


def to_future(deferred: Deferred[T]) -> asyncio.Future[T]:
    """*deferred*, for a coroutine that awaits it; cancelling reaches it."""
    return deferred.asFuture(asyncio.get_running_loop())


async def wait_a_while(signal: Signal, seconds: float) -> None:
    """Wait for *signal*, but no longer than *seconds*."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(signal.wait(), seconds)


async def sleep_a_turn() -> None:
    """Let what is due on the loop come first."""
    await asyncio.sleep(0)


async def sleep_some_turns() -> None:
    """The same for what comes of that: a part that was handed on is encoded in one turn, and sent in another."""
    for _ in range(3):
        await asyncio.sleep(0)


class _SideLoop:
    """An event loop in a thread, for coroutines under a reactor that is not asyncio's. One, made when first needed."""

    loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    def get(cls) -> asyncio.AbstractEventLoop:
        if cls.loop is None:
            cls.loop = new_loop()
            threading.Thread(target=cls.loop.run_forever, name="twisted_flow asyncio", daemon=True).start()
        return cls.loop


def crossing() -> tuple[Crossing, Crossing]:
    """How the reactor has something called where coroutines run, and how they have it called on the reactor.

    That is one loop, unless the reactor is not asyncio's. Even so what a task has called is called outside of it: a
    coroutine of Twisted's that goes on there would take it for its own.
    """
    loop = asyncio_loop()
    if loop is not None:
        return _here, loop.call_soon
    return _SideLoop.get().call_soon_threadsafe, from_thread()


def _here(function: Callable[..., object], *arguments: object) -> object:
    return function(*arguments)


def spawn(coroutine: Coroutine[object, object, T], request: object = None) -> Deferred[T]:
    """Run *coroutine* as one asyncio task, with a fresh Context: nothing of another request shows through.

    :param request: what it answers, for the log where it blocks the loop.
    :return: fires with what it returns, fails with what it raises. Cancelling cancels the task, and fails at once.
    """
    work, coroutine = coroutine, catch_exit(coroutine, request)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # another reactor
        return _spawn_aside(coroutine)
    task = _begin(loop, coroutine)
    deferred: Deferred[T] = Deferred(partial(_cancel, task))
    if task.done():
        _settle(deferred, task)
    else:
        task.add_done_callback(partial(_settle, deferred, work=work))
    return deferred


def _begin(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[object, object, T]) -> asyncio.Task[T]:
    if sys.version_info >= (3, 12):  # what need not wait after all costs no turn of the loop
        return asyncio.Task(coroutine, loop=loop, context=Context(), eager_start=True)
    return loop.create_task(coroutine, context=Context())


def _spawn_aside(coroutine: Coroutine[object, object, T]) -> Deferred[T]:
    future = asyncio.run_coroutine_threadsafe(coroutine, _SideLoop.get())
    deferred: Deferred[T] = Deferred(partial(_cancel, future))
    call = from_thread()
    future.add_done_callback(lambda done: call(_settle, deferred, done))
    return deferred


def _cancel(work: Any, _: object) -> None:
    work.cancel()


def _settle(deferred: Deferred[T], done: Any, work: Any = None) -> None:
    if work is not None and done.cancelled():
        work.close()  # it may never have begun
    error = asyncio.CancelledError() if done.cancelled() else done.exception()
    if deferred.called:
        return  # cancelled by who held it: nobody waits for what came of it
    result: Any = done.result() if error is None else None
    if type(result) is ExitRaised:
        error = result.raised
    if error is None:
        deferred.callback(result)
    else:
        deferred.errback(error)
