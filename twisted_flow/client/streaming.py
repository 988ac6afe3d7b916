"""Answers in parts for the caller: from its own thread, or on its own event loop. Sockets are the reactor's."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Self

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from ..document import Document, DocumentArray
from ..document.weight import weight
from ..errors import DeadlineExceeded
from ..loop import Mailbox, from_thread, run_in_reactor
from ..message import Response, ResponseStream
from ..parts import AHEAD, cost_of
from ..pump import Pump
from .sending import MARGIN

__all__ = ["AsyncDocumentStream", "DocumentStream"]

Connect = Callable[[], Deferred[ResponseStream]]
"""On the reactor: asks."""
Put = Callable[[object], object]


class _Pump:
    """On the reactor: hands on the parts of a stream, a few ahead of who takes them: documents, and at last a Response,
    or a Failure.

    :param ended: told the last, before it is handed on; or None, where it was cancelled.
    """

    def __init__(self, put: Put, timeout: float | None, ended: Put) -> None:
        self._put, self._timeout, self._ended = put, timeout, ended
        self._pump: Pump | None = None
        self._stream: ResponseStream | None = None
        self._waiting: Deferred[Any] | None = None
        self._alarm: IDelayedCall | None = None
        self._over = False

    def start(self, connect: Connect) -> None:
        if self._timeout is not None:
            from twisted.internet import reactor  # chosen by now

            later: Any = reactor
            self._alarm = later.callLater(self._timeout + MARGIN, self._late)
        self._waiting = connect()
        self._waiting.addCallbacks(self._connected, self._last)

    def _connected(self, stream: ResponseStream) -> None:
        self._stream = stream
        self._pump = Pump(stream.parts, lambda part, cost: self._put(part), self._end)
        self._pump.more(0)

    def more(self, taken: int) -> None:
        if self._pump is not None:
            self._pump.more(taken)

    def cancel(self) -> None:
        if not self._over:
            self._stop(None)
            if self._stream is not None:
                self._stream.parts.cancel()
            elif self._waiting is not None:
                self._waiting.cancel()

    def _late(self) -> None:
        if not self._over:
            self.cancel()
            self._put(Failure(DeadlineExceeded(f"not finished within {self._timeout:g} s")))

    def _end(self, failure: Failure | None) -> None:
        stream = self._stream
        assert stream is not None
        nothing = DocumentArray()
        self._last(failure or Response(stream.request, nothing, nothing, stream.routes, stream.status))

    def _last(self, last: object) -> None:
        if not self._over:
            self._stop(last)
            self._put(last)

    def _stop(self, last: object) -> None:
        self._over = True
        self._ended(last)
        if self._pump is not None:
            self._pump.stop()
        if self._alarm is not None and self._alarm.active():
            self._alarm.cancel()


class _Taken:
    """The caller's side of both: the documents that have come and are not taken yet."""

    response: Response | None = None
    """The end: routes and status, without documents. None until it has come."""

    def __init__(self) -> None:
        self._docs: deque[Document] = deque()
        self._call: Callable[..., object] = lambda *nothing: None
        self._pump: Any = None
        self._taken = 0
        self._over = False

    def _wake(self) -> None:
        """Have whoever waits for another document look again."""
        raise NotImplementedError

    def _take(self, item: object) -> None:
        if isinstance(item, Response):
            self.response, self._over = item, True
            self._wake()
        elif isinstance(item, Failure):
            self._over = True
            self._wake()
            item.raiseException()
        elif isinstance(item, DocumentArray):
            self._docs.extend(item)
            self._taken += cost_of(weight(item))
            if self._taken >= AHEAD // 2:
                self._call(self._pump.more, self._taken)
                self._taken = 0

    def cancel(self) -> None:
        """End it, at the server too. What has come is dropped."""
        self._docs.clear()
        self._wake()
        if not self._over:
            self._over = True
            if self._pump is not None:
                self._call(self._pump.cancel)

    def __del__(self) -> None:
        if not self._over:
            self.cancel()


class DocumentStream(_Taken, Iterator[Document]):
    """What `Client.stream` returns: the documents, one after another, as they come. Used in a ``with`` it is cancelled
    at the end of that, if it is not over; so is one that nobody refers to any more.
    """

    def __init__(self, connect: Connect, timeout: float | None, ended: Put = lambda last: None) -> None:
        super().__init__()
        self._connect = connect  # whose client is kept as long as this is: it would close its connections
        self._items: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._pump = pump = _Pump(self._items.put, timeout, ended)
        run_in_reactor(lambda: pump.start(connect))
        self._call = from_thread()

    def __next__(self) -> Document:
        while not self._docs:
            if self._over:
                self._wake()  # another one that waits
                raise StopIteration
            self._take(self._items.get())
        return self._docs.popleft()

    def _wake(self) -> None:
        self._items.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.cancel()


class AsyncDocumentStream(_Taken, AsyncIterator[Document]):
    """The same for ``async for``, and ``async with``."""

    def __init__(self, connect: Connect, timeout: float | None, ended: Put = lambda last: None) -> None:
        super().__init__()
        self._connect, self._timeout, self._ended = connect, timeout, ended
        self._mail: Mailbox[Any] | None = None

    def _begin(self) -> None:
        """In a coroutine: send the request, if that is not done."""
        if self._mail is None and not self._over:
            mail: Mailbox[Any] = Mailbox()
            self._mail = mail
            self._call = mail.start()
            self._pump = _Pump(mail.put, self._timeout, self._ended)
            self._call(self._pump.start, self._connect)

    async def __anext__(self) -> Document:
        self._begin()
        while not self._docs:
            if self._over or self._mail is None:
                self._wake()
                raise StopAsyncIteration
            self._take(await self._mail.get())
        return self._docs.popleft()

    def _wake(self) -> None:
        if self._mail is not None:
            self._mail.put(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *problem: object) -> None:
        self.cancel()
