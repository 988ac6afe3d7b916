"""Where Twisted and asyncio meet: the reactor's choice, coroutines as Deferreds, threads, and a reactor of one's own.

Of all other modules only `endpoint` knows both worlds.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from typing import Any, Generic, TypeVar, cast

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorCore
from twisted.logger import Logger

from .contained import Ending, contained
from .logs import log_as_python_does

__all__ = [
    "Mailbox",
    "Signal",
    "asyncio_loop",
    "from_thread",
    "install_reactor",
    "run_in_reactor",
    "spawn",
    "tasks",
    "to_future",
    "wait_a_while",
    "when_running",
]

log = Logger()
Signal = asyncio.Event
"""What a coroutine waits for, and a callback on the loop sets."""

T = TypeVar("T")


def install_reactor() -> None:
    """Choose the asyncio reactor on uvloop (on asyncio's own loop where there is none), if none is chosen yet."""
    if "twisted.internet.reactor" in sys.modules:
        return
    from twisted.internet import asyncioreactor  # chosen late, and only here

    loop = _new_loop()
    if asyncio._get_running_loop() is None:  # else the caller has a loop of its own, as in a notebook, and keeps it
        asyncio.set_event_loop(loop)
    asyncioreactor.install(loop)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # not on Windows
        return asyncio.SelectorEventLoop()
    return uvloop.new_event_loop()


def asyncio_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop on which the reactor runs, or None if it is not an asyncio reactor."""
    from twisted.internet import reactor

    return cast("asyncio.AbstractEventLoop | None", getattr(reactor, "_asyncioEventloop", None))


class _Errands:
    """Calls that threads want made on the reactor, which is woken once for many: that costs more than most calls."""

    def __init__(self, wake: Callable[..., object]) -> None:
        self._wake = wake
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._woken = False

    def __call__(self, function: Callable[..., object], *arguments: Any) -> None:
        self._calls.append((function, arguments))
        if not self._woken:
            self._woken = True
            self._wake(self._run)

    def _run(self) -> None:
        self._woken = False  # before the first: what comes from now on wakes again
        while self._calls:
            function, arguments = self._calls.popleft()
            try:
                function(*arguments)
            except Exception:
                log.failure("a call from a thread failed")


def from_thread() -> Callable[..., object]:
    """What a thread calls, with a function and its arguments, to have it called on the reactor, in order."""
    loop = asyncio_loop()
    if loop is not None:
        return _Errands(loop.call_soon_threadsafe)  # the reactor's own way goes through a timer
    from twisted.internet import reactor

    return _Errands(reactor.callFromThread)  # type: ignore[attr-defined]


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


class _SideLoop:
    """An event loop in a thread, for coroutines under a reactor that is not asyncio's. One, made when first needed."""

    loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    def get(cls) -> asyncio.AbstractEventLoop:
        if cls.loop is None:
            cls.loop = _new_loop()
            threading.Thread(target=cls.loop.run_forever, name="twisted_flow asyncio", daemon=True).start()
        return cls.loop


def spawn(coroutine: Coroutine[Any, Any, T]) -> Deferred[T]:
    """Run *coroutine* as one asyncio task, with a fresh Context: nothing of another request shows through.

    :return: fires with what it returns, fails with what it raises. Cancelling cancels the task, and fails at once.
    """
    coroutine = contained(coroutine)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # another reactor
        return _spawn_aside(coroutine)
    task = _begin(loop, coroutine)
    deferred: Deferred[T] = Deferred(partial(_cancel, task))
    if task.done():
        _settle(deferred, task)
    else:
        task.add_done_callback(partial(_settle, deferred))
    return deferred


def _begin(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    if sys.version_info >= (3, 12):  # what need not wait after all costs no turn of the loop
        return asyncio.Task(coroutine, loop=loop, context=Context(), eager_start=True)
    return loop.create_task(coroutine, context=Context())


def _spawn_aside(coroutine: Coroutine[Any, Any, T]) -> Deferred[T]:
    future = asyncio.run_coroutine_threadsafe(coroutine, _SideLoop.get())
    deferred: Deferred[T] = Deferred(partial(_cancel, future))
    call = from_thread()
    future.add_done_callback(lambda done: call(_settle, deferred, done))
    return deferred


def _cancel(work: Any, _: Any) -> None:
    work.cancel()


def _settle(deferred: Deferred[T], done: Any) -> None:
    error = asyncio.CancelledError() if done.cancelled() else done.exception()
    if deferred.called:
        return  # cancelled by who held it: nobody waits for what came of it
    result: Any = done.result() if error is None else None
    if type(result) is Ending:
        error = result.raised
    if error is None:
        deferred.callback(result)
    else:
        deferred.errback(error)


def when_running(function: Callable[[], Any]) -> Deferred[Any]:
    """Call *function* once the reactor's loop really runs; what it returns, or its Deferred, is what this fires with.

    Services start before it does (``startService`` under twistd), and nothing of asyncio can be made by then.
    """
    from twisted.internet import reactor

    result: Deferred[Any] = Deferred()
    loop = asyncio_loop()

    def begin() -> None:
        maybeDeferred(function).chainDeferred(result)

    if loop is None or loop.is_running():
        cast(Any, reactor).callWhenRunning(begin)
    else:
        loop.call_soon(begin)
    return result


class _Background:
    """The process's one reactor, running in a daemon thread for users who run none themselves."""

    lock = threading.Lock()
    thread: threading.Thread | None = None
    forked = False

    @classmethod
    def ensure(cls) -> Any:
        """The running reactor."""
        if cls.forked:
            raise RuntimeError(
                "this process was forked from one that had used a Client or a Flow, and has no thread to run one: "
                "use them after the fork alone, or have multiprocessing spawn its processes"
            )
        with cls.lock:
            install_reactor()
            from twisted.internet import reactor

            if not cast(Any, reactor).running:
                if cls.thread is not None:
                    raise RuntimeError("the reactor has been stopped, and a stopped reactor cannot run again")
                log_as_python_does()
                ready = threading.Event()
                cls.thread = threading.Thread(target=cls._run, args=(reactor, ready), name="reactor", daemon=True)
                cls.thread.start()
                ready.wait()
                if hasattr(os, "register_at_fork"):  # not on Windows
                    os.register_at_fork(after_in_child=partial(setattr, cls, "forked", True))
                atexit.register(cls._end, reactor, cls.thread)
            return reactor

    @staticmethod
    def _run(reactor: Any, ready: threading.Event) -> None:
        loop = asyncio_loop()
        if loop is not None:
            asyncio.set_event_loop(loop)
        reactor.callWhenRunning(ready.set)
        cast(IReactorCore, reactor).run(installSignalHandlers=False)  # type: ignore[call-arg]

    @staticmethod
    def _end(reactor: Any, thread: threading.Thread) -> None:
        """With the program: a loop that still turns while the interpreter is taken down can crash it."""
        if reactor.running:
            reactor.callFromThread(reactor.stop)
            thread.join(5)


class Mailbox(Generic[T]):
    """Hands what happens on the reactor to a coroutine on the caller's own event loop, which may be another."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[T] = asyncio.Queue()

    def start(self) -> Callable[..., object]:
        """See that the reactor runs: what to call, with a function and its arguments, to have it called there."""
        if asyncio_loop_runs_here():
            return lambda function, *arguments: function(*arguments)
        _Background.ensure()
        return from_thread()

    def put(self, item: T) -> None:
        """On the reactor."""
        self._loop.call_soon_threadsafe(self._items.put_nowait, item)

    async def get(self) -> T:
        """The next item."""
        return await self._items.get()

    def empty(self) -> bool:
        """Whether there is none now."""
        return self._items.empty()


def asyncio_loop_runs_here() -> bool:
    """Whether the caller runs on the reactor's own event loop."""
    return "twisted.internet.reactor" in sys.modules and asyncio_loop() is asyncio.get_running_loop()


def run_in_reactor(function: Callable[[], Any]) -> Any:
    """Call *function* in the reactor, which is started in a thread of its own if none runs, and wait for its Deferred.

    :return: what the Deferred fires with; raises what it fails with.
    :raises RuntimeError: in the reactor's own thread, which may not wait.
    """
    from twisted.internet import threads  # imports no reactor; a daemon's start-up does without it
    from twisted.python.threadable import isInIOThread

    reactor = _Background.ensure()
    if isInIOThread():
        raise RuntimeError("this waits for the reactor, and may not be called in the reactor's own thread")
    return threads.blockingCallFromThread(reactor, lambda: maybeDeferred(function))
