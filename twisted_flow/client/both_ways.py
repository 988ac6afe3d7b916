"""A call whose documents go out while its answer comes in: `Client.open`."""

from __future__ import annotations

import queue
from collections.abc import Callable
from threading import Lock
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ..document import DocumentArray
from ..document.weight import weight
from ..errors import BadRequest
from ..feed import Feed
from ..loop import Mailbox
from ..message import Request, ResponseStream
from ..parts import AHEAD, cost_of
from .inputs import document_of
from .streaming import AsyncDocumentStream, DocumentStream

__all__ = ["AsyncOpenStream", "OpenStream"]

Ask = Callable[[Request], Deferred[ResponseStream]]
"""On the reactor: sends a request."""


class _Outbox:
    """What is sent, and how much more may be, before it has left.

    :param tell: called on the reactor, with how much of `AHEAD` is free again; 0: nothing is taken any more.
    """

    def __init__(self, tell: Callable[[int], object]) -> None:
        self._feed, self._tell = Feed(tell, lambda: None), tell
        self.parts = self._feed.parts
        self.left, self.ended = AHEAD, False
        self._why: Any = None

    def is_full(self) -> bool:
        """Whether another one has to wait."""
        return self.left <= 0 and not self.parts.over and not self.ended

    def next(self, item: object) -> tuple[DocumentArray, int]:
        """*item* as a part, and its cost, which is noted.

        :raises RuntimeError: behind `end`.
        :raises FlowError: if nothing is taken any more.
        """
        docs = DocumentArray([document_of(item)])
        if self.ended:
            raise RuntimeError("end() was called: no more can be sent")
        if self.parts.over:
            raise self._why or BadRequest("the answer has ended: nothing more is taken")
        cost = cost_of(weight(docs))
        self.left -= cost
        return docs, cost

    def put(self, part: DocumentArray, cost: int) -> None:
        """On the reactor."""
        self._feed.put(part, cost)

    def end(self) -> None:
        """On the reactor: no more is sent."""
        self._feed.end()
        self._tell(0)

    def close(self, last: object = None) -> None:
        """On the reactor: the answer has ended, by *last*, a Response or a Failure."""
        if isinstance(last, Failure):
            self._why = last.value
        self._feed.parts.cancel()
        self._tell(0)


class OpenStream(DocumentStream):
    """What `Client.open` returns: documents are sent, and those of the answer iterated over, in any order, also from
    several threads. Used in a ``with`` it is cancelled at the end of that, if it is not over.
    """

    def __init__(self, ask: Ask, request: Request, timeout: float | None) -> None:
        self._room: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._outbox = outbox = _Outbox(self._room.put)
        self._sending = Lock()
        asked = replace(request, parts=outbox.parts)
        super().__init__(lambda: ask(asked), timeout, outbox.close)

    def send(self, item: object) -> None:
        """Send a document, or what one is made of; wait while the server takes no more.

        :raises FlowError: if it takes no more at all: what ended the answer, if that was an error.
        """
        outbox = self._outbox
        with self._sending:
            while outbox.is_full():
                outbox.left += self._room.get()
            self._call(outbox.put, *outbox.next(item))

    def end(self) -> None:
        """Say that no more is sent: the rest of the answer may depend on it."""
        self._outbox.ended = True
        self._call(self._outbox.end)


class AsyncOpenStream(AsyncDocumentStream):
    """The same for coroutines: ``await stream.send(document)``."""

    def __init__(self, ask: Ask, request: Request, timeout: float | None) -> None:
        self._room: Mailbox[int] | None = None
        self._waiting = 0  # tasks that wait for it
        self._outbox = outbox = _Outbox(self._tell)
        asked = replace(request, parts=outbox.parts)
        super().__init__(lambda: ask(asked), timeout, outbox.close)

    def _tell(self, taken: int) -> None:
        if self._room is not None:
            self._room.put(taken)

    def _begin(self) -> None:
        if self._room is None:
            self._room = Mailbox()
        super()._begin()

    async def send(self, item: object) -> None:
        """See `OpenStream.send`; several tasks may."""
        self._begin()
        outbox, room = self._outbox, self._room
        while outbox.is_full():
            assert room is not None
            self._waiting += 1
            try:
                taken = await room.get()
            finally:
                self._waiting -= 1
            outbox.left += taken
            if self._waiting and not outbox.is_full():
                room.put(0)  # for whoever waits, too
        self._call(outbox.put, *outbox.next(item))

    def cancel(self) -> None:
        """See `DocumentStream`."""
        super().cancel()
        if self._room is None:  # it has not begun
            self._outbox.parts.cancel()

    def end(self) -> None:
        """See `OpenStream.end`."""
        self._begin()
        self._outbox.ended = True
        self._call(self._outbox.end)
