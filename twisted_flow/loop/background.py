"""The reactor in a thread of its own, for programs that run none."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IReactorCore

from ..telemetry.logs import log_as_python_does
from .reactor import asyncio_loop, install_reactor

__all__ = ["Background", "run_in_reactor"]


class Background:
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
            from twisted.internet import reactor  # chosen by now

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


def run_in_reactor(function: Callable[[], Any]) -> Any:
    """Call *function* in the reactor, which is started in a thread of its own if none runs, and wait for its Deferred.

    :return: what the Deferred fires with; raises what it fails with.
    :raises RuntimeError: in the reactor's own thread, which may not wait.
    """
    from twisted.internet import threads  # imports no reactor; a daemon's start-up does without it
    from twisted.python.threadable import isInIOThread  # as little of Twisted as may be

    reactor = Background.ensure()
    if isInIOThread():
        raise RuntimeError(
            "this waits for the reactor, and may not be called in the reactor's own thread: there IService(flow) is "
            "the flow as a service, and Client(asyncio=True) a client to await"
        )
    return threads.blockingCallFromThread(reactor, lambda: maybeDeferred(function))
