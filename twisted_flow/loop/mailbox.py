"""Items from the reactor to a coroutine of the caller's, on whichever event loop that runs."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Generic, TypeVar

from twisted.internet.defer import CancelledError, DeferredQueue, DeferredSemaphore, ensureDeferred

from .background import Background
from .reactor import asyncio_loop, when_running
from .threads import from_thread

__all__ = ["Mailbox"]

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Takes items on the reactor, and on the caller's side, where a coroutine awaits them.

    :raises RuntimeError: where that coroutine is neither asyncio's nor, in the reactor's thread, one of Twisted's.
    """

    def __init__(self) -> None:
        self._loop = _loop_of_task()
        self._items: Any = DeferredQueue() if self._loop is None else asyncio.Queue()
        self._room: Any = None
        self._feeding: Any = None

    def start(self) -> Callable[..., object]:
        """See that the reactor runs: what to call, with a function and its arguments, to have it called there."""
        if self._loop is None or ("twisted.internet.reactor" in sys.modules and self._loop is asyncio_loop()):
            return lambda function, *arguments: when_running(partial(function, *arguments))
        Background.ensure()
        return from_thread()

    def put(self, item: T) -> None:
        """On the reactor."""
        if self._loop is None:
            self._items.put(item)
        else:
            with contextlib.suppress(RuntimeError):  # the caller's loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self._items.put_nowait, item)

    async def get(self) -> T:
        """The next item."""
        item: T = await self._items.get()
        return item

    def feed(self, items: AsyncIterator[object], most: int, put: Callable[[bool, object], T]) -> None:
        """Have *items* put in as they come, while the caller waits for whatever is next.

        :param most: how many may be put in before `more` is called for them.
        :param put: makes an item of mail: of whether it is the last word (then an exception, or None), and the item.
        """
        twisted = self._loop is None
        self._room = DeferredSemaphore(most) if twisted else asyncio.Semaphore(most)
        feeding = self._feed(items, put)
        self._feeding = ensureDeferred(feeding) if self._loop is None else self._loop.create_task(feeding)

    async def _feed(self, items: AsyncIterator[object], put: Callable[[bool, object], T]) -> None:
        last: BaseException | None = None
        try:
            async with contextlib.aclosing(items) as closing:  # type: ignore[type-var]
                await self._room.acquire()
                async for item in closing:
                    self._add(put(False, item))
                    await self._room.acquire()
        except (CancelledError, asyncio.CancelledError):
            return
        except BaseException as error:
            last = error
        self._add(put(True, last))

    def _add(self, item: T) -> None:
        """On the caller's side."""
        (self._items.put if self._loop is None else self._items.put_nowait)(item)

    def more(self) -> None:
        """Make room for one more: an item that was fed is done."""
        self._room.release()

    def stop(self) -> None:
        """Feed no more."""
        if self._feeding is not None:
            self._feeding.cancel()


def _loop_of_task() -> asyncio.AbstractEventLoop | None:
    """The event loop of the task that this is called in; None in a coroutine of Twisted's."""
    from twisted.python.threadable import isInIOThread  # imports no reactor

    with contextlib.suppress(RuntimeError):
        if asyncio.current_task() is not None:
            return asyncio.get_running_loop()
    theirs = "twisted.internet.reactor" in sys.modules and Background.thread is None  # perhaps it does not run yet
    if theirs or isInIOThread():
        return None
    raise RuntimeError("an asynchronous client is for coroutines: of asyncio, or of Twisted in the reactor's thread")
