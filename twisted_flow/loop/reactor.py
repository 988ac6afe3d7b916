"""The reactor's choice, and the event loop below it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred, maybeDeferred

__all__ = ["asyncio_loop", "install_reactor", "new_loop", "when_running"]


def install_reactor(*, here: bool = False) -> None:
    """Choose the asyncio reactor on uvloop (on asyncio's own loop where there is none), if none is chosen yet.

    :param here: whether it is going to run in this thread, so that its loop is the thread's own from now on; a program
        that runs it elsewhere keeps whatever loop it has.
    """
    if "twisted.internet.reactor" in sys.modules:
        return
    from twisted.internet import asyncioreactor  # chosen late, and only here

    loop = new_loop()
    if (
        here and asyncio._get_running_loop() is None
    ):  # else the caller has a loop of its own, as in a notebook, and keeps it
        asyncio.set_event_loop(loop)
    asyncioreactor.install(loop)


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's, or asyncio's own where there is none."""
    try:
        import uvloop  # not on Windows
    except ImportError:  # not on Windows
        return asyncio.SelectorEventLoop()
    return uvloop.new_event_loop()


def asyncio_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop on which the reactor runs, or None if it is not an asyncio reactor."""
    from twisted.internet import reactor  # chosen by now

    return cast("asyncio.AbstractEventLoop | None", getattr(reactor, "_asyncioEventloop", None))


def when_running(function: Callable[[], object]) -> Deferred[Any]:
    """Call *function* once the reactor's loop really runs; what it returns, or its Deferred, is what this fires with.

    Services start before it does (``startService`` under twistd), and nothing of asyncio can be made by then.
    """
    from twisted.internet import reactor  # chosen by now

    result: Deferred[object] = Deferred()
    loop = asyncio_loop()

    def begin() -> None:
        maybeDeferred(function).chainDeferred(result)

    if loop is None or loop.is_running():
        cast(Any, reactor).callWhenRunning(begin)
    else:
        loop.call_soon(begin)
    return result
